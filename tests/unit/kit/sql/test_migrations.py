"""Creation of a store's tables by one process while others wait, and columns of later releases."""

import re
import runpy
from collections.abc import Iterator
from pathlib import Path

import pytest

from servicekit.sql.database import Database
from servicekit.sql.migrations import DONE, FAILED, TO_DO, MigrationSettings, command, settle
from tests.fakes.kit_store import METADATA, MIGRATIONS

ROOT = Path(__file__).parents[4]
RUN, WAIT = MigrationSettings(migrations="run"), MigrationSettings(migrations="wait")


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    made = Database(f"sqlite:///{tmp_path}/store.db", migrations=MIGRATIONS)
    yield made
    made.close()


def later(db: Database, *statements: str) -> None:
    """Change a store as a later release does."""
    with db.engine.begin() as connection:
        for statement in (*statements, "UPDATE alembic_version SET version_num = '0003'"):
            connection.exec_driver_sql(statement)


def test_the_command_says_what_is_to_do_does_it_once_and_then_finds_nothing(
    db: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = {"check": [True], "do": [False, True, False]}
    assert [command(db, METADATA, check=each) for each in asked["check"]] == [TO_DO]
    said = capsys.readouterr().out
    assert "no tables; to do: 1\n  0002  All tables" in said
    assert db.schema().found == ""
    assert [command(db, METADATA, check=each) for each in asked["do"]] == [DONE, DONE, DONE]
    said = capsys.readouterr().out
    assert "0002  applied after" in said
    assert said.count("the store is at 0002: nothing to do") == 2


def test_a_store_that_is_away_is_an_error_in_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "folder.db").mkdir()
    away = Database(f"sqlite:///{tmp_path}/folder.db", migrations=MIGRATIONS)
    assert command(away, METADATA, check=True) == FAILED
    assert "error: the store can't be reached: unable to open" in capsys.readouterr().err


def test_who_waits_does_so_until_the_job_has_done_it(
    db: Database, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    looks: list[float] = []

    def sleep(seconds: float) -> None:
        looks.append(seconds)
        if len(looks) == 3:
            job = Database(f"sqlite:///{tmp_path}/store.db", migrations=MIGRATIONS)
            assert command(job, METADATA, check=False) == DONE

    settle(db, METADATA, WAIT, sleep)
    assert len(looks) == 3
    assert db.schema().missing == {}
    logged = capsys.readouterr().out
    assert logged.count("waiting for migrations") == 1
    assert "wanted" in logged
    assert "0002" in logged


def test_who_does_not_wait_makes_the_tables(db: Database) -> None:
    settle(db, METADATA, RUN)
    assert db.drift(METADATA) == []


@pytest.mark.parametrize("settings", [RUN, WAIT])
def test_a_store_of_a_release_before_the_first_migration_is_refused(
    db: Database, settings: MigrationSettings, capsys: pytest.CaptureFixture[str]
) -> None:
    db.migrate()
    with db.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0000'")
    with pytest.raises(SystemExit, match=r"start a release of 0\.30 to 0\.39 once"):
        settle(db, METADATA, settings)
    assert command(db, METADATA, check=False) == FAILED
    assert "error: the store is at 0000, of a release before 0.30" in capsys.readouterr().err


NOT_NULL = (
    "id INTEGER PRIMARY KEY, shelf_id TEXT NOT NULL REFERENCES shelf(id), label TEXT NOT NULL"
)


@pytest.mark.parametrize("settings", [RUN, WAIT])
@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE more (id TEXT NOT NULL)",
        "ALTER TABLE bottle ADD COLUMN year INTEGER",
        "ALTER TABLE bottle ADD COLUMN year INTEGER NOT NULL DEFAULT 0",
        "CREATE INDEX labels ON bottle (label)",
    ],
)
def test_what_a_later_release_adds_stops_nobody(
    db: Database, settings: MigrationSettings, statement: str
) -> None:
    db.migrate()
    later(db, statement)
    settle(db, METADATA, settings)
    assert command(db, METADATA, check=False) == DONE
    assert db.schema().found == "0003"


@pytest.mark.parametrize(
    ("statements", "problem"),
    [
        (["DROP TABLE bottle"], "the table bottle is gone"),
        (["ALTER TABLE bottle DROP COLUMN label"], "the column bottle.label is gone"),
        (["ALTER TABLE bottle RENAME label TO name"], "the column bottle.label is gone"),
        (["ALTER TABLE bottle RENAME TO flask"], "the table bottle is gone"),
        (
            ["CREATE UNIQUE INDEX one ON bottle (label)"],
            "a new constraint of bottle rejects rows: one",
        ),
        (
            ["DROP TABLE bottle", f"CREATE TABLE bottle ({NOT_NULL}, year INTEGER NOT NULL)"],
            "the column bottle.year is new and required",
        ),
        (
            [
                "DROP TABLE bottle",
                f"CREATE TABLE bottle ({NOT_NULL}, CONSTRAINT short CHECK (id < 9))",
            ],
            "a new constraint of bottle rejects rows: short",
        ),
        (
            [
                "DROP TABLE bottle",
                f"CREATE TABLE bottle ({NOT_NULL.replace('label TEXT', 'label INTEGER')})",
            ],
            "the column bottle.label is INTEGER",
        ),
    ],
)
def test_what_a_later_release_takes_away_or_asks_for_is_named(
    db: Database, statements: list[str], problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    db.migrate()
    later(db, *statements)
    with pytest.raises(SystemExit, match=problem):
        settle(db, METADATA, RUN)
    assert command(db, METADATA, check=False) == FAILED
    assert problem in capsys.readouterr().err


@pytest.mark.slow
def test_the_commands_of_the_page_do_what_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = (ROOT / "docs/operate/upgrading.md").read_text()
    typed = re.findall(r"^\$ python -m (.+)$", page, re.MULTILINE)
    for name in ("RETRIEVER", "RANKER"):
        monkeypatch.setenv(f"{name}_DATABASE_URL", f"sqlite:///{tmp_path}/{name}.db")
    ends = []
    for line in typed:
        monkeypatch.setattr("sys.argv", line.split())
        with pytest.raises(SystemExit) as ended:
            runpy.run_module(line.split()[0], run_name="__main__")
        ends.append(ended.value.code)
    assert ends == [TO_DO, TO_DO, DONE, DONE]
    assert capsys.readouterr().err == ""
