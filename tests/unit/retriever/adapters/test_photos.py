"""The photo store on a real folder."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from retriever.adapters import photo_work
from retriever.adapters import photos as module
from retriever.adapters.photos import PhotoStore
from retriever.domain.errors import (
    ImageDamaged,
    ImageNotFound,
    ImageRejected,
    PhotosFull,
    PhotosUnavailable,
)
from servicekit.artefacts import content_store, durable
from servicekit.artefacts.store import as_os_errors
from servicekit.decoding.decoders import (
    DecodingCrashed,
    DecodingFailed,
    DecodingOutOfMemory,
    DecodingTimedOut,
    DecodingUnavailable,
)
from servicekit.errors import ServiceError
from servicekit.outbound.fetch import UriForbidden
from sightline_rules.photos import PhotoLimits, image_id
from tests.fakes.decoding import FakeDecoders
from tests.fakes.photos import photo

DATA = photo()
ID = image_id(DATA)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[PhotoStore]:
    made = PhotoStore(str(tmp_path / "photos"), limits=PhotoLimits(100_000, 1_000_000))
    yield made
    made.close()


async def test_a_photo_is_kept_under_its_catalog_and_hash(
    store: PhotoStore, tmp_path: Path
) -> None:
    await store.put("shop", ID, DATA)
    assert (tmp_path / "photos" / "shop" / ID[:2] / ID[2:4] / ID).read_bytes() == DATA
    assert await store.get("shop", ID) == DATA
    assert [path.name for path in (tmp_path / "photos").rglob("*") if path.is_file()] == [ID]


async def test_another_catalog_does_not_see_it(store: PhotoStore) -> None:
    await store.put("shop", ID, DATA)
    with pytest.raises(ImageNotFound):
        await store.get("other", ID)


async def test_putting_it_twice_leaves_it_as_it_is(store: PhotoStore, tmp_path: Path) -> None:
    await store.put("shop", ID, DATA)
    path = tmp_path / "photos" / "shop" / ID[:2] / ID[2:4] / ID
    before = path.stat().st_ino
    await store.put("shop", ID, DATA)
    assert path.stat().st_ino == before


@pytest.mark.parametrize("found", [DATA[:10], bytes(len(DATA))])
async def test_a_damaged_file_is_written_anew(
    store: PhotoStore, tmp_path: Path, found: bytes
) -> None:
    await store.put("shop", ID, DATA)
    path = tmp_path / "photos" / "shop" / ID[:2] / ID[2:4] / ID
    path.write_bytes(found)
    await store.put("shop", ID, DATA)
    assert await store.get("shop", ID) == DATA


async def test_changed_bytes_are_not_given_out(store: PhotoStore, tmp_path: Path) -> None:
    await store.put("shop", ID, DATA)
    path = tmp_path / "photos" / "shop" / ID[:2] / ID[2:4] / ID
    path.write_bytes(bytes(len(DATA)))
    with pytest.raises(ImageDamaged):
        await store.get("shop", ID)


@pytest.mark.parametrize("name", ["../../etc/passwd", "", "A" * 64, "0" * 63, "0" * 64 + "\n"])
async def test_a_name_that_is_no_hash_reaches_no_file(store: PhotoStore, name: str) -> None:
    with pytest.raises(ImageNotFound):
        await store.get("shop", name)


@pytest.mark.full
async def test_a_photo_is_checked_by_its_bytes(store: PhotoStore) -> None:
    info = await store.inspect("default", DATA)
    assert (info.image_id, info.media_type, info.width, info.height) == (ID, "image/jpeg", 64, 48)
    with pytest.raises(ImageRejected) as caught:
        await store.inspect("default", b"text")
    assert caught.value.reason == "IMAGE_UNDECODABLE"
    with pytest.raises(ImageRejected) as caught:
        await store.inspect("default", DATA + bytes(100_000))
    assert caught.value.reason == "IMAGE_TOO_LARGE"


@pytest.mark.parametrize(
    ("error", "meaning"),
    [
        (OSError(errno.ENOSPC, ""), PhotosFull),
        (OSError(errno.EDQUOT, ""), PhotosFull),
        (PermissionError(errno.EACCES, ""), PhotosUnavailable),
        (FileNotFoundError(), ImageNotFound),
        (ValueError("a bucket driver's own"), PhotosUnavailable),
    ],
)
def test_an_error_of_the_store_becomes_what_it_means(
    error: Exception, meaning: type[Exception]
) -> None:
    with pytest.raises(meaning), module._stored(), as_os_errors():
        raise error


@pytest.mark.parametrize(
    ("failure", "meaning", "reason"),
    [
        (DecodingCrashed("it died"), ImageRejected, "IMAGE_UNDECODABLE"),
        (DecodingTimedOut("too long"), ImageRejected, "IMAGE_UNDECODABLE"),
        (DecodingOutOfMemory(10 * 2**20), ImageRejected, "IMAGE_TOO_LARGE"),
        (DecodingUnavailable("none"), PhotosUnavailable, "PHOTO_STORE_UNAVAILABLE"),
    ],
)
async def test_a_decoder_s_death_is_reported_as_the_photo_s_fault_unless_it_is_not(
    tmp_path: Path, failure: DecodingFailed, meaning: type[ServiceError], reason: str
) -> None:
    decoders = FakeDecoders(photo_work.__name__)
    decoders.failure = failure
    store = PhotoStore(str(tmp_path), decoders=decoders)
    with pytest.raises(meaning) as caught:
        await store.inspect("default", DATA)
    assert caught.value.reason == reason
    store.close()


async def test_a_process_that_lies_can_name_no_photo_and_give_it_no_size() -> None:
    limits = PhotoLimits(max_pixels=100)
    info = photo_work.understood((10, 10, 7), DATA, limits)
    assert (info.image_id, info.media_type) == (ID, "image/jpeg")
    for width, height in ((0, 10), (10, 0), (11, 10), (2**32 - 1, 2**32 - 1)):
        with pytest.raises(ValueError, match="size"):
            photo_work.understood((width, height, 7), DATA, limits)


async def test_nothing_is_fetched_unless_it_is_allowed(store: PhotoStore) -> None:
    with pytest.raises(UriForbidden):
        async with store.fetched("https://photos.test/a.jpg"):
            pass


async def test_a_bucket_works_like_a_folder() -> None:
    store = PhotoStore("memory://photos")
    await store.put("shop", ID, DATA)
    await store.put("shop", ID, DATA)
    assert await store.get("shop", ID) == DATA
    store.close()


async def test_what_the_disk_says_is_reported_as_what_it_means(
    store: PhotoStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(folder: int) -> None:
        raise OSError(errno.ENOSPC, "")

    monkeypatch.setattr(durable, "_sync", full)
    with pytest.raises(PhotosFull):
        await store.put("shop", ID, DATA)


@pytest.mark.parametrize("kind", ["folder", "bucket"])
async def test_photos_are_named_deleted_and_discarded_when_they_are_old(
    tmp_path: Path, kind: str
) -> None:
    made = PhotoStore(str(tmp_path) if kind == "folder" else f"memory://{tmp_path.name}")
    shelf, now = int(ID[:2], 16), time.time()
    assert await made.names("shop", shelf) == []
    await made.put("shop", ID, DATA)
    assert await made.names("shop", shelf) == [ID]
    assert await made.names("other", shelf) == []
    assert not await made.discard("shop", ID, now - 60)
    assert await made.get("shop", ID) == DATA
    assert await made.discard("shop", ID, now + 60)
    assert not await made.discard("shop", ID, now + 60)
    await made.put("shop", ID, DATA)
    for _ in range(2):
        await made.delete("shop", ID)
        with pytest.raises(ImageNotFound):
            await made.get("shop", ID)
    made.close()


async def test_drafts_that_killed_writers_left_are_deleted_when_they_are_old(
    store: PhotoStore, tmp_path: Path
) -> None:
    await store.put("shop", ID, DATA)
    folder = tmp_path / "photos" / "shop" / ID[:2] / ID[2:4]
    for name in (".new-left", ".new-under-way"):
        (folder / name).write_bytes(DATA)
    os.utime(folder / ".new-left", (1_000, 1_000))
    os.utime(folder / ID, (1_000, 1_000))
    assert await store.names("shop", int(ID[:2], 16)) == [ID]
    assert {path.name for path in folder.iterdir()} == {ID, ".new-under-way"}


async def test_an_old_object_that_comes_again_is_as_new(monkeypatch: pytest.MonkeyPatch) -> None:
    made = PhotoStore("memory://again")
    await made.put("shop", ID, DATA)
    monkeypatch.setattr(content_store, "RENEW_SECONDS", -60.0)
    now = time.time()
    while time.time() == now:
        pass
    await made.put("shop", ID, DATA)
    assert not await made.discard("shop", ID, now)
    made.close()
