# ruff: noqa: E501 - a template reads best on one line
"""Stories: what was asked for goes into one of a few plots, and each ends with "The end."

The plots hold to the hero's name where a pronoun would need to know more about the hero. Names and things
come back several times, which makes the model's copying the larger part of what it learns here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.demo.corpus.chat import Skill, Turn
from engine.demo.corpus.phrasing import Phrases, ask, fill, with_article
from engine.demo.corpus.words import ANIMALS, HERO_QUALITIES, any_hero, any_name, any_thing

if TYPE_CHECKING:
    import random
    from collections.abc import Mapping

_DEFAULT_NAMES = ("Mia", "Tom", "Lily", "Max", "Ruby", "Leo", "Nora", "Finn")
_DEFAULT_HEROES = ("fox", "rabbit", "bear", "mouse", "hedgehog", "squirrel", "badger", "wolf", "duck", "cat")
"""Many: one that told most stories without a hero was also told where the hero asked for is a rare word."""
_FRIENDS = ("owl", "mouse", "rabbit", "bear")
_PLACES = ("in a small house by the river", "in a green forest", "on a quiet farm", "near the sea")
_ASKED_PLACES = (
    "in the forest", "in a castle", "by the sea", "on an island", "in a village", "on a farm", "in the mountains",
    "in the desert", "at the market", "on the moon", "in a big city", "in the snow", "under a bridge", "in a garden",
    "near a lake", "in a cave", "at school", "on a ship", "in a library", "in the jungle",
)  # fmt: skip
_WISHES = (
    "fly", "swim", "sing", "dance", "climb a tree", "see the sea", "go to the moon", "learn to read", "bake a cake",
    "find a friend", "win a race", "build a house", "paint a picture", "play the drum", "cross the river",
    "see the snow", "become a king", "help everyone", "sleep all day", "travel the world", "catch a star",
    "ride a bicycle", "plant a tree", "make soup", "visit the city", "write a book", "sail a boat", "count the stars",
)  # fmt: skip

_STORY = (
    "{Tell me|Write|Write me|Can you tell me|Could you write|Please tell me|I'd like|I want|I would like|Give me|Tell|"
    "Can I have|Can you write|Make up|Let me hear|May I have|How about|Please write|Do you know|I want to hear|Invent|Tell us|"
    "I'd love|I'd love to hear|Could we have|Would you tell me|can u tell me|Tell my {kids|son|daughter}|Make it|Tell them|Read me|Come up with|We want|Think of|"
    "We would like|Do you have|Have you got|Can you do|Let's have|Let us hear|Could I get|Will you tell me|Try} "
    "{a|a|a|a|a short|a little|a nice|a bedtime|another|one more|a new|a good|a happy|a funny|a sad|a sweet|a silly|a very short|a cute|the|some kind of|a small|your best} {story|tale|story}"
)
_SOMETHING = (
    "{Tell me|Tell us|Write|Write me|Write us|tell him|tell her|Talk|I want to hear|I want to know|Let me hear|Let me know|Can you tell me|Could you tell me|Please tell me|can u tell me|"
    "Do you know|Please write|I'd like to hear|I would love to hear|Can you write} {|something |a little something |a few lines |more |all }"
)
_AT_LAST = (
    "{, tell me that story|. Tell me that story|, tell me about it|, tell the story|, please tell me their story|. Tell me a story|. Write a story|"
    ". Tell me the story|: tell me a story|. Can you tell a story|, make a story of it|. Make it a story|, a story please|. Story please|? A story|, as a story|. That is my story, tell it}"
)
_SHORT = "{Story|Story time|A story|A tale|a short story|story|New story|tale}"
_AS_A_STORY = "{Tell me one|Can you do one of your stories|Make me a story|One of your stories, please,|Let's have one|A bedtime story|A short one|Do you know any good stories|Do you know stories|Any stories|Any story|I like stories, one}"
_OPEN = f"{{{_STORY}|{_STORY}|{_STORY}|{_STORY}|{_AS_A_STORY}|{_SHORT}|One story}}"


_TAIL = "{.|.|.|.|||||?|!| for my {daughter|son|kids|class|little sister}.| for children.|. Keep it short.| please.|, please!|. Make it {short|nice|funny|sweet}.|. Thanks!| for bedtime.| to help me sleep.|, not too long.}"
_BEFORE = (
    "{Story|story|Short story|Tale|A story|A tale|Bedtime story|Bedtime story please|A story, please|Your story|Next story|Story time|Story idea|Here is my story|"
    "Story for {a child|a four year old|my son|kids|children|tonight}|My story|The story|One story|Please a story|Write it as a story}{:|:|!| -|.}"
)


def _requests(*subjects: str, happening: tuple[str, ...] = ()) -> Phrases:
    """Return ways to ask for a story about a subject, or one where something happens."""
    whole = [each for subject in subjects for each in _about(subject)]
    for each in happening:
        whole += [f"{_STORY} {{where|in which|of how|about how|and in it}} {each}{_TAIL}"] * 3
        whole += [
            f"{_SOMETHING}{{how|of how|about how|what happens when|about the day when}} {each}{_TAIL}",
            f"{_BEFORE} {each}{_TAIL}",
        ]
        whole += [
            f"{{What happens|What will happen|What is it like}} when {each}? {{Tell me|Tell me a story|Tell me the story|Write it|A story please}}.",
            f"{each}{_AT_LAST}{{.||!}}",
        ]
    return Phrases(*whole)


def _about(subject: str) -> tuple[str, ...]:
    usual = f"{_OPEN} {{about|about|about|about|about|with|of|featuring|starring|that has}} {subject}{_TAIL}"
    others = (
        f"{_SOMETHING}about {subject}{_TAIL}",
        f"{_BEFORE} {subject}{_TAIL}",
        f"{subject}{_AT_LAST}{{.|.||!|?}}",
    )
    return (*[usual] * 5, *others)


_DOES = (
    "{finds|finds|finds|found|discovers|gets|got|sees|has|owns|buys|keeps|makes|draws|brings|opens|paints|collects|guards|builds|carries|steals|borrows|"
    "plays with|is given|receives|shares|digs up|picks up|comes across|holds|hears of|asks for|cleans|repairs|meets someone with|wins|sells|is proud of|has got}"
)
_WITH_IT = "{||||||| in the grass| in the snow| under a tree| on the beach| as a present| with a friend| by the river| for a friend| one day| in the garden| at the market| on the way home| at night}"
_ACTS = (
    "{goes on a trip|goes to sleep|made a friend|makes a friend|is afraid of the dark|cannot sleep|has a bad day|gets lost|goes home|is lonely|has a birthday|goes for a walk|"
    "goes to school|helps a friend|saves the day|is looking for a friend|is very brave|meets a friend|plays in the snow|moves house|stays up late|has an adventure|"
    "goes far away|was kind|learns something new|does not give up|is late|comes home|had a dream|wakes up early|laughs all day|is always hungry|goes swimming|loves music|"
    "makes everyone laugh|is sick|visits grandma|has no friends|tells the truth|went out at night|plays all day|sleeps all day|goes to the sea|likes to sing|is small but brave}"
)

_PLAINLY = (
    "{tell me|Tell me|Write|I want|I'd like|I would like|I'd love|i need|I want to hear|can you tell|Can you tell me|could you tell me|Would you tell me|Would you mind telling me|"
    "can you write|How about|Give me|What's|What is|Do you know|Please tell me|Please write|read me|make up|Let's hear|may I hear} "
    "{a|a|a|a|one|another|a short|a nice|a good|a little|a scary|a funny|a bedtime|a long|a happy} {story|story|story|tale}"
)
_SAY_IT_AGAIN = "{{It|The story} should have|Put|There should be|There must be|There has to be|Include|Use|Add|I also want|Also put in|Have|it needs|Somewhere in it there should be|Please put} <a_thing>{| in it| in it| in the story| too| somewhere}"
_BLUNT = "{story about|Story about|A story about|a tale of|a story with|story of|short story about|bedtime story about|a story on|make it about|one about|something about}"
_PLAIN_END = "{||||.|.|.|!|!!|?|, please.| please}"
_NAMED = "<a_hero> {named|called|named|whose name is|by the name of} <name>"
_WHO = "{<a_hero> {named|called|named|called|whose name is} <name>|<name> the <hero>|<name> the <hero>|<name>, <a_hero>|the <hero> <name>|my <hero> <name>|<a_hero>, <name>|our <hero> <name>}"
_HERO_ONLY = Phrases(
    *_about("<a_hero>"),
    *[f"{_PLAINLY} {{about|about|about|about|with}} <a_hero>{_PLAIN_END}"] * 9,
    *[f"{_BLUNT} <a_hero>{_PLAIN_END}"] * 3,
    f"{_PLAINLY}. {{The animal is|The hero should be|The main character is|I'd like it to be about|Let it be about}} <a_hero>{{.|}}",
    "{I|We|My kids|My son} {love|loves|like|likes} <hero>s{.|!|,} {tell me a story|can you tell a story about one|write a story about <a_hero>|tell me a story about <a_hero>}{.|?|}",
    "{Story|story|Hero|Animal|Story about}: <hero>{.|}",
    "<hero> story{| please|.|!}",
    "{A|a|One|Another} <hero> story{|, please|.|!}",
    "<a_hero> story{|.}",
    f"{_STORY} about <a_hero> who {_ACTS}{_TAIL}",
    f"{_STORY} about <a_hero> who {_ACTS}{_TAIL}",
    "{My son|My daughter|She|He|My class|My sister} {loves|likes} {animals|stories|<hero>s}, {tell me|can you tell|could you tell} {him |her |them |}{something|a story} about <a_hero>{?|.|}",
    f"{_STORY}. {{It should be about|Make it about|Take|With|The hero is|It is about}} <a_hero>{{.|}}",
)
_HERO_NAMED = _requests(
    _NAMED,
    _NAMED,
    _NAMED,
    "<name> the <hero>",
    _NAMED,
    "<name> the <hero>",
    "<name> the <hero>",
    "the <hero> <name>",
    "{my|our|a|the|my little} <hero> {|called |named }<name>",
    "<a_hero>, <name>",
    "<name>, {<a_hero>|the <hero>|a {very small|brave little|happy|small|young} <hero>}",
    "<a_hero>{.|,|?| -} {Its|His|Her|The} name is <name>",
    "<a_hero>{.|,|?| and} {call|name} {it|him|her|the <hero>} <name>",
    "the {adventures|life|day|story} of {<name> the <hero>|<a_hero> called <name>}",
    f"{_WHO} who {_ACTS}",
    f"{_WHO} who {_ACTS}",
    happening=(f"{_WHO} {_ACTS}", f"{_WHO} {_ACTS}"),
)
_HERO_NAMED_PLAINLY = Phrases(
    *[
        f"{_PLAINLY} {{about|about|about|about|with}} <a_hero> {{named|called|named|called|whose name is}} <name>{_PLAIN_END}"
    ]
    * 5,
    *[f"{_PLAINLY} {{about|about|about|with}} <name> the <hero>{_PLAIN_END}"] * 3,
    *[
        f"{_BLUNT} {{<a_hero> {{named|called}} <name>|<name> the <hero>|<name> the <hero>|<a_hero>, name <name>|<a_hero>, <name>}}{_PLAIN_END}"
    ]
    * 3,
    "{Story|story|Tale|Story idea|One story}{:| -|.} {<hero>, name <name>|<hero> named <name>|<a_hero>, <name>|<name> the <hero>|name <name>, animal <hero>|<name>, <a_hero>}{.|}",
    f"{_PLAINLY}. {{The animal is|The hero is|The main character is|It's about|it's about|It is about|It should be about}} {{<a_hero> {{called|named}} <name>|<name> the <hero>|<name>, <a_hero>}}{{.|!|}}",
    "{Story time|Story please|A story|Story}{!|.|:} {It's about|It is about|About|The hero is} {<a_hero> {called|named} <name>|<name> the <hero>}{.|!|}",
    "{My|Our} <hero> is {called|named} <name>. {Tell me|Write|Make up|I'd like} a story about {him|her|it|my <hero>|<name>}{.|, please.|, {he's|she's|it's} a {black|small|brave|big|white|grey|very old} <hero>|!}",
    "{My|Our|His|Her} <hero>'s name is <name>. {Can you tell|Could you write|Tell us} a story about {him|her|it|the <hero>|<name>}{?|.|}",
    "{The hero|The animal|The main character} is <a_hero>{.|,|;} {the|its|his|her} name is <name>. {Tell me a story|Story please|Write a story}{.|}",
)
_NAMED_STORY = Phrases(
    "<name> the <hero> {story|tale}{| please|.}",
    "{The|A|One} story of <name> the <hero>{.|}",
    "What did <name> the <hero> do {today|yesterday|next}? {Tell me|Tell me the story|Tell me a story}.",
    f"{_STORY}. {{The hero is|It is about|Make it about|Take}} <name> the <hero>{{.|}}",
    f"{_STORY} about <a_hero>{{. Use the name|, name:|, the name is|. Name:}} <name>{{.|}}",
    "<name> is <a_hero>. {Tell me a story|Write a story about <name>|Tell <name>'s story|Tell me more|What is the story|Make a story}{.|}",
    "{I have|We have|This is} <a_hero> {called|named} <name>. {Write|Tell me|Make} a story{| about {it|him|her}}{.|}",
    "Once upon a time there was <a_hero> {named|called} <name>{. Go on.|. What happened?|...|}",
)
_HERO_PLURAL = Phrases(f"{_STORY} about <hero>s{{.|}}")
_NAME_ONLY = Phrases(f"{_STORY} about {{|someone called |a hero named |somebody named }}<name>{{.|}}")
_NAME_THING = Phrases(
    f"{_STORY} about <name> and <a_thing>{{.|}}",
    f"{_STORY} about <name> {{finding|and how <name> found|who finds}} <a_thing>{{.|}}",
)
_THING_ONLY = Phrases(f"{_STORY} {{about|about|with}} <a_thing>{{.|}}", "{Story|A story}: <a_thing>")
_NOTHING = Phrases(
    f"{_STORY}{{.|}}", "{story|Story|Story please|Story time|A story please|Another story|Another one}{.|!|}",
    "{Entertain me with a story|I want a story|Once upon a time}.",
)  # fmt: skip
_FOUND_ASKED = f"{{who {_DOES}|who {_DOES}|that {_DOES}|with|and|and also|who finds|who has}}"
_HERO_THING = _requests(
    "<a_hero> and <a_thing>",
    f"<a_hero> {_FOUND_ASKED} <a_thing>{_WITH_IT}",
    f"<a_hero> {_FOUND_ASKED} <a_thing>",
    "<a_thing> and <a_hero>",
    "<a_hero> {with|and} {<a_thing>|<a_thing> in it|its <thing>|his <thing>|her <thing>}",
    happening=(f"<a_hero> {_DOES} <a_thing>{_WITH_IT}",),
)
_NAMED_THING = _requests(
    f"{_WHO} {_FOUND_ASKED} <a_thing>{_WITH_IT}", f"{_WHO} {_FOUND_ASKED} <a_thing>{_WITH_IT}", f"{_WHO} {_FOUND_ASKED} <a_thing>", f"{_WHO} and <a_thing>", f"{_NAMED} and <a_thing>",
    f"{_WHO} {{with|and}} {{<a_thing>|his <thing>|her <thing>|its <thing>|the <thing>}}", f"{_WHO}, with <a_thing>{{| in it}}", f"{_WHO}, and <a_thing>{{| too}}", "<a_thing> and <name> the <hero>",
    f"{_WHO}. {{Include|Put in|Use|There should be|Add|Also|There is also|Don't forget}} <a_thing>", f"{_WHO} {{where|in which}} <name> {_DOES} <a_thing>", f"{_WHO}{{.|, where}} <name> {_DOES} <a_thing>",
    happening=(f"{_WHO} {_DOES} <a_thing>{_WITH_IT}", f"{_WHO} {_DOES} <a_thing>{_WITH_IT}", f"<name> the <hero> {_DOES} <a_thing>"),
)  # fmt: skip
_THING_PLAINLY = Phrases(
    *[
        f"{_PLAINLY} {{about|about|about|with}} <a_hero> {{named|called}} <name>{{.|?|!|,|}} {_SAY_IT_AGAIN}{{|.|!|, please}}"
    ]
    * 4,
    *[f"{_PLAINLY} {{about|about|with}} <name> the <hero>{{.|?|!|, and}} {_SAY_IT_AGAIN}{{|.|!}}"] * 3,
    *[
        f"{_PLAINLY} {{about|about|with}} {{<a_hero> {{named|called}} <name>|<name> the <hero>}} and <a_thing>{_PLAIN_END}"
    ]
    * 4,
    "{Story please|Story|A story|Story time|One story}{.|:|!} {<a_hero>, named <name>, and <a_thing>|<a_hero> called <name> and <a_thing>|<name> the <hero> and <a_thing>|<a_hero>, <name>, <a_thing>}{.|!|}",
    f"{{Story time|Story please|A story}}! {{It's about|It is about|About}} {{<name> the <hero>|<a_hero> called <name>}} and {_SAY_IT_AGAIN}{{.|}}",
    f"{_PLAINLY}. {{The animal is|The hero is|It's about}} <a_hero> {{called|named}} <name>{{.|, and|;}} {_SAY_IT_AGAIN}{{.|}}",
    f"{_BLUNT} {{<a_hero> {{called|named}} <name>|<name> the <hero>}} {{and|with|who has|who finds|, with}} <a_thing>{_PLAIN_END}",
)
_HERO_THING_PLAINLY = Phrases(
    *[f"{_PLAINLY} {{about|about|with}} <a_hero> {{and|and|with|who finds|who has}} <a_thing>{_PLAIN_END}"]
    * 4,
    *[f"{_PLAINLY} {{about|with}} <a_hero>{{.|?|!|,|}} {_SAY_IT_AGAIN}{{|.|!|, please}}"] * 3,
    f"{_BLUNT} <a_hero> {{and|with|who found}} <a_thing>{_PLAIN_END}",
)
_LOST_ASKED = _requests(
    "<a_hero> who {loses|lost} {his|her|its|the} <thing>",
    f"{_WHO} who {{loses|lost}} {{his|her|its|the}} <thing>",
)
_WANTS_ASKED = _requests(
    "<a_hero> who {wants|wishes for|dreams of|looks for|needs} <a_thing>",
    f"{_WHO} who {{wants|wishes for|is looking for|dreams of|looks for|needs}} <a_thing>",
)
_WISH_ASKED = _requests(
    f"{_WHO} who {{wants to|learns to|tries to|wanted to|dreams to}} <wish>",
    "<a_hero> who {wants|tries|learns} to <wish>",
)
_TWO_ASKED = _requests(
    "<a_hero> and <a_friend>", f"{_WHO} and <a_friend>", "<a_hero> who meets <a_friend>", f"{_WHO} who meets <a_friend>",
    "the <hero> and the <friend>",
)  # fmt: skip
_PLACE_ASKED = _requests(
    "<a_hero> <place>", f"{_WHO} <place>", f"{_WHO} who lives <place>", "<a_hero> who lives <place>"
)
_ABOUT_ME = Phrases(f"{_STORY} {{about me|with me in it|with my name in it|about my name}}{{.|}}")

_BEGIN = "Once upon a time there was <a_hero> named <name>. <name> lived <place>. "
_END = " The end."

_FOUND = Phrases(
    _BEGIN + "One {sunny|rainy} morning <name> went for a walk and found <a_thing> under a tree. "
    '"Whose <thing> is this?" said <name>. <name> asked the <other>, but the <other> did not know. '
    "Then they heard someone crying. It was a little <small>. "
    '"I lost <a_thing>," said the <small>. <name> gave the <thing> back at once. '
    "They had cake together, and the <hero> and the <small> became good friends." + _END,
    _BEGIN + "One day <name> found <a_thing> on the path. The <hero> had never seen anything like it before. "
    '"What a wonderful <thing>!" said <name>. The <other> came by and wanted to see it too. '
    '"We can share it," said <name>. So they played with the <thing> all day and laughed. '
    "In the evening the <hero> and the <other> walked home together. "
    "<name> kept the <thing> in a safe place and was very happy." + _END,
)
_LOST = Phrases(
    _BEGIN + "<name> had <a_thing> and loved it very much. One day the <thing> was gone. "
    '"Where is my <thing>?" said <name>. <name> looked under the bed and behind the door, but it was not there. '
    'Then the <other> came by. "I will help you," said the <other>. They looked everywhere. '
    "At last they found the <thing> under a tree. <name> was so happy that the <hero> and the <other> danced."
    + _END
)
_WANTED = Phrases(
    _BEGIN + "More than anything, <name> wanted <a_thing>. But there was no <thing> far and wide. "
    '"Let us look for it together," said the <other>. They walked over the hill and through the wood. '
    "It was a long way, but <name> did not give up. In the evening they saw <a_thing> behind a rock. "
    '"At last!" said <name>. The <hero> thanked the <other>, and they went home with the <thing>.' + _END
)
_WISHED = Phrases(
    _BEGIN + "More than anything, <name> wanted to <wish>. "
    '"That is too hard for <a_plain>," said the others. But <name> tried and tried every day. '
    'Then the <other> came by. "I will help you," said the <other>. '
    "They worked side by side until the sun went down. At last <name> could <wish>. "
    "The <hero> was happy, and everyone was proud of <name>." + _END
)
_MET = Phrases(
    _BEGIN + "One day <name> met <a_friend> on the path. The <friend> looked sad. "
    '"What is wrong?" said <name>. "I have no one to play with," said the <friend>. '
    '"Then play with me," said <name>. They ran over the hills and sang songs all day. '
    "In the evening they shared some warm soup. From that day on, the <hero> and the <friend> were best friends."
    + _END
)
_PLAIN = Phrases(
    _BEGIN + "One {sunny|rainy} morning <name> heard a small voice. It was the <other>, who was lost. "
    '"Do not be afraid," said <name>. "I will take you home." They walked through the wood and over the hill. '
    "It was a long way, but the <hero> did not give up. In the evening they saw a light. "
    '"That is my home!" said the <other>. They had warm soup together and became good friends.' + _END,
    _BEGIN + "One night there was a big storm. The wind blew and the rain fell. "
    'The <other> knocked at the door. "May I come in?" said the <other>. "Of course," said <name>. '
    "The <hero> made a fire and some tea, and they told stories until the storm was over. "
    "In the morning the sun came out. From that day on, <name> and the <other> were good friends." + _END,
)


@dataclass(frozen=True, slots=True)
class _Kind:
    """A way to ask, the plots that answer it, and the slots that the story must hold."""

    requests: Phrases
    plots: Phrases
    wanted: tuple[str, ...]
    weight: int


_ABOUT_A_NAME = _Kind(_NAME_ONLY, _PLAIN, ("name",), 2)
_KINDS = (
    _Kind(_HERO_ONLY, _PLAIN, ("hero",), 22),
    _Kind(_HERO_NAMED, _PLAIN, ("hero", "name"), 14),
    _Kind(_HERO_NAMED_PLAINLY, _PLAIN, ("hero", "name"), 16),
    _Kind(_THING_PLAINLY, _FOUND, ("hero", "name", "thing"), 12),
    _Kind(_HERO_THING_PLAINLY, _FOUND, ("hero", "thing"), 8),
    _Kind(_NAMED_STORY, _PLAIN, ("hero", "name"), 5),
    _Kind(_HERO_PLURAL, _PLAIN, ("hero",), 2),
    _ABOUT_A_NAME,
    _Kind(_NAME_THING, _FOUND, ("name", "thing"), 2),
    _Kind(_THING_ONLY, _FOUND, ("thing",), 2),
    _Kind(_NOTHING, _PLAIN, (), 3),
    _Kind(_HERO_THING, _FOUND, ("hero", "thing"), 8),
    _Kind(_NAMED_THING, _FOUND, ("hero", "name", "thing"), 12),
    _Kind(_LOST_ASKED, _LOST, ("hero", "thing"), 4),
    _Kind(_WANTS_ASKED, _WANTED, ("hero", "thing"), 4),
    _Kind(_WISH_ASKED, _WISHED, ("hero", "wish"), 4),
    _Kind(_TWO_ASKED, _MET, ("hero", "friend"), 5),
    _Kind(_PLACE_ASKED, _PLAIN, ("hero", "place"), 4),
)
_WEIGHTS = tuple(kind.weight for kind in _KINDS)


def turn(rng: random.Random, user_name: str | None = None) -> Turn:
    """Ask for a story; `user_name` is the user's, who may want to be in it."""
    if user_name is not None and rng.random() < 0.3:
        about_user = {**_slots(rng, _ABOUT_A_NAME), "name": user_name}
        return Turn(
            Skill.STORY, ask(rng, _ABOUT_ME, {}).text, fill(_PLAIN.pick(rng), about_user), (user_name,)
        )
    kind = rng.choices(_KINDS, _WEIGHTS)[0]
    slots = _slots(rng, kind)
    asked = ask(rng, kind.requests, slots, lower=0.35)
    told = dict(asked.slots)
    if "name" not in asked.used:  # the writer's choice then, and written properly
        told["name"] = rng.choice(_DEFAULT_NAMES)
    if "a_hero" not in asked.used:  # a quality that was not asked for
        told["a_hero"] = told["a_plain"]
    wanted = [told[each] for each in kind.wanted]
    if "name" in asked.used and "name" not in kind.wanted:
        wanted.append(told["name"])
    return Turn(Skill.STORY, asked.text, fill(kind.plots.pick(rng), told), tuple(wanted))


def _slots(rng: random.Random, kind: _Kind) -> Mapping[str, str]:
    hero = any_hero(rng)
    if kind.requests is _HERO_PLURAL:
        hero = rng.choice([each for each in ANIMALS[:40] if each[-1] not in "sxyhfe"])
    elif "hero" not in kind.wanted:
        hero = rng.choice(_DEFAULT_HEROES)
    quality = rng.choice(HERO_QUALITIES) if rng.random() < 0.3 and "hero" in kind.wanted else ""
    if quality and rng.random() < 0.2:
        quality += f" {rng.choice(HERO_QUALITIES)}"
    friend = rng.choice([each for each in ANIMALS if each != hero] if rng.random() < 0.7 else _FRIENDS)
    while friend == hero:
        friend = any_hero(rng)
    others = [each for each in _FRIENDS if each != hero]
    other = rng.choice(others)
    thing = any_thing(rng)
    place = rng.choice(_ASKED_PLACES if kind.requests is _PLACE_ASKED else _PLACES)
    return {
        "hero": hero,
        "a_hero": with_article(f"{quality} {hero}".strip()),
        "a_plain": with_article(hero),
        "name": any_name(rng),
        "thing": thing.removeprefix("some ").removeprefix("a "),
        "a_thing": with_article(thing),
        "wish": rng.choice(_WISHES),
        "friend": friend,
        "a_friend": with_article(friend),
        "place": place,
        "other": other,
        "small": "frog" if hero == "mouse" or other == "mouse" else "mouse",
    }
