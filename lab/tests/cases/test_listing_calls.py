"""The bench of whole listing calls: its catalog, its requests and its goals."""

from itertools import product
from pathlib import Path

import sqlalchemy as sa

from bench.harness.model import GoalVerdict
from lab.cases.listing_calls import (
    CATEGORIES,
    COLD,
    FACETED,
    LAST,
    ROUNDS,
    SORTS,
    WARM,
    CallFigures,
    goals,
    order_name,
    request_of,
    table,
    write,
)
from local_suite.programs import TARGETS
from retriever.record import tables
from servicekit.sql.database import Database


def test_products_are_in_the_record_with_different_creation_times(tmp_path: Path) -> None:
    write(tmp_path, 45)
    db = Database(
        f"sqlite:///{tmp_path}/retriever/record.db", migrations="retriever.record.migrations"
    )
    try:
        with db.engine.connect() as connection:
            rows = connection.execute(sa.select(tables.products)).mappings().all()
            heads = connection.execute(sa.select(tables.sequences.c.seq)).scalars().all()
    finally:
        db.close()
    assert len({row["create_time"] for row in rows}) == len(rows) == 45
    assert len({row["category"] for row in rows}) == CATEGORIES
    assert heads == [1]


def test_each_cold_page_has_a_filter_of_its_own() -> None:
    asked = [
        request_of(sort, turn, case, ())
        for turn, sort, case in product(range(ROUNDS), SORTS, (COLD, FACETED, WARM))
    ]
    assert len({each.filter.text for each in asked}) == len(asked)
    assert sum(each.HasField("shopper") for each in asked) == len(asked) / len(SORTS)


def test_goals_are_about_all_orders_of_a_shape() -> None:
    found = CallFigures(passing=[50])
    names = [row[1] for row in table_rows(found)]
    assert len(names) == len({*names}) * len(TARGETS)
    verdicts = {each.name: each.verdict for each in goals(found)}
    assert sum(verdict is GoalVerdict.MISSED for verdict in verdicts.values()) == 1
    assert {each.verdict for each in goals(None)} == {GoalVerdict.NOT_MEASURED}


def table_rows(found: CallFigures) -> list[tuple[str, ...]]:
    """Fill all cells, one cold page with more than the goal, and return the table's rows."""
    for target, sort, case in product(TARGETS, SORTS, (COLD, FACETED, WARM, LAST)):
        slow = target == TARGETS[0] and sort == SORTS[-1] and case == COLD
        found.calls[target, order_name(sort), case] = [100.0 if slow else 10.0] * 20
    return list(table(found).rows)
