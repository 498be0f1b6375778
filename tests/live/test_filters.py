"""Filters in a real Milvus Lite, against the reference in `sightline_rules`."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np

from retriever import filters
from retriever.milvus import MilvusIndex
from retriever.model import IndexRow
from sightline_rules.filters import (
    FIELDS,
    All,
    Availability,
    Comparison,
    Facts,
    Filter,
    Membership,
    Money,
    Operator,
    Time,
    Value,
    check,
    passes,
)
from tests.engines import milvus_lite

TEXTS = ["red", "Red", "it's", 'say "hi"', "\\", '" or 1 == 1', "') or seq > 0 --", "红", "%", "_"]
PATHS = ["", "Wine", "Wine > Red", "Wine > Red > Dry", "Wine > White", "it's > \\", "红 > 葡萄"]
MICROS = [0, 1, 5_000_000, 2**63 - 1]
TIMES = [0, 1, 1_700_000_000_000_000]
ROWS = 400
ROUNDS = 150


def value(field: str, chance: random.Random) -> Value:
    kind = FIELDS[field].kind
    if kind is Money:
        return Money(chance.choice(["EUR", "USD"]), chance.choice(MICROS))
    if kind is Availability:
        return chance.choice(list(Availability))
    if kind is Time:
        return Time(chance.choice([-1, *TIMES]))
    return chance.choice([*PATHS, *TEXTS]) if field == "category" else chance.choice(TEXTS)


def facts(chance: random.Random) -> Facts:
    price = Money(chance.choice(["EUR", "USD"]), chance.choice(MICROS))
    return Facts(
        category=chance.choice(PATHS),
        brand=chance.choice(["", *TEXTS]),
        price=chance.choice([None, price]),
        availability=chance.choice(list(Availability)),
        tags=frozenset(chance.sample(TEXTS, chance.randrange(5))),
        create_time=Time(chance.choice(TIMES)),
        update_time=Time(chance.choice(TIMES)),
    )


def condition(chance: random.Random, depth: int = 0) -> Filter:
    if depth < 3 and chance.random() < 0.4:
        return All(tuple(condition(chance, depth + 1) for _ in range(chance.randrange(4))))
    field = chance.choice(list(FIELDS))
    if chance.random() < 0.3:
        return Membership(field, tuple(value(field, chance) for _ in range(chance.randrange(4))))
    operator: Operator = chance.choice(sorted(FIELDS[field].operators))
    return Comparison(field, operator, value(field, chance))


async def test_the_engine_passes_what_the_rules_pass(tmp_path: Path) -> None:
    chance = random.Random(20)
    rng = np.random.default_rng(20)
    rows = [
        IndexRow(
            row_id=f"{number:032x}",
            seq=number + 1,
            product_id=str(number),
            image_id="i",
            facts=facts(chance),
            vector=rng.standard_normal(4).astype(np.float32),
        )
        for number in range(ROWS)
    ]
    with milvus_lite(tmp_path / "milvus") as engine:
        index = MilvusIndex(engine.uri)
        await index.create("filters", 4)
        await index.upsert("filters", rows[: ROWS // 2])
        await index.flush("filters")  # half of the rows in a file, half in memory
        await index.upsert("filters", rows[ROWS // 2 :])
        told = 0
        for _ in range(ROUNDS):
            asked = check(condition(chance))
            hits = await index.search("filters", [rows[0].vector], asked, ROWS, None)
            found = {hit.row_id for hit in hits}
            expected = {row.row_id for row in rows if passes(asked, row.facts)}
            assert expected <= found, filters.compile_filter(asked)
            again = {row.row_id for row in rows if row.row_id in found and passes(asked, row.facts)}
            assert again == expected
            told += 0 < len(expected) < ROWS
        assert told > ROUNDS / 3, "too few filters tell products apart"
        await index.close()
