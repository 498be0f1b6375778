"""The columns of a catalog: products added, replaced and removed; their families."""

from __future__ import annotations

import json
import random
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retriever.columns.numeric import NONE, MoneyColumn, NumberColumn
from retriever.columns.table import ProductTable
from retriever.domain.column_rows import ProductRow
from sightline_rules.fields import MARKETS
from tests.unit.retriever.rows import row

FULL = row(
    "a",
    parent_id="p",
    title="T",
    category="Wine > Red",
    brand="B",
    price_micros=5,
    currency="EUR",
    availability="PREORDER",
    tags='["x"]',
    attributes='[["k", 1.0]]',
    create_time=7,
    update_time=8,
    image_hash=2**64 - 1,
)


def held(table: ProductTable, product_id: str) -> ProductRow:
    """Return the columns' values of a product."""
    place = table.place(product_id)
    assert table.alive[place]
    cells: dict[str, Any] = {}
    for column in table.columns.values():
        if column.field is MARKETS:
            cells |= dict.fromkeys(column.field.stored)  # test_markets.py
            continue
        found = (each[0] for each in column.cells(np.array([place])))
        cells |= zip(column.field.stored, found, strict=True)
        if isinstance(column, NumberColumn | MoneyColumn) and column.values[place] == NONE:
            cells |= dict.fromkeys(column.field.stored)
    return ProductRow(table.ids[place], cells, int(table.image_hash[place]))


@pytest.mark.parametrize("given_row", [FULL, row("a"), row("a", price_micros=0, currency="EUR")])
def test_columns_hold_what_was_put(given_row: ProductRow) -> None:
    table = ProductTable([row("before"), given_row])
    assert held(table, "a") == given_row
    assert len(table) == 2
    assert table.places(["a", "nobody", "before"]).tolist() == [1, -1, 0]


def test_what_is_put_again_is_put_over() -> None:
    table = ProductTable([FULL, row("b")])
    place, version = table.place("a"), table.version
    table.put([row("a", title="new")])
    assert held(table, "a") == row("a", title="new")
    assert (table.place("a"), len(table)) == (place, 2)
    assert table.version > version


def test_what_is_removed_is_not_there_and_its_place_is_given_to_no_other() -> None:
    """Check that a search that waits between two steps still finds the product that it saw."""
    table = ProductTable([row("a"), row("b"), row("c")])
    place, version = table.place("b"), table.version
    table.remove(["b", "nobody"])
    assert (len(table), table.place("b"), table.dead) == (2, -1, 1)
    assert not table.alive[place]
    assert table.version > version
    table.put([row("d")])
    table.put([row("b", title="again")])
    assert place not in (table.place("d"), table.place("b"))
    assert table.ids[place] == "b"
    assert held(table, "b").cells["title"] == "again"


def test_no_two_tables_have_one_number() -> None:
    assert ProductTable().number != ProductTable().number


def family(table: ProductTable, product_id: str) -> int:
    return int(table.families(table.places([product_id]))[0])


@pytest.mark.parametrize("names", [["p", "v1", "v2"], ["v1", "v2", "p"], ["v1", "p", "v2"]])
def test_a_parent_is_of_its_variants_family_whichever_comes_first(names: list[str]) -> None:
    table = ProductTable([row("x"), row("y")])
    for name in names:
        table.put([row(name, parent_id="p" if name != "p" else "")])
    assert family(table, "p") == family(table, "v1") == family(table, "v2")
    assert len({family(table, name) for name in ("p", "x", "y")}) == 3


def test_a_product_leaves_a_family_and_joins_another() -> None:
    table = ProductTable([row("p"), row("q"), row("v", parent_id="p")])
    table.put([row("v", parent_id="q")])
    assert family(table, "v") == family(table, "q") != family(table, "p")
    table.put([row("v")])
    assert len({family(table, name) for name in "pqv"}) == 3


NAMES = st.sampled_from("abcdef")
STEPS = st.lists(st.tuples(NAMES, st.none() | st.just("") | NAMES), max_size=40)


@given(STEPS)
def test_families_are_those_of_the_rule(steps: list[tuple[str, str | None]]) -> None:
    """Check after puts and removals: two products are of one family if they have one parent, or one
    is the other's parent."""
    table, parents = ProductTable(), dict[str, str]()
    for name, parent in steps:
        if parent is None:
            table.remove([name])
            parents.pop(name, None)
        elif parent != name:
            table.put([row(name, parent_id=parent)])
            parents[name] = parent
    assert len(table) == len(parents)
    for one, parent in parents.items():
        for other in parents:
            alike = (parent or one) == (parents[other] or other)
            assert (family(table, one) == family(table, other)) == alike, (one, other)
    some = table.places(sorted(parents))
    assert (table.families(some) >= 0).all()
    assert (np.flatnonzero(table.alive[: len(table.ids)]) == np.sort(some)).all()


@pytest.mark.full
@pytest.mark.slow
def test_a_product_takes_at_most_300_bytes() -> None:
    """Measure a catalog whose brands, categories and tags are shared by many products."""
    chance = random.Random(1)
    brands = [f"Brand {number}" for number in range(2_000)]
    paths = [f"Shop > Part {number % 20} > Shelf {number}" for number in range(400)]
    count = 30_000
    table = ProductTable(
        row(
            f"product-{number}",
            parent_id=f"product-{number // 5 * 5}" if number % 5 else "",
            title=f"{chance.choice(brands)} shoe of model {number} in another colour",
            category=chance.choice(paths),
            brand=chance.choice(brands),
            price_micros=chance.randrange(10**9),
            currency="EUR",
            tags=json.dumps([f"tag {chance.randrange(9)}"]),
            create_time=number,
            update_time=number,
            image_hash=chance.getrandbits(64),
        )
        for number in range(count)
    )
    arrays = [item for item in vars(table).values() if isinstance(item, np.ndarray)]
    assert table.nbytes > sum(item.nbytes for item in arrays)
    assert table.nbytes <= 300 * count
