import ast
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from ranker.record import migrations
from ranker.record.tables import (
    METADATA,
    MIGRATION_LOCK,
)
from servicekit.sql.database import Database, StoreBusy
from tests.stores import only_postgresql, only_sqlite


def test_the_migrations_make_exactly_these_tables(db: Database) -> None:
    assert db.drift(METADATA) == []


@pytest.mark.full
def test_every_process_migrates_under_the_lock_of_0_35_0() -> None:
    assert MIGRATION_LOCK == "ranker.events.record.migrations"
    calls = [
        ast.unparse(node)
        for file in Path(migrations.__path__[0]).parents[1].rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "Database"
    ]
    assert len(calls) == 3
    assert all("migration_lock=MIGRATION_LOCK" in each for each in calls)


@only_sqlite
def test_a_shoppers_history_is_read_through_its_index(db: Database) -> None:
    statement = (
        "EXPLAIN QUERY PLAN SELECT product_id FROM events WHERE catalog_id = 'c' AND actor = 'a' "
        "AND kind = 'INTEREST' ORDER BY time_micros DESC, sequence DESC LIMIT 50"
    )
    with db.engine.connect() as connection:
        plan = " ".join(str(row) for row in connection.execute(sa.text(statement)))
    assert "events_history" in plan
    assert "TEMP B-TREE" not in plan


@pytest.mark.full
@only_postgresql
def test_a_migration_lets_others_at_the_tables_that_it_waits_for(db: Database) -> None:
    with db.engine.begin() as connection:
        _move(connection, command.downgrade, "0020")
    with db.engine.begin() as shopper:
        shopper.exec_driver_sql("SELECT count(*) FROM events")
        with pytest.raises(StoreBusy):
            db.migrate(lock_seconds=0.1)
    assert db.schema().found == "0020"
    db.migrate(lock_seconds=3)
    assert db.drift(METADATA) == []


def _move(connection: sa.Connection, how: Callable[[Config, str], object], revision: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__path__[0])))
    config.attributes["connection"] = connection
    how(config, revision)
