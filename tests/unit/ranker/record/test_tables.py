import ast
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from ranker.domain.signals import DEFAULTS
from ranker.record import migrations
from ranker.record.counting import fold
from ranker.record.events import _interaction, _row
from ranker.record.tables import (
    COUNT_PAIRS,
    EVENTS,
    METADATA,
    MIGRATION_LOCK,
    MIGRATIONS,
    PROMOTION_LOG,
    PROMOTIONS,
)
from servicekit.sql.database import Database, StoreBusy
from tests.fakes.ranker import stored
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


def test_what_was_promoted_before_there_was_a_log_can_be_rolled_back_to(tmp_path: Path) -> None:
    made = Database(f"sqlite:///{tmp_path}/old.db", migrations=MIGRATIONS)
    with made._migration_connection() as connection:
        _upgrade(connection, "0001")
        models = sa.Table("models", sa.MetaData(), autoload_with=connection)
        for at, version in ((1, "v1"), (3, "v2"), (2, "v3"), (None, "v4")):
            row = {column.name: 0 for column in models.c} | {
                "catalog_id": "default",
                "version": version,
                "promoted_micros": at,
            }
            connection.execute(sa.insert(models).values(row))
        serving = {"catalog_id": "default", "version": "v2"}
        connection.execute(sa.insert(PROMOTIONS).values(serving))
    made.migrate()
    with made.engine.connect() as connection:
        log = connection.execute(sa.select(PROMOTION_LOG.c.version).order_by("sequence"))
        assert list(log.scalars()) == ["v1", "v3", "v2"]
    made.close()


def test_what_was_stored_before_there_were_counts_is_counted(tmp_path: Path) -> None:
    made = Database(f"sqlite:///{tmp_path}/old.db", migrations=MIGRATIONS)
    with made._migration_connection() as connection:
        _upgrade(connection, "0010")
        for number, item in enumerate(["a", "b", ""]):
            one = stored(f"{number}", product_id=item, time_micros=-1)
            columns = _row(connection, one, _interaction(one))
            del columns["arm"], columns["unproven"], columns["new_visitor"]  # of later migrations
            connection.execute(sa.insert(EVENTS).values(columns))
    made.migrate()
    with made.engine.begin() as connection:
        assert fold(connection, DEFAULTS).units
        pairs = connection.execute(sa.select(COUNT_PAIRS.c.product_id, COUNT_PAIRS.c.other_id))
        assert ("a", "b") in pairs.all()
    made.close()


@pytest.mark.full
@only_postgresql
def test_a_migration_lets_others_at_the_tables_that_it_waits_for(db: Database) -> None:
    with db.engine.begin() as connection:
        _move(connection, command.downgrade, "0012")
    with db.engine.begin() as shopper:
        shopper.exec_driver_sql("SELECT count(*) FROM events")
        with pytest.raises(StoreBusy):
            db.migrate(lock_seconds=0.1)
    assert db.schema().found == "0012"
    db.migrate(lock_seconds=3)
    assert db.drift(METADATA) == []


def _upgrade(connection: sa.Connection, revision: str) -> None:
    _move(connection, command.upgrade, revision)


def _move(connection: sa.Connection, how: Callable[[Config, str], object], revision: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__path__[0])))
    config.attributes["connection"] = connection
    how(config, revision)
