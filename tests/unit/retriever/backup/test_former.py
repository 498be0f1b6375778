"""Backups that 0.15 made are listed, restored and deleted; damaged ones change nothing.

`0.15.0.tar` was made by 0.15.0: the catalog of the fixture `here`, signed with KEY.
"""

from __future__ import annotations

import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from retriever.backup import backups, restores
from retriever.domain.archive import content_of
from servicekit.artefacts.backup_errors import (
    BackupDamaged,
    BackupNotFound,
    BackupUnsigned,
    BackupVersionUnsupported,
)
from servicekit.artefacts.manifest import Manifest
from servicekit.keys.keyring import KeyRing
from tests.unit.retriever.backup.conftest import Place
from tests.unit.retriever.backup.test_damage import tarred, untarred

BACKUP = "20231114T221320Z-3c7728a0"
KEY = KeyRing([bytes.fromhex("5e" * 32)])


@pytest.fixture
def former(tmp_path: Path) -> Path:
    """Return the backup in the folder where the retriever finds it."""
    file = tmp_path / f"backups/default/{BACKUP}.tar"
    file.parent.mkdir(parents=True)
    shutil.copyfile(Path(__file__).with_name("0.15.0.tar"), file)
    return file


def read(file: Path) -> bytes:
    return file.read_bytes()


def write(file: Path, data: bytes) -> None:
    file.write_bytes(data)


async def test_a_backup_of_0_15_is_listed_checked_and_deleted(
    place: Callable[[str], Place], former: Path
) -> None:
    there = place("there")
    there.store.keys = lambda: KEY
    (listed,), _ = await backups.list_backups("default", there.store, size=0, token="")
    assert isinstance(listed.found, Manifest)
    assert (listed.backup_id, listed.size) == (BACKUP, len(read(former)))
    assert listed.found.rows("tables/products.parquet") == 3
    assert len(content_of(listed.found).generations) == 1
    with there.store.open("default", BACKUP) as found:
        found.check()
    assert there.store.used("default") == (1, listed.size)
    assert there.store.delete("default", BACKUP) == listed.size
    assert there.store.ids("default") == []
    with pytest.raises(BackupNotFound):
        there.store.open("default", BACKUP)


async def test_a_backup_of_0_15_is_restored(
    here: Place, place: Callable[[str], Place], former: Path
) -> None:
    there = place("there")
    there.store.keys = lambda: KEY
    result = await there.restore(BACKUP)
    assert (result["product_count"], result["image_count"], result["lost_image_count"]) == (3, 4, 0)
    expected = {p.content.product_id: p.content for p in await here.products()}
    assert {p.content.product_id: p.content for p in await there.products()} == expected
    assert there.photos.stored == here.photos.stored
    assert await there.rows("visual-1") == await here.rows("visual-1")


@pytest.mark.parametrize("keys", [KEY, KeyRing([b"x" * 32])])
async def test_only_with_its_whole_signature(
    place: Callable[[str], Place], former: Path, keys: KeyRing
) -> None:
    there = place("there")
    there.store.keys = lambda: keys
    members = untarred(read(former))
    del members["complete.json.hmac"]
    write(former, tarred(members))
    with pytest.raises(BackupUnsigned):
        await there.restore(BACKUP)
    assert await there.products() == []
    await there.restore(BACKUP, unsigned=True)
    assert len(await there.products()) == 3


@pytest.mark.parametrize("length", [0, 100, 700, 5_000, -1_024, -4_000])
async def test_one_that_is_cut_off_changes_nothing(
    place: Callable[[str], Place], former: Path, length: int
) -> None:
    there = place("there")
    await there.ask(BACKUP)
    write(former, read(former)[:length])
    with pytest.raises(BackupDamaged):
        await restores.restore(await there.claimed(backups.RESTORE), there.deps, "s")
    assert await there.products() == []


CHANGES = {
    "a table": ("tables/vectors.parquet", lambda data: data[:-9] + b"123456789", BackupDamaged),
    "a photo": ("photos/", lambda data: data[:-1] + b"?", BackupDamaged),
    "its end": ("complete.json", lambda data: data.replace(b"0", b"1"), BackupDamaged),
    "a newer format": (
        "manifest.json",
        lambda data: data.replace(b'"format_version": 1', b'"format_version": 3'),
        BackupVersionUnsupported,
    ),
}


@pytest.mark.parametrize("name", CHANGES)
async def test_one_that_was_changed_changes_nothing(
    place: Callable[[str], Place], former: Path, name: str
) -> None:
    there, (prefix, change, error) = place("there"), CHANGES[name]
    members = untarred(read(former))
    member = next(each for each in members if each.startswith(prefix))
    changed = members | {member: change(members[member])}
    assert changed != members
    write(former, tarred(changed))
    with pytest.raises(error):
        await there.restore(BACKUP)
    assert await there.products() == []


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, b"x", b"S"])
async def test_only_plain_members_are_read(
    place: Callable[[str], Place], former: Path, kind: bytes
) -> None:
    info = tarfile.TarInfo("manifest.json")
    info.type, info.linkname = kind, "/etc/passwd"
    write(former, info.tobuf(tarfile.GNU_FORMAT) + read(former))
    with pytest.raises(BackupDamaged):
        await place("there").ask(BACKUP)
