"""Archives that are damaged, hostile or of another catalog change nothing."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from retriever.backup import backups, restores
from servicekit.artefacts.backup_errors import (
    BackupCatalogMismatch,
    BackupDamaged,
    BackupNotFound,
    BackupVersionUnsupported,
)
from tests.unit.retriever.backup.conftest import Place

pytestmark = pytest.mark.full

Members = dict[str, bytes]


def opened(folder: Path) -> Members:
    """Return the files of a backup, and each photo separately."""
    found = {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    return found | untarred(found.pop("photos.tar"))


def untarred(data: bytes) -> Members:
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        return {
            member.name: archive.extractfile(member).read()  # type: ignore[union-attr]
            for member in archive
        }


def tarred(members: Members) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def files_of(members: Members) -> Members:
    """Return the members as files, with all photos in one."""
    photos = {name: data for name, data in members.items() if name.startswith("photos/")}
    files = {name: data for name, data in members.items() if name not in photos}
    return {"photos.tar": tarred(photos)} | files


def packed(folder: Path, members: Members) -> None:
    """Replace a backup."""
    shutil.rmtree(folder)
    for name, data in files_of(members).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)


def with_table(
    members: Members, name: str, change: Callable[[list[Any]], Any], **how: Any
) -> Members:
    """Return the archive with a table's rows changed, and matching hashes."""
    member = f"tables/{name}.parquet"
    table = parquet.read_table(io.BytesIO(members[member]))
    rows = table.to_pylist()
    rows = change(rows) or rows
    out = io.BytesIO()
    options = {"compression": "none", "use_dictionary": False, "store_schema": False} | how
    parquet.write_table(pa.Table.from_pylist(rows, table.schema), out, **options)
    return vouched(members | {member: out.getvalue()}, {member: len(rows)})


def vouched(members: Members, rows: dict[str, int] | None = None, **fields: Any) -> Members:
    """Return the members with a matching manifest."""
    manifest, files = json.loads(members["manifest.json"]) | fields, files_of(members)
    for entry in manifest["files"]:
        data = files[entry["name"]]
        entry |= {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        entry["rows"] = (rows or {}).get(entry["name"], entry["rows"])
    return members | {"manifest.json": json.dumps(manifest).encode()}


def with_content(members: Members, **fields: Any) -> Members:
    content = json.loads(members["manifest.json"])["content"]
    return vouched(members, content=content | fields)


def first(field: str, value: Any) -> Callable[[list[Any]], None]:
    def change(rows: list[Any]) -> None:
        rows[0][field] = value

    return change


def renamed(members: Members, old: str, new: str) -> Members:
    return {new if name == old else name: data for name, data in members.items()}


def photo_of(members: Members) -> str:
    return next(name for name in members if name.startswith("photos/"))


DAMAGED: dict[str, Callable[[Members], Members]] = {
    "a byte of a table": lambda m: (
        m | {"tables/vectors.parquet": m["tables/vectors.parquet"][:-9] + b"123456789"}
    ),
    "a table that is longer": lambda m: (
        m | {"tables/vectors.parquet": m["tables/vectors.parquet"] + b"x"}
    ),
    "a missing table": lambda m: {n: d for n, d in m.items() if n != "tables/vectors.parquet"},
    "a photo's bytes": lambda m: vouched(m | {photo_of(m): m[photo_of(m)][:-1] + b"?"}),
    "a photo's bytes, unvouched": lambda m: m | {photo_of(m): m[photo_of(m)][:-1] + b"?"},
    "a longer photo": lambda m: vouched(m | {photo_of(m): m[photo_of(m)] + b"?"}),
    "a photo with a path": lambda m: vouched(renamed(m, photo_of(m), "photos/../../../etc/passwd")),
    "a file with a path": lambda m: (
        m | {"manifest.json": m["manifest.json"].replace(b"tables/images", b"../../images")}
    ),
    "one photo too many": lambda m: vouched(m | {"photos/" + "f" * 64: b"x"}),
    "one photo too few": lambda m: vouched({n: d for n, d in m.items() if n != photo_of(m)}),
    "no end of the photos": lambda m: vouched(
        m | {"photos.tar": files_of(m)["photos.tar"][:5_120]}
    ),
    "something behind the photos": lambda m: m | {"photos.tar": files_of(m)["photos.tar"] + b"x"},
    "a manifest that is no JSON": lambda m: m | {"manifest.json": b"{"},
    "a large manifest": lambda m: m | {"manifest.json": b" " * (17 * 2**20)},
    "a manifest with more": lambda m: vouched(m, colour="red"),
    "a backup of the ranker": lambda m: vouched(m, service="ranker"),
    "a content with more": lambda m: with_content(m, colour="red"),
    "a commit beyond all numbers": lambda m: with_content(m, commit=2**62),
    "a generation that is none": lambda m: with_content(m, generations=[{"name": "x"}]),
    "no Parquet": lambda m: vouched(m | {"tables/vectors.parquet": b"PAR1 rubbish PAR1"}),
    "other rows than reported": lambda m: vouched(m, {"tables/vectors.parquet": 2}),
    "a compressed table": lambda m: with_table(m, "images", lambda _: None, compression="zstd"),
    "a dictionary": lambda m: with_table(m, "images", lambda _: None, use_dictionary=True),
    "another price than the etag's": lambda m: with_table(m, "products", first("price_micros", 1)),
    "a title with control characters": lambda m: with_table(m, "products", first("title", "\0")),
    "attributes that are no JSON": lambda m: with_table(m, "products", first("attributes", "[")),
    "products out of order": lambda m: with_table(m, "products", lambda rows: rows[::-1]),
    "a product twice": lambda m: with_table(m, "products", lambda rows: rows[:1] + rows),
    "a photo of no product": lambda m: with_table(
        m, "product_images", first("product_id", "nobody")
    ),
    "a photo that is not known": lambda m: with_table(
        m, "product_images", first("image_id", "0" * 64)
    ),
    "a photo's size": lambda m: with_table(m, "images", first("size", 2**40)),
    "a photo's type": lambda m: with_table(m, "images", first("media_type", "text/html")),
    "a photo's name": lambda m: with_table(m, "images", first("image_id", "../" * 21 + "x")),
    "a vector of another size": lambda m: with_table(m, "vectors", first("dimension", 4)),
    "a vector of zeros": lambda m: with_table(m, "vectors", first("data", bytes(32))),
    "a vector that is not finite": lambda m: with_table(
        m, "vectors", first("data", b"\0\0\xc0\x7f" * 8)
    ),
    "a vector of an unknown photo": lambda m: with_table(m, "vectors", first("image_id", "ü" * 64)),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", DAMAGED)
async def test_a_damaged_or_hostile_archive_changes_nothing(
    here: Place, place: Callable[[str], Place], tmp_path: Path, name: str
) -> None:
    backup_id, there = await here.back_up(), place("there")
    await there.ask(backup_id)
    folder = tmp_path / f"backups/default/{backup_id}"
    members = opened(folder)
    changed = DAMAGED[name](members)
    assert changed != members
    packed(folder, changed)
    with pytest.raises(BackupDamaged) as caught:
        await restores.restore(await there.claimed(backups.RESTORE), there.deps, "s")
    assert caught.value.reason == "BACKUP_DAMAGED"
    assert await there.products() == []
    assert await there.record.generations("default") == []
    assert (await there.record.counts("default", None)).images == 0
    assert not (tmp_path / "passwd").exists()
    assert not (tmp_path.parent / "etc").exists()


@pytest.mark.parametrize("length", [0, 100, 700, 1_000, -1_000])
@pytest.mark.parametrize("name", ["photos.tar", "tables/products.parquet", "manifest.json"])
async def test_a_file_that_is_cut_off_changes_nothing(
    here: Place, place: Callable[[str], Place], tmp_path: Path, name: str, length: int
) -> None:
    backup_id, there = await here.back_up(), place("there")
    await there.ask(backup_id)
    file = tmp_path / f"backups/default/{backup_id}/{name}"
    file.write_bytes(file.read_bytes()[:length])
    with pytest.raises(BackupDamaged):
        await restores.restore(await there.claimed(backups.RESTORE), there.deps, "s")
    assert await there.products() == []


async def test_a_folder_without_a_manifest_is_no_backup(here: Place, tmp_path: Path) -> None:
    backup_id = await here.back_up()
    (tmp_path / f"backups/default/{backup_id}/manifest.json").unlink()
    assert here.store.ids("default") == []
    with pytest.raises(BackupNotFound):
        await here.ask(backup_id, force=True)


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, b"x", b"S"])
async def test_only_plain_photos_are_read(
    here: Place, place: Callable[[str], Place], tmp_path: Path, kind: bytes
) -> None:
    backup_id, there = await here.back_up(), place("there")
    folder = tmp_path / f"backups/default/{backup_id}"
    info = tarfile.TarInfo("photos/" + "0" * 64)
    info.type, info.linkname = kind, "/etc/passwd"
    photos = info.tobuf(tarfile.GNU_FORMAT) + (folder / "photos.tar").read_bytes()
    packed(folder, vouched(opened(folder) | {"photos.tar": photos}))
    await there.ask(backup_id)
    with pytest.raises(BackupDamaged):
        await restores.restore(await there.claimed(backups.RESTORE), there.deps, "s")
    assert await there.products() == []


async def test_a_newer_format_is_distinguished_from_damage(
    here: Place, place: Callable[[str], Place], tmp_path: Path
) -> None:
    backup_id, there = await here.back_up(), place("there")
    folder = tmp_path / f"backups/default/{backup_id}"
    packed(folder, vouched(opened(folder), format_version=3))
    with pytest.raises(BackupVersionUnsupported):
        await there.ask(backup_id)


async def test_a_backup_of_another_catalog_is_not_taken_for_this_one(
    here: Place, tmp_path: Path
) -> None:
    backup_id = await here.back_up()
    shutil.copytree(tmp_path / "backups/default", tmp_path / "backups/other")
    with pytest.raises(BackupCatalogMismatch):
        await here.ask(backup_id, "other")


@pytest.mark.parametrize(
    ("backup_id", "source"),
    [("", ""), ("../default/x", ""), ("20260131T120000Z-1f3a9c02", "../x"), ("x\0", "")],
)
async def test_a_name_leads_nowhere_else(here: Place, backup_id: str, source: str) -> None:
    with pytest.raises(BackupNotFound):
        await here.ask(backup_id, source=source)


@pytest.mark.parametrize("kind", ["a manifest", "a file"])
async def test_a_backup_of_a_release_before_0_30_says_which_releases_restore_it(
    here: Place, tmp_path: Path, kind: str
) -> None:
    backup_id = await here.back_up()
    folder = tmp_path / f"backups/default/{backup_id}"
    if kind == "a file":  # of 0.15
        shutil.rmtree(folder)
        folder.with_suffix(".tar").write_bytes(b"")
    else:
        packed(folder, vouched(opened(folder), service_version="0.29.0"))
    with pytest.raises(BackupVersionUnsupported, match=r"a release of 0\.30 to 0\.39"):
        await here.restore(backup_id)
