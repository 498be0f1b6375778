import sqlalchemy as sa

from ranker.record.tables import METADATA
from servicekit.sql import Database


def test_the_migrations_make_exactly_these_tables(db: Database) -> None:
    assert db.drift(METADATA) == []


def test_a_shoppers_history_is_read_through_its_index(db: Database) -> None:
    statement = (
        "EXPLAIN QUERY PLAN SELECT product_id FROM events WHERE catalog_id = 'c' AND actor = 'a' "
        "AND kind = 'INTEREST' ORDER BY time_micros DESC, sequence DESC LIMIT 50"
    )
    with db.engine.connect() as connection:
        plan = " ".join(str(row) for row in connection.execute(sa.text(statement)))
    assert "events_history" in plan
    assert "TEMP B-TREE" not in plan
