"""References in the record."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from servicekit.sql.database import Database
from tests.fakes.clock import Clock
from tests.stores import each_engine
from vision.domain import errors
from vision.domain.references import DraftPhoto, ListedReference, ReferenceManifest, ReferenceState
from vision.record import Record, references
from vision.record.tables import reference_versions

pytestmark = each_engine
MADE = ReferenceManifest(
    *("r", "", "p", 9, 0.9, "model", datetime(2026, 12, 1, tzinfo=UTC)), file="0" * 64, size_bytes=7
)
DAY = 86_400_000_000


def memory(number: int, name: str = "r") -> str:
    return hashlib.sha256(f"{number} {name}".encode()).hexdigest()


async def add(record: Record, photo: str, name: str = "r", catalog: str = "default") -> None:
    await record.add_photo(catalog, name, DraftPhoto(photo, f"file {photo} {name}"))


async def keep(record: Record, number: int = 0, product: str = "p", name: str = "r") -> str:
    version = f"{number:016x}"
    made = replace(
        MADE,
        reference_id=name,
        version=version,
        product_id=product,
        create_time=MADE.create_time + timedelta(seconds=number),
        file=memory(number, name),
    )
    kept = await record.keep_version("default", made, ["a"])
    assert kept.manifest is not None
    assert kept.manifest.version == version
    return version


async def states(record: Record) -> dict[str, ReferenceState]:
    listed = await record.listed_references("default")
    return {each.manifest.version: each.state for each in listed if each.manifest}


async def serving(record: Record, name: str = "", product: str = "") -> ReferenceManifest | None:
    return await record.find_version("default", name, product, "")


async def test_a_photo_is_added_once(record: Record) -> None:
    for photo in ("a", "a", "b"):
        await add(record, photo)
    assert await record.draft("default", "r") == {"a": "file a r", "b": "file b r"}
    (draft,) = await record.listed_references("default")
    assert (draft.state, draft.photos, draft.manifest) == (ReferenceState.DRAFT, 2, None)
    assert await record.listed_references("other") == []


async def test_a_fit_deletes_its_photos_and_no_later_ones(record: Record) -> None:
    for photo in ("a", "b"):
        await add(record, photo)
    version = await keep(record)
    assert [*await record.draft("default", "r")] == ["b"]
    assert await keep(record) == version
    assert await states(record) == {version: ReferenceState.CANDIDATE}
    assert await serving(record, "r") is None
    found = await record.find_version("default", "r", "", version)
    assert found is not None
    assert (found.version, found.create_time) == (version, MADE.create_time)


async def test_a_promotion_retires_the_former_version(record: Record) -> None:
    first, second = await keep(record), await keep(record, 1)
    promoted = await record.promote("default", "r", first)
    assert promoted.state is ReferenceState.SERVING
    await record.promote("default", "r", second)
    assert await states(record) == {first: ReferenceState.RETIRED, second: ReferenceState.SERVING}
    await record.promote("default", "r", first)
    assert await states(record) == {second: ReferenceState.RETIRED, first: ReferenceState.SERVING}
    with pytest.raises(errors.ReferenceNotFound):
        await record.promote("default", "r", "f" * 16)
    assert await serving(record, "r") is not None


async def test_old_versions_are_deleted_but_not_the_one_that_serves(record: Record) -> None:
    first = await keep(record)
    await record.promote("default", "r", first)
    others = [await keep(record, number) for number in range(1, 6)]
    assert (await states(record)).keys() == {first, *others[-2:]}
    files = [memory(number) for number in range(6)]
    assert await record.unnamed_files("default", files) == files[1:4]


async def test_the_reference_of_a_product_is_the_one_promoted_last(
    record: Record, clock: Clock
) -> None:
    for name, number in (("b", 1), ("a", 2)):
        version = await keep(record, number, name=name)
        clock.now += 1
        await record.promote("default", name, version)
    found = await serving(record, product="p")
    assert found is not None
    assert found.reference_id == "a"
    other = await keep(record, 3, name="a")
    candidate = await record.find_version("default", "", "p", other)
    assert candidate is not None
    assert candidate.version == other
    assert await record.delete_reference("default", "a", "") == 2
    left = await serving(record, product="p")
    assert left is not None
    assert left.reference_id == "b"
    assert await serving(record, product="q") is None


async def test_a_deleted_version_serves_no_longer(record: Record) -> None:
    version = await keep(record)
    await record.promote("default", "r", version)
    assert await record.delete_reference("default", "r", version) == 1
    assert await serving(record, "r") is None
    assert await record.delete_reference("default", "r", version) == 0
    assert await record.delete_reference("default", "r", "") == 0


async def test_drafts_references_and_photos_are_limited(
    record: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, most in (("MOST_DRAFTS", 2), ("MOST_PHOTOS", 2), ("MOST_REFERENCES", 3)):
        monkeypatch.setattr(references, name, most)
    for name in ("a", "b"):
        await add(record, "x", name)
    for call in (record.check_room("default", "c"), add(record, "x", "c")):
        with pytest.raises(errors.ReferencesFull):
            await call
    await add(record, "y", "a")
    with pytest.raises(errors.ReferenceFull):
        await add(record, "z", "a")
    await add(record, "y", "a")  # it is there
    await record.delete_reference("default", "b", "")
    for number, name in enumerate(("c", "d")):
        await keep(record, number, name=name)
    with pytest.raises(errors.ReferencesFull):
        await add(record, "x", "e")
    await add(record, "x", "c")


async def test_a_draft_is_deleted_a_day_after_its_last_photo(record: Record, clock: Clock) -> None:
    for photo in ("a", "b"):
        await add(record, photo)
    clock.now += DAY - 10
    await add(record, "a")
    await record.expire_drafts("default")
    assert len(await record.draft("default", "r")) == 2
    clock.now += DAY + 20
    await record.expire_drafts("default")
    assert await record.listed_references("default") == []
    files = ["file a r", "file b r"]
    assert await record.unnamed_files("default", files) == files


async def test_a_file_that_another_row_names_stays(record: Record, db: Database) -> None:
    version = await keep(record)
    shared = memory(0)
    made = replace(MADE, reference_id="s", version="b" * 16, file=shared)
    await db.write(
        lambda c: references.insert_version(c, "default", made, ReferenceState.CANDIDATE, 0)
    )
    await record.delete_reference("default", "r", version)
    assert await record.unnamed_files("default", [shared]) == []
    await record.delete_reference("default", "s", "")
    assert await record.unnamed_files("default", [shared]) == [shared]


async def test_a_version_that_can_not_be_read_hides_no_other(record: Record, db: Database) -> None:
    good, bad = await keep(record), await keep(record, 1)
    damaged = sa.update(reference_versions).where(reference_versions.c.version == bad)
    await db.write(lambda c: c.execute(damaged.values(body="{}")))
    found: list[ListedReference] = await record.listed_references("default")
    assert [each.manifest.version for each in found if each.manifest] == [good]


async def test_catalogs_share_nothing(record: Record) -> None:
    await add(record, "a")
    await add(record, "a", catalog="other")
    await record.delete_reference("default", "r", "")
    assert len(await record.draft("other", "r")) == 1
