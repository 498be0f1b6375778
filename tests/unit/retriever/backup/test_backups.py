"""Backups of a real record, in real archives."""

from __future__ import annotations

import asyncio
import errno
import io
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from retriever.backup import backups
from retriever.domain.archive import ArchiveTable
from retriever.domain.errors import BackupQuota
from retriever.record.snapshots import RecordSnapshot
from servicekit.artefacts import store
from servicekit.artefacts.backup_errors import (
    BackupDamaged,
    BackupNotFound,
    BackupsFull,
    BackupsUnavailable,
)
from servicekit.artefacts.backups import Backups
from servicekit.errors import ServiceError
from servicekit.jobs.queue import JobCancelled, JobState
from sightline_rules.photos import image_id
from tests.fakes.photos import photo
from tests.unit.retriever.backup.conftest import Place
from tests.waiting import SECONDS


@pytest.mark.full
async def test_a_lost_photo_stops_no_backup(here: Place, place: Callable[[str], Place]) -> None:
    del here.photos.stored["default", image_id(photo(seed=2))]
    there = place("there")
    result = await there.restore(await here.back_up())
    assert (result["image_count"], result["lost_image_count"]) == (3, 1)
    assert await there.products() == await here.products()


async def test_a_backup_is_of_one_commit_while_writes_go_on(
    here: Place, place: Callable[[str], Place], monkeypatch: pytest.MonkeyPatch
) -> None:
    loop, before = asyncio.get_running_loop(), await here.products()
    read = RecordSnapshot.rows

    def interrupted(snapshot: RecordSnapshot, table: ArchiveTable) -> Iterator[Any]:
        if table.name == "product_images":  # in the thread of the transaction
            asyncio.run_coroutine_threadsafe(here.stock(2, first=5), loop).result(10)
        return read(snapshot, table)

    monkeypatch.setattr(RecordSnapshot, "rows", interrupted)
    backup_id = await here.back_up()
    monkeypatch.undo()
    assert len(await here.products()) == 5
    there = place("there")
    await there.restore(backup_id)
    assert await there.products() == before


async def test_a_cancelled_backup_leaves_nothing(here: Place, tmp_path: Path) -> None:
    await here.ask_backup()
    job = await here.claimed(backups.BACKUP)
    reading = asyncio.Event()

    async def hang(catalog_id: str, photo_id: str) -> bytes:
        reading.set()
        await asyncio.Event().wait()
        return b""

    here.photos.get = hang  # type: ignore[method-assign]
    task = asyncio.create_task(backups.back_up(job, here.deps, "1"))
    await asyncio.wait_for(reading.wait(), SECONDS)
    (folder,) = (tmp_path / "backups/default").iterdir()
    assert "manifest.json" not in {path.name for path in folder.iterdir()}
    assert await here.store.run(lambda: here.store.ids("default")) == []
    await here.jobs.cancel(job.id)
    with pytest.raises(JobCancelled):
        await task
    assert list((tmp_path / "backups/default").iterdir()) == []


async def test_what_a_killed_attempt_left_is_no_backup(here: Place, tmp_path: Path) -> None:
    job = await here.ask_backup(request_id="r")
    again = await here.ask_backup(request_id="r", now=1_800_000_000_000_000)
    assert again.params == job.params
    left = tmp_path / "backups/default" / job.params["backup_id"] / "left"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"half")
    assert await backups.list_backups("default", here.store, size=0, token="") == ([], "")
    await backups.back_up(await here.claimed(backups.BACKUP), here.deps, "1")
    (found,), _ = await backups.list_backups("default", here.store, size=0, token="")
    assert found.backup_id == job.params["backup_id"]
    assert not left.exists()


async def test_backups_are_listed_newest_first_in_pages(here: Place, tmp_path: Path) -> None:
    ids = sorted([await here.back_up() for _ in range(3)], reverse=True)
    (tmp_path / f"backups/default/{ids[1]}/manifest.json").write_bytes(b"rubbish")
    page, token = await backups.list_backups("default", here.store, size=2, token="")
    rest, end = await backups.list_backups("default", here.store, size=2, token=token)
    assert [item.backup_id for item in (*page, *rest)] == ids
    assert end == ""
    assert isinstance(page[1].found, BackupDamaged)
    assert not isinstance(page[0].found, ServiceError)
    assert page[0].found.rows("tables/products.parquet") == 3


async def test_a_deleted_backup_is_gone_and_its_files_with_it(here: Place, tmp_path: Path) -> None:
    kept, gone = [await here.back_up() for _ in range(2)]
    folder = tmp_path / f"backups/default/{gone}"
    assert here.store.delete("other", gone) == 0
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    assert here.store.delete("default", gone) == size
    assert not folder.exists()
    assert here.store.delete("default", gone) == 0
    assert here.store.ids("default") == [kept]
    with pytest.raises(BackupNotFound):
        here.store.delete("default", "../record")


async def test_a_catalog_has_no_more_backups_than_it_may_have(here: Place) -> None:
    two = backups.Quota(count=2)
    first = await here.back_up()
    waiting = await here.ask_backup(quota=two, request_id="r")
    assert (await here.ask_backup(quota=two, request_id="r")).id == waiting.id
    with pytest.raises(BackupQuota, match="2 backups of 0 MB fill its quota"):
        await here.ask_backup(quota=two)
    await here.ask_backup("other", two)
    await here.jobs.cancel(waiting.id)
    _, size = here.store.used("default")
    with pytest.raises(BackupQuota):
        await here.ask_backup(quota=backups.Quota(size=size))
    await here.ask_backup(quota=backups.Quota(size=size + 1))
    here.store.delete("default", first)
    await here.ask_backup(quota=two)


async def test_the_same_commit_gives_the_same_bytes(here: Place, tmp_path: Path) -> None:
    folders = [tmp_path / "backups/default" / await here.back_up() for _ in range(2)]
    first, second = [
        {
            path.relative_to(folder): path.read_bytes()
            for path in folder.rglob("*")
            if path.is_file()
        }
        for folder in folders
    ]
    assert first == second
    with tarfile.open(folders[0] / "photos.tar") as photos:
        names = photos.getnames()
    assert len(names) == 4
    assert names == sorted(names)


async def test_a_full_disk_is_reported_and_nothing_is_left(
    here: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full(io.FileIO):
        def write(self, data: Any) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(store, "opened", lambda _, path, __, **___: Full(path, "w"))
    with pytest.raises(BackupsFull):
        await here.back_up()
    assert list((tmp_path / "backups/default").iterdir()) == []


async def test_a_place_that_can_not_be_written_is_reported(here: Place, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    here.store = Backups(str(tmp_path / "file"), "retriever")
    with pytest.raises(BackupsUnavailable):
        await here.back_up()
    here.store.close()


async def test_in_a_bucket(here: Place) -> None:
    here.store = Backups("memory://bucket/backups", "retriever")
    backup_id = await here.back_up()
    assert here.store.spool_folder() is None
    assert here.store.ids("default") == [backup_id]
    await here.restore(backup_id, "other", source="default")
    assert await here.products("other") == await here.products()
    assert (await here.jobs.list(states=[JobState.SUCCEEDED]))[0].kind == "restore"
    here.store.close()
