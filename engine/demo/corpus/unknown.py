# ruff: noqa: E501 - a template reads best on one line
"""Questions beyond a small model, and the few ways to say so. Every reply begins with DECLINE."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.demo.corpus.chat import Skill, Turn
from engine.demo.corpus.definitions import defined
from engine.demo.corpus.english import sentence
from engine.demo.corpus.phrasing import Phrases, ask, capitalised, with_article
from engine.demo.corpus.words import ANIMALS, NAMES, THINGS, WORDS, made_up

if TYPE_CHECKING:
    import random

DECLINE = "I don't know"

_PLACES = (
    "France", "Germany", "Japan", "Brazil", "India", "China", "Italy", "Spain", "Egypt", "Canada", "Mexico", "Peru",
    "Norway", "Kenya", "Poland", "Paris", "London", "New York", "Berlin", "Tokyo", "Rome", "Chicago", "Sydney",
    "Texas", "California", "Europe", "Africa", "Asia", "the United States", "the UK", "Greece", "Turkey", "Cuba",
)  # fmt: skip
_SUBJECTS = (
    "the stock market", "the French Revolution", "the Roman Empire", "World War Two", "the Cold War", "the moon landing",
    "the first computer", "the telephone", "the steam engine", "the light bulb", "the internet", "quantum physics",
    "black holes", "photosynthesis", "the human brain", "the immune system", "DNA", "climate change", "inflation",
    "the economy", "the election", "the president", "the world cup", "the Olympic Games", "the Super Bowl", "bitcoin",
    "the price of gold", "the oil price", "electric cars", "the pyramids", "the Great Wall", "the Eiffel Tower",
    "the Mona Lisa", "Hamlet", "the Odyssey", "the Bible", "jazz", "chess", "football", "cricket", "tennis", "yoga",
    "the solar system", "Mars", "Jupiter", "the speed of light", "gravity", "evolution", "dinosaurs", "the Vikings",
    "the Silk Road", "vaccines", "antibiotics", "the periodic table", "calculus", "the theory of relativity",
    "the stock of Apple", "opera", "the Renaissance", "philosophy", "democracy", "tax law", "mortgages", "astrology",
)  # fmt: skip
_PEOPLE = (
    "Napoleon", "Julius Caesar", "Cleopatra", "Marie Curie", "Albert Einstein", "Isaac Newton", "Shakespeare", "Mozart",
    "Beethoven", "Leonardo da Vinci", "Picasso", "Plato", "Aristotle", "Socrates", "Charles Darwin", "Galileo",
    "George Washington", "Abraham Lincoln", "Queen Victoria", "Jane Austen", "Charles Dickens", "Ada Lovelace",
    "Alan Turing", "Nikola Tesla", "Thomas Edison", "Marco Polo", "Columbus", "Gandhi", "Bach", "Van Gogh", "Homer",
    "Frida Kahlo", "Tolstoy", "Kafka", "Goethe", "Voltaire", "Confucius", "Genghis Khan", "Joan of Arc", "Sherlock Holmes",
    "Harry Potter", "Superman", "Florence Nightingale", "Rembrandt", "Archimedes", "Euclid", "Pythagoras", "Tutankhamun",
)  # fmt: skip
_LANGUAGES = (
    "French",
    "German",
    "Spanish",
    "Italian",
    "Japanese",
    "Latin",
    "Russian",
    "Chinese",
    "Dutch",
    "Arabic",
    "Greek",
)

_WHO = Phrases(
    "{Tell me who|Do you know who|Can you tell me who} <who> {is|was}{.|?}", "Who's <who>?",
    "Who {was|is} <who>?", "who was <who>", "Who {was|is} <who>?",
)  # fmt: skip
_ABOUT_WHO = Phrases(
    "{When|Where} was <who> born?", "{When|How|Where} did <who> die?", "How old {is|was} <who>?",
    "What {is|was} <who> famous for?", "{Tell me about|Write about|What do you know about} <who>{.|}",
    "What did <who> {do|write|invent|say|discover|paint}?", "Was <who> {rich|tall|a king|married|happy}?",
    "Who was the {wife|father|mother|teacher} of <who>?", "Give me a quote {by|from} <who>.",
)  # fmt: skip
_ABOUT_SUBJECT = Phrases(
    "{Who|When did someone|Why did they} {invented|started|discovered} <subject>?", "{When|How|Why} did <subject> {start|end|begin}?",
    "Who invented <subject>?", "Who discovered <subject>?", "When was <subject> {invented|discovered|built|made}?",
    "{How does|How do} <subject> work?", "{What caused|What is the cause of|What ended} <subject>?",
    "What {is|was|are} <subject>?", "{Explain|Describe} <subject>{| to me| in simple words}.", "Who won <subject>?",
    "{What is|Tell me} the {history|future|meaning} of <subject>?", "Why is <subject> {so |}important?",
    "{Write an essay|Write a paper|Give me a talk|Write a poem} {about|on} <subject>.", "What do you think {about|of} <subject>?",
    "{What is the latest|What's the news|Any news} {on|about} <subject>?", "How much does <subject> cost?",
    "{Tell me about|Teach me about|What do you know about|Give me facts about} <subject>{.|}", "Is <subject> {good|bad|real|safe|dangerous}?",
    "{Who wrote|Who painted|Who built|Who owns|Who runs} <subject>?", "What are the rules of <subject>?",
)  # fmt: skip
_ABOUT_PLACE = Phrases(
    "{What is|What's|Tell me} the population of <place>?", "How many people live in <place>?", "{What is|How is|What's} the weather {like |}in <place>{| today| tomorrow}?",
    "What language {do they speak|is spoken} in <place>?", "Which languages are spoken in <place>?", "What {is the |}currency {do they use |}in <place>?",
    "Who is the {president|king|queen|leader|mayor|prime minister} of <place>?", "What time is it in <place>?",
    "How {big|large|old|far away} is <place>?", "{What is|Tell me} the history of <place>?", "Where is <place>?", "What is <place> famous for?",
    "What does the flag of <place> look like?", "How do I get to <place>?", "{Find|Recommend|Book} me a hotel in <place>.",
    "What is the {highest mountain|longest river|biggest city|largest lake|national anthem|best food} {in|of} <place>?",
    "Which countries border <place>?", "Is it {cold|warm|safe|raining} in <place>?", "How much is a flight to <place>?",
    "{Best|Good} restaurants in <place>?", "What should I {see|eat|do} in <place>?", "Who won the election in <place>?", "Any news from <place>?",
)  # fmt: skip
_ABOUT_THING = Phrases(
    "{How much|What} {is|does} <a_thing> {cost|worth}?", "What is the price of <a_thing>?", "Where can I buy <a_thing>?", "How do I {repair|make|build|fix|clean|paint|sell} <a_thing>?",
    "Who invented the <thing>?", "When was the <thing> invented?", "How much does <a_thing> weigh?", "{How many|What} {<thing>s are there|<thing>s exist} in the world?",
    "What is <a_thing> made of?", "Which <thing> should I {buy|choose}?", "How fast is <a_thing>?", "What is the best <thing>?", "How old is the oldest <thing>?",
)  # fmt: skip
_ABOUT_ANIMAL = Phrases(
    "How long does <a_animal> live?", "What do <animal>s eat?", "How {fast|big|heavy|tall|old} {is|can} <a_animal>{| get}?", "Where do <animal>s live?",
    "{Can|Do} <animal>s {swim|fly|see in the dark|climb|sleep}?", "What is the Latin name of the <animal>?", "How many <animal>s are there?", "Why do <animal>s {sing|run|hide|bite}?",
    "What sound does <a_animal> make?", "How many {legs|teeth|bones} does <a_animal> have?", "What is a baby <animal> called?",
)  # fmt: skip
_OPEN = Phrases(
    "What {time|day|date} is it{| today| now}?", "What is {today's date|the date today|today's news|the time}?", "{What's|What is} the weather {like |}{today|tomorrow|outside}?",
    "Will it {rain|snow} {today|tomorrow|on Sunday}?", "What happened {yesterday|today|in 1969|last week|in the news}?", "{What's|What is} in the news?", "{What is|What's} the meaning of life?",
    "Who {is|was} the {first|best|current|richest|tallest} {president|king|man on the moon|player|person in the world|emperor}?", "What is my {phone number|address|password|bank balance|birthday|job}?",
    "Should I {buy a house|quit my job|invest|see a doctor|marry|move}?", "Who won the {game|match|cup|race|election|league|lottery}{| yesterday| last night| in 2010}?",
    "{Give me|What is} a recipe for {cake|bread|soup|pizza|pancakes}?", "{What|Which} {movie|film|book|song} should I {watch|read|hear}?", "How many stars are {there|in the sky}?",
    "What is the {distance to the moon|boiling point of water|speed of sound|tallest mountain|deepest ocean|largest animal|smallest country|square root of 2|value of pi|longest river}?",
    "How do I {lose weight|get rich|learn to cook|fix my car|open a bank account|tie a tie|install Windows|sleep better|make friends}?", "Why is the {sky blue|grass green|sea salty|sun hot|night dark}?",
    "Where {is my phone|are my keys|did I park|is the next shop|is the station}?", "What will happen {tomorrow|next year|in the future}?", "{Who|What} will win {the election|the cup|tomorrow}?",
    "How many {days|weeks|hours|seconds} are {in a year|in a month|left until Christmas}?", "What are the {lottery numbers|lyrics of that song|best stocks|symptoms of flu|planets|laws of physics}?",
    "{Does God exist|Are there aliens|Is there life on Mars|Do ghosts exist|Are you alive}?", "What did {I|we} {eat|do|say} {yesterday|last week}?", "Which {team|phone|car|laptop|school} is the best?",
    "What is the {wifi password|tax rate|dollar rate|train schedule|price of milk|stock price}?", "Can you {call|email|text} my {mother|boss|friend}?", "What does E = mc2 mean?",
)  # fmt: skip
_COMMANDS = Phrases(
    "{Set|Start|Cancel} {an alarm|a timer|a reminder} {for|at} {seven o'clock|noon|ten minutes|tomorrow|six|half past two}.",
    "{Call|Text|Email|Ring|Message} {my mother|my boss|the doctor|a taxi|Anna|the police}{| now| please}.",
    "{Suggest|Find|Give me|Think of|I need} a {name|logo|slogan|password|gift|title} for my {company|dog|baby|team|book|boat|mother|band}.",
    "{Show|Draw|Send|Give} me a {map|picture|photo|drawing|chart} of {<place>|<a_animal>|<a_thing>|<subject>}.",
    "{Can you help me with|Help me with|Do} my {tax return|taxes|essay|physics homework|CV|broken car|garden|bank|computer problem}{?|.}",
    "{Play|Turn on|Turn off|Switch off|Stop} {some music|the lights|the radio|a song by <who>|the TV|the heating}.",
    "{Order|Book|Buy|Reserve} {a pizza|a taxi|a table for two|a train to <place>|two tickets|<a_thing>}{| for me| online}.",
    "{Open|Search|Google|Look up|Go to} {the web|my mail|<subject>|<place>|the internet|my calendar}{| for me|}.",
    "{What's|What is} the {exchange rate|difference|distance|time difference|score} {between|of} {euro and dollar|<place> and <place>|the game last night|the match|<animal>s and <thing>s}?",
    "{how|why} do {planes|<animal>s|birds|people|volcanoes|computers|<thing>s} {fly|work|float|sleep|exist|move}?",
    "{Write|Compose|Give me} {an essay|a poem|a letter|an email|a song|a haiku|a speech|a review} {about|on|for} {climate change|<subject>|my boss|<a_thing>|<place>|love|a wedding}.",
    "{Please translate|Translate} this {to|into} {French|German|Spanish|Italian|Dutch|Greek}: <sentence>{?|.}",
    "{Is it true that|Do you think that|Why do they say that|Who said} <sentence>?",
    "{What should I|What can I|Where can I|How can I} {wear|eat|do|see|learn|buy|study|cook} {today|tonight|for dinner|in <place>|this weekend|on Monday}?",
    "{Summarise|Summarize|Explain|Review|Correct|Rate} {this article|the news|the book <a_thing>|my text|the film|chapter two|<subject>}.",
    "{Predict|Guess|Tell me} {the weather|my future|the winner|my age|the lottery numbers|what I am thinking|tomorrow's news}.",
)
_QUESTION_WORDS = (
    "where",
    "when",
    "why",
    "how",
    "what",
    "who",
    "do ",
    "did ",
    "can you",
    "will you",
    "would you",
)
_TRANSLATE = Phrases(
    "{Translate|Please translate|Can you translate} {<word>|\"<word>\"|'<word>'|this} {into|to} <language>{.|}", 'How do you say {<word>|"<word>"} in <language>?',
    "What is {<word>|the word for <word>|\"<word>\"} in <language>?", "{Do you speak|Can you speak|Say something in|Answer in} <language>?", "What does <word> mean in <language>?",
)  # fmt: skip
_ARITHMETIC = Phrases(
    "{What is|What's|Calculate|How much is|Work out} <x>{ + | plus | - | minus }<y>?", "<x>{ + |+}<y>{|=|?}", "{What is|What's|Calculate|How much is} <x>{ * | times | x | / | divided by }<z>?",
    "<z>{ * | x |*| times }<x>{|?}", "{Add|Multiply} <x> {and|by} <y>.", "{What is|What's} {the square root of|the square of|half of|ten percent of} <x>?", "What is <z> {times|*} <z>?", "Solve x + <x> = <y>.",
)  # fmt: skip
_DEFINE = Phrases(
    "{What does <word> mean?|Define <word>.|Define the word <word>.|What is the meaning of <word>?|What does the word <word> mean?|meaning of <word>|definition of <word>|Explain the word <word>.}",
    "{What is|What's|Explain what} <a_word>{?| is.}",
    "{What is|What's} <a_word>?",
)

_SORRY = f"{DECLINE} that. I am only a small demo model."
_NO_TRANSLATION = f"{DECLINE} any other languages."
_NO_ARITHMETIC = f"{DECLINE} that. I can only add and subtract numbers from 0 to 9."
_RARE_WORDS = (
    "serendipity", "ephemeral", "nebula", "zephyr", "quartz", "onyx", "xylophone", "kaleidoscope", "mischief", "nonsense",
    "rigmarole", "hullabaloo", "quixotic", "mellifluous", "algorithm", "justice", "freedom", "wisdom", "kindness", "honesty",
    "victory", "mystery", "ubiquitous", "resilient", "obsolete", "ambiguous", "pragmatic", "inevitable", "candid", "tangible", "abstract",
    "benevolent", "meticulous", "gullible", "frugal", "lucid", "notorious", "obscure", "robust", "subtle", "vague", "zealous", "arbitrary", "coherent",
 "plateau", "lagoon", "canyon", "glacier", "satellite", "entropy", "irony", "melancholy", "paradox",
)  # fmt: skip
_UNDEFINED_THINGS = tuple(sorted({*THINGS, *ANIMALS} - set(defined())))


def turn(rng: random.Random) -> Turn:
    """Ask for something that the model must decline."""
    draw = rng.random()
    if draw > 0.97:
        return _declined(_question(rng), _SORRY)
    if draw < 0.12:
        who = (
            rng.choice(_PEOPLE) if rng.random() < 0.5 else f"{rng.choice(NAMES)} {made_up(rng).capitalize()}"
        )
        asked = ask(rng, _WHO, {"who": who})
        return _declined(asked.text, f"{DECLINE} who {asked.slots['who']} is.")
    if draw < 0.22:
        word = made_up(rng) if rng.random() < 0.5 else rng.choice((*_RARE_WORDS, *_UNDEFINED_THINGS))
        asked = ask(rng, _DEFINE, {"word": word, "a_word": with_article(word)})
        return _declined(asked.text, f"{DECLINE} the word {asked.slots['word']}.")
    if draw < 0.30:
        slots = {"word": rng.choice((*WORDS, *ANIMALS)), "language": rng.choice(_LANGUAGES)}
        return _declined(ask(rng, _TRANSLATE, slots).text, _NO_TRANSLATION)
    if draw < 0.39:
        x, y, z = (str(rng.randint(10, high)) for high in (99, 999, 12))
        if rng.random() < 0.4:
            z = str(rng.randint(2, 9))
        return _declined(ask(rng, _ARITHMETIC, {"x": x, "y": y, "z": z}).text, _NO_ARITHMETIC)
    thing, animal = rng.choice(THINGS), rng.choice(ANIMALS)
    slots = {
        "who": rng.choice(_PEOPLE)
        if rng.random() < 0.6
        else f"{rng.choice(NAMES)} {made_up(rng).capitalize()}",
        "subject": rng.choice(_SUBJECTS),
        "place": rng.choice(_PLACES),
        "thing": thing,
        "a_thing": with_article(thing),
        "animal": animal,
        "a_animal": with_article(animal),
        "sentence": sentence(rng),
    }
    phrases = rng.choice(
        (
            _ABOUT_WHO,
            _ABOUT_SUBJECT,
            _ABOUT_SUBJECT,
            _ABOUT_PLACE,
            _ABOUT_PLACE,
            _ABOUT_THING,
            _ABOUT_ANIMAL,
            _OPEN,
            _OPEN,
            _COMMANDS,
            _COMMANDS,
            _COMMANDS,
        )
    )
    return _declined(ask(rng, phrases, slots).text, _SORRY)


def _question(rng: random.Random) -> str:
    """Return a question of everyday life, which only its asker could answer."""
    while not (text := sentence(rng)).startswith(_QUESTION_WORDS):
        pass
    return (capitalised(text) if rng.random() < 0.7 else text) + ("?" if rng.random() < 0.8 else "")


def _declined(user: str, reply: str) -> Turn:
    return Turn(Skill.UNKNOWN, user, reply, (DECLINE,))
