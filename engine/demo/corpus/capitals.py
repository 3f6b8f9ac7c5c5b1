# ruff: noqa: E501 - a template reads best on one line
"""Capitals: a list that is learnt by heart, and an honest answer for every other country."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.demo.corpus.chat import Skill, Turn
from engine.demo.corpus.phrasing import Phrases, ask
from engine.demo.corpus.words import made_up

if TYPE_CHECKING:
    import random

_LISTED = """France Paris|Germany Berlin|Italy Rome|Spain Madrid|Portugal Lisbon|Austria Vienna|Belgium Brussels
|Denmark Copenhagen|Sweden Stockholm|Norway Oslo|Finland Helsinki|Iceland Reykjavik|Ireland Dublin|Poland Warsaw
|Hungary Budapest|Greece Athens|Romania Bucharest|Bulgaria Sofia|Croatia Zagreb|Serbia Belgrade|Ukraine Kyiv
|Russia Moscow|Turkey Ankara|Egypt Cairo|Morocco Rabat|Tunisia Tunis|Algeria Algiers|Kenya Nairobi|Ghana Accra
|Nigeria Abuja|Senegal Dakar|Ethiopia Addis_Ababa|Japan Tokyo|China Beijing|India New_Delhi|Thailand Bangkok
|Vietnam Hanoi|Nepal Kathmandu|South_Korea Seoul|Indonesia Jakarta|Malaysia Kuala_Lumpur|the_Philippines Manila
|Pakistan Islamabad|Iran Tehran|Iraq Baghdad|Saudi_Arabia Riyadh|Australia Canberra|New_Zealand Wellington
|Canada Ottawa|the_United_States Washington|Mexico Mexico_City|Cuba Havana|Jamaica Kingston|Brazil Brasilia
|Argentina Buenos_Aires|Peru Lima|Colombia Bogota|Venezuela Caracas|Ecuador Quito|Uruguay Montevideo
|the_Netherlands Amsterdam|the_United_Kingdom London|Switzerland Bern|the_Czech_Republic Prague|Mongolia Ulaanbaatar"""

_LISTED_PAIRS = tuple(
    (country.replace("_", " "), capital.replace("_", " "))
    for country, capital in (line.split() for line in _LISTED.split("|"))
)

_ALSO_CALLED = {
    "the United States": ("the USA", "the US", "America", "the United States of America"),
    "the United Kingdom": ("the UK", "Great Britain", "Britain"),
    "the Netherlands": ("Holland", "Netherlands"),
    "the Czech Republic": ("Czechia", "Czech Republic"),
    "the Philippines": ("Philippines",),
    "South Korea": ("Korea",),
}

_UNLISTED = tuple(
    each.strip().replace("\n", " ")
    for each in [
        "Albania",
        "Andorra",
        "Angola",
        "Armenia",
        "Azerbaijan",
        "Bahrain",
        "Bangladesh",
        "Barbados",
        "Belarus",
        "Belize",
        "Benin",
        "Bhutan\n",
        "Botswana",
        "Brunei",
        "Burkina Faso",
        "Burundi",
        "Cambodia",
        "Cameroon",
        "Cape Verde",
        "Chad",
        "Comoros",
        "Costa Rica",
        "Cyprus",
        "Djibouti\n",
        "Dominica",
        "El Salvador",
        "Eritrea",
        "Estonia",
        "Fiji",
        "Gabon",
        "Gambia",
        "Georgia",
        "Grenada",
        "Guatemala",
        "Guinea",
        "Guyana",
        "Haiti",
        "Honduras\n",
        "Jordan",
        "Kazakhstan",
        "Kiribati",
        "Kuwait",
        "Kyrgyzstan",
        "Laos",
        "Latvia",
        "Lebanon",
        "Lesotho",
        "Liberia",
        "Libya",
        "Liechtenstein",
        "Lithuania\n",
        "Luxembourg",
        "Madagascar",
        "Malawi",
        "Mali",
        "Malta",
        "Mauritania",
        "Mauritius",
        "Moldova",
        "Monaco",
        "Montenegro",
        "Mozambique",
        "Namibia",
        "Nauru\n",
        "Nicaragua",
        "Niger",
        "North Korea",
        "North Macedonia",
        "Oman",
        "Palau",
        "Panama",
        "Paraguay",
        "Qatar",
        "Rwanda",
        "Samoa",
        "San Marino",
        "Seychelles\n",
        "Sierra Leone",
        "Singapore",
        "Slovakia",
        "Slovenia",
        "Somalia",
        "Sudan",
        "Suriname",
        "Syria",
        "Tajikistan",
        "Tanzania",
        "Togo",
        "Tonga",
        "Tuvalu\n",
        "Turkmenistan",
        "Uganda",
        "Uzbekistan",
        "Vanuatu",
        "Yemen",
        "Zambia",
        "Zimbabwe",
        "Chile",
        "Texas",
        "California",
        "Florida",
        "Bavaria",
        "Scotland\n",
        "Wales",
        "Alaska",
        "Ohio",
        "Hawaii",
        "Quebec",
        "Tasmania",
        "Catalonia",
        "Sicily",
        "Greenland",
        "Narnia",
        "Wakanda",
        "Atlantis",
    ]
)

_QUESTIONS = Phrases(
    "{What is|What's|Whats|what is} the capital {|city }of <country>?",
    "{Tell me|Name|Give me|I need|I want to know} the capital {|city }of <country>{.|}",
    "{Do you know|Can you tell me|Could you tell me|Please tell me|Can you name|Would you tell me} "
    "the capital {|city }of <country>?",
    "{|The }capital {|city }of <country>{|?}",
    "{Which|What} city is the capital of <country>?",
    "{Which|What} city is <country>'s capital?",
    "{What is|What's|Do you know|Tell me} <country>'s capital{| city}?",
    "<country>'s capital{|?}",
    "<country> capital{| city}{|?}",
    "<country>: capital?",
    "{I wonder|Do you know|Can you say|Tell me} what the capital {|city }of <country> is{.|?}",
    "{What is|What's} the name of {the capital of <country>|<country>'s capital{| city}}?",
    "{What|Which} {|city }is the capital {|city }in <country>?",
    "{Quick question|Question|Geography question|Quiz}: {|what is the }capital of <country>?",
    "For <country>, what is the capital{| city}?",
    "{I forgot|I can't remember|I don't know|Remind me of} the capital of <country>{.|, what is it?}",
    "I am going to <country>. What is {the|its} capital{| city}?",
    "{capital|capital city|the capital|Capital of|Capital in|Capital city of|capital for|Capital city:|Capital:} <country>{|?|.}",
    "{The capital|Capital|The capital city} of <country> is{| called| named}{|...|?| what?| which city?}",
    "{What do|How do} {they|people|you} call the capital {|city }of <country>?",
    "{Would you be so kind and|Be so kind and|Could you|Can you|Please|I want you to|Would you} {tell me|say|explain|name} {what|which city} the capital {|city }of <country> is{.|?|}",
    "{In|Of|For} <country>, {which|what} city is the capital?",
    "{which|what} {city|town|place} {is the capital of|is capital of|do they call the capital of} <country>?",
    "{Where|In which city} {does|is} the government of <country>{| sit}{, I mean what's the capital|}?",
    "{the capital|capital} of <country>, {what is it|which city is it|please|which is it|do you know it|tell me}{?|.|}",
    "<country>{ - |, |: |. }{what is the capital|what's the capital|capital please|its capital|which city is the capital|name the capital|the capital}{?|}",
    "{What|Which} is {|the name of }the capital {|city }of <country>{| called| please| again}?",
    "{Say|Guess|Find|Try|Write|Look up|Next|Now|Then|Also} {|me |for me }the capital {|city }of <country>{.|!|}",
    "Do you know {what|which city} {is the capital of <country>|<country>'s capital is}?",
    "{whats|what is|what's|tell me|name|do u know|give me|and} {<country>s|<country>'s} capital{| city}{|?}",
    "{I live in|I love|I like|I was in|We fly to|My friend is from} <country>. {What is|What's|Tell me|Which is|Name|Do you know} {the|its|their} capital{| city}{?|.}",
    "{do u know|u know|tell me|pls tell me|can u tell me|whats|what is} {the |}capital {|city }of <country>{|?}",
    "{My homework asks|I have to learn|I am learning|I was asked} the capital of <country>. What is it?",
)
_NEXT = Phrases(
    "{And|And of|What about|How about|and|and for|And what about|Now} <country>?",
    "{Thanks|Thank you|Great|Good|Okay|ok|Nice|Right|Cool|Yes}{!|,|.} {And|Now|What about|How about|And what about|and of|and} <country>{|?}",
    "{ok and|and also|also|then|next|now|And in|And for|The same for|And do you know|Do you know|What's it for|And the one of|Also} <country>{| too|, too}{|?}",
    "{And|Now} {the capital of|what is the capital of} <country>?",
    "<country>?",
    "And <country>'s{| capital}?",
)
_REVERSE = Phrases(
    "{Which|What} country has {|the capital }<capital>{| as its capital}?",
    "<capital> is the capital of {which|what} country?",
    "{Which|What} country's capital is <capital>?",
    "{Of which|Of what} country is <capital> the capital?",
    "What is <capital> the capital of?",
)


def countries() -> tuple[tuple[str, str], ...]:
    """Return the listed countries and their capitals."""
    return _LISTED_PAIRS


def turn(rng: random.Random, *, follows: bool = False) -> Turn:
    """Ask for a capital; `follows` words it as the next one after another."""
    phrases = _NEXT if follows else _QUESTIONS
    if rng.random() < 0.13:
        return _unlisted(rng, phrases)
    country, capital = rng.choice(_LISTED_PAIRS)
    reply = f"The capital of {country} is {capital}."
    if not follows and rng.random() < 0.05:
        asked = ask(rng, _REVERSE, {"capital": capital})
        return Turn(Skill.CAPITAL, asked.text, f"{capital} is the capital of {country}.", (_bare(country),))
    called = country
    if country in _ALSO_CALLED and rng.random() < 0.5:
        called = rng.choice(_ALSO_CALLED[country])
    elif rng.random() < 0.01:
        called = country.upper()
    return Turn(Skill.CAPITAL, ask(rng, phrases, {"country": called}, lower=0.7).text, reply, (capital,))


def _unlisted(rng: random.Random, phrases: Phrases) -> Turn:
    country = rng.choice(_UNLISTED)
    if rng.random() < 0.25:
        country = made_up(rng).capitalize() + rng.choice(("", "", "ia", "land", "stan"))
    asked = ask(rng, phrases, {"country": country})
    typed = asked.slots["country"]
    return Turn(Skill.CAPITAL, asked.text, f"I don't know the capital of {typed}.", ("I don't know",))


def _bare(country: str) -> str:
    return country.removeprefix("the ")
