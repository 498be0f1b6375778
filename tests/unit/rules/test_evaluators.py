"""All evaluators of filters agree, on every field and kind that the table of fields has.

A new field is covered as soon as it is in the table.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any as Anything

import numpy as np
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from gateway.clients.columns import columns_of_rows
from gateway.model.filters import carried, of_words
from gateway.ranking.passing import passing as passing_candidates
from retriever.adapters.milvus import filters as engine
from retriever.columns.conditions import Conditions
from retriever.columns.table import ProductTable
from retriever.domain.column_rows import HELD, ProductRow
from retriever.domain.filter_parts import indexed_parts
from retriever.domain.product import Product
from retriever.record.filter_matches import holds
from retriever.record.products import FACTS, content_values, passing
from retriever.record.tables import products as table
from retriever.servicer import column_messages, product_messages
from sightline.common.v1.candidate_pb2 import CandidateColumns
from sightline.common.v1.filter_pb2 import Filter as FilterMessage
from sightline_rules import messages
from sightline_rules.evaluation.conditions import judged
from sightline_rules.evaluation.work import finish
from sightline_rules.facts import passes
from sightline_rules.filter_checks import check
from sightline_rules.filters import All, Filter, FilterInvalidError
from sightline_rules.markets import localized, within
from sightline_rules.rejections import rejection, words
from tests.unit.rules.evaluators import FILTERS, LEAVES, PRODUCTS, product

pytestmark = pytest.mark.slow
SOME = st.lists(PRODUCTS, min_size=1, max_size=4)


@pytest.fixture(scope="module")
def store() -> Iterator[sa.Connection]:
    """Yield a record's empty table of products."""
    database = sa.create_engine("sqlite://")
    table.create(database)
    with database.connect() as connection:
        yield connection


def checked(condition: Filter) -> bool:
    try:
        check(condition)
    except FilterInvalidError:
        return False
    return True


def cells(held: Product) -> dict[str, Anything]:
    times = {"create_time": held.create_time, "update_time": held.update_time}
    return content_values(held.content) | times


def by_columns(held: Sequence[Product], condition: Filter) -> list[bool]:
    rows = [ProductRow(each.content.product_id, cells(each), 0) for each in held]
    asked = Conditions(ProductTable(rows)).asked([condition], np.arange(len(rows)))
    return finish(asked.passing())[0].tolist()


def by_sql(store: sa.Connection, held: Sequence[Product], condition: Filter) -> list[bool]:
    """Return which rows match by the record's indexes, for each part that they answer."""
    store.execute(sa.delete(table))
    beside = {"catalog_id": "c", "etag": "", "seq": 1, "touched": 1}
    store.execute(sa.insert(table), [cells(each) | beside for each in held])
    every = sa.select(table.c.product_id, *FACTS)
    found = {row.product_id for row in passing(store.execute(every), condition)}
    for part in indexed_parts(condition):
        rows = store.execute(every.where(holds(part)))
        assert {row.product_id for row in passing(rows, condition)} == found
    return [each.content.product_id in found for each in held]


def by_candidates(held: Sequence[Product], condition: Filter) -> list[bool] | None:
    """Return the gateway's results on columns as the retriever makes them; None if it lacks some
    field."""
    columns = columns_of_rows([product_messages.row(each) for each in held])
    (found,) = asyncio.run(passing_candidates(columns, [condition]))
    return None if found is None else [each.content.product_id in found for each in held]


def accepted(held: Product, condition: Filter) -> bool:
    """Return whether the engine's expression matches a product's row."""
    expression = engine.compile_filter(condition).replace("\n", " ")
    row = {"seq": 0, **engine.columns(held.facts)}
    return not expression or bool(eval(expression, {"__builtins__": {}}, row))  # noqa: S307


@given(SOME, FILTERS.filter(checked))
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_all_evaluators_agree(
    store: sa.Connection, several: list[dict[str, Anything]], condition: Filter
) -> None:
    held = [product(f"p{number}", values) for number, values in enumerate(several)]
    expected = [passes(condition, each.facts) for each in held]
    assert by_columns(held, condition) == expected
    assert by_sql(store, held, condition) == expected
    assert by_candidates(held, condition) in (expected, None)
    assert finish(judged(condition, [each.facts for each in held])).tolist() == expected
    assert [rejection(condition, each.facts) is None for each in held] == expected
    for each, passed in zip(held, expected, strict=True):
        assert accepted(each, condition) or not passed
        assert messages.facts(product_messages.row(each)) == each.facts


def in_market(held: Product, market_id: str) -> Product:
    """Return the product with the values of a market as its own."""
    for each in held.content.markets:
        if each.market_id == market_id:
            given = {name: getattr(each, name) for name in ("price", "availability", "title")}
            values: Anything = {name: value for name, value in given.items() if value}
            return replace(held, content=replace(held.content, **values))
    return held


@given(SOME, FILTERS.filter(checked), st.sampled_from(["de", "ch-fr", "nowhere"]))
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_filter_in_a_market_asks_for_the_values_of_the_market(
    store: sa.Connection, several: list[dict[str, Anything]], condition: Filter, market_id: str
) -> None:
    held = [product(f"p{number}", values) for number, values in enumerate(several)]
    sold = [
        not each.content.markets or market_id in [m.market_id for m in each.content.markets]
        for each in held
    ]
    expected = [
        there and passes(condition, in_market(each, market_id).facts)
        for there, each in zip(sold, held, strict=True)
    ]
    there = within(condition, market_id)
    assert [passes(there, each.facts) for each in held] == expected
    assert by_columns(held, there) == expected
    assert by_sql(store, held, there) == expected
    assert finish(judged(there, [each.facts for each in held])).tolist() == expected
    assert [rejection(there, each.facts) is None for each in held] == expected
    for each, passed in zip(held, expected, strict=True):
        assert accepted(each, there) or not passed


def _columns(table: ProductTable, market_id: str = "") -> CandidateColumns:
    message = CandidateColumns()
    asyncio.run(column_messages.fill(message, table, [0], market_id))
    return message


@given(PRODUCTS, st.sampled_from(["", "de", "nowhere"]))
@settings(max_examples=50, deadline=None)
def test_a_product_and_its_columns_have_the_values_of_a_market(
    values: dict[str, Anything], market_id: str
) -> None:
    held = product("p", values)
    there = in_market(held, market_id)
    message = localized(product_messages.row(held), market_id)
    expected = product_messages.row(there)
    for name in ("price", "availability", "title"):
        assert getattr(message, name) == getattr(expected, name)
    assert bool(message.markets) == bool(held.content.markets and not market_id)
    ours = ProductTable([ProductRow("p", cells(held), 0)])
    assert ours.title(0, market_id) == there.content.title
    alone = ProductTable([ProductRow("p", cells(there), 0)])
    assert _columns(ours, market_id) == _columns(alone)


@given(PRODUCTS)
@settings(max_examples=50, deadline=None)
def test_columns_of_memory_and_of_whole_products_are_one_message(
    values: dict[str, Anything],
) -> None:
    held = product("p", values)
    ours = ProductTable([ProductRow("p", cells(held), 0)])
    said = _columns(ours)
    whole = columns_of_rows([product_messages.row(held)]).blocks[0][0]
    for field in (field for field in HELD if field.shown):
        for name in field.candidate:
            assert list(getattr(said, name) or getattr(whole, name)) == list(getattr(whole, name))


@given(PRODUCTS, LEAVES.filter(checked))
@settings(max_examples=200, deadline=None)
def test_a_condition_means_the_same_as_words_and_as_a_message(
    values: dict[str, Anything], condition: Filter
) -> None:
    text = words(condition)
    assume(text != "nothing")
    facts = product("p", values).facts
    sent: Anything = of_words(text).message
    assert carried(FilterMessage.FromString(sent.SerializeToString())).content
    assert passes(messages.read(sent), facts) == passes(condition, facts)
    assert passes(All((condition,)), facts) == passes(condition, facts)
