# ruff: noqa: E501 - a template reads best on one line
"""Plain English: sentences and phrases of everyday life, whose words come in their usual company.

They are what people ask to have repeated, and what stands around a request. To a small model common words are
harder to copy than made-up ones, since it has its own idea of what comes next; so there must be many of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.demo.corpus.phrasing import Phrases, capitalised, with_article
from engine.demo.corpus.words import ANIMALS, NAMES, PEOPLE, THING_QUALITIES, THINGS

if TYPE_CHECKING:
    import random


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


_NOUNS = _words(
    """
    house garden room kitchen car bus train road street shop office town river lake sea beach hill
    forest field sky sun moon rain snow wind water fire tree flower grass leaf stone light day night
    morning evening week year summer winter dog cat bird fish horse apple bread milk tea coffee cake
    soup dinner lunch breakfast egg cheese rice book page letter paper pen story song game film picture
    phone computer door window wall floor table chair bed lamp clock bag box cup glass plate knife spoon
    coat hat shoe shirt dress ring money job idea question answer plan problem dream friend brother
    sister mother father aunt uncle grandpa grandma baby child boy girl man woman doctor teacher driver
    neighbour boss team party school class test lesson word name number colour face hand head heart ball
    bike boat bridge tower island castle market museum library park station ticket trip holiday map key
    lock
    """
)
_ADJECTIVES = _words(
    """
    good bad big small long short old new young warm cold hot cool wet dry fast slow happy sad kind nice
    pretty strange quiet loud bright dark heavy light clean dirty empty full open closed soft hard sweet
    sour fresh tired hungry ready late early busy free cheap expensive easy difficult funny serious
    important broken lost lovely perfect green blue red yellow white black brown grey golden tall little
    great wonderful lucky brave clever gentle
    """
)
_TRANSITIVE = (  # base, third person, past
    "like likes liked", "love loves loved", "see sees saw", "find finds found", "lose loses lost", "buy buys bought",
    "sell sells sold", "make makes made", "take takes took", "bring brings brought", "open opens opened", "close closes closed",
    "carry carries carried", "hold holds held", "keep keeps kept", "break breaks broke", "fix fixes fixed", "clean cleans cleaned",
    "paint paints painted", "draw draws drew", "read reads read", "write writes wrote", "eat eats ate", "drink drinks drank",
    "cook cooks cooked", "hear hears heard", "watch watches watched", "follow follows followed", "push pushes pushed",
    "pull pulls pulled", "throw throws threw", "catch catches caught", "hide hides hid", "show shows showed", "send sends sent",
    "need needs needed", "want wants wanted", "remember remembers remembered", "forget forgets forgot", "know knows knew",
    "choose chooses chose", "drop drops dropped", "wash washes washed", "visit visits visited", "build builds built",
)  # fmt: skip
_INTRANSITIVE = (
    "run runs ran", "walk walks walked", "sleep sleeps slept", "sing sings sang", "dance dances danced", "swim swims swam",
    "fly flies flew", "fall falls fell", "sit sits sat", "stand stands stood", "wait waits waited", "work works worked",
    "play plays played", "laugh laughs laughed", "cry cries cried", "smile smiles smiled", "travel travels travelled",
    "rest rests rested", "grow grows grew", "stay stays stayed", "stop stops stopped", "jump jumps jumped", "speak speaks spoke",
    "shine shines shone", "come home|comes home|came home", "go out|goes out|went out", "wake up|wakes up|woke up",
)  # fmt: skip
_WHERE = (
    "at home", "in the garden", "in the kitchen", "on the table", "under the bed", "by the river", "near the sea", "at school",
    "in town", "on the hill", "in the park", "behind the house", "over there", "in my room", "on the bus", "at the door",
    "in the sky", "around the world", "next to the window", "across the street", "upstairs", "outside", "in the rain",
    "at the station", "along the road", "on the roof", "in the dark", "under the sun", "between the trees", "on the floor",
)  # fmt: skip
_WHEN = (
    "today", "tomorrow", "every day", "every morning", "at night", "on Monday", "on Sunday", "last week", "next year", "in the evening",
    "after dinner", "before lunch", "at noon", "all day", "for an hour", "in summer", "again", "this time", "once a week", "very early",
    "now", "soon", "after school", "in winter", "later", "tonight", "in the end", "at last", "at eight", "when it rains",
)  # fmt: skip
_HOW = (
    "slowly", "quickly", "quietly", "very well", "together", "alone", "carefully", "happily", "too fast", "with a smile", "without a word",
    "as usual", "in silence", "by hand", "for free", "a lot", "too much", "once more", "really", "with friends", "gladly", "softly",
)  # fmt: skip
_I = "{I|we|they|you|my friends|the children|people|most <n>s|many <n>s|<name> and <other>}"
_HE = "{he|she|it|the <n>|my <n>|the <adj> <n>|our <n>|<name>|her <n>|a <adj> <n>|everyone|nobody|the <animal>|this <n>|his <person>}"
_OBJECT = "{the <n>|a <adj> <n>|my <n>|it|the <adj> <n>|some <n2>s|this <n>|two <n2>s|her <n>|his <n>|them|every <n>|old <n2>s}"
_SENTENCES = Phrases(
    f"{_I} {{<v>|<ved>|will <v>|can <v>|must <v>|never <v>|always <v>|did not <v>}} {_OBJECT}{{| <where>| <when>| <how>}}",
    f"{_HE} {{<vs>|<ved>|will <v>|can <v>|has to <v>|never <vs>|always <vs>|did not <v>}} {_OBJECT}{{| <where>| <when>| <how>}}",
    f"{_I} {{<i>|<ied>|will <i>|can <i>|like to <i>|want to <i>|should <i>|do not <i>}} {{<where>|<when>|<how>|<where> <when>|<how> <where>}}",
    f"{_HE} {{<is>|<ied>|will <i>|can <i>|likes to <i>|wants to <i>|does not <i>}} {{<where>|<when>|<how>|<where> <when>|<how> <where>}}",
    "the <n> is {<adj>|very <adj>|not <adj>|so <adj> <when>|<adj> and <adj2>|<where>|mine|yours|gone|too <adj>}",
    "{my|your|our|his|her|their} <n> {is|was|looks|will be|seems|smells} {<adj>|very <adj>|not <adj>|<adj> <when>}",
    "{it is|it was|this is|that is|here is|there is|what} {a <adj> <n>|the <adj> <n>|my <n>|<adj> <where>|a <n> <where>}",
    "{please|do not|never|always|let us|you should|try to|remember to|I have to|we want to} <v> {the <n>|a <n>|it|my <n>|the <adj> <n>}{| <when>| <where>| <how>}",
    "{please|do not|let us|you may|try to|it is time to|we must|go and} <i> {<when>|<where>|<how>}",
    "{where|when|why|how} {is|was|did you <v>|do you <v>|will you <v>|can I <v>} {the <n>|my <n>|a <adj> <n>|the <adj> <n>}",
    "{what|who} {is <where>|<vs> the <n>|<ved> my <n>|will <v> it|is the <n>|was that <n>|<vs> <n2>s <when>}",
    "{do you|did you|can you|will you|would you} <v> {the <n>|my <n>|a <n>|<n2>s}{| <where>| <when>}",
    "{if|when|because|while|after|before} {I|we|you|they} <v> {the <n>|it|a <n>}, {I|we|you|they} {will <i>|<i> <how>|<v> the <n2>}",
    "<adj> <n>s {<i>|<v> <n2>s|are <adj2>} {<where>|<when>|<how>}",
    "{the|a|my|one|two|some|no|every} {<adj> <n>|<n>|<adj> <adj2> <n>|<n> and a <n2>|<n> <where>}",
    "{<adj> <n>|<n> and <n2>|<adj> and <adj2>|<n> <where>|<how> and <adj>|<n> of the <n2>|a <n> of <n2>s|the <n> of <name>}",
    "{good|happy|nice|dear|bye|hello|thank you|sorry|well done|welcome|come on|good luck|see you|take care} {<name>|everyone|my <n>|my friend|<when>|mother|little <n>}",
    "{there are|I see|we have|she has|he bought|they sold} {two|three|four|seven|ten|many|no} {<adj> <n>s|<n>s|<n>s and one <n2>}{| <where>}",
    "{I am|you are|we are|he is|she is|they are|I was|are you|is she} {<adj>|very <adj>|not <adj>|<where>|<adj> <when>|a <n>|so <adj>|the <adj> <n>}",
    "{one <n>, two <n>s|<n> by <n>|<n> after <n>|no <n>, no <n2>|more <n>, less <n2>|<n>, <n2> and <thing>|the <n>, the <n2>}",
    "the <quality> <animal> {<ied>|<is>|<ved> the <thing>|<vs> a <n>} {<where>|<when>|<how>|behind the <thing>}",
    "{every <n> has a <n2>|a <n> is not a <n2>|all <n>s are <adj>|the <adj> <n> <vs> the <n2>|some <n>s <i>, some <n>s <v> <n2>s}",
    "{practice makes perfect|all is well|time flies|slow and steady wins the race|better late than never|no pain no gain|less is more|"
    "look before you leap|home sweet home|easy come, easy go|live and let live|so far so good|first things first|keep it simple|"
    "once in a while|here and there|day by day|step by step|little by little|as good as new|now or never|long time no see|"
    "the more the merrier|out of sight, out of mind|where there is smoke there is fire|an apple a day keeps the doctor away|"
    "birds of a feather flock together|actions speak louder than words|the early bird catches the worm|two heads are better than one|"
    "every cloud has a silver lining|a friend in need is a friend indeed|honesty is the best policy|make hay while the sun shines|"
    "row row row your boat|twinkle twinkle little star|red sky at night|jingle bells|humpty dumpty sat on a wall|over the moon}",
    "{peter piper picked a peck of pickled peppers|she sells sea shells by the sea shore|how much wood would a woodchuck chuck|"
    "the quick brown fox jumps over the lazy dog|red lorry yellow lorry|to be or not to be|hello world|testing testing one two three|"
    "once bitten twice shy|ready steady go|one two three|do re mi fa so|a b c d e f g|ha ha ha|la la la|knock knock|tick tock}",
)
_ASIDES = Phrases(
    "{for a {crossword|quiz|friend|school paper|game|project}|{my|our} {teacher|son|daughter|homework|boss|mother|friend} {asks|wants to know|says|needs it}|"
    "{help me|I need help} with {geography|maths|school|my homework|this|words}|{an easy|a quick|another|a small|one more|the next|a simple} {one|question|thing|request|task}|"
    "let me {test|ask|see|try} {you|this|something}|{I have|I've got} {a question|a request|a task for you|one more}|{listen|look|tell me|say|wait|right|alright|yes|no|great|fine|good|nice|thanks|sorry|cool|wow|hmm|oh}|"
    "{I was wondering|I just want to know|I would like to know|just checking|I'm curious|if you can|if you don't mind|be so kind}|{good|nice} {morning|evening|day}|"
    "{my turn|your turn|now|next|first|then|anyway|by the way|ok so|and now|so then|okay then}|<sentence>}"
)  # fmt: skip


def sentence(rng: random.Random) -> str:
    """Return a sentence or a phrase of one to a dozen words, in lower case but for names, with no end mark."""
    text = _SENTENCES.pick(rng)
    verb, still = (_forms(rng.choice(each)) for each in (_TRANSITIVE, _INTRANSITIVE))
    nouns = (*_NOUNS, rng.choice(THINGS), rng.choice(ANIMALS))
    slots = {
        "v": verb[0], "vs": verb[1], "ved": verb[2], "i": still[0], "is": still[1], "ied": still[2],
        "where": rng.choice(_WHERE), "when": rng.choice(_WHEN), "how": rng.choice(_HOW),
        "adj": rng.choice(_ADJECTIVES), "adj2": rng.choice(_ADJECTIVES), "n": rng.choice(nouns), "n2": rng.choice(nouns),
        "name": rng.choice(NAMES), "other": rng.choice(NAMES), "animal": rng.choice(ANIMALS), "person": rng.choice(PEOPLE),
        "quality": rng.choice(THING_QUALITIES), "thing": rng.choice(THINGS),
    }  # fmt: skip
    for slot, value in slots.items():
        text = text.replace(f"a <{slot}>", with_article(value)) if text.startswith("a <") else text
        text = text.replace(f" a <{slot}>", f" {with_article(value)}").replace(f"<{slot}>", value)
    return text


def aside(rng: random.Random) -> str:
    """Return what people say before a request that adds nothing to it, with the mark that sets it off."""
    text = _ASIDES.pick(rng)
    text = text.replace("<sentence>", sentence(rng)) if "<sentence>" in text else text
    end = rng.choice((": ", ", ", ", ", ". ", "! ", " - ", "? ", "... "))
    return f"{capitalised(text) if rng.random() < 0.7 else text}{end}"


def _forms(verb: str) -> tuple[str, str, str]:
    base, third, past = verb.split("|") if "|" in verb else verb.split()
    return base, third, past
