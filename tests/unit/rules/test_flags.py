"""Flags, a kind of field that no product's field has: a table of one flag shows that every part of
the system evaluates it alike.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from gateway.clients import columns as gateway_columns
from gateway.ranking import passing
from retriever.adapters.milvus.indexed import indexed
from retriever.columns.column import AskedFacet
from retriever.columns.table import column_of
from retriever.domain import field_codecs, validation
from retriever.record import tables
from retriever.servicer import column_messages, product_messages
from sightline_core.columns import ProductColumns
from sightline_rules import messages
from sightline_rules.evaluation.columns import AskedColumn
from sightline_rules.evaluation.texts import Lookups
from sightline_rules.evaluation.work import finish
from sightline_rules.fields import FIELDS, Field, check
from sightline_rules.filters import Comparison, Filter, Operator
from sightline_rules.kinds import FlagKind
from tests.unit.rules.evaluators import conditions

ORGANIC = Field(
    name="organic",
    kind=FlagKind(),
    summary="Certified organic.",
    candidate=("organics",),
    filtered=True,
    faceted=True,
)
FLAGS = st.lists(st.none() | st.booleans(), min_size=1, max_size=4)
LEAVES = conditions(ORGANIC.name, ORGANIC.kind)


class Message(SimpleNamespace):
    """Stand-in for a message with the optional field `organic`."""

    def HasField(self, name: str) -> bool:
        return getattr(self, name) is not None


def by_columns(facts: list[bool | None], leaf: Any) -> list[bool]:
    column, places = column_of(ORGANIC), np.arange(len(facts))
    column.grow(len(facts))
    column.fill(range(len(facts)), [field_codecs.cells(ORGANIC, fact) for fact in facts])
    return flags(column.asked([leaf], places, Lookups()), leaf)


def flags(asked: AskedColumn, leaf: Any) -> list[bool]:
    finish(asked.look_up())
    return asked.flags(leaf).tolist()


def by_sql(facts: list[bool | None]) -> list[bool | None]:
    metadata, database = sa.MetaData(), sa.create_engine("sqlite://")
    table = sa.Table("t", metadata, sa.Column("n", sa.Integer), *tables._of_field(ORGANIC))
    metadata.create_all(database)
    read = field_codecs.fact_reader(ORGANIC)
    with database.begin() as connection:
        rows = [{"n": n, **field_codecs.cells(ORGANIC, fact)} for n, fact in enumerate(facts)]
        connection.execute(sa.insert(table), rows)
        found = connection.execute(sa.select(table).order_by(table.c.n))
        return [read(row._mapping) for row in found]


def by_candidates(facts: list[bool | None], leaf: Any) -> list[bool]:
    cells = [gateway_columns._cells(ORGANIC, Message(organic=fact))[0] for fact in facts]
    block = (SimpleNamespace(organics=cells), range(len(facts)))
    names = [str(n) for n in range(len(facts))]
    return flags(passing.column_of(ProductColumns(names, blocks=[block]), ORGANIC, [leaf]), leaf)


def accepted(fact: bool | None, leaf: Filter, *, negated: bool) -> bool:
    column = indexed(ORGANIC)
    expression = column.expression(leaf, negated=negated)
    return not expression or bool(
        eval(expression, {"__builtins__": {}}, {"seq": 0, **column.numbers(fact)})  # noqa: S307
    )


def test_a_flag_is_a_field_like_any_other() -> None:
    check((*FIELDS, ORGANIC))


@given(FLAGS, LEAVES)
def test_all_evaluators_agree_on_flags(facts: list[bool | None], leaf: Any) -> None:
    expected = [ORGANIC.kind.passes(fact, leaf) for fact in facts]
    assert by_columns(facts, leaf) == expected
    assert by_sql(facts) == facts
    assert by_candidates(facts, leaf) == expected
    for fact, passed in zip(facts, expected, strict=True):
        assert accepted(fact, leaf, negated=False) or not passed
        assert accepted(fact, leaf, negated=True) or passed
        assert messages.fact(ORGANIC, Message(organic=fact)) is fact
        if fact is not None:
            assert product_messages._reader(ORGANIC.kind)(fact) is fact
        assert validation.checker(ORGANIC)(lambda *_: None, fact) is fact
    assert product_messages._encoder(ORGANIC.kind) is None
    assert FlagKind not in column_messages._LISTS


def test_flags_are_counted() -> None:
    column = column_of(ORGANIC)
    column.grow(4)
    flags = (True, None, False, True)
    column.fill(range(4), [field_codecs.cells(ORGANIC, flag) for flag in flags])
    counted = column.counted(AskedFacet("organic", 9), np.arange(4))
    assert counted.codes.tolist() == [1, -1, 0, 1]
    assert not counted.ranged
    decoded = [counted.decode(code) for code in (1, 0)]
    said = [counted.say(value) for each in decoded for value in counted.pick(each)]
    assert said == [
        ("true", Comparison("organic", Operator.EQUAL, True)),
        ("false", Comparison("organic", Operator.EQUAL, False)),
    ]
