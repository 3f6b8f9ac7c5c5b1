"""Open sets: names, animals, things and words, and made-up ones.

They are large, and half of what is drawn is rare or made up, so that the model must learn to copy from the
prompt; with a few dozen it would learn to recall them, and fail on any other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


NAMES = _words(
    """
    Mia Tom Lily Max Ruby Oscar Anna Leo Nora Finn Ella Sam Ivy Hugo Clara Ben Rosa Theo Luna Jack
    Maya Felix Alice Otto Zoe Emil Ada Pip Tilly Milo Bruno Daisy Zelda Arthur Beatrice Caleb Dora
    Edgar Fiona George Hannah Igor Jasmine Kevin Laura Martin Nina Oliver Paula Quentin Rachel Simon
    Teresa Ulrich Vera Walter Xenia Yusuf Zara Abby Adam Adele Aiden Aisha Alan Albert Alex Alma
    Amir Amy Andre Andy Angela Anton April Ariel Astrid Audrey Axel Barbara Basil Bella Benny Bianca
    Bill Bob Bonnie Boris Bridget Carl Carla Carmen Cecil Chloe Chris Cleo Colin Conrad Cora Cyrus
    Dana Daniel David Dean Deborah Dennis Diana Diego Dmitri Dominic Donna Dylan Eddie Edith Elias
    Elena Elise Elliot Elsa Emma Eric Erica Ernest Esther Ethan Eva Evan Faith Farah Fatima Flora
    Frank Freya Gabriel Gail Gavin Gemma Gina Gloria Grace Greta Gus Harold Harry Hazel Heidi Helen
    Henry Hilda Holly Ian Ida Ines Ingrid Irene Iris Isaac Isabel Ivan Jacob Jade James Jane Jason
    Jean Jenny Jeremy Jill Joan Joe John Jonas Josie Judy Julia June Kai Karim Kate Keith Kim Klaus
    Lara Lars Layla Leila Lena Leon Lewis Liam Linda Lola Louis Lucas Lucy Lydia Mabel Magnus Marco
    Margot Maria Mark Martha Mary Matilda Maurice Megan Meera Mick Mina Mohammed Molly Monica Morris
    Myra Nadia Naomi Nathan Ned Nigel Noah Nell Odette Olga Omar Oona Owen Pablo Patrick Pearl Peggy
    Penny Percy Peter Petra Philip Phoebe Piper Poppy Priya Quinn Ralph Ravi Rex Rita Robert Robin
    Roger Roland Rose Roy Rufus Sadie Sally Samir Sandra Sarah Sasha Scott Sean Selma Sergei Sheila
    Sofia Sophie Stan Stella Steve Sue Susan Sven Sylvia Tamara Tanya Ted Tess Tim Tina Toby Tony
    Tracy Trudy Uma Ursula Valentin Vanessa Victor Viola Violet Wanda Wendy Wilbur Will Willow Yara
    Yasmin Yoko Yvonne Zack Zeno Zofia Ahmed Akira Chen Hiro Kofi Kenji Lakshmi Leticia Mateo Mei
    Nikolai Ngozi Olu Raj Sanjay Sakura Tariq Wei Xavier Ximena Yuki Barnaby Bartholomew Clementine
    Cornelius Esmeralda Penelope Rosalind Sebastian Theodora Winifred Augustus Archibald Josephine
    Marigold Peregrine Leopold Humphrey
    """
)

ANIMALS = _words(
    """
    fox rabbit bear owl mouse hedgehog cat dog duck frog turtle squirrel wolf deer crow swan goat
    pony lion elephant monkey penguin otter badger beaver bee snail whale dolphin robin dragon lamb
    tiger hen sparrow horse cow pig sheep donkey camel llama alpaca zebra giraffe hippo rhino
    kangaroo koala panda sloth lemur gorilla chimpanzee leopard cheetah panther lynx puma jaguar
    hyena jackal coyote moose elk reindeer bison buffalo ox antelope gazelle mole shrew vole hamster
    gerbil ferret weasel stoat mink marten raccoon skunk possum wombat platypus armadillo anteater
    porcupine bat rat chipmunk marmot walrus seal manatee orca shark salmon trout pike eel goldfish
    seahorse starfish octopus squid crab lobster shrimp oyster jellyfish clam newt toad salamander
    gecko lizard iguana chameleon crocodile alligator snake cobra python tortoise eagle hawk falcon
    kite raven magpie jay pigeon dove parrot toucan flamingo pelican heron stork crane goose gull
    puffin albatross peacock turkey rooster quail pheasant ostrich emu kiwi woodpecker kingfisher
    nightingale lark swallow wren finch canary ant wasp hornet beetle ladybird butterfly moth
    dragonfly grasshopper cricket spider scorpion centipede worm caterpillar slug firefly unicorn
    phoenix griffin mammoth dinosaur dodo puppy kitten chick foal calf cub
    """
)

PEOPLE = _words(
    """
    girl boy king queen prince princess wizard witch knight pirate robot giant fairy elf dwarf
    farmer baker sailor painter teacher doctor gardener cook tailor miller fisherman shepherd
    astronaut inventor ghost troll mermaid snowman scarecrow child dancer singer blacksmith
    """
)

HERO_QUALITIES = _words(
    """
    little brave clever shy kind curious lazy sleepy cheerful gentle tiny old young proud quiet
    grumpy hungry silly lonely patient happy sad friendly wise funny small big white black red blue
    green grey purple golden spotted fluffy noisy fearless forgetful stubborn
    """
)

THINGS = _words(
    """
    lantern balloon key boat kite bell box map clock seed scarf crown drum marble boot letter book
    stone cake umbrella whistle pumpkin feather compass hat ring coin mirror lamp candle basket
    ladder hammer bucket shovel bicycle train car ship raft cart wheel wagon sled ball doll puppet
    teapot cup plate spoon bowl pot kettle jar bottle barrel chest trunk bag purse coat cloak glove
    sock shoe button needle thread ribbon rope blanket pillow bed chair table door window gate
    bridge tower flag flute violin guitar trumpet piano harp song picture brush pencil pen diary
    scroll potion wand sword shield helmet telescope pearl diamond ruby emerald necklace bracelet
    statue mask apple pear cherry plum lemon orange carrot potato turnip mushroom acorn nut pie
    cookie pancake muffin sandwich loaf egg nest leaf flower rose tulip sunflower daisy tree cactus
    shell snowflake star cloud moon rainbow puddle sandcastle tent backpack suitcase camera radio
    telephone rocket robot anchor pebble net broom mop saddle horseshoe trophy medal ticket stamp
    postcard parcel puzzle swing whisk waffle
    """
)

OWN_ARTICLE_THINGS = (
    "some cheese", "some honey", "a pair of boots", "a bag of gold", "a basket of apples", "a pot of honey",
    "some bread", "a piece of cake", "a cup of tea", "a box of chocolates", "some milk", "a music box",
    "a treasure chest", "a hot air balloon", "a flying carpet", "a snow globe", "a tree house",
    "a lost letter",
)  # fmt: skip

THING_QUALITIES = _words(
    """
    red blue green yellow golden silver wooden old little magic shiny broken tiny huge paper glass
    secret lost purple pink black white round crystal rusty warm new strange stolen striped
    """
)

WORDS = _words(
    """
    river stone blue garden window thunder velvet quiet marble copper mountain pepper silver autumn
    winter spring summer ocean island forest desert meadow valley harbour castle bridge market
    village city street corner kitchen bread butter sugar salt honey coffee tea milk water juice
    soup rice noodle bean tomato onion garlic ginger banana grape melon peach berry paper pencil
    letter number word story music song dance rhythm melody guitar light shadow morning evening
    night day week month year hour minute moment yesterday today tomorrow always never often soon
    later early late fast slow quick strong weak heavy soft hard smooth rough bright dark loud
    gentle sharp round square tall short long wide narrow deep shallow open closed empty full clean
    dirty dry wet hot cold happy sad angry calm proud brave tired hungry thirsty sleepy busy lazy
    funny serious simple strange common rare run walk jump climb swim fly fall rise sit stand sleep
    wake eat drink cook bake read write speak listen sing laugh cry smile think dream know learn
    teach build break fix carry throw catch push pull give take buy sell find lose hide seek win
    play work rest travel visit follow lead begin finish stop wait hurry remember forget table chair
    lamp carpet curtain mirror shelf drawer bottle basket bucket ladder hammer needle button ribbon
    engine wheel rocket satellite planet comet galaxy gravity crystal diamond iron gold carbon
    oxygen magnet battery circuit signal radio camera screen keyboard computer program network
    memory number zero one two three four five six seven eight nine ten eleven twelve twenty hundred
    thousand million circle triangle cube angle line point pattern colour orange purple yellow green
    white black brown pink grey scarlet crimson indigo umbrella sandwich pancake waffle marmalade
    cinnamon avocado broccoli spaghetti chocolate vanilla lemonade elephant giraffe kangaroo
    crocodile butterfly dragonfly nightingale flamingo octopus hippopotamus rhinoceros lighthouse
    waterfall volcano earthquake hurricane tornado avalanche glacier canyon plateau peninsula lagoon
    serendipity ephemeral labyrinth whisper twilight horizon nebula zephyr quartz onyx jigsaw
    xylophone kaleidoscope mischief nonsense gobbledygook hullabaloo rigmarole bamboozle flabbergast
    discombobulate quixotic mellifluous algorithm transformer tensor matrix vector gradient
    speculative decoding expert router checkpoint token cache justice freedom courage wisdom
    patience kindness honesty friendship victory mystery adventure fortune secret the a an and or
    but with under over near behind between through into from about my your our his her this that is
    was are were has had can will would should may very too also only just even still yet again
    """
)

_ONSETS = (
    "b", "bl", "br", "c", "ch", "cl", "d", "dr", "f", "fl", "g", "gl", "gr", "h", "j", "k", "kr", "l",
    "m", "n", "p", "pl", "qu", "r", "s", "sh", "sk", "sn", "st", "t", "th", "tr", "v", "w", "y", "z",
    "zw", "",
)  # fmt: skip
_VOWELS = ("a", "e", "i", "o", "u", "a", "e", "i", "o", "u", "ai", "ee", "oo", "ou", "ea", "y")
_CODAS = (
    "",
    "",
    "",
    "",
    "n",
    "r",
    "l",
    "m",
    "s",
    "t",
    "k",
    "p",
    "b",
    "x",
    "nd",
    "rk",
    "lt",
    "ng",
    "sh",
    "ff",
)


def made_up(rng: random.Random, longest: int = 3) -> str:
    """Return a pronounceable word of one to `longest` syllables."""
    choice = rng.choice
    count = rng.randint(1 if longest < 3 else 2, longest)
    word = "".join(choice(_ONSETS) + choice(_VOWELS) for _ in range(count)) + choice(_CODAS)
    return word if len(word) > 2 else word + "lo"


def any_name(rng: random.Random) -> str:
    """Return a first name, one in three made up."""
    return made_up(rng, 3).capitalize() if rng.random() < 0.35 else rng.choice(NAMES)


def any_hero(rng: random.Random) -> str:
    """Return an animal or, more rarely, a person or a made-up creature."""
    draw = rng.random()
    if draw < 0.1:
        return made_up(rng)
    return rng.choice(PEOPLE if draw < 0.2 else ANIMALS)


def any_thing(rng: random.Random) -> str:
    """Return a thing, often with a quality, sometimes with its own article."""
    draw = rng.random()
    if draw < 0.08:
        return rng.choice(OWN_ARTICLE_THINGS)
    thing = made_up(rng) if draw < 0.16 else rng.choice(THINGS)
    return f"{rng.choice(THING_QUALITIES)} {thing}" if rng.random() < 0.45 else thing
