"""The generated catalogs, and events of their shoppers."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np

from retriever.domain.collection_names import shaped
from retriever.domain.generation import EXACT, Generation, GenerationState
from retriever.domain.product import Attribute, Image, ProductContent, ProductWrite
from retriever.domain.vectors import VectorWrite
from retriever.record import Record
from servicekit.sql.database import Database
from sightline_client import Event, EventType
from sightline_rules.filters import Money

PRODUCTS, KINDS, DIMENSION, SHOPPERS, EVENTS = 600, 12, 64, 60, 1_500
UNTRAINED = "untrained"
"""A catalog of the same products without a model."""
TYPES = {EventType.VIEW: 60, EventType.CLICK: 20, EventType.ADD_TO_CART: 12, EventType.PURCHASE: 8}
"""Types of events, and their shares."""


def product_id(number: int) -> str:
    """Return the id of a product."""
    return f"sku-{number:05}"


def kind_of(number: int) -> str:
    """Return the category of a product."""
    return f"Kind {number % KINDS}"


def write_catalog(data: Path, product: Callable[[int], ProductWrite] | None = None) -> None:
    """Write products, by default `made`, and generated vectors into the record of a retriever that
    has not started."""
    (data / "retriever").mkdir()
    url = f"sqlite:///{data}/retriever/record.db"
    database = Database(url, migrations="retriever.record.migrations")
    database.migrate()
    try:
        for catalog_id in ("default", UNTRAINED):
            asyncio.run(_write_products(Record(database), catalog_id, product or made))
    finally:
        database.close()


async def _write_products(
    record: Record, catalog_id: str, product: Callable[[int], ProductWrite]
) -> None:
    generation = await record.create_generation(
        Generation(
            catalog_id=catalog_id,
            name="made",
            space="visual",
            space_version="made",
            dimension=DIMENSION,
            collection=shaped(f"calls_{catalog_id}"),
            state=GenerationState.READY,
            active=True,
            created=0,
            applied_seq=0,
            applied_time=0,
            check_wanted=False,
            parameters=EXACT,
            of_products=False,
        )
    )
    draw = np.random.default_rng(1)
    looks = draw.standard_normal((KINDS, DIMENSION))[np.arange(PRODUCTS) % KINDS]
    looks += 0.7 * draw.standard_normal(looks.shape)
    looks /= np.linalg.norm(looks, axis=1, keepdims=True)
    await record.write(catalog_id, [product(number) for number in range(PRODUCTS)])
    vectors = [VectorWrite(image_of(n), looks[n].astype(np.float32)) for n in range(PRODUCTS)]
    await record.save_vectors(generation, vectors)


def image_of(number: int) -> str:
    """Return the id of a product's photo."""
    return f"{number:064x}"


def made(number: int) -> ProductWrite:
    """Return a generated product."""
    draw, image = random.Random(number), image_of(number)
    content = ProductContent(
        product_id=product_id(number),
        title=f"Product {number} of {kind_of(number)}",
        description="A product with a sentence that says what it is made of.",
        category_path=("Others" if number >= PRODUCTS - 3 else "Things", kind_of(number)),
        brand=f"Brand {draw.randrange(40)}",
        price=Money("EUR", draw.randrange(5, 200) * 1_000_000),
        tags=("organic", "sale"),
        attributes=(Attribute("color", draw.choice(("red", "blue", "green"))),),
        image_ids=(image,),
    )
    # Random hashes are never of the same picture, so no product collapses.
    return ProductWrite(
        content, {image: Image(image, "image/jpeg", 10, 4, 3, draw.getrandbits(64))}
    )


def shoppers_events(now: datetime) -> list[Event]:
    """Return events of shoppers who prefer two categories each, of the days before this one: on
    which days they are must not depend on the hour, as counts by day would."""
    draw, types = random.Random(1), list(TYPES)
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    found = []
    for number in range(EVENTS):
        shopper = draw.randrange(SHOPPERS)
        kind = (shopper + draw.randrange(2)) % KINDS
        found.append(
            Event(
                event_id=f"event-{number}",
                type=draw.choices(types, list(TYPES.values()))[0],
                product_id=product_id(kind + KINDS * draw.randrange(PRODUCTS // KINDS)),
                user=f"shopper-{shopper}",
                time=midnight - timedelta(minutes=10 * (EVENTS - number)),
            )
        )
    return found
