"""References are moved out of the folder of an embedder of an earlier release."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from servicekit.artefacts.content_store import ContentStore
from servicekit.keys.keyring import KeyRing, SigningKeys, open_keys
from servicekit.sql.database import Database
from tests.fakes.clock import Clock
from tests.fakes.patches import FakePatches
from tests.stores import each_engine
from vision.adapters.former_references import folder_of
from vision.adapters.photos import PhotoStore
from vision.domain.catalog_keys import key_with
from vision.domain.inspection import PatchMemory
from vision.domain.references import DraftPhoto, ReferenceState
from vision.inspection.files import ReferenceFiles
from vision.inspection.references import References
from vision.move import nothing
from vision.move_references import ReferenceMove, move_references
from vision.record import Record
from vision.watching.expiry import collect

pytestmark = each_engine
RING = KeyRing([b"k" * 32])
KEYS: Mapping[str, str | None] = {"default": "default", "shop": key_with("shop", "u1"), "old": None}
PIXELS = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
ADDED = 1_790_000_000


class Killed(BaseException):
    """The process ends here."""


def memory(seed: int) -> PatchMemory:
    rng = np.random.default_rng(seed)
    sizes = {"basis": (5, 3), "patches": (7, 3), "means": (4, 4), "deviations": (4, 4)}
    arrays = {name: rng.normal(size=size) for name, size in (sizes | {"scores": (9,)}).items()}
    return PatchMemory(
        **{name: array.astype(np.float32) for name, array in arrays.items()}, separation=0.9
    )


def version_in(folder: Path, name: str, seed: int, product: str = "p") -> str:
    """Store a version as the embedder of 0.43 did. Return it."""
    made, file = memory(seed), io.BytesIO()
    np.savez(
        file,
        **{
            name: getattr(made, name)
            for name in ("basis", "patches", "means", "deviations", "scores")
        },
    )
    version = made.version("model 1", product)
    manifest: dict[str, Any] = {
        "catalog_id": "default",
        "reference_id": name,
        "version": version,
        "product_id": product,
        "photos": 9,
        "separation": 0.9000000000000001 + seed * 1e-7,
        "model": "model 1",
        "create_time": f"2026-11-0{seed}T12:00:00.123456Z",
        "file": hashlib.sha256(file.getvalue()).hexdigest(),
        "size_bytes": len(file.getvalue()),
        "signature": "",
        "photo_ids": ["0" * 16],
    }
    content = json.dumps(manifest, separators=(",", ":")).encode()
    manifest["signature"] = RING.sign(("reference",), content)
    place = folder / name / version
    place.mkdir(parents=True)
    (place / "memory.npz").write_bytes(file.getvalue())
    (place / "manifest.json").write_text(json.dumps(manifest, indent=1), "utf-8")
    return version


def draft_in(folder: Path, name: str, count: int) -> None:
    place = folder / name / "draft"
    place.mkdir(parents=True)
    for number in range(count):
        Image.fromarray(PIXELS + number).save(place / f"{number:064x}.png")
    os.utime(place, (ADDED, ADDED))


@dataclass
class Shop:
    """A folder with references of two catalogs, and an empty vision."""

    root: Path
    db: Database
    files: CollectedStore
    said: list[dict[str, Any]] = field(default_factory=list)
    versions: list[str] = field(default_factory=list)

    async def move(
        self,
        after: Callable[[str], None] = nothing,
        keys: SigningKeys = open_keys,
        *,
        without_damaged: bool = False,
    ) -> bool:
        made = ReferenceMove(
            *(self.root, self.db, self.files, after, keys, without_damaged, Clock()),
        )
        return await move_references(made, KEYS, lambda line: self.said.append(json.loads(line)))

    def outcomes(self) -> list[str]:
        return [each["outcome"] for each in self.said]


class CollectedStore(ContentStore):
    """A store in which a worker looks for what it may delete whenever a file was stored."""

    record: Record

    async def put(self, catalog_id: str, name: str, data: bytes) -> None:
        await super().put(catalog_id, name, data)
        await collect(catalog_id, self.record, self, time.time())

    def age(self) -> None:
        """Let all files be years old."""
        old = datetime.fromtimestamp(ADDED, UTC).replace(year=2020)
        for path in self._files.find(self._root):
            if self._folder is None:
                self._files.store[path].modified = old
            else:
                os.utime(path, (old.timestamp(), old.timestamp()))


@pytest.fixture
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the URL of the store of files, a folder by default."""
    folder = f"{tmp_path}/photos"
    return f"memory:/{folder}" if getattr(request, "param", "folder") == "bucket" else folder


@pytest.fixture
def shop(db: Database, tmp_path: Path, url: str) -> Iterator[Shop]:
    made = Shop(tmp_path / "spaces", db, CollectedStore(url))
    for catalog_id in ("default", "shop", "old"):
        folder = folder_of(made.root, catalog_id)
        made.versions = [version_in(folder, "bottle", seed) for seed in (1, 2, 3)]
        first, second, _ = made.versions
        state = {"serving": second, "product_id": "p", "promote_time": 1.5, "retired": [first]}
        (folder / "bottle/state.json").write_text(json.dumps(state))
        draft_in(folder, "cap", 3)
    made.files.record = Record(db)
    yield made
    made.files.close()


@pytest.fixture
def references(db: Database, url: str) -> Iterator[References]:
    keys = {catalog_id: key for catalog_id, key in KEYS.items() if key}
    record, store = (
        Record(db, Clock(), keys.__getitem__),
        PhotoStore(url, key_of=keys.__getitem__),
    )
    yield References(record, ReferenceFiles(store), FakePatches())
    store.close()


async def check(shop: Shop, references: References) -> None:
    """Check that all is as it was in the folder."""
    first, second, third = shop.versions
    for catalog_id in ("default", "shop"):
        listed = await references.listed(catalog_id, "")
        states = {each.manifest.version: each.state for each in listed if each.manifest}
        assert states == {
            third: ReferenceState.CANDIDATE,
            second: ReferenceState.SERVING,
            first: ReferenceState.RETIRED,
        }
        assert [each.manifest.version for each in listed if each.manifest] == [third, second, first]
        (draft,) = (each for each in listed if each.manifest is None)
        assert (draft.reference_id, draft.photos) == ("cap", 3)
        assert draft.create_time.timestamp() == ADDED
        for seed, version in enumerate(shop.versions, 1):
            manifest, found = await references.load(catalog_id, "bottle", "", version)
            assert found.version("model 1", "p") == version
            assert np.array_equal(found.patches, memory(seed).patches)
            assert (manifest.photos, manifest.photo_ids) == (9, ("0" * 16,))
            assert manifest.separation == 0.9000000000000001 + seed * 1e-7
        served, _ = await references.load(catalog_id, "", "p", "")
        assert served.version == second
        photos = await references._draft(catalog_id, "cap")
        assert [*photos] == [f"{number:064x}" for number in range(3)]
        assert np.array_equal(photos["0" * 64], PIXELS)


async def test_references_are_moved_once_and_read_to_the_bit(
    shop: Shop, references: References
) -> None:
    assert await shop.move()
    assert shop.outcomes() == ["moved", "moved"]
    assert {(each["versions"], each["photos"]) for each in shop.said} == {(3, 3)}
    await check(shop, references)
    assert await shop.move()
    assert shop.outcomes()[2:] == ["moved before", "moved before"]
    await check(shop, references)


async def test_a_move_that_is_killed_at_any_step_is_done_by_the_next(
    shop: Shop, references: References
) -> None:
    steps = list[str]()
    for most in range(1, 99):
        left = most

        def step(name: str) -> None:
            nonlocal left
            left -= 1
            steps.append(name)
            if not left:
                raise Killed

        try:
            await shop.move(step)
        except Killed:
            continue
        break
    assert {"memory", "photo of a draft", "references"} == set(steps)
    await check(shop, references)


@pytest.mark.parametrize("url", ["folder", "bucket"], indirect=True)
async def test_files_that_a_killed_move_left_long_ago_are_moved_whole_by_the_next(
    shop: Shop, references: References
) -> None:
    def kill(name: str) -> None:
        if name == "photo of a draft":
            raise Killed

    with pytest.raises(Killed):
        await shop.move(kill)
    shop.files.age()
    assert await shop.move()
    await check(shop, references)
    shop.files.age()
    await collect("default", shop.files.record, shop.files, time.time())
    await check(shop, references)


async def test_only_what_the_operators_keys_signed_is_moved(
    shop: Shop, references: References
) -> None:
    folder = folder_of(shop.root, "default") / "bottle"
    forged = folder / shop.versions[0] / "manifest.json"
    told = json.loads(forged.read_text("utf-8"))
    forged.write_text(json.dumps(told | {"product_id": "other"}), "utf-8")
    assert not await shop.move(keys=lambda: RING)
    assert "--without-damaged" in shop.said.pop(0)["outcome"]
    assert shop.outcomes() == ["moved"]
    shop.said.clear()
    assert await shop.move(keys=lambda: RING, without_damaged=True)
    assert shop.said[0]["left_out"] == [f"bottle/{shop.versions[0]}"]
    assert shop.outcomes() == ["moved", "moved before"]
    listed = await references.listed("default", "bottle")
    assert {each.manifest.version for each in listed if each.manifest} == {*shop.versions[1:]}


async def test_two_moves_at_once_move_once(shop: Shop, references: References) -> None:
    assert all(await asyncio.gather(shop.move(), shop.move()))
    assert sorted(shop.outcomes()) == ["moved", "moved", "moved before", "moved before"]
    await check(shop, references)


@pytest.mark.parametrize("name", ["manifest.json", "memory.npz"])
async def test_a_damaged_version_is_told_and_costs_no_other(
    shop: Shop, references: References, name: str
) -> None:
    path = folder_of(shop.root, "default") / "bottle" / shop.versions[2] / name
    path.write_bytes(path.read_bytes()[:-9])
    assert not await shop.move()
    shop.said.clear()
    assert await shop.move(without_damaged=True)
    assert shop.said[0]["left_out"] == [f"bottle/{shop.versions[2]}"]
    assert (await references.load("default", "bottle", "", ""))[0].version == shop.versions[1]


async def test_a_damaged_state_is_told_and_nothing_serves(
    shop: Shop, references: References
) -> None:
    (folder_of(shop.root, "default") / "bottle/state.json").write_text("{")
    assert not await shop.move()
    shop.said.clear()
    assert await shop.move(without_damaged=True)
    assert shop.said[0]["left_out"] == ["bottle/state.json"]
    states = {each.state for each in await references.listed("default", "bottle")}
    assert states == {ReferenceState.CANDIDATE}


async def test_a_catalog_with_references_of_its_own_is_refused(
    shop: Shop, references: References, db: Database
) -> None:
    await references.record.add_photo("default", "new", DraftPhoto("a", "f"))
    assert not await shop.move()
    assert shop.outcomes() == ["refused: it has references here already", "moved"]
    assert [each.reference_id for each in await references.listed("default", "")] == ["new"]


async def test_a_folder_of_an_unknown_catalog_is_told(shop: Shop) -> None:
    version_in(folder_of(shop.root, "stranger"), "bottle", 1)
    assert not await shop.move()
    assert shop.said[-1]["folder"] == folder_of(shop.root, "stranger").name
    assert "VISION_CATALOGS" in shop.said[-1]["outcome"]
