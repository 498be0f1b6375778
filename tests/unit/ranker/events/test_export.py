"""Exports are complete, bounded, and continue after a kill."""

import asyncio
import errno
import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq  # type: ignore[import-untyped]
import pytest

from ranker.adapters.export_store import UNFINISHED, ExportFile, ExportStore
from ranker.domain.erasure import Person
from ranker.domain.errors import ExportUnwritable
from ranker.domain.events import DAY_MICROS, EventType
from ranker.domain.features import Money
from ranker.domain.selection import COLUMNS, Selection, params, request_key, selection_of
from ranker.events import export
from ranker.events.export import EXPORT, MANIFEST
from ranker.record.events import EventRecord
from ranker.record.selections import SelectionRecord
from ranker.record.tables import JOBS
from servicekit.clock import new_id
from servicekit.jobs.queue import Job, Jobs
from servicekit.jobs.worker import JobLeft
from servicekit.sql.database import Database
from tests.broken_files import BROKEN
from tests.fakes.ranker import HOUR, NOW, stored


@pytest.fixture
async def events(db: Database, monkeypatch: pytest.MonkeyPatch) -> EventRecord:
    """Return 23 events of this catalog among others, exported in files of at most eight rows."""
    monkeypatch.setattr(export, "GROUP_ROWS", 4)
    monkeypatch.setattr(export, "FILE_ROWS", 8)
    record = EventRecord(db)
    for n in range(23):
        await record.append([stored(f"e{n}", at=n), stored(f"o{n}", "other")])
    return record


@pytest.fixture
def jobs(db: Database) -> Jobs:
    return Jobs(db, JOBS)


async def claimed(db: Database, jobs: Jobs, **conditions: object) -> Job:
    """Return an export of these events that this process has claimed."""
    last = await SelectionRecord(db).last_sequence("default")
    extent = Selection("default", last_sequence=last, **conditions)  # type: ignore[arg-type]
    await jobs.create(EXPORT, "default", params(extent))
    job = await jobs.claim((EXPORT,), "me", 30)
    assert job is not None
    return job


async def run(db: Database, jobs: Jobs, job: Job, folder: Path, stop: asyncio.Event | None = None):
    files = ExportStore(str(folder)).folder("default", job.id)
    return await export.run(job, SelectionRecord(db), files, jobs, stop or asyncio.Event())


def ids(folder: Path) -> list[str]:
    """Return the events in the files that the manifest names, after a check of the files."""
    manifest = json.loads((folder / MANIFEST).read_text())
    found: list[str] = []
    for part in manifest["files"]:
        data = (folder / part["name"]).read_bytes()
        assert hashlib.sha256(data).hexdigest() == part["sha256"]
        table = pq.read_table(folder / part["name"])
        assert (len(data), table.num_rows) == (part["byte_count"], part["row_count"])
        found += table.column("event_id").to_pylist()
    assert manifest["event_count"] == len(found)
    assert {one.name for one in folder.iterdir()} == {
        MANIFEST,
        *(part["name"] for part in manifest["files"]),
    }
    return found


@pytest.mark.full
async def test_every_event_is_there_once_in_files_of_bounded_size(
    db: Database, events: EventRecord, jobs: Jobs, tmp_path: Path
) -> None:
    job = await claimed(db, jobs)
    await events.append([stored("too late")])
    result = await run(db, jobs, job, tmp_path / "x")
    folder = tmp_path / "x" / "default" / job.id
    assert result == {"folder": f"file://{folder}", "event_count": "23"}
    assert ids(folder) == [f"e{n}" for n in range(23)]
    files = [pq.ParquetFile(one) for one in sorted(folder.glob("*.parquet"))]
    assert [file.metadata.num_rows for file in files] == [8, 8, 7]
    assert {file.metadata.row_group(0).num_rows for file in files} == {4}
    ended = await jobs.get(job.id)
    assert (ended.done, ended.total) == (23, 23)


async def test_a_row_says_all_but_who_it_was_and_what_opens_an_answer(
    db: Database, jobs: Jobs, tmp_path: Path
) -> None:
    given = stored(
        "e1",
        type=EventType.PURCHASE,
        session_id="s",
        value=1.5,
        quantity=2,
        unit_price=Money(12_340_000, "EUR"),
        order_id="o",
        attribution_token="secret",
        scene="home",
        query="q",
        unproven=True,
    )
    await EventRecord(db).append([given])
    job = await claimed(db, jobs)
    await run(db, jobs, job, tmp_path)
    (file,) = (tmp_path / "default" / job.id).glob("*.parquet")
    table = pq.read_table(file)
    assert table.column_names == [one.name for one in COLUMNS]
    (row,) = table.to_pylist()
    assert "attribution_token" not in row
    assert (row["actor"], row["session"]) == (given.actor, given.session)
    assert row["event_time"] == datetime.fromtimestamp(NOW / 1e6, UTC)
    assert (row["type"], row["value"], row["quantity"]) == ("PURCHASE", 1.5, 2)
    assert (row["unit_price_micros"], row["currency"]) == (12_340_000, "EUR")
    assert row["sample_share"] == 1.0
    assert (row["unproven"], row["new_visitor"]) == (True, False)
    assert row["query"] == ""
    assert row["order_id"] != "o"
    assert len(row["order_id"]) == 32


async def exported(db: Database, jobs: Jobs, folder: Path, **shown: bool) -> list[dict[str, Any]]:
    """Return the rows of an export of everything, by `params_of`."""
    last = await SelectionRecord(db).last_sequence("default")
    extent = Selection("default", last_sequence=last)
    await jobs.create(EXPORT, "default", export.params_of(extent, **shown))
    job = await jobs.claim((EXPORT,), "me", 30)
    assert job is not None
    await run(db, jobs, job, folder)
    await jobs.finish(job)
    (file,) = (folder / "default" / job.id).glob("*.parquet")
    manifest = json.loads((file.parent / MANIFEST).read_text())
    assert {name: manifest[name] for name in shown} == shown
    assert job.params["order_salt"] not in json.dumps(manifest)
    rows: list[dict[str, Any]] = pq.read_table(file).to_pylist()
    return rows


async def test_orders_stay_together_but_are_nobodys_and_queries_are_left_out_unless_asked_for(
    db: Database, jobs: Jobs, tmp_path: Path
) -> None:
    bought = [("e1", "order-17"), ("e2", "order-17"), ("e3", "order-18"), ("e4", "")]
    await EventRecord(db).append([stored(e, order_id=o, query="Ann") for e, o in bought])
    hidden, again = [
        await exported(db, jobs, tmp_path, order_ids=False, queries=False) for _ in range(2)
    ]
    first, second, third, none = [row["order_id"] for row in hidden]
    assert first == second != third
    assert none == ""
    assert "17" not in {first, third}
    assert {row["query"] for row in hidden} == {""}
    assert again[0]["order_id"] != first
    shown = await exported(db, jobs, tmp_path, order_ids=True, queries=True)
    assert [row["order_id"] for row in shown] == [order for _, order in bought]
    assert {row["query"] for row in shown} == {"Ann"}


async def test_only_what_fits_the_conditions_is_exported(
    db: Database, events: EventRecord, jobs: Jobs, tmp_path: Path
) -> None:
    await events.append([stored("seen", type=EventType.IMPRESSION, at=5)])
    job = await claimed(
        db,
        jobs,
        from_micros=NOW + 5 * HOUR,
        before_micros=NOW + 8 * HOUR,
        types=(EventType.VIEW,),
    )
    await run(db, jobs, job, tmp_path)
    assert ids(tmp_path / "default" / job.id) == ["e5", "e6", "e7"]


async def test_of_nothing_there_is_a_manifest_without_files(
    db: Database, jobs: Jobs, tmp_path: Path
) -> None:
    job = await claimed(db, jobs)
    assert (await run(db, jobs, job, tmp_path))["event_count"] == "0"
    assert ids(tmp_path / "default" / job.id) == []


async def test_taken_up_again_it_goes_on_after_the_last_whole_file(
    db: Database, events: EventRecord, jobs: Jobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job, stop, commit = await claimed(db, jobs), asyncio.Event(), ExportFile.commit

    async def stopping(self: ExportFile, name: str) -> None:
        await commit(self, name)
        stop.set()

    monkeypatch.setattr(ExportFile, "commit", stopping)
    with pytest.raises(JobLeft):
        await run(db, jobs, job, tmp_path, stop)
    folder = tmp_path / "default" / job.id
    (first,) = folder.glob("*.parquet")
    written = first.stat().st_mtime_ns
    (folder / UNFINISHED).write_bytes(b"what a killed worker left")
    await run(db, jobs, job, tmp_path)
    assert ids(folder) == [f"e{n}" for n in range(23)]
    assert first.stat().st_mtime_ns == written


async def test_a_full_disk_is_reported_and_leaves_nothing_unfinished(
    db: Database, events: EventRecord, jobs: Jobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(self: ExportFile, rows: object) -> None:
        raise ExportUnwritable(OSError(errno.ENOSPC, "No space left on device").strerror)

    monkeypatch.setattr(ExportFile, "add", full)
    job = await claimed(db, jobs)
    with pytest.raises(ExportUnwritable, match="No space left"):
        await run(db, jobs, job, tmp_path)
    assert list((tmp_path / "default" / job.id).iterdir()) == []


async def test_a_folder_that_can_not_be_made_is_reported(
    db: Database, events: EventRecord, jobs: Jobs, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(ExportUnwritable):
        await run(db, jobs, await claimed(db, jobs), tmp_path / "file")


async def test_in_a_bucket(db: Database, events: EventRecord, jobs: Jobs) -> None:
    job = await claimed(db, jobs)
    files = ExportStore("memory://exports").folder("default", job.id)
    result = await export.run(job, SelectionRecord(db), files, jobs, asyncio.Event())
    assert result["event_count"] == "23"
    names = sorted(await files.names())
    assert (len(names), names[-1]) == (4, MANIFEST)


def test_a_request_asked_again_is_the_same_job_also_when_events_came_in() -> None:
    one, later = (Selection("default", NOW, last_sequence=n) for n in (3, 9))
    assert request_key("r", one) == request_key("r", later)
    assert request_key("r", one) != request_key("r", Selection("default", NOW, from_micros=1))
    assert request_key("", one) == ""
    assert selection_of("default", params(one)) == one


async def test_exports_are_deleted_after_their_term_and_other_folders_stay(tmp_path: Path) -> None:
    old, young = (new_id(NOW + days * DAY_MICROS) for days in (-8, -6))
    for name in (old, young, "notes"):
        (tmp_path / "default" / name).mkdir(parents=True)
        (tmp_path / "default" / name / MANIFEST).write_text("{}")
    store = ExportStore(str(tmp_path))
    catalogs = ("default", "none")
    assert await export.expire(catalogs, store, 7.0, lambda: NOW) == 1
    assert {path.name for path in (tmp_path / "default").iterdir()} == {young, "notes"}
    assert await export.expire(catalogs, store, 7.0, lambda: NOW) == 0


@pytest.mark.first(2)
@pytest.mark.parametrize("damage", BROKEN)
async def test_a_damaged_file_of_an_earlier_attempt_is_written_again(
    db: Database, events: EventRecord, jobs: Jobs, tmp_path: Path, damage: str
) -> None:
    job = await claimed(db, jobs)
    await run(db, jobs, job, tmp_path)
    folder = tmp_path / "default" / job.id
    _, second, _ = sorted(folder.glob("*.parquet"))
    BROKEN[damage](second)
    await run(db, jobs, job, tmp_path)
    assert ids(folder) == [f"e{n}" for n in range(23)]


@pytest.mark.first(2)
@pytest.mark.parametrize("damage", BROKEN)
async def test_a_person_is_erased_from_all_exports_though_files_of_some_are_damaged(
    db: Database, events: EventRecord, jobs: Jobs, tmp_path: Path, damage: str
) -> None:
    folders = []
    for _ in range(3):
        job = await claimed(db, jobs)
        await run(db, jobs, job, tmp_path)
        await jobs.finish(job)
        folders.append(tmp_path / "default" / job.id)
    first, second, whole = sorted(folders)
    actor = pq.read_table(next(whole.glob("*.parquet")))["actor"][0].as_py()
    BROKEN[damage](min(first.glob("*.parquet")))
    BROKEN[damage](second / MANIFEST)

    found = await export.erase(Person("default", (actor,), NOW), ExportStore(str(tmp_path)), jobs)

    assert found.erased_count == 23 - 8 + 23 + 23
    assert ids(first) == ids(whole) == []
    assert (len([*first.glob("*.parquet")]), len([*whole.glob("*.parquet")])) == (2, 3)
    for part in second.glob("*.parquet"):
        assert pq.read_table(part).num_rows == 0


@pytest.mark.full
async def test_an_export_whose_files_can_not_be_opened_is_told_after_the_others_were_erased(
    db: Database, events: EventRecord, jobs: Jobs, tmp_path: Path
) -> None:
    folders = []
    for _ in range(2):
        job = await claimed(db, jobs)
        await run(db, jobs, job, tmp_path)
        await jobs.finish(job)
        folders.append(tmp_path / "default" / job.id)
    first, second = sorted(folders)
    actor = pq.read_table(next(second.glob("*.parquet")))["actor"][0].as_py()
    one = min(first.glob("*.parquet"))
    one.unlink()
    one.mkdir()
    with pytest.raises(ExportUnwritable):
        await export.erase(Person("default", (actor,), NOW), ExportStore(str(tmp_path)), jobs)
    assert ids(second) == []
