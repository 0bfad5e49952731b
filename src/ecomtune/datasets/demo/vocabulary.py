"""Vocabulary of the demo shop: the words and templates of its products, queries and texts, all made up for this project."""

from __future__ import annotations

from typing import Final, NamedTuple


class Category(NamedTuple):
    """One kind of product: the other name that shoppers use for it, and the values of its products' attributes."""

    alias: str
    shelf: str
    prices: tuple[int, int]
    departments: str
    packs: str
    materials: str
    sizes: str
    features: str


class Aspect(NamedTuple):
    """What reviewers say about one part of a product: ``the <part> <phrase>``."""

    praise: tuple[str, str]
    fault: tuple[str, str]


#: Invented names, whose words have no other meaning in the shop.
# fmt: off
BRANDS: Final = (
    "Veltora", "Nordhusk", "Pellwick", "Quillmere", "Tarnby", "Oskeld", "Brimlo", "Zavenna", "Harrowfen", "Kestova",
    "Lumbrik", "Mirewood", "Obrella", "Pontevar", "Rundale", "Sovarra", "Thornix", "Umbrafeld", "Vexholm", "Wrenlock",
    "Yarrowby", "Zintel", "Aldermoss", "Bexmoor", "Cindrell", "Dovanti", "Elmsworth", "Farrowin", "Gransted",
    "Hollibar", "Ivenko", "Juntara", "Klyberg", "Lorstad", "Maplewyn", "Nubrin", "Ostervik", "Peregra", "Quandell",
    "Rookhaven", "Skarvik", "Tindrell", "Ulvane", "Varnholt", "Copper Finch", "Little Anvil", "Harbor Moth",
    "Three Larks", "Fable Owl", "North Pell", "Lazy Heron", "Tin Badger", "Velvet Ox", "Juniper Yak",
)
# fmt: on

SHELF_COLORS: Final = {
    "outdoor": "black, forest green, sky blue, mustard yellow, olive, crimson",
    "kitchen": "white, teal, black, coral, ivory, sage green",
    "electronics": "black, white, charcoal gray, lavender, navy blue, rose gold",
    "home": "white, beige, charcoal gray, teal, lavender, burgundy",
    "pets": "beige, sky blue, burgundy, charcoal gray, turquoise, olive",
    "clothing": "navy blue, black, burgundy, white, mustard yellow, teal",
    "hobby": "black, turquoise, lavender, coral, maroon, forest green",
}

SHELF_OCCASIONS: Final = {
    "outdoor": "camping, hiking, travel, festivals, summer camp",
    "kitchen": "picnics, christmas, brunch, school, housewarming",
    "electronics": "travel, school, work, christmas, graduation",
    "home": "college, work, housewarming, christmas, guests",
    "pets": "travel, winter, birthdays, camping, christmas",
    "clothing": "weddings, work, travel, graduation, autumn",
    "hobby": "beginners, christmas, travel, birthdays, practice",
}

#: Made of <material> that <quality>.
MATERIALS: Final = {
    "ripstop nylon": "does not tear easily",
    "soft polyester": "dries within the hour",
    "goose down": "holds on to warmth",
    "dense foam": "keeps its shape for years",
    "waxed canvas": "looks better every year",
    "genuine leather": "ages with real grace",
    "stainless steel": "never rusts or stains",
    "borosilicate glass": "takes heat without cracking",
    "tritan plastic": "survives a hard fall",
    "silicone": "wipes clean in seconds",
    "bamboo": "grows back every season",
    "carbon steel": "holds a keen edge",
    "damascus steel": "shows a fine wave pattern",
    "acacia wood": "brings out a rich grain",
    "solid oak": "stands firm for decades",
    "cast iron": "keeps its heat for long",
    "bone china": "feels thin yet sturdy",
    "brushed aluminum": "stays cool and light",
    "tempered glass": "shrugs off small scratches",
    "neoprene": "cushions every small knock",
    "wool felt": "feels warm and dense",
    "memory foam": "follows every curve",
    "organic cotton": "stays soft wash after wash",
    "pure linen": "breathes on warm nights",
    "mulberry silk": "shines with a soft glow",
    "plush fleece": "feels like a warm hug",
    "merino wool": "keeps odors far away",
    "natural rubber": "grips any dry floor",
    "solid cork": "gives a firm hold",
    "mahogany": "rings with a deep tone",
    "maple wood": "adds a bright tone",
    "woven hemp": "never cuts into skin",
}

#: <feature>: it <benefit>.
FEATURES: Final = {
    "waterproof": "keeps out even heavy rain",
    "insulated": "holds its temperature for ten hours",
    "foldable": "packs down to almost nothing",
    "lightweight": "weighs next to nothing",
    "padded": "softens bumps along the way",
    "leakproof": "stays dry even upside down",
    "windproof": "stops cold gusts at once",
    "ergonomic": "sits well in the hand",
    "dishwasher-safe": "comes out of the machine like new",
    "nonslip": "stays put where you place it",
    "hand-forged": "carries the marks of real craft",
    "reversible": "offers two looks in one",
    "stackable": "saves room in a crowded cupboard",
    "wireless": "does away with tangled cables",
    "shockproof": "survives drops onto hard ground",
    "dimmable": "goes from bright to cozy",
    "slim": "slips into any narrow gap",
    "rechargeable": "runs all week on one charge",
    "adjustable": "fits just the way you like",
    "washable": "goes straight into the washer",
    "cooling": "stays pleasantly cool all night",
    "quilted": "traps warm air in soft squares",
    "orthopedic": "takes pressure off tired joints",
    "wrinkle-free": "looks pressed straight from the drawer",
    "hooded": "covers head and neck in storms",
    "handmade": "turns every piece into a one-off",
    "extra-thick": "feels solid under pressure",
}

# fmt: off
CATEGORIES: Final = {
    "sleeping bag": Category(
        "mummy bag", "outdoor", (45, 190), "women's, men's, kids", "",
        "goose down, soft polyester, ripstop nylon", "6 ft, 7 ft, 200 cm",
        "insulated, waterproof, lightweight, quilted",
    ),
    "sleeping pad": Category(
        "camp mattress", "outdoor", (20, 95), "", "",
        "dense foam, ripstop nylon, natural rubber", "2 inch, 3 inch, 4 inch",
        "insulated, foldable, lightweight, extra-thick",
    ),
    "backpack": Category(
        "rucksack", "outdoor", (30, 160), "women's, men's, kids", "",
        "waxed canvas, ripstop nylon, genuine leather", "25 l, 40 l, 65 l",
        "waterproof, padded, lightweight, foldable",
    ),
    "rain cover": Category(
        "pack cover", "outdoor", (9, 35), "", "",
        "ripstop nylon, soft polyester, waxed canvas", "30 l, 45 l, 70 l",
        "windproof, foldable, reversible, lightweight",
    ),
    "water bottle": Category(
        "drink bottle", "kitchen", (12, 45), "kids", "pack of 2, pack of 4",
        "stainless steel, tritan plastic, borosilicate glass", "17 oz, 24 oz, 32 oz",
        "insulated, leakproof, lightweight, dishwasher-safe",
    ),
    "bottle brush": Category(
        "bottle cleaner", "kitchen", (5, 19), "", "set of 2, set of 3",
        "silicone, bamboo, stainless steel", "10 inch, 12 inch, 15 inch",
        "nonslip, ergonomic, dishwasher-safe",
    ),
    "lunch box": Category(
        "bento box", "kitchen", (11, 42), "women's, men's, kids", "set of 2, set of 3",
        "bamboo, stainless steel, tritan plastic", "28 oz, 40 oz, 52 oz",
        "leakproof, insulated, stackable, dishwasher-safe",
    ),
    "ice pack": Category(
        "freezer brick", "kitchen", (6, 24), "", "pack of 4, pack of 6",
        "silicone, tritan plastic, neoprene", "4 oz, 8 oz, 16 oz",
        "leakproof, slim, stackable",
    ),
    "chef knife": Category(
        "cooking knife", "kitchen", (25, 150), "", "",
        "carbon steel, damascus steel, stainless steel", "6 inch, 8 inch, 10 inch",
        "hand-forged, ergonomic, nonslip, lightweight",
    ),
    "cutting board": Category(
        "chopping block", "kitchen", (14, 70), "", "set of 2, set of 3",
        "acacia wood, bamboo, tempered glass", "14 inch, 18 inch, 24 inch",
        "nonslip, reversible, foldable, extra-thick",
    ),
    "teapot": Category(
        "tea kettle", "kitchen", (18, 85), "", "",
        "cast iron, bone china, borosilicate glass", "20 oz, 34 oz, 45 oz",
        "handmade, insulated, dishwasher-safe",
    ),
    "tea infuser": Category(
        "tea strainer", "kitchen", (6, 22), "", "set of 2, set of 4",
        "stainless steel, silicone, bone china", "2 oz, 3 oz, 5 oz",
        "dishwasher-safe, ergonomic, handmade",
    ),
    "phone": Category(
        "smartphone", "electronics", (180, 900), "", "",
        "brushed aluminum, tempered glass, tritan plastic", "64 gb, 128 gb, 256 gb",
        "waterproof, slim, shockproof, foldable",
    ),
    "phone case": Category(
        "phone cover", "electronics", (8, 40), "women's, men's", "pack of 2, pack of 3",
        "silicone, genuine leather, bamboo", "5.8 inch, 6.1 inch, 6.7 inch",
        "shockproof, slim, nonslip, handmade",
    ),
    "laptop": Category(
        "notebook computer", "electronics", (390, 1900), "", "",
        "brushed aluminum, tritan plastic, bamboo", "13 inch, 14 inch, 16 inch",
        "lightweight, slim, shockproof",
    ),
    "laptop sleeve": Category(
        "laptop pouch", "electronics", (15, 60), "women's, men's", "",
        "neoprene, wool felt, genuine leather", "13 inch, 14 inch, 16 inch",
        "padded, waterproof, slim, handmade",
    ),
    "camera": Category(
        "photo camera", "electronics", (120, 990), "kids", "",
        "brushed aluminum, tritan plastic, genuine leather", "16 mp, 24 mp, 45 mp",
        "waterproof, wireless, shockproof, rechargeable",
    ),
    "camera bag": Category(
        "camera pouch", "electronics", (25, 120), "women's, men's", "",
        "waxed canvas, genuine leather, neoprene", "5 l, 8 l, 12 l",
        "padded, waterproof, foldable, adjustable",
    ),
    "desk": Category(
        "writing table", "home", (95, 480), "kids", "",
        "solid oak, bamboo, tempered glass", "40 inch, 48 inch, 55 inch",
        "adjustable, foldable, ergonomic",
    ),
    "desk lamp": Category(
        "reading light", "home", (18, 90), "kids", "set of 2",
        "brushed aluminum, bamboo, cast iron", "12 inch, 16 inch, 20 inch",
        "dimmable, rechargeable, wireless, adjustable",
    ),
    "pillow": Category(
        "cushion", "home", (15, 80), "", "set of 2, set of 4",
        "memory foam, goose down, merino wool", "20 inch, 26 inch, 36 inch",
        "cooling, orthopedic, washable, adjustable",
    ),
    "pillowcase": Category(
        "cushion slip", "home", (9, 55), "kids", "set of 2, set of 4",
        "mulberry silk, organic cotton, pure linen", "20 inch, 26 inch, 36 inch",
        "cooling, washable, wrinkle-free, reversible",
    ),
    "dog bed": Category(
        "puppy couch", "pets", (25, 130), "", "",
        "memory foam, plush fleece, waxed canvas", "24 inch, 36 inch, 42 inch",
        "orthopedic, washable, waterproof, cooling",
    ),
    "dog blanket": Category(
        "puppy throw", "pets", (10, 45), "", "set of 2, set of 3",
        "plush fleece, merino wool, organic cotton", "30 inch, 40 inch, 60 inch",
        "washable, quilted, reversible, waterproof",
    ),
    "rain jacket": Category(
        "raincoat", "clothing", (35, 180), "women's, men's, kids", "",
        "ripstop nylon, soft polyester, waxed canvas", "size s, size m, size xl",
        "hooded, windproof, lightweight, reversible",
    ),
    "umbrella": Category(
        "brolly", "clothing", (12, 60), "women's, men's, kids", "",
        "soft polyester, bamboo, brushed aluminum", "38 inch, 46 inch, 54 inch",
        "windproof, foldable, lightweight, reversible",
    ),
    "dress shirt": Category(
        "button-down", "clothing", (22, 110), "women's, men's", "pack of 2, pack of 3",
        "organic cotton, pure linen, mulberry silk", "size s, size m, size xl",
        "wrinkle-free, slim, cooling, washable",
    ),
    "tie": Category(
        "necktie", "clothing", (12, 75), "men's, kids", "set of 2, set of 3",
        "mulberry silk, merino wool, pure linen", "48 inch, 57 inch, 61 inch",
        "handmade, slim, reversible, washable",
    ),
    "guitar": Category(
        "six-string", "hobby", (90, 700), "kids", "",
        "mahogany, maple wood, bamboo", "34 inch, 38 inch, 41 inch",
        "handmade, lightweight, slim",
    ),
    "guitar strap": Category(
        "instrument strap", "hobby", (10, 55), "women's, men's", "",
        "genuine leather, woven hemp, organic cotton", "40 inch, 50 inch, 62 inch",
        "padded, adjustable, handmade, reversible",
    ),
    "yoga mat": Category(
        "exercise mat", "hobby", (18, 90), "women's, kids", "",
        "natural rubber, solid cork, woven hemp", "4 mm, 6 mm, 10 mm",
        "nonslip, foldable, extra-thick, washable",
    ),
    "yoga block": Category(
        "yoga brick", "hobby", (8, 35), "women's", "set of 2, set of 4",
        "solid cork, dense foam, bamboo", "3 inch, 4 inch, 5 inch",
        "nonslip, lightweight, ergonomic",
    ),
}
# fmt: on

#: Which two categories go with each other: each is the other's only complement.
PAIRS: Final = (
    ("sleeping bag", "sleeping pad"),
    ("backpack", "rain cover"),
    ("water bottle", "bottle brush"),
    ("lunch box", "ice pack"),
    ("chef knife", "cutting board"),
    ("teapot", "tea infuser"),
    ("phone", "phone case"),
    ("laptop", "laptop sleeve"),
    ("camera", "camera bag"),
    ("desk", "desk lamp"),
    ("pillow", "pillowcase"),
    ("dog bed", "dog blanket"),
    ("rain jacket", "umbrella"),
    ("dress shirt", "tie"),
    ("guitar", "guitar strap"),
    ("yoga mat", "yoga block"),
)
COMPLEMENTS: Final = {**dict(PAIRS), **{right: left for left, right in PAIRS}}

#: A title is the non-empty segments, joined by commas; a word in capitals is replaced by the product's attribute.
TITLES: Final = (
    ("BRAND DEPARTMENT FEATURE CATEGORY", "MATERIAL", "COLOR", "SIZE", "PACK"),
    ("BRAND DEPARTMENT CATEGORY in COLOR", "FEATURE MATERIAL", "SIZE", "PACK"),
    ("DEPARTMENT FEATURE MATERIAL CATEGORY by BRAND", "COLOR", "SIZE", "PACK"),
    ("BRAND COLOR MATERIAL CATEGORY", "DEPARTMENT", "FEATURE", "PACK", "SIZE"),
)

#: Queries whose attributes are all in a title, so that a product can be judged by its title.
TITLE_QUERIES: Final = (
    "BRAND COLOR CATEGORY",
    "COLOR CATEGORY BRAND",
    "BRAND CATEGORY SIZE",
    "COLOR MATERIAL CATEGORY",
    "CATEGORY in COLOR by BRAND",
    "BRAND MATERIAL CATEGORY",
    "DEPARTMENT COLOR CATEGORY",
    "DEPARTMENT CATEGORY BRAND",
    "FEATURE CATEGORY COLOR",
    "FEATURE CATEGORY by BRAND",
    "MATERIAL CATEGORY SIZE",
    "SIZE FEATURE CATEGORY",
    "BRAND FEATURE COLOR CATEGORY",
    "COLOR CATEGORY SIZE BRAND",
    "BRAND CATEGORY PACK",
    "PACK COLOR CATEGORY",
)

#: Queries that also name attributes that no title states.
OTHER_QUERIES: Final = (
    "CATEGORY for OCCASION",
    "BRAND CATEGORY PRICE",
    "COLOR CATEGORY PRICE",
    "DEPARTMENT CATEGORY for OCCASION",
    "FEATURE CATEGORY for OCCASION PRICE",
    "CATEGORY PRICE for OCCASION",
    "BRAND SIZE CATEGORY for OCCASION",
    "MATERIAL CATEGORY for OCCASION in COLOR",
    "looking for FEATURE CATEGORY for OCCASION",
    "PACK MATERIAL CATEGORY PRICE",
    "CATEGORY by BRAND with SIZE PRICE",
    "DEPARTMENT FEATURE CATEGORY from BRAND PRICE",
    "CATEGORY in COLOR and PRICE please",
    "OCCASION CATEGORY PACK",
)

PRICE_PHRASES: Final = ("under {} dollars", "under ${}", "less than {} dollars", "below ${}", "up to {} dollars")

#: The entity type of each attribute that a query names (types of the public QueryNER data set).
TAG_TYPES: Final = {
    "CATEGORY": "core_product_type",
    "BRAND": "creator",
    "COLOR": "color",
    "MATERIAL": "material",
    "SIZE": "UoM",
    "DEPARTMENT": "department",
    "FEATURE": "modifier",
    "PACK": "quantity",
    "OCCASION": "occasion",
    "PRICE": "price",
}

ASPECTS: Final = {
    "outdoor": {
        "closure": Aspect(("never snags", "shuts with one pull"), ("jams all the time", "broke on day two")),
        "fabric": Aspect(("feels tough", "kept every drop out"), ("ripped on a twig", "soaks through fast")),
        "stitching": Aspect(("is neat and strong", "holds under load"), ("came undone", "frays at the corners")),
        "weight": Aspect(("is hardly noticeable", "is a relief on long walks"), ("wears me out", "slows me down")),
        "strap": Aspect(("locks firmly", "works with gloves on"), ("snapped in the cold", "keeps slipping open")),
        "storage sack": Aspect(("is roomy enough", "makes packing quick"), ("is far too tight", "has a useless cord")),
    },
    "kitchen": {
        "surface": Aspect(("feels smooth", "stays cool"), ("is uneven", "feels sticky")),
        "finish": Aspect(("still looks new", "resists every stain"), ("flakes off already", "scratches too easily")),
        "smell": Aspect(("is fresh", "was gone after one rinse"), ("will not go away", "reminds me of glue")),
        "cleaning": Aspect(("takes ten seconds", "is really easy"), ("is a chore", "is never quite done")),
        "shape": Aspect(("fits my cupboard", "looks elegant"), ("is awkward to store", "wastes space")),
        "packaging": Aspect(("was plain and plastic free", "kept it safe"), ("arrived crushed", "is wasteful")),
    },
    "electronics": {
        "build": Aspect(("is solid and exact", "could not be better"), ("is flimsy", "creaks at every touch")),
        "surface": Aspect(("feels premium", "hides fingerprints"), ("gets greasy quickly", "scratched on day one")),
        "edge": Aspect(("is smooth to touch", "is well rounded"), ("cuts into my palm", "chipped almost at once")),
        "manual": Aspect(("is short and clear", "answers every question"), ("makes no sense", "is missing pages")),
        "look": Aspect(("is sleek", "gets me compliments"), ("is cheap", "does not match the photos")),
        "delivery": Aspect(("was very fast", "came a day early"), ("took three weeks", "went to the wrong house")),
    },
    "home": {
        "value": Aspect(("is hard to beat", "surprised me"), ("is poor", "left me annoyed")),
        "feel": Aspect(("is a dream", "is cozy"), ("is disappointing", "is cold and hard")),
        "fit": Aspect(("is perfect for my room", "is exact"), ("is off by a hand", "is wrong for my room")),
        "color tone": Aspect(("is just like the photo", "warms up the room"), ("looks dull", "faded in the sun")),
        "sturdiness": Aspect(("is impressive", "beats my old one"), ("is a joke", "leaves me worried")),
        "scent": Aspect(("is pleasant", "is barely there"), ("gave me a headache", "lingers for weeks")),
    },
    "pets": {
        "filling": Aspect(("stays fluffy", "is thick and even"), ("went flat", "clumps in one corner")),
        "seam": Aspect(("survives chewing", "is double stitched"), ("split in a week", "unravels at the edge")),
        "softness": Aspect(("won my dog over", "is wonderful"), ("is gone after one wash", "is not as promised")),
        "sizing": Aspect(("is true to the chart", "is generous"), ("runs very small", "confused us")),
        "underside": Aspect(("grips the floor", "keeps moisture out"), ("slides around", "peels off")),
        "drying time": Aspect(("is short", "is barely an hour"), ("is endless", "takes two days")),
    },
    "clothing": {
        "style": Aspect(("suits every outfit", "gets me compliments"), ("is dated", "was better in the photos")),
        "trim": Aspect(("is a fine touch", "stays in place"), ("tore at once", "is crooked")),
        "dye": Aspect(("stays vivid", "survived ten storms"), ("bleeds in the wash", "is patchy")),
        "length": Aspect(("is spot on", "works for tall people"), ("is too short", "is far off the chart")),
        "texture": Aspect(("is lovely", "has a fine weave"), ("is rough", "pills after one day")),
        "label": Aspect(("is discreet", "is neatly printed"), ("scratches my skin", "is stitched in badly")),
    },
    "hobby": {
        "grip": Aspect(("is rock solid", "holds when I sweat"), ("is slippery", "wears off fast")),
        "balance": Aspect(("is superb", "feels natural"), ("is off", "tires my shoulder")),
        "thickness": Aspect(("is just right", "saves my joints"), ("is not as stated", "makes it bulky")),
        "craftsmanship": Aspect(("is first class", "shows in every detail"), ("is sloppy", "lacks any care")),
        "odor": Aspect(("is faint", "vanished overnight"), ("is strong", "fills the whole room")),
        "carry bag": Aspect(("is a nice extra", "has useful pockets"), ("is flimsy", "was missing")),
    },
}

#: How a reviewer begins; a sentence about the product, or the first words of one about an aspect.
REVIEW_OPENINGS: Final = (
    "",
    "",
    "Honestly, ",
    "After a month, ",
    "For me, ",
    "So far, ",
    "In daily use, ",
    "Bought this {category} in spring. ",
    "My second {category} from {brand}. ",
    "Got the {color} one as a gift. ",
    "Chose this {category} for {occasion}. ",
)

#: How many of four reviewers praise (True) or fault (False) a part, by the kind of summary that follows.
OPINIONS: Final = {
    "most fault": (("LIKED", True, 3), ("ALSO", True, 1), ("FAULT", False, 3)),
    "one faults": (("LIKED", True, 3), ("ALSO", True, 3), ("FAULT", False, 1)),
    "split": (("LIKED", True, 3), ("FAULT", True, 2), ("FAULT", False, 2)),
    "no fault": (("LIKED", True, 3), ("ALSO", True, 3), ("FAULT", True, 1)),
}

#: Each kind of summary in three wordings.
SUMMARIES: Final = {
    "most fault": (
        "Shoppers praise the LIKED, but most of them complain about the FAULT.",
        "The LIKED wins shoppers over, yet the FAULT lets most of them down.",
        "High marks for the LIKED, low marks from most shoppers for the FAULT.",
    ),
    "one faults": (
        "Shoppers praise the LIKED and the ALSO; only one complains about the FAULT.",
        "The LIKED and the ALSO win shoppers over; the FAULT lets only one down.",
        "High marks for the LIKED and the ALSO, one low mark for the FAULT.",
    ),
    "split": (
        "Shoppers praise the LIKED, but they are split over the FAULT.",
        "The LIKED wins shoppers over, while the FAULT divides them evenly.",
        "High marks for the LIKED, mixed marks from shoppers for the FAULT.",
    ),
    "no fault": (
        "Shoppers praise the LIKED and the ALSO, and nobody complains about anything.",
        "The LIKED and the ALSO win shoppers over; nothing lets anyone down.",
        "High marks for the LIKED and the ALSO, and no low marks at all.",
    ),
}

BULLETS: Final = (
    ("Made of {material} that {quality}", "{material}: {quality}"),
    ("{feature}: it {benefit}", "{feature} design {benefit}"),
    ("Ideal for {occasion}", "A good choice for {occasion}", "Made with {occasion} in mind"),
    ("Comes as {amount}", "Measures {amount}", "Sold as {amount}"),
)

#: The house style: greet the product, say what it does, name where it belongs.
DESCRIPTIONS: Final = (
    (
        "Meet the {brand} {category} in {color}.",
        "Say hello to the {brand} {category} in {color}.",
        "Make room for the {brand} {category} in {color}.",
    ),
    ("Made of {material} that {quality}, it {benefit}.", "Its {material} {quality}, and it {benefit}."),
    ("Ready for {occasion} when you are, in {amount}.", "Yours for {occasion} and long after, in {amount}."),
)
