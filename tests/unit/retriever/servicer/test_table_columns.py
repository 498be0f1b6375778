"""Columns that stay in the table say what a message would say, also after writes."""

from __future__ import annotations

import asyncio
import gc
import json
from typing import Any

import pytest

from retriever.columns.table import ProductTable
from retriever.domain.column_rows import ProductRow
from retriever.servicer import column_messages
from retriever.servicer.table_columns import TableColumns, product_columns
from sightline.common.v1.candidate_pb2 import CandidateColumns
from sightline_core.columns import gathered
from tests.unit.retriever.rows import row

NAMES = [field.name for field in CandidateColumns.DESCRIPTOR.fields]
MARKETS = json.dumps([["de", 700, "EUR", "", "Rot"], ["fr", None, "", "OUT_OF_STOCK", ""]])


def products(price: int) -> list[ProductRow]:
    return [
        row("bare"),
        row("own", parent_id="p", title="Red", category="Wine > Red", brand="B", image_hash=9),
        row(
            "full",
            title="White",
            price_micros=price,
            currency="EUR",
            cost_micros=3,
            cost_currency="EUR",
            tags='["x", "y"]',
            attributes='[["k", 1.0], ["k", "v"], ["f", true]]',
            availability="PREORDER",
            create_time=7,
            stock=3,
            rating=45,
            markets=MARKETS,
        ),
    ]


def said(columns: Any) -> dict[str, list[Any]]:
    return {name: list(getattr(columns, name)) for name in NAMES}


def message(table: ProductTable, places: list[int], market_id: str) -> CandidateColumns:
    made = CandidateColumns()
    asyncio.run(column_messages.fill(made, table, places, market_id))
    return made


@pytest.mark.parametrize("market_id", ["", "de", "fr", "us"])
@pytest.mark.parametrize("places", [[0, 1, 2], [2, 0], [0], []])
def test_columns_are_those_of_the_message(places: list[int], market_id: str) -> None:
    table = ProductTable(products(5))
    expected = said(message(table, places, market_id))
    held = product_columns(table, places, market_id)
    ((source, rows),) = held.blocks
    assert said(source) == expected
    assert rows == range(len(places))
    assert [*held.product_ids] == expected["product_ids"]
    for name in ("parent_ids", "image_hashes", "create_time_micros"):
        assert [*getattr(held, name)] == expected[name]
        assert held.read(name, None) == (expected[name] or [None] * len(places))
    assert not hasattr(source, "nothing")


@pytest.mark.parametrize("market_id", ["", "de"])
def test_a_write_does_not_change_what_was_found(market_id: str) -> None:
    table, places = ProductTable(products(5)), [2, 1]
    before = said(message(table, places, market_id))
    ((source, _),) = product_columns(table, places, market_id).blocks
    assert isinstance(source, TableColumns)
    assert [*source.titles] == before["titles"]
    table.put([row("full", title="Other", price_micros=6, currency="USD"), row("own", brand="C")])
    table.remove(["own"])
    assert said(message(table, places, market_id)) != before
    assert said(source) == before


def test_a_table_holds_nothing_for_columns_that_nobody_holds() -> None:
    table = ProductTable(products(5))
    held = product_columns(table, [0])
    for _ in range(2_000):
        product_columns(table, [1])
    gc.collect()
    assert len(table._readers) <= 256
    table.put([row("bare", title="New")])
    assert table._readers == []
    assert held.read("titles", "") == [""]


def test_lists_of_one_table_are_read_together_unless_it_was_written_in_between() -> None:
    table = ProductTable(products(5))
    parts = [(product_columns(table, places), range(len(places))) for places in ([2, 0], [1])]
    ((source, rows),) = gathered(parts).blocks
    assert said(source) == said(message(table, [2, 0, 1], ""))
    assert rows == range(3)
    ((source, _),) = gathered([(parts[0][0], [1]), parts[1]]).blocks
    assert said(source)["titles"] == ["", "Red"]

    table.put([row("own", title="Other")])
    written = gathered([*parts, (product_columns(table, [1]), range(1))])
    assert written.read("titles", "") == ["White", "", "Red", "Other"]
    assert len(written.blocks) == 3
    of_market = (product_columns(table, [1], "de"), range(1))
    assert len(gathered([(product_columns(table, [0]), range(1)), of_market]).blocks) == 2
