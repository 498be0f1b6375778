"""Backups signed by an operator's keys: others are restored only by force."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from retriever.backup import backups, restores
from servicekit.artefacts.backup_errors import BackupUnsigned
from servicekit.artefacts.manifest import Manifest
from servicekit.keys.keyring import KeyRing
from tests.unit.retriever.backup.conftest import Place
from tests.unit.retriever.backup.test_damage import Members, opened, packed, photo_of, with_content

OURS, OTHERS = KeyRing([b"o" * 32]), KeyRing([b"x" * 32])
ROTATED = KeyRing([b"n" * 32, b"o" * 32])


async def backed_up(here: Place, keys: KeyRing) -> str:
    here.store.keys = lambda: keys
    return await here.back_up()


def with_keys(there: Place, keys: KeyRing) -> Place:
    there.store.keys = lambda: keys
    return there


@pytest.mark.full
@pytest.mark.parametrize("keys", [OURS, ROTATED])
async def test_what_a_key_signed_is_restored_with_it(
    here: Place, place: Callable[[str], Place], keys: KeyRing
) -> None:
    backup_id, there = await backed_up(here, OURS), with_keys(place("there"), keys)
    await there.restore(backup_id)
    assert await there.products() == await here.products()
    (listed,), _ = await backups.list_backups("default", there.store, size=0, token="")
    assert isinstance(listed.found, Manifest)


@pytest.mark.parametrize("keys", [KeyRing(), OTHERS], ids=["nobody", "another"])
async def test_what_no_key_signed_is_restored_only_when_that_is_asked_for(
    here: Place, place: Callable[[str], Place], keys: KeyRing
) -> None:
    backup_id, there = await backed_up(here, keys), with_keys(place("there"), OURS)
    with pytest.raises(BackupUnsigned, match="accept_unsigned"):
        await there.ask(backup_id)
    (listed,), _ = await backups.list_backups("default", there.store, size=0, token="")
    assert isinstance(listed.found, BackupUnsigned)
    assert await there.products() == []
    await there.restore(backup_id, unsigned=True)
    assert await there.products() == await here.products()


async def test_a_signed_backup_is_restored_where_there_are_no_keys(
    here: Place, place: Callable[[str], Place]
) -> None:
    backup_id, there = await backed_up(here, OURS), place("there")
    await there.restore(backup_id)
    assert await there.products() == await here.products()


def less_one_photo(members: Members) -> Members:
    """Return the members without one photo, with a matching manifest."""
    left = {name: data for name, data in members.items() if name != photo_of(members)}
    return with_content(left, lost=1)


CHANGES: dict[str, Callable[[Members], Members]] = {
    "another manifest": lambda m: m | {"manifest.json": m["manifest.json"] + b" "},
    "no signature": lambda m: {n: d for n, d in m.items() if n != "manifest.json.hmac"},
    "one photo less": less_one_photo,
    "another signature": lambda m: m | {"manifest.json.hmac": b"0" * 64},
}


@pytest.mark.first(2)
@pytest.mark.parametrize("name", CHANGES)
async def test_a_change_after_the_request_is_noticed_before_anything_counts(
    here: Place, place: Callable[[str], Place], tmp_path: Path, name: str
) -> None:
    backup_id, there = await backed_up(here, OURS), with_keys(place("there"), OURS)
    await there.ask(backup_id)
    folder = tmp_path / f"backups/default/{backup_id}"
    members = opened(folder)
    changed = CHANGES[name](members)
    assert changed != members
    packed(folder, changed)
    with pytest.raises(BackupUnsigned):
        await restores.restore(await there.claimed(backups.RESTORE), there.deps, "s")
    assert await there.products() == []
    assert await there.record.generations("default") == []


async def test_a_signed_backup_under_another_s_id_is_rejected(here: Place, tmp_path: Path) -> None:
    older, newer = await backed_up(here, OURS), await backed_up(here, OURS)
    packed(tmp_path / f"backups/default/{newer}", opened(tmp_path / f"backups/default/{older}"))
    with pytest.raises(BackupUnsigned):
        await here.ask(newer, force=True)
