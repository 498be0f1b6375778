"""Metadata is removed from photos of every format, and their pictures stay bit for bit."""

import io
import random
import struct
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from sightline_rules import photos
from sightline_rules.photo_metadata import has_one_picture, without_metadata
from sightline_rules.photo_parts import MOST_PARTS, gif_blocks
from sightline_rules.photos import PhotoLimits, PhotoRejectedError
from tests.work import assert_at_most

SECRETS = (b"SERIAL-4711", b"ann's camera", b"2026-11-25", b"52.5200")
LIMITS = PhotoLimits()


def exif(orientation: int = 1) -> Image.Exif:
    made = Image.Exif()
    made[0x0112] = orientation
    made[0x010F], made[0x013B] = "ann's camera", "ann's camera"
    made[0x0132] = "2026-11-25 10:00:00"
    made.get_ifd(0x8769)[0xA431] = "SERIAL-4711"
    made.get_ifd(0x8825)[1] = "N"
    made.get_ifd(0x8825)[27] = b"52.5200"
    return made


def picture(mode: str = "RGB") -> Image.Image:
    draw = random.Random(5)
    small = Image.frombytes("RGB", (12, 8), bytes(draw.randrange(256) for _ in range(12 * 8 * 3)))
    return small.resize((96, 64), Image.Resampling.BICUBIC).convert(mode)


def saved(name: str, orientation: int = 1, **options) -> bytes:
    out = io.BytesIO()
    if name == "PNG":
        texts = PngImagePlugin.PngInfo()
        texts.add_text("Author", "ann's camera")
        texts.add_itxt("XML:com.adobe.xmp", "<x>SERIAL-4711</x>")
        options["pnginfo"] = texts
    if name in ("JPEG", "WEBP", "TIFF"):
        options.setdefault("xmp", b"<x>SERIAL-4711</x>") if name != "TIFF" else None
    if name == "JPEG":
        options.setdefault("comment", b"ann's camera")
    if name == "GIF":
        options["comment"] = b"ann's camera"
    if name != "GIF":
        made = exif(orientation)
        options["exif"] = made if name == "TIFF" else made.tobytes()
    picture("P" if name == "GIF" else "RGB").save(out, name, **options)
    return out.getvalue()


NAMES = ("JPEG", "PNG", "WEBP", "GIF", "AVIF", "TIFF")


def pixels(data: bytes) -> bytes:
    return photos.decode(data, LIMITS).tobytes()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_nothing_of_the_metadata_is_left_and_the_picture_is_the_same(
    name: str, orientation: int
) -> None:
    given_ = saved(name, orientation)
    assert any(secret in given_ for secret in SECRETS)
    found = without_metadata(given_)
    assert [secret for secret in SECRETS if secret in found] == []
    assert len(found) <= len(given_)
    if name != "AVIF" or orientation == 1:  # AVIF turns by its own boxes, which Pillow writes too
        assert pixels(found) == pixels(given_)
    assert without_metadata(found) == found, "once is enough"


@pytest.mark.parametrize("name", [*NAMES, "BMP"])
def test_a_photo_without_metadata_stays_as_it_is(name: str) -> None:
    out = io.BytesIO()
    picture("P" if name == "GIF" else "RGB").save(out, name)
    given_ = out.getvalue()
    assert without_metadata(given_) is given_


@pytest.mark.parametrize("name", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_a_colour_profile_stays(name: str) -> None:
    from PIL import ImageCms

    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    found = without_metadata(saved(name, icc_profile=profile))
    assert Image.open(io.BytesIO(found)).info["icc_profile"] == profile


def test_what_follows_a_jpeg_is_cut_off() -> None:
    whole = saved("JPEG")
    second = whole + b"\0\0ftypmp42 a film of ann's camera"
    assert without_metadata(second) == without_metadata(whole)


@pytest.mark.parametrize("options", [{"progressive": True}, {"subsampling": 0, "quality": 100}])
def test_scans_of_a_jpeg_are_taken_whole(options: dict) -> None:
    out = io.BytesIO()
    Image.effect_noise((300, 200), 90).convert("RGB").save(
        out, "JPEG", exif=exif().tobytes(), restart_marker_blocks=3, **options
    )
    found = without_metadata(out.getvalue())
    assert pixels(found) == pixels(out.getvalue())
    assert b"SERIAL" not in found


def test_an_animation_stays_whole() -> None:
    out = io.BytesIO()
    frames = [picture("P").rotate(turn) for turn in (0, 90, 180)]
    frames[0].save(out, "GIF", save_all=True, append_images=frames[1:], loop=0, comment=b"ann's")
    found = without_metadata(out.getvalue())
    assert b"ann's" not in found
    image = Image.open(io.BytesIO(found))
    assert (image.n_frames, image.info["loop"]) == (3, 0)


@pytest.mark.parametrize("name", NAMES)
def test_a_damaged_file_is_returned_for_a_decoder_to_reject(name: str) -> None:
    whole = saved(name, 6)
    for end in range(12, len(whole), max(len(whole) // 60, 1)):
        without_metadata(whole[:end])
    draw = random.Random(11)
    for _ in range(300):
        broken = bytearray(whole)
        for _ in range(4):
            broken[draw.randrange(12, len(broken))] = draw.randrange(256)
        without_metadata(bytes(broken))


@pytest.mark.parametrize("name", NAMES)
def test_a_file_that_is_cut_off_anywhere_is_returned(name: str) -> None:
    data = saved(name)
    for end in range(16, min(len(data), 1_500)):
        assert without_metadata(data[:end])


@given(st.sampled_from(NAMES), st.binary(max_size=400))
@settings(max_examples=200, deadline=None)
def test_any_bytes_behind_a_start_are_taken(name: str, tail: bytes) -> None:
    without_metadata(saved(name)[:24] + tail)


JUNK = {"zeros": b"\0\0\0", "a value": b"\xff\0", "a restart": b"\xff\xd3", "filling": b"\xff\xff"}


@pytest.mark.parametrize("junk", JUNK.values(), ids=list(JUNK))
def test_metadata_behind_what_decoders_skip_are_removed(junk: bytes) -> None:
    plain = saved("JPEG", 6)
    for marker in (b"\xff\xe1", b"\xff\xfe", b"\xff\xdb"):
        at = plain.index(marker)
        given_ = plain[:at] + junk + plain[at:]
        found = without_metadata(given_)
        assert [secret for secret in SECRETS if secret in found] == []
        assert pixels(found) == pixels(given_) == pixels(plain)


def test_a_picture_behind_what_decoders_skip_is_counted() -> None:
    out = io.BytesIO()
    second = picture("P").rotate(90)
    picture("P").save(out, "GIF", save_all=True, append_images=[second], comment=b"ann's camera")
    whole = out.getvalue()
    starts = [start for start, _ in gif_blocks(whole)]
    for start in starts:
        hidden = whole[:start] + b"\x07" + whole[start:]
        assert Image.open(io.BytesIO(hidden)).n_frames == 2
        assert b"ann's" not in without_metadata(hidden)
        assert not has_one_picture(without_metadata(hidden))
    alone = whole[: starts[-2]]
    assert has_one_picture(without_metadata(alone + b"\x07\x3b"))


def tiff(entries: int, each: int, size: int) -> bytes:
    """A TIFF of `size` bytes whose entries, in a folder that follows itself, name `each` bytes."""
    entry = struct.pack("<HHII", 0x010E, 1, each, 8)
    folder = struct.pack("<H", entries) + entry * entries + struct.pack("<I", 8)
    return (b"II*\0\x08\0\0\0" + folder).ljust(size, b"\1")


def heic(entries: int, each: int, size: int, items: int = 1) -> bytes:
    """A HEIC of `size` bytes with EXIF in `entries` places of `each` bytes, for each item."""
    place = struct.pack(">I", each) if each else b""
    one = struct.pack(">HHH", 1, 0, entries) + place * entries
    names = box(b"infe", b"\2\0\0\0\0\1\0\0Exif\0\0")
    places = bytes((0, 0, 0, 0, len(place), 0)) + struct.pack(">H", items) + one * items
    inner = box(b"iinf", b"\0\0\0\0\0\1" + names) + box(b"iloc", places)
    head = box(b"ftyp", b"heic\0\0\0\0heic") + box(b"meta", bytes(4) + inner)
    return head.ljust(size, b"\0")


def box(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", 8 + len(content)) + name + content


@pytest.mark.parametrize("made", [tiff, heic])
def test_bytes_that_many_entries_name_are_overwritten_once(
    made: Callable[[int, int, int], bytes],
) -> None:
    size = 2**19
    apart, whole = made(4_000, 5, size), made(4_000, size, size)
    assert_at_most(2.5, lambda: without_metadata(apart), lambda: without_metadata(whole))


def test_places_that_take_no_bytes_of_the_file_are_too_many_parts() -> None:
    with pytest.raises(PhotoRejectedError, match="parts"):
        without_metadata(heic(4_000, 0, 0, items=1_000))


@pytest.mark.first(2)
@pytest.mark.parametrize(
    ("start", "part"),
    [
        (b"\xff\xd8\xff\xdb\0\2", b"\xff\xdb\0\2"),
        (b"\x89PNG\r\n\x1a\n", b"\0\0\0\0abcd\0\0\0\0"),
        (b"RIFF\xff\xff\xff\0WEBP", b"abcd\0\0\0\0"),
        (b"GIF89a" + bytes(7), b"\x21\xf9\0"),
        (b"\0\0\0\x10ftypheic" + bytes(4), b"\0\0\0\x08free"),
    ],
    ids=["JPEG", "PNG", "WEBP", "GIF", "HEIF"],
)
def test_a_photo_in_too_many_parts_is_rejected(start: bytes, part: bytes) -> None:
    without_metadata(start + part * (MOST_PARTS - 8))
    with pytest.raises(PhotoRejectedError, match="has more than 65,536 parts"):
        without_metadata(start + part * (MOST_PARTS + 1))


@pytest.mark.parametrize("damaged", [False, True])
def test_texts_of_a_png_do_not_decide_whether_it_is_a_photo(damaged: bool) -> None:
    texts = PngImagePlugin.PngInfo()
    texts.add_text("Workflow", "x" * (2 << 20), zip=True)
    out = io.BytesIO()
    picture().save(out, "PNG", pnginfo=texts)
    given_ = bytearray(out.getvalue())
    if damaged:
        given_[given_.index(b"zTXt") + 40] ^= 1
    found = without_metadata(bytes(given_))
    assert pixels(bytes(given_)) == pixels(found) == picture().tobytes()


def test_what_is_no_photo_is_rejected() -> None:
    with pytest.raises(PhotoRejectedError):
        without_metadata(b"hello")
