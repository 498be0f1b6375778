"""Shops generated from a seed: realistic products, with generated vectors.

They are written into a suite's record before its start, in the retriever's own format; the worker
fills the engine as after a loss of data. Events are written by the public API.
"""

import asyncio
import hashlib
import random
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bench.harness import engines
from bench.harness.engines import image_id
from retriever.domain.collection_names import shaped
from retriever.domain.generation import (
    EXACT,
    TEXT_SPACE,
    Generation,
    GenerationState,
    IndexParameters,
)
from retriever.domain.product import Attribute, Image, ProductContent, ProductWrite
from retriever.domain.vectors import VectorWrite
from retriever.record import Record
from servicekit.sql.database import Database
from sightline_rules.filters import Availability, Money

SEED = 16
BATCH = 1_000
CLUSTERS, SPREAD, APART = 400, 0.7, 0.1
"""Number of centers of the vectors; variants of one product are closer to each other."""
UNAVAILABLE = 10
"""One in this many products is not buyable."""
PICTURED = 3_000
"""Number of products with the same picture, if there are any."""
BRANDS = 500
ADJECTIVES = (
    *("Classic", "Light", "Warm", "Slim", "Soft", "Bold"),
    *("Urban", "Alpine", "Nordic", "Retro", "Sporty", "Elegant"),
)
MATERIALS = (
    *("Cotton", "Wool", "Linen", "Leather", "Denim"),
    *("Silk", "Fleece", "Cashmere", "Canvas", "Suede"),
)
KINDS: Mapping[str, Sequence[str]] = {
    "Tops": ("Shirt", "T-Shirt", "Sweater", "Hoodie", "Blouse", "Cardigan"),
    "Bottoms": ("Jeans", "Chinos", "Skirt", "Shorts", "Leggings"),
    "Shoes": ("Sneaker", "Boot", "Sandal", "Loafer", "Pump"),
    "Outerwear": ("Coat", "Parka", "Blazer", "Raincoat", "Vest"),
    "Accessories": ("Scarf", "Belt", "Hat", "Bag", "Glove", "Watch"),
}
COLORS = (
    *("black", "white", "red", "blue", "green", "beige"),
    *("brown", "grey", "navy", "pink", "yellow", "purple"),
)
SIZES = ("XS", "S", "M", "L", "XL")
TAGS = (
    *("organic", "sale", "new", "vegan", "handmade"),
    *("waterproof", "recycled", "summer", "winter", "limited"),
)

Floats = npt.NDArray[np.float32]


class Variants(StrEnum):
    """Grouping of products into families."""

    NONE = "none"
    THIRD = "a third are variants"
    THIRTY = "each product has 30 variants"
    FIFTY = "all are variants of 50 products"
    PICTURE = "none, but 3,000 products show one picture"


@dataclass(frozen=True, slots=True)
class MadeCatalog:
    """Description of a generated catalog."""

    catalog: str
    count: int
    dimension: int
    variants: Variants = Variants.THIRD
    parameters: IndexParameters = EXACT
    text_version: str = ""
    """Version of the text space. If set, the catalog has these vectors, and no photos."""

    @property
    def photo_count(self) -> int:
        """Number of photos in the index."""
        return self.count

    def content(self, number: int) -> ProductContent:
        """Return a product's content without its vector."""
        draw = random.Random(f"{SEED}/{self.place(number)}")
        part = draw.choice(list(KINDS))
        kind = draw.choice(KINDS[part])
        adjective, material = draw.choice(ADJECTIVES), draw.choice(MATERIALS)
        brand = f"Brand {int(BRANDS * draw.random() ** 2)}"
        price = int(draw.lognormvariate(3.5, 0.7) * 100) * 10_000
        own = random.Random(f"{SEED}/own/{number}")
        color, size = own.choice(COLORS), own.choice(SIZES)
        sold_out = own.randrange(UNAVAILABLE) == 0
        return ProductContent(
            product_id=product_id(number),
            parent_id=self.parent(number),
            title=f"{adjective} {material} {kind} {color} {number}",
            description=f"A {adjective.lower()} {kind.lower()} of {material.lower()} in {color}.",
            category_path=("Clothing", part, kind),
            brand=brand,
            price=Money("EUR", price),
            availability=Availability.OUT_OF_STOCK if sold_out else Availability.IN_STOCK,
            tags=tuple(sorted(own.sample(TAGS, 3))),
            attributes=(
                Attribute("color", color),
                Attribute("material", material.lower()),
                Attribute("size", size),
            ),
            image_ids=() if self.text_version else (self.image(number),),
        )

    def place(self, number: int) -> int:
        """Return the first product of a product's group."""
        if self.variants is Variants.THIRD:
            return number - 1 if number % 3 == 2 else number
        if self.variants in (Variants.THIRTY, Variants.FIFTY):
            return number - number % 31
        return number

    def parent(self, number: int) -> str:
        """Return the product's parent, or an empty text."""
        if self.variants is Variants.FIFTY:
            return f"style-{number // 31 % 50}"
        place = self.place(number)
        return "" if place == number else product_id(place)

    def image(self, number: int) -> str:
        """Return the id of the product's photo."""
        return image_id(self.pictured(number))

    def pictured(self, number: int) -> int:
        """Return the number of the product whose photo is shown."""
        return 0 if self.variants is Variants.PICTURE and number < PICTURED else number

    def vectors(self) -> Floats:
        """Return unit vectors, (count, dimension); those of variants are close together."""
        rng = np.random.default_rng([SEED, self.dimension])
        centres = rng.standard_normal((CLUSTERS, self.dimension), np.float32)
        of = rng.integers(0, CLUSTERS, self.count)
        looks = centres[of] + SPREAD * rng.standard_normal((self.count, self.dimension), np.float32)
        # Compared catalogs have the same vectors, with or without variants.
        close = self.variants if self.variants is Variants.THIRD else Variants.THIRTY
        places = [
            MadeCatalog("", self.count, 0, close).place(number) for number in range(self.count)
        ]
        looks = looks[places] + APART * rng.standard_normal(looks.shape, np.float32)
        looks /= np.linalg.norm(looks, axis=1, keepdims=True)
        return np.asarray(looks, np.float32)

    def buyable(self) -> list[str]:
        """Return the ids of the products that are in stock."""
        contents = map(self.content, range(self.count))
        return [each.product_id for each in contents if each.availability is Availability.IN_STOCK]

    def kinds(self) -> dict[str, list[str]]:
        """Return the ids of the products by category."""
        found = defaultdict(list)
        for number in range(self.count):
            content = self.content(number)
            found[" > ".join(content.category_path)].append(content.product_id)
        return dict(found)

    def words(self, count: int) -> list[str]:
        """Return texts that shoppers may type to find the products."""
        draw = random.Random(f"{SEED}/words")
        parts = [kind for kinds in KINDS.values() for kind in kinds]
        return [
            f"{draw.choice(COLORS)} {draw.choice(ADJECTIVES)} {draw.choice(parts)}".lower()
            + draw.choice(("", f" {draw.choice(MATERIALS)}", " for winter", " for the summer"))
            for _ in range(count)
        ]


def product_id(number: int) -> str:
    """Return a product's id by its number, as long as a typical id of a shop."""
    return f"sku-{number:07}"


def write(data: Path, catalogs: Sequence[MadeCatalog]) -> None:
    """Write catalogs into the record of a suite that has not started yet."""
    folder = data / "retriever"
    folder.mkdir(parents=True, exist_ok=True)
    db = Database(f"sqlite:///{folder}/record.db", migrations="retriever.record.migrations")
    db.migrate()
    try:
        for made in catalogs:
            asyncio.run(_write(Record(db), made))
    finally:
        db.close()


async def _write(record: Record, made: MadeCatalog) -> None:
    generation = await record.create_generation(_generation(made))
    vectors = made.vectors()
    for start in range(0, made.count, BATCH):
        numbers = range(start, min(start + BATCH, made.count))
        await record.write(made.catalog, list(_products(made, numbers)))
        texts = bool(made.text_version)
        given = [
            VectorWrite("", vectors[n], product_id(n))
            if texts
            else VectorWrite(made.image(n), vectors[n])
            for n in numbers
            if made.pictured(n) == n
        ]
        await record.save_vectors(generation, given)


def _products(made: MadeCatalog, numbers: range) -> Iterator[ProductWrite]:
    for number in numbers:
        content = made.content(number)
        images = {}
        for name in content.image_ids:
            # Random hashes are never of the same picture, so no product collapses.
            digest = hashlib.blake2b(name.encode(), digest_size=8).digest()
            images[name] = Image(name, "image/jpeg", 10, 4, 3, int.from_bytes(digest))
        yield ProductWrite(content, images)


def _generation(made: MadeCatalog) -> Generation:
    space = TEXT_SPACE if made.text_version else engines.SPACE
    return Generation(
        catalog_id=made.catalog,
        name="made",
        space=space,
        space_version=made.text_version or engines.VERSION,
        dimension=made.dimension,
        collection=shaped(f"sightline_{space}_{made.catalog}"),
        state=GenerationState.READY,
        active=True,
        created=0,
        applied_seq=0,
        applied_time=0,
        check_wanted=False,
        parameters=made.parameters,
        of_products=bool(made.text_version),
    )
