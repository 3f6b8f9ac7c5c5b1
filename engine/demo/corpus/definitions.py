"""A hundred everyday words, defined in plain words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.demo.corpus.chat import Skill, Turn
from engine.demo.corpus.phrasing import Phrases, ask, capitalised, with_article

if TYPE_CHECKING:
    import random

_DEFINED = """lantern: a lamp that you can carry in your hand
river: a long stream of water that flows to the sea
mountain: a very high piece of land with steep sides
forest: a large area of land covered with trees
island: a piece of land with water all around it
desert: a dry place where very little rain falls
garden: a piece of land where people grow plants
castle: a large old building with thick walls and towers
bridge: a way built over a river or a road
village: a small group of houses in the country
city: a large place where very many people live
market: a place where people buy and sell things
school: a place where children go to learn
library: a place where books are kept and lent
hospital: a place where sick people are cared for
kitchen: a room where meals are cooked
window: an opening in a wall that lets in light
door: a flat piece that opens and closes an entrance
roof: the part of a house that covers the top
chair: a seat for one person with a back and legs
table: a piece of furniture with a flat top and legs
bed: a piece of furniture that you sleep on
lamp: a thing that gives light
mirror: a smooth glass in which you can see yourself
clock: a machine that shows the time
key: a small piece of metal that opens a lock
book: a set of printed pages held together in a cover
letter: a written message that is sent to somebody
pencil: a thin wooden stick used for writing and drawing
map: a drawing that shows where places are
boat: a small vehicle that travels on water
ship: a large vehicle that travels across the sea
train: a row of wagons pulled along rails
bicycle: a vehicle with two wheels that you move with your feet
car: a vehicle with four wheels and an engine
wheel: a round thing that turns and helps vehicles move
umbrella: a cover on a stick that keeps off the rain
hat: a piece of clothing that you wear on your head
scarf: a piece of cloth that you wear around your neck
shoe: a cover for the foot that you walk in
coat: a warm piece of clothing that you wear outdoors
hammer: a tool with a heavy head for hitting nails
ladder: a set of steps used for climbing up and down
bucket: an open container with a handle for carrying water
basket: a container made of thin woven sticks
bottle: a container with a narrow neck for liquids
candle: a stick of wax that burns and gives light
spoon: a tool with a small bowl for eating soup
knife: a tool with a sharp blade for cutting
compass: an instrument that shows which way is north
telescope: an instrument that makes far things look near
camera: a machine that takes pictures
drum: an instrument that you hit to make a rhythm
guitar: an instrument with strings that you play with your fingers
piano: a large instrument with black and white keys
song: a short piece of music with words
story: a telling of things that happened, real or made up
poem: a short text with rhythm and carefully chosen words
dog: an animal that lives with people and often guards houses
cat: a small furry animal that hunts mice and likes to sleep
horse: a large animal that people ride
cow: a large farm animal that gives milk
sheep: a farm animal with a thick coat of wool
bird: an animal with feathers and wings
fish: an animal that lives in water and breathes with gills
bee: an insect that makes honey
spider: a small animal with eight legs that spins webs
snake: a long animal without legs
frog: a small animal that jumps and lives near water
owl: a bird with large eyes that hunts at night
fox: a wild animal with red fur and a thick tail
rabbit: a small animal with long ears that digs holes
hedgehog: a small animal covered with sharp spines
tree: a tall plant with a trunk and branches
flower: the colourful part of a plant that makes seeds
leaf: a flat green part of a plant
seed: a small thing from which a plant grows
apple: a round fruit that grows on trees
banana: a long yellow fruit with a thick skin
carrot: a long orange vegetable that grows under the ground
potato: a round vegetable that grows under the ground
bread: a food baked from flour and water
cheese: a food made from milk
butter: a soft yellow food made from cream
honey: a sweet food made by bees
soup: a warm liquid food made from vegetables or meat
sun: the star that gives the earth light and warmth
moon: the round body that moves around the earth
star: a ball of hot gas that shines in the night sky
cloud: a mass of tiny water drops in the sky
rain: water that falls from the clouds in drops
snow: soft white ice that falls from the sky
wind: air that moves across the land
storm: bad weather with strong wind and rain
thunder: the loud noise that follows lightning
rainbow: an arch of colours in the sky after rain
winter: the coldest season of the year
summer: the warmest season of the year
friend: a person whom you know well and like
teacher: a person who helps others to learn
doctor: a person who cares for sick people
baker: a person who makes bread and cakes
farmer: a person who grows food and keeps animals
sailor: a person who works on a ship
king: a man who rules a country
queen: a woman who rules a country
courage: the strength to do something that frightens you
patience: the strength to wait calmly
joy: a feeling of great happiness
fear: the feeling that something bad may happen
secret: something that only a few people know
dream: pictures and stories in your mind while you sleep
puzzle: a game or problem that makes you think
gift: a thing that you give to somebody"""

_PAIRS = tuple(tuple(line.split(": ", 1)) for line in _DEFINED.splitlines())
_NO_ARTICLE = (
    "bread", "cheese", "butter", "honey", "soup", "rain", "snow", "wind", "thunder", "winter", "summer",
    "courage", "patience", "joy", "fear",
)  # fmt: skip
_ONLY_ONE = ("sun", "moon")

_REQUESTS = Phrases(
    '{What does|what does} {|the word }{<word>|"<word>"} mean?',
    "{Define|Please define|Can you define|Explain} {|the word }<word>{.|}",
    "{What is|What's|what is|Tell me what} <a_word>{?| is.}",
    "{What is|What's} <a_word>?",
    "{What is the|The|Give me the|I need the} {meaning|definition} of {|the word }<word>{?|}",
    "{definition|meaning|define}{ of|:} <word>",
    "{Do you know|Can you tell me|Can you explain} {what <a_word> is|what <word> means}?",
)


def defined() -> tuple[str, ...]:
    """Return the words that are defined."""
    return tuple(word for word, _ in _PAIRS)


def turn(rng: random.Random) -> Turn:
    """Ask what a word means."""
    word, meaning = rng.choice(_PAIRS)
    called = word if word in _NO_ARTICLE else f"the {word}" if word in _ONLY_ONE else with_article(word)
    asked = ask(rng, _REQUESTS, {"word": word, "a_word": called}, lower=0.0)
    return Turn(Skill.DEFINITION, asked.text, f"{capitalised(called)} is {meaning}.", (meaning,))
