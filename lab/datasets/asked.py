"""Typical shopper queries in our own words, and the products that answer them.

They were written before any measurement and have not changed since. Add queries by the products
alone, without looking at results.
"""

import csv
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from examples.wines.catalogue import Wine

WINES: Mapping[str, Callable[[Wine], bool]] = {
    "light red wine for fish": lambda w: w.type == "Red" and "ight-bodied" in w.attributes.body,
    "something bubbly to celebrate with": lambda w: w.type == "Sparkling",
    "champagne style wine": lambda w: w.type == "Sparkling",
    "pink wine for the summer": lambda w: w.type == "Rosé",
    "sweet wine to go with cake": lambda w: "Dessert" in w.type,
    "port wine": lambda w: w.type == "Dessert/Port",
    "wine for a steak dinner": lambda w: w.type == "Red" and "Beef" in w.tags,
    "wine with oysters and mussels": lambda w: bool({"Shellfish", "Seafood"} & {*w.tags}),
    "goes with sushi": lambda w: any("Fish" in t or "food" in t for t in w.tags if "Sp" not in t),
    "for a cheese plate": lambda w: any("Cheese" in tag for tag in w.tags),
    "wine for venison or wild boar": lambda w: "Game Meat" in w.tags,
    "vegetarian dinner": lambda w: "Vegetarian" in w.tags,
    "wine for lasagne": lambda w: "Pasta" in w.tags,
    "wine for hot indian curry": lambda w: "Spicy Food" in w.tags,
    "italian red": lambda w: w.type == "Red" and w.attributes.country == "Italy",
    "french white wine": lambda w: w.type == "White" and w.attributes.country == "France",
    "portuguese wine": lambda w: w.attributes.country == "Portugal",
    "wine from California": lambda w: w.attributes.country == "United States",
    "american pinot": lambda w: (
        w.attributes.country == "United States" and "Pinot Noir" in w.attributes.grapes
    ),
    "wine from down under": lambda w: w.attributes.country == "Australia",
    "german riesling": lambda w: (
        w.attributes.country == "Germany" and "Riesling" in w.attributes.grapes
    ),
    "south american red wine": lambda w: (
        w.type == "Red" and w.attributes.country in {"Chile", "Argentina", "Brazil", "Uruguay"}
    ),
    "pinot noir": lambda w: "Pinot Noir" in w.attributes.grapes,
    "shiraz": lambda w: "Syrah/Shiraz" in w.attributes.grapes,
    "chardonnay": lambda w: "Chardonnay" in w.attributes.grapes,
    "nebbiolo from piedmont": lambda w: "Nebbiolo" in w.attributes.grapes,
    "cabernet": lambda w: any("Cabernet" in grape for grape in w.attributes.grapes),
    "muscat": lambda w: "Muscat/Moscato" in w.attributes.grapes,
    "big heavy red": lambda w: w.type == "Red" and w.attributes.body == "Very full-bodied",
    "chateau bordeaux": lambda w: (
        w.attributes.country == "France" and "Cabernet Sauvignon" in w.attributes.grapes
    ),
    "crisp white with high acidity": lambda w: w.type == "White" and w.attributes.acidity == "High",
    "rose from provence": lambda w: w.type == "Rosé" and w.attributes.country == "France",
}
"""Wines by query; X-Wines' data of a wine decide whether it answers the query."""

GROCERY: Mapping[str, frozenset[str]] = {
    text: frozenset(classes.split())
    for text, classes in {
        "citrus fruit": "Lemon Lime Orange Satsumas Red-Grapefruit",
        "sour yellow fruit for tea": "Lemon",
        "tropical fruit": "Mango Papaya Passion-Fruit Pineapple Banana Kiwi",
        "stone fruit": "Nectarine Peach Plum Mango Avocado",
        "green apple": "Granny-Smith",
        "red apple": "Red-Delicious Pink-Lady Royal-Gala",
        "apples": "Golden-Delicious Granny-Smith Pink-Lady Red-Delicious Royal-Gala",
        "pears": "Anjou Conference Kaiser",
        "melons": "Cantaloupe Galia-Melon Honeydew-Melon Watermelon",
        "mandarin": "Satsumas Tropicana-Mandarin-Morning",
        "for making guacamole": "Avocado",
        "mashed potatoes": "Floury-Potato",
        "spuds": "Floury-Potato Solid-Potato Sweet-Potato",
        "eggplant": "Aubergine",
        "courgette": "Zucchini",
        "beetroot for borscht": "Red-Beet",
        "capsicum": "Green-Bell-Pepper Orange-Bell-Pepper Red-Bell-Pepper Yellow-Bell-Pepper",
        "peppers": "Green-Bell-Pepper Orange-Bell-Pepper Red-Bell-Pepper Yellow-Bell-Pepper",
        "vegetables for a salad": "Cucumber Beef-Tomato Regular-Tomato Vine-Tomato Carrots"
        " Green-Bell-Pepper Orange-Bell-Pepper Red-Bell-Pepper Yellow-Bell-Pepper Avocado",
        "tomatoes": "Beef-Tomato Regular-Tomato Vine-Tomato",
        "tomato for a hamburger": "Beef-Tomato",
        "mushrooms": "Brown-Cap-Mushroom",
        "something to flavour asian food": "Ginger Garlic",
        "onions": "Yellow-Onion Leek Garlic",
        "orange root vegetable": "Carrots Sweet-Potato",
        "milk without lactose": "Arla-Lactose-Medium-Fat-Milk",
        "plant based milk": "Oatly-Oat-Milk Alpro-Fresh-Soy-Milk Alpro-Shelf-Soy-Milk",
        "vegan yogurt": "Oatly-Natural-Oatghurt Alpro-Blueberry-Soyghurt Alpro-Vanilla-Soyghurt",
        "organic milk": "Arla-Ecological-Medium-Fat-Milk Garant-Ecological-Medium-Fat-Milk"
        " Garant-Ecological-Standard-Milk",
        "vanilla yogurt": "Alpro-Vanilla-Soyghurt Arla-Mild-Vanilla-Yoghurt Valio-Vanilla-Yoghurt"
        " Yoggi-Vanilla-Yoghurt",
        "strawberry": "Yoggi-Strawberry-Yoghurt",
        "low fat yogurt": "Arla-Natural-Mild-Low-Fat-Yoghurt",
        "creme fraiche": "Arla-Sour-Cream Arla-Ecological-Sour-Cream",
        "buttermilk": "Arla-Sour-Milk",
        "apple juice": "Bravo-Apple-Juice God-Morgon-Apple-Juice Tropicana-Apple-Juice",
        "oj": "Bravo-Orange-Juice God-Morgon-Orange-Juice Tropicana-Juice-Smooth",
        "grapefruit drink": "God-Morgon-Red-Grapefruit-Juice Tropicana-Golden-Grapefruit"
        " God-Morgon-Orange-Red-Grapefruit-Juice",
        "breakfast juice": "Bravo-Apple-Juice Bravo-Orange-Juice God-Morgon-Apple-Juice"
        " God-Morgon-Orange-Juice God-Morgon-Orange-Red-Grapefruit-Juice"
        " God-Morgon-Red-Grapefruit-Juice Tropicana-Apple-Juice Tropicana-Golden-Grapefruit"
        " Tropicana-Juice-Smooth Tropicana-Mandarin-Morning",
    }.items()
}
"""Classes of GroceryStoreDataset by query that they answer."""

LANGUAGES: Mapping[str, str] = {
    "English": "en",
    "German": "de",
    "French": "fr",
    "Spanish": "es",
    "Italian": "it",
    "Chinese": "zh",
    "Dutch": "nl",
    "Polish": "pl",
    "Portuguese": "pt",
    "Russian": "ru",
    "Arabic": "ar",
    "Korean": "ko",
    "Japanese": "ja",
}
"""BCP 47 codes by language."""

with (Path(__file__).parent / "asked_names.csv").open(encoding="utf-8", newline="") as _file:
    NAMES: Mapping[str, Mapping[str, str]] = {
        row.pop("class"): row for row in csv.DictReader(_file)
    }
"""Names of coarse classes of GroceryStoreDataset by language code; their products answer the query.
"""


@dataclass(frozen=True, slots=True)
class TypedQuestion:
    """A typed query and the products that answer it."""

    text: str
    answers: frozenset[str]
    """Product ids, at least one."""
    language: str = ""
    """BCP 47 code that the request says; empty: none."""
