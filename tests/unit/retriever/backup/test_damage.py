"""Archives that are damaged, hostile or not for this catalog: nothing changes."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from retriever.backup import backups, restores
from retriever.domain.errors import (
    BackupCatalogMismatch,
    BackupDamaged,
    BackupNotFound,
    BackupVersionUnsupported,
)
from tests.unit.retriever.backup.conftest import Place

Members = dict[str, bytes]


def opened(data: bytes) -> Members:
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        return {
            member.name: archive.extractfile(member).read()  # type: ignore[union-attr]
            for member in archive
        }


def packed(members: Members, **header: Any) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def with_table(
    members: Members, name: str, change: Callable[[list[Any]], Any], **how: Any
) -> Members:
    """The archive with a table's rows changed, and hashes that vouch for it."""
    member = f"tables/{name}.parquet"
    table = parquet.read_table(io.BytesIO(members[member]))
    rows = table.to_pylist()
    rows = change(rows) or rows
    out = io.BytesIO()
    options = {"compression": "none", "use_dictionary": False, "store_schema": False} | how
    parquet.write_table(pa.Table.from_pylist(rows, table.schema), out, **options)
    return vouched(members | {member: out.getvalue()}, {member: len(rows)})


def vouched(members: Members, rows: dict[str, int] | None = None, **fields: Any) -> Members:
    """With a manifest that fits."""
    manifest = json.loads(members["manifest.json"]) | fields
    for entry in manifest["members"]:
        data = members[entry["name"]]
        entry |= {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        entry["rows"] = (rows or {}).get(entry["name"], entry["rows"])
    return members | {"manifest.json": json.dumps(manifest).encode()}


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
    "a photo's bytes": lambda m: m | {photo_of(m): m[photo_of(m)][:-1] + b"?"},
    "a longer photo": lambda m: m | {photo_of(m): m[photo_of(m)] + b"?"},
    "a photo with a path": lambda m: renamed(m, photo_of(m), "../../../etc/passwd"),
    "an absolute path": lambda m: renamed(m, "complete.json", "/etc/passwd"),
    "one photo too many": lambda m: (
        {n: d for n, d in m.items() if n != "complete.json"}
        | {"photos/" + "f" * 64: b"x", "complete.json": m["complete.json"]}
    ),
    "one photo too few": lambda m: {n: d for n, d in m.items() if n != photo_of(m)},
    "no end": lambda m: {n: d for n, d in m.items() if n != "complete.json"},
    "something behind the end": lambda m: m | {"more": b""},
    "no manifest": lambda m: {n: d for n, d in m.items() if n != "manifest.json"},
    "a manifest that is no JSON": lambda m: m | {"manifest.json": b"{"},
    "a large manifest": lambda m: m | {"manifest.json": b" " * (5 * 2**20)},
    "a manifest with more": lambda m: vouched(m, colour="red"),
    "a commit beyond all numbers": lambda m: vouched(m, commit=2**62),
    "a generation that is none": lambda m: vouched(m, generations=[{"name": "x"}]),
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
    file = tmp_path / f"backups/default/{backup_id}.tar"
    members = opened(file.read_bytes())
    changed = DAMAGED[name](members)
    assert changed != members
    file.write_bytes(packed(changed))
    with pytest.raises(BackupDamaged) as caught:
        await restores.restore(await there.claimed(backups.RESTORE), there.deps, "s")
    assert caught.value.reason == "BACKUP_DAMAGED"
    assert await there.products() == []
    assert await there.record.generations("default") == []
    assert (await there.record.counts("default", None)).images == 0
    assert not (tmp_path / "passwd").exists()
    assert not (tmp_path.parent / "etc").exists()


@pytest.mark.parametrize("length", [0, 100, 700, 5_000, -1_024, -2_000])
async def test_a_file_that_is_cut_off_changes_nothing(
    here: Place, place: Callable[[str], Place], tmp_path: Path, length: int
) -> None:
    backup_id, there = await here.back_up(), place("there")
    await there.ask(backup_id)
    file = tmp_path / f"backups/default/{backup_id}.tar"
    file.write_bytes(file.read_bytes()[:length])
    with pytest.raises(BackupDamaged):
        await restores.restore(await there.claimed(backups.RESTORE), there.deps, "s")
    assert await there.products() == []


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, b"x", b"S"])
async def test_only_plain_files_are_read(
    here: Place, place: Callable[[str], Place], tmp_path: Path, kind: bytes
) -> None:
    backup_id, there = await here.back_up(), place("there")
    file = tmp_path / f"backups/default/{backup_id}.tar"
    info = tarfile.TarInfo("manifest.json")
    info.type, info.linkname = kind, "/etc/passwd"
    file.write_bytes(info.tobuf(tarfile.GNU_FORMAT) + file.read_bytes())
    with pytest.raises(BackupDamaged):
        await there.ask(backup_id)


async def test_a_newer_format_is_distinguished_from_damage(
    here: Place, place: Callable[[str], Place], tmp_path: Path
) -> None:
    backup_id, there = await here.back_up(), place("there")
    file = tmp_path / f"backups/default/{backup_id}.tar"
    file.write_bytes(packed(vouched(opened(file.read_bytes()), format_version=2)))
    with pytest.raises(BackupVersionUnsupported):
        await there.ask(backup_id)


async def test_a_backup_of_another_catalog_is_not_taken_for_this_one(
    here: Place, tmp_path: Path
) -> None:
    backup_id = await here.back_up()
    foreign = tmp_path / f"backups/other/{backup_id}.tar"
    foreign.parent.mkdir()
    foreign.write_bytes((tmp_path / f"backups/default/{backup_id}.tar").read_bytes())
    with pytest.raises(BackupCatalogMismatch):
        await here.ask(backup_id, "other")


@pytest.mark.parametrize(
    ("backup_id", "source"),
    [("", ""), ("../default/x", ""), ("20260131T120000Z-1f3a9c02", "../x"), ("x\0", "")],
)
async def test_a_name_leads_nowhere_else(here: Place, backup_id: str, source: str) -> None:
    with pytest.raises(BackupNotFound):
        await here.ask(backup_id, source=source)
