# ruff: noqa: E501 - a template reads best on one line
"""Sums and differences of one-digit numbers, in digits and in words."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from engine.demo.corpus.chat import Skill, Turn
from engine.demo.corpus.phrasing import Phrases, ask, capitalised

if TYPE_CHECKING:
    import random

NUMBER_WORDS = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen",
)  # fmt: skip

_THINGS = (
    "apples", "books", "coins", "pens", "cats", "cookies", "balls", "eggs", "stones", "flowers", "cards", "toys",
    "pears", "sweets", "oranges", "marbles", "birds", "sheep", "stamps", "cakes", "friends", "euros", "dollars",
    "cups", "glasses", "crayons", "balloons", "dolls", "trees", "loaves", "fish", "shells", "ducks", "boys", "girls", "children",
    "people", "chairs", "tables", "cars", "bikes", "letters", "pages", "songs", "games", "points", "goals", "steps", "hats",
    "shoes", "socks", "keys", "boxes", "bags", "bottles", "plates", "spoons", "buttons", "ribbons", "nuts", "plums", "lemons",
    "peaches", "cherries", "bananas", "carrots", "potatoes", "onions", "muffins", "pies", "candies", "chocolates", "rabbits",
    "dogs", "horses", "cows", "pigs", "hens", "frogs", "bees", "mice", "kittens", "puppies", "stars", "clouds", "leaves", "roses",
    "tulips", "seeds", "sticks", "bricks", "blocks", "pencils", "notebooks", "photos", "tickets", "presents", "kites", "boats",
    "trains", "buses", "rooms", "windows", "doors", "lamps", "candles", "rings", "kids", "players", "pupils", "workers",
)  # fmt: skip
_ONE = {"loaves": "loaf", "children": "child", "people": "person", "mice": "mouse", "leaves": "leaf", "cherries": "cherry", "candies": "candy",
        "puppies": "puppy", "pies": "pie", "potatoes": "potato", "boxes": "box", "glasses": "glass", "peaches": "peach", "buses": "bus"}  # fmt: skip
_PEOPLE = (
    "Tom", "Anna", "Mia", "Sam", "Ben", "Lily", "Max", "Nora", "Sara", "Leo", "Peter", "Jane", "Grandma", "Grandpa", "Nina", "Carlos",
    "Maria", "My aunt", "My uncle", "My sister", "My brother", "My friend", "The baker", "The farmer", "Mum", "Dad", "Our teacher",
    "The boy", "The girl", "A man", "A woman", "The child", "Ivan", "Ada", "Omar", "Kim",
)  # fmt: skip
_DID = "{found|bought|got|made|picked|saw|counted|sold|ate|baked|planted|drew|read|won|collected|took|brought|used|caught|painted|washed|sent|wrote}"
_HAS = "{has|owns|holds|buys|finds|keeps|makes|picks|gets|sees|counts|brings|sells|paints|collects|catches}"
_AT = (
    "{|| in the morning| first| yesterday| before lunch| on Monday| last year| last week| on the table| at school| at home| in one box|"
    " in the pond| in the garden| in my bag| on the shelf| in the first room| in a bowl| on the left| at noon}"
)
_THEN = (
    "{|| in the afternoon| later| today| after lunch| on Tuesday| this year| this week| on the shelf| at the shop| in another box|"
    " on the grass| in the house| in my pocket| on the floor| in the second room| in a basket| on the right| at night| after}"
)
_SIZE = "{|||||red |big |old |green |new |small |blue |white }"
_HOW_MANY = (
    "{How|how} many {|<things> }{is that|are there|are that|do we have|is it|are there in all|is that in total|are there now|all together|"
    "altogether|in total|in all|together|does that make|do they have|do I have|did I get|is that altogether|are there together|do we have now|in both}{?||?}"
)


_IN_DIGITS = Phrases(
    "{What is|What's|whats|Calculate|Compute|Solve|How much is|Can you do|Work out|Tell me} <a>{ + |+| +}<b>?",
    "<a>{+| + | +|+ }<b>",
    "<a>{+| + }<b>{=| =|=?| = ?|?}",
    "{Sum|Math|Maths|Quick|Question}: <a> + <b>",
    "{What does|What would} <a> + <b> {equal|give|make}?",
    "<a> + <b> is{| what}?",
    "{answer this|try this one|My homework says|Question|Let me test you|Next|Now|A sum|Easy|Riddle}{:|,} <a> + <b>{|. What is it?|?|=}",
    "{how much|what} {do you get for|comes out of|is the answer to|do I get for|is} <a>{ + |+}<b>{|?}",
    "{I need|Give me|Tell me} the {result|answer|sum} of <a> + <b>{.|}",
)
_SPOKEN = Phrases(
    "{What is|What's|whats|How much is|Calculate|Compute|Work out|Tell me|Can you tell me|Do you know|Can you work out} "
    "<a> plus <b>?",
    "<a> {plus|plus|and|added to} <b>{|?| is| equals| is what?| equals?| makes?| makes what?| gives?}",
    "<a> {and|add|plus} <b> {is|makes|gives|together is} {how much|what}?",
    "<a> add <b>{|?}",
    "{Let me test you|Quick|Question|Next|Now|Easy|Tell me|Answer|Say|And}{:|,| -} {|what is |how much is }<a> plus <b>{|?}",
    "{What|How much} {will|would|does|do} <a> {and|plus} <b> {be|make|give|come to|equal|add up to}{| together}?",
    "{put|take|count|join|bring} <a> and <b> together{|, what is it|, how much|. How much is it|, what do you get}?",
    "{the total of|the sum of|sum:|total of|add:|plus:|adding} <a> and <b>{|?| please}",
    "{Add|add|Please add|Can you add|Could you add|Add up} <a> and <b>{.|}",
    "{Add|Please add} <a> to <b>{.|}",
    "{What is|What's|Give me|Tell me|Calculate|Find} the sum of <a> and <b>?",
    "{|The }sum of <a> and <b>{|?}",
    "{How much|What} {is|are|do you get from|makes} <a> and <b>{| together}?",
    "{What do|What would} <a> and <b> {make|give|add up to|sum to}?",
    "{What do you get|What is it|What happens} {if you add|when you add} <a> and <b>?",
    "{What number is|Which number is|What is} <b> more than <a>?",
)
_TOLD = Phrases(
    "If I have <a> <things> and {get|buy|find|am given} <b> more, how many {do I have|<things> do I have}{| now| in all}?",
    "I have <a> <things> and {get|find|buy} <b> more. How many {do I have|<things> is that}{| now| in total}?",
    "<person> has <a> <things> and {gets|finds|buys} <b> more. How many {<things> |}does <person> have{| now}?",
    "There are <a> <things> {here|on the table|in a box} and <b> {more |}{come|are added}. How many {are there|is that}?",
    "<person> has <a> <things> and I have <b>. How many {do we have|are there} {together|in all|in total}?",
    "<a> <things> and <b> <things>, how many {is that|in all|together|<things> is that}?",
    "How many <things> are <a> <things> and <b> <things>?",
    f"<person> {_DID} <a> {_SIZE}<things>{_AT}{{ and|, and|. Then|, then|.|,}} {{<b>|<b> more|<b> <things>|<b> others}}{_THEN}. {_HOW_MANY}",
    f"I {_DID} <a> {_SIZE}<things>{_AT}{{ and|, and|, then|. Then I {_DID}|. I {_DID}| and {_DID}}} {{<b>|<b> more|<b> <things>}}{_THEN}{{.|,}} {_HOW_MANY}",
    f"<person> {_DID} <a> {_SIZE}<things>{_AT}{{.|,| and}} {{I|we|<other>|they|you}} {_DID} <b>{{| more| <things>}}{_THEN}. {_HOW_MANY}",
    f"{{<person>|A box|A bag|One room|This shelf|The shop|One team}} {_HAS} <a> {_SIZE}<things>{_AT}{{, |. | and }}{{another one|the other one|<other>|the other|a second one|my friend|her sister}} {{has|holds|brings|finds|gets}} <b>{{| more| <things>}}{_THEN}. {_HOW_MANY}",
    f"<a> {_SIZE}<things>{_AT}{{ and|,|, and| plus}} <b> {{{_SIZE}<things>|more|others}}{_THEN}{{. |, |? }}{_HOW_MANY}",
    f"{{There are|I see|We have|I have|Here are|You have|They have|She has}} <a> {_SIZE}<things>{_AT}{{ and|, and|, then|. Then}} {{<b> more|<b> others|<b> new ones|<b> <things>|<b>}} {{come|arrive|are added|join them|fly in|appear|are found|follow}}{{.|,}} {_HOW_MANY}",
    f"{{There are|I see|We have|I have|Here are|You have|They have|She has}} <a> {_SIZE}<things>{_AT}{{ and| and also|, also|. Also}} {{<b>|<b> more|<b> {_SIZE}<things>}}{_THEN}. {_HOW_MANY}",
    f"{{<person> gave me|<person> gives me|<person> sends me|I got from <person>|<person> brought me}} <a> <things> and {{<other> gave me|<other> gives me|<other>|from <other>}} <b>{{| more}}. {_HOW_MANY}",
    f"{{if|If|Suppose|say}} {{I|you|we|they}} {{have|find|get|buy|own}} <a> <things> and {{<other> gives me|then get|someone adds|<other> brings|we find|I add|put in}} <b>{{| more| <things>}}{{,|.}} {_HOW_MANY}",
    "{I am|I'm|<person> is|My dog is} <a> years old. How old {will I be|will <person> be|am I|is that} in <b> years?",
    "I {spent|paid|have} <a> {euros|dollars|pounds} {on bread|first|yesterday|at the market} and <b> {euros|dollars|pounds} {on milk|later|today|at the shop}, how much {altogether|in all|is that|did I spend}?",
)
_MINUS_DIGITS = Phrases(
    "{What is|What's|Calculate|How much is|Work out|Solve} <a>{ - |-}<b>?",
    "<a>{-| - }<b>{|=| =|?| = ?}",
)
_MINUS_SPOKEN = Phrases(
    "{What is|What's|How much is|Calculate|Tell me|Work out} <a> {minus|take away|less} <b>?",
    "<a> {minus|take away} <b>{|?}",
    "{Subtract|Take|Please subtract|Take away} <b> from <a>{.|}",
    "{What is|What's} {the difference {between|of} <a> and <b>|<b> less than <a>}?",
)
_MINUS_TOLD = Phrases(
    "If I have <a> <things> and {lose|eat|sell|give away} <b>, how many {do I have left|are left}?",
    "I {have|had} <a> <things> and {lost|gave away|sold} <b>. How many {are left|do I have now|do I have left}?",
    "{<person> has|There are|We have|I have|You have|They have} <a> <things> {and|, then|. Then} {<other> takes|we lose|I eat|they sell|<other> gives away|someone steals|you drop|we remove} <b>{| of them| away}{.|,} {how|How} many {|<things> }{are left|remain|are there now|stay|do I still have}?",
    "<b> of <a> <things> {are gone|were lost|were sold|were eaten|fly away|are broken}. How many {are left|remain}?",
)


def turn(rng: random.Random) -> Turn:
    """Ask for a sum or, one time in six, a difference."""
    a, b = rng.randrange(10), rng.randrange(10)
    draw = rng.random()
    if rng.random() < 0.17:
        a, b = max(a, b), min(a, b)
        phrases = _MINUS_DIGITS if draw < 0.45 or a < b + 1 else _MINUS_SPOKEN if draw < 0.85 else _MINUS_TOLD
        text = _typed(rng, phrases, a, b)
        return Turn(Skill.SUM, text, f"{a} - {b} = {a - b}.", (str(a - b),))
    phrases = _IN_DIGITS if draw < 0.22 else _SPOKEN if draw < 0.52 else _TOLD
    text = _typed(rng, phrases, a, b)
    return Turn(Skill.SUM, text, f"{a} + {b} = {a + b}.", (str(a + b),))


def _typed(rng: random.Random, phrases: Phrases, a: int, b: int) -> str:
    in_words = phrases not in (_IN_DIGITS, _MINUS_DIGITS) and rng.random() < 0.5
    first, second = (NUMBER_WORDS[a], NUMBER_WORDS[b]) if in_words else (str(a), str(b))
    things = rng.choice(_THINGS)
    person, other = rng.sample(_PEOPLE, 2)
    slots = {"a": first, "b": second, "things": things, "person": person}
    slots["other"] = other[0].lower() + other[1:] if " " in other else other
    text = ask(rng, phrases, slots).text
    if 1 in (a, b) and things not in ("sheep", "fish"):
        one = NUMBER_WORDS[1] if in_words else "1"
        text = re.sub(
            rf"\b{one} (\w+ )?{things}\b", rf"{one} \g<1>{_ONE.get(things, things[:-1])}", text, flags=re.I
        )
    return capitalised(text) if text[0].islower() and rng.random() < 0.5 else text
