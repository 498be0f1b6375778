"""Durable files on a real folder."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from servicekit.artefacts import durable
from servicekit.artefacts.durable import DurableFolder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    made = tmp_path / "photos"
    made.mkdir()
    return made


def names(root: Path) -> set[str]:
    """Return the files below a folder."""
    return {path.name for path in root.rglob("*") if path.is_file()}


@pytest.fixture
def folder(root: Path) -> Iterator[DurableFolder]:
    made = DurableFolder(root)
    yield made
    made.close()


def written(root: Path, path: Path, data: bytes = b"bytes") -> None:
    """Write a file."""
    assert durable.write(root, [(path, data)]) == [None]


class Syncs:
    """Recorder of the folder's content at each sync."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seen: list[set[str]] = []
        real = durable._sync

        def sync(handle: int) -> None:
            assert os.path.samestat(os.fstat(handle), root.stat())
            self.seen.append(names(root))
            real(handle)

        monkeypatch.setattr(durable, "_sync", sync)


@pytest.fixture
def syncs(root: Path, monkeypatch: pytest.MonkeyPatch) -> Syncs:
    return Syncs(root, monkeypatch)


async def test_a_file_stands_under_its_name_before_the_sync_and_the_answer(
    folder: DurableFolder, root: Path, syncs: Syncs
) -> None:
    await folder.write(root / "a" / "b" / "photo", b"bytes")
    assert syncs.seen == [{"photo"}]
    assert (root / "a" / "b" / "photo").read_bytes() == b"bytes"


async def test_files_that_wait_share_a_sync(
    folder: DurableFolder, root: Path, syncs: Syncs
) -> None:
    wanted = [f"{number}" for number in range(20)]
    await asyncio.gather(*(folder.write(root / name, name.encode()) for name in wanted))
    assert syncs.seen == [set(wanted)]
    assert all((root / name).read_bytes() == name.encode() for name in wanted)


async def test_a_group_ends_at_its_size(
    folder: DurableFolder, root: Path, syncs: Syncs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(durable, "MOST_BYTES", 10)
    await asyncio.gather(*(folder.write(root / name, b"12345") for name in "abcd"))
    assert syncs.seen == [{"a", "b"}, {"a", "b", "c", "d"}]


async def test_one_that_is_there_is_synced_all_the_same(
    folder: DurableFolder, root: Path, syncs: Syncs
) -> None:
    """Sync an existing file too: its writer may have died before the sync."""
    (root / "photo").write_bytes(b"bytes")
    before = (root / "photo").stat().st_ino
    await folder.write(root / "photo", b"bytes")
    assert (root / "photo").stat().st_ino == before
    assert syncs.seen == [{"photo"}]


async def test_a_file_that_fails_costs_no_other(folder: DurableFolder, root: Path) -> None:
    (root / "file").write_bytes(b"")
    outcomes = await asyncio.gather(
        folder.write(root / "file" / "below", b"x"),
        folder.write(root / "good", b"y"),
        return_exceptions=True,
    )
    assert isinstance(outcomes[0], OSError)
    assert not isinstance(outcomes[1], BaseException)
    assert names(root) == {"file", "good"}


async def test_a_sync_that_fails_fails_them_all(
    folder: DurableFolder, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(handle: int) -> None:
        raise OSError(5, "input/output error")

    monkeypatch.setattr(durable, "_sync", broken)
    both = [folder.write(root / name, b"x") for name in "ab"]
    outcomes = await asyncio.gather(*both, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [OSError, OSError]


async def test_after_a_sync_that_failed_bytes_are_written_again_not_renewed(
    folder: DurableFolder, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(handle: int) -> None:
        raise OSError(5, "input/output error")

    path = root / "photo"
    with monkeypatch.context() as disk:
        disk.setattr(durable, "_sync", broken)
        with pytest.raises(OSError, match="input/output"):
            await folder.write(path, b"bytes")
    unsure = path.stat().st_ino
    with path.open("rb"):  # so that its number is not given again
        await folder.write(path, b"bytes")
        assert path.stat().st_ino != unsure
        now = path.stat().st_ino
    await folder.write(path, b"bytes")
    assert path.stat().st_ino == now
    monkeypatch.undo()
    await folder.write(root / "a", b"x")


def test_a_file_that_a_failed_sync_marks_is_as_old_as_its_mark_and_stays_marked(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(handle: int) -> None:
        raise OSError(5, "input/output error")

    path, before = root / "photo", time.time() - 60.0
    written(root, path)
    with monkeypatch.context() as disk:
        disk.setattr(durable, "_sync", broken)
        with pytest.raises(OSError, match="input/output"):
            written(root, path)
    assert not durable.discard(path, before), "the first write made it durable a moment ago"
    assert path.stat().st_mtime == durable.UNSURE, "its next write writes its bytes again"
    assert durable.discard(path, time.time() + 60.0)
    assert names(root) == set()


def test_a_file_that_a_failed_sync_marks_while_it_is_discarded_stays(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = root / "photo"
    path.write_bytes(b"bytes")
    os.utime(path, (1_000, 1_000))
    replace = Path.replace

    def marked(self: Path, target: Path) -> Path:
        if self == path:
            os.utime(path, (durable.UNSURE, durable.UNSURE))
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", marked)
    assert not durable.discard(path, 2_000)
    assert names(root) == {"photo"}


async def test_the_folder_is_made_when_it_is_needed(tmp_path: Path) -> None:
    folder = DurableFolder(tmp_path / "new")
    await folder.write(tmp_path / "new" / "a", b"x")
    assert names(tmp_path) == {"a"}
    folder.close()


async def test_a_caller_that_gave_up_holds_up_nobody(folder: DurableFolder, root: Path) -> None:
    first = asyncio.create_task(folder.write(root / "a", b"x"))
    await asyncio.sleep(0)
    first.cancel()
    await folder.write(root / "b", b"y")
    assert first.cancelled()
    assert (root / "b").read_bytes() == b"y"


def test_the_system_s_word_is_reported(root: Path) -> None:
    with pytest.raises(OSError, match="Bad file descriptor"):
        durable._sync(-1)


async def test_an_old_file_is_discarded_and_one_that_came_again_is_not(
    folder: DurableFolder, root: Path
) -> None:
    path = root / "photo"
    await folder.write(path, b"bytes")
    os.utime(path, (1_000, 1_000))
    assert not durable.discard(path, 1_000)
    await folder.write(path, b"bytes")
    assert not durable.discard(path, 2_000)
    os.utime(path, (1_000, 1_000))
    assert durable.discard(path, 2_000)
    assert names(root) == set()
    assert not durable.discard(path, 2_000)


async def test_a_file_that_comes_again_while_it_is_discarded_stays(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = root / "photo"
    path.write_bytes(b"bytes")
    os.utime(path, (1_000, 1_000))
    replace = Path.replace

    def renewed(self: Path, target: Path) -> Path:
        if self == path:
            assert durable.write(root, [(path, b"bytes")]) == [None]
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", renewed)
    assert not durable.discard(path, 2_000)
    assert names(root) == {"photo"}


async def test_a_file_that_was_just_taken_away_is_written_anew(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = root / "photo"
    path.write_bytes(b"bytes")
    utime = os.utime

    def gone(of: Path) -> None:
        of.unlink()
        utime(of)

    monkeypatch.setattr(os, "utime", gone)
    written(root, path)
    assert path.read_bytes() == b"bytes"


def test_what_a_killed_deletion_left_goes_with_the_next_one(root: Path) -> None:
    (root / ".old-photo").write_bytes(b"bytes")
    assert not durable.discard(root / "photo", 2_000)
    assert names(root) == set()


def test_a_damaged_file_is_written_again(root: Path) -> None:
    (root / "photo").write_bytes(b"damaged")
    written(root, root / "photo")
    assert (root / "photo").read_bytes() == b"bytes"
    assert names(root) == {"photo"}
