"""Backups of a real record, in real archives."""

from __future__ import annotations

import asyncio
import errno
import io
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import pytest

from retriever.adapters.backup_files import BackupFiles
from retriever.backup import backups
from retriever.domain.archive import ArchiveTable
from retriever.domain.errors import (
    BackupDamaged,
    BackupNotFound,
    BackupQuota,
    BackupsFull,
    BackupsUnavailable,
)
from retriever.record.snapshots import RecordSnapshot
from servicekit.errors import ServiceError
from servicekit.jobs import JobCancelled, JobState
from sightline_rules.photos import image_id
from tests.fakes.photos import photo
from tests.unit.retriever.backup.conftest import Place
from tests.waiting import SECONDS


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
    assert [path.suffix for path in (tmp_path / "backups/default").iterdir()] == [".part"]
    await here.jobs.cancel(job.id)
    with pytest.raises(JobCancelled):
        await task
    assert list((tmp_path / "backups/default").iterdir()) == []


async def test_what_a_killed_attempt_left_is_no_backup(here: Place, tmp_path: Path) -> None:
    job = await here.ask_backup(request_id="r")
    again = await here.ask_backup(request_id="r", now=1_800_000_000_000_000)
    assert again.params == job.params
    left = tmp_path / "backups/default" / f"{job.params['backup_id']}.tar.part"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"half")
    assert await backups.list_backups("default", here.store, size=0, token="") == ([], "")
    await backups.back_up(await here.claimed(backups.BACKUP), here.deps, "1")
    (found,), _ = await backups.list_backups("default", here.store, size=0, token="")
    assert found.backup_id == job.params["backup_id"]
    assert not left.exists()


async def test_backups_are_listed_newest_first_in_pages(here: Place, tmp_path: Path) -> None:
    ids = sorted([await here.back_up() for _ in range(3)], reverse=True)
    (tmp_path / f"backups/default/{ids[1]}.tar").write_bytes(b"rubbish")
    page, token = await backups.list_backups("default", here.store, size=2, token="")
    rest, end = await backups.list_backups("default", here.store, size=2, token=token)
    assert [item.backup_id for item in (*page, *rest)] == ids
    assert end == ""
    assert isinstance(page[1].found, BackupDamaged)
    assert not isinstance(page[0].found, ServiceError)
    assert page[0].found.rows("products") == 3


async def test_a_deleted_backup_is_gone_and_its_file_with_it(here: Place, tmp_path: Path) -> None:
    kept, gone = [await here.back_up() for _ in range(2)]
    file = tmp_path / f"backups/default/{gone}.tar"
    assert await here.store.delete("other", gone) == 0
    size = file.stat().st_size
    assert await here.store.delete("default", gone) == size
    assert not file.exists()
    assert await here.store.delete("default", gone) == 0
    assert await here.store.names("default") == [kept]
    with pytest.raises(BackupNotFound):
        await here.store.delete("default", "../record")


async def test_a_catalog_has_no_more_backups_than_it_may_have(here: Place) -> None:
    two = backups.Quota(count=2)
    first = await here.back_up()
    waiting = await here.ask_backup(quota=two, request_id="r")
    assert (await here.ask_backup(quota=two, request_id="r")).id == waiting.id
    with pytest.raises(BackupQuota, match="are 2, of 0 MB"):
        await here.ask_backup(quota=two)
    await here.ask_backup("other", two)
    await here.jobs.cancel(waiting.id)
    _, size = await here.store.used("default")
    with pytest.raises(BackupQuota):
        await here.ask_backup(quota=backups.Quota(size=size))
    await here.ask_backup(quota=backups.Quota(size=size + 1))
    await here.store.delete("default", first)
    await here.ask_backup(quota=two)


async def test_the_same_commit_gives_the_same_bytes(here: Place, tmp_path: Path) -> None:
    first, second = [
        (tmp_path / f"backups/default/{await here.back_up()}.tar").read_bytes() for _ in range(2)
    ]
    assert first == second
    with tarfile.open(fileobj=io.BytesIO(first)) as archive:
        names = archive.getnames()
    assert names[:2] == ["manifest.json", "tables/images.parquet"]
    assert names[-1] == "complete.json"
    assert names[6:-1] == sorted(names[6:-1])


class FullDisk(BackupFiles):
    """A place with no room; what was written before its disk was full stays until it is deleted."""

    def _open_new(self, part: str) -> IO[bytes]:
        file = super()._open_new(part)

        class Full(io.FileIO):
            def write(self, data: Any) -> int:
                raise OSError(errno.ENOSPC, "No space left on device")

        file.close()
        return Full(part, "w")


async def test_a_full_disk_is_reported_and_nothing_is_left(here: Place, tmp_path: Path) -> None:
    here.store = FullDisk(str(tmp_path / "backups"))
    with pytest.raises(BackupsFull):
        await here.back_up()
    assert list((tmp_path / "backups/default").iterdir()) == []
    here.store.close()


async def test_a_place_that_can_not_be_written_is_reported(here: Place, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    here.store = BackupFiles(str(tmp_path / "file"))
    with pytest.raises(BackupsUnavailable):
        await here.back_up()
    here.store.close()


async def test_in_a_bucket(here: Place) -> None:
    here.store = BackupFiles("memory://bucket/backups")
    backup_id = await here.back_up()
    assert here.store.spool_folder() is None
    assert await here.store.names("default") == [backup_id]
    await here.restore(backup_id, "other", source="default")
    assert await here.products("other") == await here.products()
    assert (await here.jobs.list(states=[JobState.SUCCEEDED]))[0].kind == "restore"
    here.store.close()
