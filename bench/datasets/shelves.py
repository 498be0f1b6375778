"""A shop generated from a seed: products with all features that a model learns from, and a ranker's
model of them. Nothing here is measured.
"""

from collections.abc import Sequence

import numpy as np

from ranker.domain.arrays import Floats, Neighbours
from ranker.domain.events import EventType, Interaction
from ranker.domain.features import Money, Product
from ranker.domain.model import Model
from sightline.common.v1 import candidate_pb2, event_pb2, product_pb2
from sightline.ranker.v1 import ranking_service_pb2 as pb

SEED = 20261120
SIZE = 50_000
DIMENSION = 30
NEIGHBOURS = 200
"""Neighbors of each product, the maximum of a recipe."""
BOUGHT_WITH = 20
BRANDS, SORTS, COUNTRIES, TAGS = 500, 200, 30, 100
SHOPPER = "ann"
WEIGHTS = {"visual": 1.0, "taste": 0.1, "session": 0.1, "item_item": 0.1, "bought_together": 0.1}
BLEND = {"taste": 1.0, "session": 2.0, "item_item": 1.0, "bought_together": 0.5}


def products() -> tuple[Product, ...]:
    """Return SIZE products, by id.

    Each has nine features: its own id, three levels of category, brand, price band, country and
    two tags.
    """
    draw = np.random.default_rng(SEED)
    sorts, brands, countries = (
        draw.integers(most, size=SIZE) for most in (SORTS, BRANDS, COUNTRIES)
    )
    prices, tags = draw.lognormal(3, 1, SIZE), draw.integers(TAGS, size=(SIZE, 2))
    return tuple(
        Product(
            product_id=f"product-{row:06}",
            category=f"Wine > Kind {sorts[row] % 10} > Sort {sorts[row]}",
            brand=f"Brand {brands[row]}",
            price=Money(int(prices[row] * 100) * 10_000, "EUR"),
            tags=tuple(f"Tag {tag}" for tag in tags[row]),
            attributes=(("country", f"Country {countries[row]}"),),
        )
        for row in range(SIZE)
    )


def model(vectors: Floats, biases: Floats, shopper: Floats, actor: str = SHOPPER) -> Model:
    """Make a model of all products with these vectors, and of one shopper.

    Its neighbours are random: their number decides the cost, not their identity.
    """
    draw = np.random.default_rng(SEED + 1)
    ids = tuple(f"product-{row:06}" for row in range(SIZE))
    return Model(
        version="lfm-bench",
        item_ids=ids,
        item_rows={item: row for row, item in enumerate(ids)},
        item_vectors=np.ascontiguousarray(vectors, np.float32),
        item_biases=np.ascontiguousarray(biases, np.float32),
        actor_rows={actor: 0},
        actor_vectors=np.ascontiguousarray(shopper[None], np.float32),
        feature_rows={},
        feature_names=(),
        feature_vectors=np.zeros((0, vectors.shape[1]), np.float32),
        feature_biases=np.zeros(0, np.float32),
        score_scale=1.0,
        attribute_keys=("country",),
        neighbours={
            "item_item": _neighbours(draw, len(ids), NEIGHBOURS),
            "bought_together": _neighbours(draw, len(ids), BOUGHT_WITH),
        },
        blend=BLEND,
    )


def drawn_model(actor: str) -> Model:
    """Make a model with random vectors."""
    draw = np.random.default_rng(SEED + 2)
    vectors = draw.normal(scale=0.3, size=(SIZE, DIMENSION)).astype(np.float32)
    biases = draw.normal(scale=0.3, size=SIZE).astype(np.float32)
    shopper = draw.normal(scale=0.3, size=DIMENSION).astype(np.float32)
    return model(vectors, biases, shopper, actor)


def history(actor: str, now_micros: int, events: int = 20) -> tuple[Interaction, ...]:
    """Return a shopper's recent events, newest first. Every third event is a purchase."""
    draw = np.random.default_rng(SEED + 3)
    return tuple(
        Interaction(
            actor=actor,
            product_id=f"product-{row:06}",
            type=EventType.VIEW if place % 3 else EventType.PURCHASE,
            value=None,
            time_micros=now_micros - place * 60_000_000,
            event_id=f"{actor}-{place}",
        )
        for place, row in enumerate(draw.choice(SIZE, events, replace=False).tolist())
    )


def request(shown: Sequence[Product], **fields: object) -> pb.RankRequest:
    """Return the gateway's request for these candidates by SHOPPER, with every column."""
    draw = np.random.default_rng(SEED + 4)
    attribute = product_pb2.Attribute
    made = pb.RankRequest(
        shopper=event_pb2.Shopper(user_id=SHOPPER),
        candidates=candidate_pb2.CandidateColumns(
            product_ids=[one.product_id for one in shown],
            parent_ids=[""] * len(shown),
            category_paths=[one.category for one in shown],
            brands=[one.brand for one in shown],
            price_micros=[one.price.micros if one.price else -1 for one in shown],
            currencies=["EUR"] * len(shown),
            availabilities=[product_pb2.AVAILABILITY_IN_STOCK] * len(shown),
            tags=[candidate_pb2.TextList(values=one.tags) for one in shown],
            attributes=[
                candidate_pb2.AttributeList(
                    values=[attribute(key=key, text=text) for key, text in one.attributes]
                )
                for one in shown
            ],
            create_time_micros=[1_700_000_000_000_000] * len(shown),
        ),
        branches=[
            pb.BranchSignal(branch="visual", similarities=draw.uniform(0.2, 1, len(shown)).tolist())
        ],
        fused=draw.uniform(0, 0.03, len(shown)).tolist(),
        weights=[pb.PartWeight(part=part, weight=weight) for part, weight in WEIGHTS.items()],
        session_id="visit",
    )
    made.MergeFrom(pb.RankRequest(**fields))  # type: ignore[arg-type]
    return made


def _neighbours(draw: np.random.Generator, count: int, each: int) -> Neighbours:
    # Drawn with replacement; duplicates are rare among so many.
    items = np.sort(draw.integers(count, size=(count, each), dtype=np.int32), axis=1)
    weights = draw.random(count * each, dtype=np.float32)
    return Neighbours(np.arange(0, count * each + 1, each), items.ravel(), weights)
