"""Photos beside a file of products, well meant and hostile."""

import io
import re
import stat
import struct
import tracemalloc
import warnings
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TypeAlias

import pytest
from google.rpc import code_pb2

from sightline_client.errors import SightlineError
from sightline_console.screens import product_photos
from sightline_console.screens.product_photos import PackedPhotos, PhotosRefused, packed
from sightline_console.screens.visit import Console
from sightline_console.web import sessions
from sightline_console.web.packed import Packed
from tests.fakes.gateway import FakeGateway
from tests.fakes.gateway_messages import status
from tests.unit.console.conftest import JPEG, Browser
from tests.unit.console.uploads import hidden, imported, looked_at, upload

NAMED = b"id,title,images\na,A,red/a.jpg|b.jpg\nb,B,b.jpg\nc,C,gone.jpg\n"
BY_ID = b"id,title\na,A\nb/1,B\nc,C\n"
PNG = b"\x89PNG\r\n\x1a\n a photo"


Entry: TypeAlias = tuple[str | zipfile.ZipInfo, bytes]


def archive(*entries: Entry, kind: int = zipfile.ZIP_DEFLATED) -> bytes:
    """Return a zip."""
    file = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(file, "w", kind) as made:
        warnings.simplefilter("ignore")  # of names that are there twice
        for name, content in entries:
            made.writestr(name, content)
    return file.getvalue()


def link(name: str, to: bytes) -> Entry:
    """Return an entry that is a symbolic link."""
    entry = zipfile.ZipInfo(name)
    entry.create_system, entry.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    return entry, to


async def test_rows_name_photos_of_a_zip_and_single_ones(
    web: Browser, gateway: FakeGateway
) -> None:
    content = archive(("wines/red/a.jpg", JPEG), ("wines/notes.txt", b"x"), ("unused.png", PNG))
    page = await looked_at(web, NAMED, photos=[("all.zip", content), ("b.jpg", PNG)])
    assert page.status_code == 200, page.text
    assert "3 photos are beside the file." in page.text
    assert "2 photos" in page.text
    assert "&#39;gone.jpg&#39; is not among the photos beside the file" in page.text
    page = await imported(web, page)
    assert "2 products stored, 1 rows rejected." in page.text
    assert "1 photos beside the file are named by no row." in page.text
    sent = {
        each.product_id: each
        for call in gateway.requests["UpsertProducts"]
        for each in call.products
    }
    assert [each.content for each in sent["a"].images] == [JPEG, PNG]
    assert [each.content for each in sent["b"].images] == [PNG]


async def test_without_a_column_of_photos_their_names_are_ids(
    web: Browser, gateway: FakeGateway
) -> None:
    content = archive(("shop/a/2.jpg", PNG), ("shop/a/1.jpg", JPEG), ("shop/b/1.webp", JPEG))
    await imported(web, await looked_at(web, BY_ID, photos=[("p.ZIP", content)]))
    images = {name: [each.content for each in of.images] for name, of in gateway.products.items()}
    assert (images["a"], images["b/1"], images["c"]) == ([JPEG, PNG], [JPEG], [])


async def test_photos_come_after_the_file_and_stay_for_corrected_rows(
    web: Browser, gateway: FakeGateway
) -> None:
    gateway.refused["b"] = status(code_pb2.INVALID_ARGUMENT, "bad", reason="PRODUCT_INVALID")
    page = await looked_at(web, NAMED)
    fields = hidden(page.text, "photos")
    files = [("photos", ("b.jpg", PNG)), ("photos", ("red/a.jpg", JPEG))]
    data = {"csrf": await web.csrf("/sign-in"), **fields}
    headers = {"origin": str(web.web.base_url).rstrip("/")}
    page = await web.follow(await web.web.post("/import", data=data, files=files, headers=headers))
    assert "2 photos are beside the file." in page.text
    page = await imported(web, page)
    assert "1 products stored, 2 rows rejected." in page.text
    gateway.refused.clear()
    rows = {**hidden(page.text, "edited"), "rows": "id,title,images\nb,B,b.jpg\nc,C,a.jpg\n"}
    page = await imported(web, await web.follow(await web.send("/import", rows)))
    assert "2 products stored, 0 rows rejected." in page.text
    assert gateway.products["c"].images[0].content == JPEG


async def test_photos_that_are_gone_are_told_before_an_import_misses_them(
    console: Console, web: Browser, gateway: FakeGateway
) -> None:
    page = await looked_at(web, NAMED, photos=[("b.jpg", PNG), ("a.jpg", JPEG)])
    fields = hidden(page.text, "import")
    for session_id in [*console.sessions._packed]:
        console.sessions._drop_packed(session_id)
    page = await web.send("/import", fields)
    assert page.status_code == 400
    assert "The photos are not kept any more: choose them again." in page.text
    assert not gateway.requests["UpsertProducts"]


HOSTILE: Mapping[str, Callable[[], bytes]] = {
    "a path upwards": lambda: archive(("../../etc/passwd.jpg", b"x")),
    "a path upwards of Windows": lambda: archive(("a\\..\\..\\b.jpg", b"x")),
    "an absolute path": lambda: archive(("/etc/a.jpg", b"x")),
    "a link": lambda: archive(link("a.jpg", b"/etc/passwd")),
    "a deep path": lambda: archive(("a/" * 100 + "a.jpg", b"x")),
    "a long name": lambda: archive(("a" * 600 + ".jpg", b"x")),
    "a bomb": lambda: archive(*((f"{at}.jpg", bytes(9 * 2**20)) for at in range(6))),
    "a photo that is too large": lambda: archive(("a.jpg", bytes(product_photos.MAX_BYTES + 1))),
    "thousands of entries": lambda: archive(*((f"{at}.jpg", b"") for at in range(5_001))),
    "thousands of other entries": lambda: archive(*((f"{at}.txt", b"") for at in range(5_001))),
    "a name twice": lambda: archive(("a.jpg", b"1"), ("a.jpg", b"2")),
    "a slow way to pack": lambda: archive(("a.jpg", b"x"), kind=zipfile.ZIP_LZMA),
    "half": lambda: archive(("a.jpg", JPEG * 99))[:-40],
    "no zip": lambda: b"PK\x03\x04 and then nothing",
    "empty behind its end": lambda: b"PK\x05\x06",
}


@pytest.mark.slow
@pytest.mark.parametrize("name", HOSTILE)
async def test_a_hostile_zip_is_told_and_the_file_stays(
    web: Browser, gateway: FakeGateway, name: str
) -> None:
    content = HOSTILE[name]()
    tracemalloc.start()
    try:
        page = await upload(web, NAMED, photos=[("photos.zip", content)])
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert page.status_code == 400
    (told,) = re.findall(r'<p class="wrong" role="alert">([^<]+)</p>', page.text)
    assert re.search(r"photos?(\.zip)?|zip", told), told
    assert told.endswith("."), "a sentence"
    assert "Traceback" not in page.text
    assert most < 3 * product_photos.MOST_BYTES, "memory has a bound"
    assert 'name="c:title"' in page.text, "the file's columns are there"
    assert hidden(page.text, "import")["file"], "and the file can be imported without photos"
    assert (await web.open("/sign-in")).status_code == 200


def listing(count: int) -> bytes:
    """Return a zip whose list of entries is all it has, and names them by the million."""
    entry = struct.pack(
        "<4s6H3L5H2L", b"PK\x01\x02", *[20, 20, 0, 0, 0, 0], *[0, 0, 0], *[0] * 5, 0, 0
    )
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 1, 1, len(entry) * count, 0, 0)
    return entry * count + end


def test_a_list_of_a_million_entries_is_not_read_into_memory() -> None:
    content = listing(1_000_000)
    tracemalloc.start()
    try:
        with pytest.raises(PhotosRefused, match="over 5,000 entries"):
            packed([("a.zip", content)])
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()
    large = archive(("a.jpg", b"x"))
    at = large.rindex(b"PK\x05\x06")
    with pytest.raises(PhotosRefused):
        packed([("a.zip", large[:at] + b"PK\x06\x07" + bytes(16) + large[at:])])


def test_what_an_entry_says_of_its_size_does_not_count() -> None:
    content = bytearray(archive(("a.jpg", bytes(9 * 2**20))))
    at = content.rindex(b"PK\x01\x02")
    content[at + 24 : at + 28] = struct.pack("<L", 10)
    with pytest.raises(PhotosRefused, match="is no whole zip"):
        packed([("a.zip", bytes(content))])


async def test_too_many_and_too_large_photos_are_told(web: Browser) -> None:
    many = [(f"{at}.jpg", JPEG) for at in range(product_photos.MOST_FILES + 3)]
    page = await upload(web, NAMED, photos=many)
    assert (page.status_code, "Choose at most 64 photos" in page.text) == (413, True)
    page = await upload(web, NAMED, photos=many[: product_photos.MOST_FILES])
    assert page.status_code == 303
    page = await upload(web, NAMED, photos=[("a.jpg", bytes(product_photos.MAX_BYTES + 1))])
    assert (page.status_code, "has over 10 MiB" in page.text) == (400, True)
    page = await upload(web, NAMED, photos=[("a.exe", b"MZ")])
    assert (page.status_code, "is no photo and no zip" in page.text) == (400, True)
    large = [(f"{at}.jpg", bytes(9 * 2**20)) for at in range(6)]
    page = await upload(web, NAMED, photos=large)
    assert (page.status_code, "over 48 MiB" in page.text) == (400, True)
    page = await upload(web, NAMED, photos=[*large, ("c.jpg", bytes(2**24))])
    assert page.status_code == 413


async def test_forms_with_many_photos_wait_for_one_another(console: Console, web: Browser) -> None:
    with console.photo_uploads.place("a"), console.photo_uploads.place("b"):
        page = await upload(web, NAMED, photos=[(f"{at}.jpg", bytes(9 * 2**20)) for at in range(3)])
        assert page.status_code == 503
        assert (await upload(web, NAMED, photos=[("a.jpg", JPEG)])).status_code == 303


def photos_of(count: int, size: int = 10) -> Packed:
    return packed([(f"{at}.jpg", bytes(size)) for at in range(count)])


@pytest.fixture
def kept() -> Iterator[sessions.Sessions]:
    made = sessions.Sessions(lambda: 0.0)
    yield made
    for each in [*made._open]:
        made.end(each)


def test_photos_end_with_their_session_and_for_newer_ones(kept: sessions.Sessions) -> None:
    one, two = kept.begin(), kept.begin()
    first = photos_of(1)
    first_id = kept.keep_packed(one, first)
    assert kept.packed(one, first_id) is first
    assert kept.packed(two, first_id) is kept.packed(None, first_id) is None
    second = photos_of(1)
    kept.keep_packed(one, second)
    assert (first.is_open, second.is_open) == (False, True)
    large = [photos_of(5, 9 * 2**20) for _ in range(3)]
    for each in large:
        kept.keep_packed(kept.begin(), each)
    assert [each.is_open for each in (second, *large)] == [False, False, True, True]
    kept.end(two.session_id)
    lost = photos_of(1)
    assert kept.keep_packed(two, lost) == ""
    assert not lost.is_open


def test_photos_of_sessions_that_nobody_uses_end() -> None:
    now = [0.0]
    kept = sessions.Sessions(lambda: now[0])
    idle = photos_of(1)
    kept.keep_packed(kept.begin(), idle)
    now[0] += sessions.IDLE_SECONDS + 1
    fresh, session = photos_of(1), kept.begin()
    kept.keep_packed(session, fresh)
    assert (idle.is_open, fresh.is_open) == (False, True)
    kept.end(session.session_id)


def test_an_import_keeps_photos_that_others_replace() -> None:
    made = photos_of(2)
    again = made.again()
    made.close()
    assert again.read("1.jpg") == bytes(10)
    again.close()


def test_photos_that_are_not_taken_leave_no_file_open() -> None:
    before = len([*Path("/proc/self/fd").iterdir()])
    for _ in range(9):
        with pytest.raises(PhotosRefused):
            packed([("a.jpg", JPEG), ("a.jpg", JPEG)])
    assert len([*Path("/proc/self/fd").iterdir()]) < before + 9


def test_a_name_of_several_photos_is_told() -> None:
    made = packed([("a.zip", archive(("x/1.jpg", JPEG), ("y/1.jpg", PNG)))])
    beside = PackedPhotos(made)
    assert beside.images(["y/1.jpg"])[0].content == PNG
    with pytest.raises(SightlineError, match="several photos"):
        beside.images(["1.jpg"])
    made.close()


def test_photos_of_all_rows_have_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(product_photos, "MOST_SENT", 25)
    made = photos_of(1)
    beside = PackedPhotos(made)
    assert beside.images(["0.jpg", "0.jpg"])
    with pytest.raises(SightlineError, match="over 1 GiB"):
        beside.images(["0.jpg"])
    made.close()


def test_names_of_macs_and_windows_are_found() -> None:
    made = packed([("a.zip", archive(("cafe\u0301.jpg", JPEG), ("b\\c.jpg", PNG)))])
    beside = PackedPhotos(made)
    assert [each.content for each in beside.images(["caf\u00e9.jpg", "b/c.jpg"])] == [JPEG, PNG]
    assert beside.named("caf\u00e9") == ["caf\u00e9.jpg"]
    made.close()


def test_a_full_disk_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_given: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Packed, "add", full)
    with pytest.raises(PhotosRefused, match="no room"):
        packed([("a.jpg", JPEG)])
    with pytest.raises(PhotosRefused, match="no room"):
        packed([("a.zip", archive(("a.jpg", JPEG)))])
