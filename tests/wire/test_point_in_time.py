"""Point-in-time recovery of the record on PostgreSQL, by the page's commands."""

import os
import re
import shutil
import subprocess
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ranker.domain.selection import Selection
from ranker.record.events import EventRecord
from ranker.record.selections import SelectionRecord
from ranker.record.tables import MIGRATIONS
from servicekit.sql.database import Database
from tests.fakes.ranker import KEY, event, stored
from tests.postgres import NoPostgreSQL, PostgreSQL, as_nobody, postgresql
from tests.waiting import until

pytestmark = pytest.mark.slow
PAGE = Path(__file__).parents[2] / "docs" / "operate" / "disaster.md"


def settings(block: str, archive: Path) -> Mapping[str, str]:
    """Return the settings of PostgreSQL that the page shows below a line with this text."""
    shown = PAGE.read_text("utf-8").partition(block)[2].partition("```\n")[2].partition("```")[0]
    found = dict(re.findall(r"^(\w+) = '?(.*?)'?$", shown, re.M))
    assert found, block
    return {name: value.replace("/wal", str(archive)) for name, value in found.items()}


@pytest.mark.full
async def test_the_record_goes_back_to_a_moment_between_two_writes() -> None:
    try:
        with postgresql(durable=False) as server:
            await _goes_back(server)
    except NoPostgreSQL as error:
        pytest.skip(str(error))


async def _goes_back(server: PostgreSQL) -> None:
    archive, base = server.folder / "wal", server.folder / "base"
    _as_server("/bin/mkdir", archive)
    server.stop()
    server.options = {**server.options, **settings("archive its log", archive)}
    server.start()
    server.execute("CREATE DATABASE ranker")
    database = Database(server.url("ranker"), migrations=MIGRATIONS)
    database.migrate()
    _backup_of_the_base(server, base)
    moment = await _written(database)
    database.close()
    await _archived(server)
    server.stop()
    await _restored(server, base, settings("To go back, stop", archive), moment)
    await _is_of_the_moment(server)


def _backup_of_the_base(server: PostgreSQL, base: Path) -> None:
    line = re.search(r"^\$ (pg_basebackup .*)$", PAGE.read_text("utf-8"), re.M)
    assert line is not None
    words = line[1].replace("/backups/base", str(base)).split()
    program = str(server.programs / words[0])
    place = ["-h", str(server.folder), "-U", "postgres"]
    _as_server(program, *words[1:], *place)


def _as_server(*command: object) -> None:
    """Run it under the account that the server runs under."""
    line = [*as_nobody(), *map(str, command)]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert not done.returncode, done.stderr


async def _written(database: Database) -> datetime:
    """Write three events. Return the time after the second."""
    events = EventRecord(database)
    await events.append([stored("first")])
    await events.append([stored("second")])
    moment = datetime.now(UTC)
    await events.append([stored("mistake")])
    return moment


async def _archived(server: PostgreSQL) -> None:
    """Wait until everything written is in the archive, which takes `archive_timeout` at most."""
    segment = b"SELECT pg_walfile_name(pg_switch_wal())"
    done = b"SELECT last_archived_wal >= %s FROM pg_stat_archiver"
    with server.connect() as connection:
        last = connection.execute(segment).fetchone()
        await until(lambda: connection.execute(done, last).fetchone() == (True,))


async def _restored(
    server: PostgreSQL, base: Path, recovery: Mapping[str, str], moment: datetime
) -> None:
    """Delete the data, and restore the base backup with the log after it."""
    shutil.rmtree(server.folder / "data")
    os.rename(base, server.folder / "data")
    _as_server("/bin/touch", server.folder / "data/recovery.signal")
    server.options = {
        **server.options,
        **recovery,
        "recovery_target_time": moment.isoformat(),
    }
    since = time.monotonic()
    server.start()
    with server.connect() as connection:
        ready = b"SELECT NOT pg_is_in_recovery()"
        await until(lambda: connection.execute(ready).fetchone() == (True,))
    print(f"recovered in {time.monotonic() - since:.1f} s")


async def _is_of_the_moment(server: PostgreSQL) -> None:
    database = Database(server.url("ranker"), migrations=MIGRATIONS)
    try:
        shopper = KEY.of("default", event().shopper)  # type: ignore[arg-type]
        found = await EventRecord(database).events_of("default", shopper, limit=9, before=None)
        assert {one.event.event_id for one in found} == {"first", "second"}
        await EventRecord(database).append([stored("after")])  # it is a database like any other
        counted = await SelectionRecord(database).count(Selection("default"))
        assert counted.event_count == 3
    finally:
        database.close()
