"""A photo is turned alike as it came and as it is stored, wherever it names its turn."""

import struct
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from sightline_rules import photo_parts, photos
from sightline_rules.photo_metadata import without_metadata
from sightline_rules.photos import PhotoLimits
from tests.fakes.photos import encoded, png

LIMITS = PhotoLimits()
FORMATS = ("JPEG", "PNG", "WEBP", "AVIF", "HEIF", "TIFF")
BY_EXIF = ("JPEG", "PNG", "WEBP", "TIFF")
TYPES = {"byte": (1, "Bxxx"), "short": (3, "Hxx"), "long": (4, "I"), "signed": (9, "i")}


def exif(orientation: int, kind: str = "short", order: str = ">") -> bytes:
    """EXIF with an orientation of any of TIFF's types of whole numbers."""
    number, form = TYPES[kind]
    head = b"II*\0" if order == "<" else b"MM\0*"
    entry = struct.pack(f"{order}HHI{form}", 0x0112, number, 1, orientation)
    return b"Exif\0\0" + head + struct.pack(f"{order}IH", 8, 1) + entry + bytes(4)


def xmp(orientation: int) -> bytes:
    """XMP with an orientation."""
    return b'<rdf:Description xmlns:tiff="x" tiff:Orientation="%d"/>' % orientation


def saved(name: str, *, tag: bytes = b"", packet: bytes = b"", text: bytes = b"") -> bytes:
    """A photo with a red corner at the top left, and what names its turn: EXIF, XMP, and in a PNG
    the hexadecimal text of other programs."""
    image = Image.new("RGB", (48, 32), "white")
    image.paste("red", (0, 0, 24, 16))
    image.paste("blue", (24, 0, 48, 16))
    options: dict[str, Any] = {"exif": tag} if tag else {}
    if name == "PNG":
        texts = options["pnginfo"] = PngImagePlugin.PngInfo()
        texts.add_itxt("XML:com.adobe.xmp", packet.decode())
        if text:
            texts.add_text("Raw profile type exif", f"\nexif\n{len(text):8}\n{text.hex()}\n")
    elif name == "TIFF":
        return tiff(image, tag, packet)
    elif packet:
        options["xmp"] = packet
    return encoded(image, name, **options)


def tiff(image: Image.Image, tag: bytes, packet: bytes) -> bytes:
    """A TIFF with its entries as they are in EXIF: Pillow would write an orientation as SHORT."""
    order = "<" if tag[6:8] == b"II" else ">"
    entries = {
        0x0100: (3, "Hxx", image.width),
        0x0101: (3, "Hxx", image.height),
        0x0106: (3, "Hxx", 2),
        0x0115: (3, "Hxx", 3),
        0x0117: (4, "I", image.width * image.height * 3),
    }
    count = len(entries) + 2 + bool(tag) + bool(packet)
    after = 8 + 2 + 12 * count + 4
    written = {
        number: struct.pack(f"{order}HHI{f}", number, kind, 1, v)
        for number, (kind, f, v) in entries.items()
    }
    written[0x0102] = struct.pack(f"{order}HHII", 0x0102, 3, 3, after)
    written[0x0111] = struct.pack(f"{order}HHII", 0x0111, 4, 1, after + 6 + len(packet))
    if packet:
        written[700] = struct.pack(f"{order}HHII", 700, 1, len(packet), after + 6)
    if tag:
        written[0x0112] = tag[16:28]
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}IH", 8, count)
    parts = [head, *(written[number] for number in sorted(written)), bytes(4)]
    return b"".join([*parts, struct.pack(f"{order}3H", 8, 8, 8), packet, image.tobytes()])


def rechecked(data: bytes) -> bytes:
    """A PNG with right checksums."""
    parts = [(name, part[8:-4]) for name, part in photo_parts.png_chunks(data) if name]
    return png(*parts)


def seen(data: bytes) -> tuple[object, ...]:
    """What catalog and embedder see of a photo."""
    image, info = photos.decode(data, LIMITS), photos.inspect(data, LIMITS)
    assert image.size == (info.width, info.height)
    return image.size, image.tobytes(), info.perceptual_hash


def red_corner(data: bytes) -> tuple[int, int]:
    """Return where the red corner is: 0 is left, and above."""
    image = photos.decode(data, LIMITS)
    found = []
    for across in (0, 1):
        for down in (0, 1):
            at = (image.width * (1 + 2 * across) // 4, image.height * (1 + 2 * down) // 4)
            pixel = image.getpixel(at)
            assert isinstance(pixel, tuple)
            found += [(across, down)] if pixel[0] > 150 and pixel[1] < 120 else []
    (only,) = found
    return only


CORNERS = {1: (0, 0), 2: (1, 0), 3: (1, 1), 4: (0, 1), 5: (0, 0), 6: (1, 0), 7: (1, 1), 8: (0, 1)}
"""Where the corner of the stored top left is to be seen, by orientation."""


@settings(max_examples=150, deadline=None)
@given(
    name=st.sampled_from(FORMATS),
    tagged=st.none()
    | st.tuples(st.integers(0, 9), st.sampled_from(list(TYPES)), st.sampled_from("<>")),
    packet=st.none() | st.integers(1, 8),
    text=st.none() | st.integers(1, 8),
)
def test_a_photo_is_turned_alike_as_it_came_and_as_it_is_stored(
    name: str, tagged: tuple[int, str, str] | None, packet: int | None, text: int | None
) -> None:
    if name == "AVIF" and tagged:  # Pillow writes no other
        tagged = (min(max(tagged[0], 1), 8), "short", tagged[2])
    data = saved(
        name,
        tag=exif(*tagged) if tagged else b"",
        packet=xmp(packet) if packet else b"",
        text=exif(text) if text else b"",
    )
    stored = without_metadata(data)
    assert seen(stored) == seen(data)
    assert without_metadata(stored) == stored
    assert photo_parts.orientation(stored) == photo_parts.orientation(data)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("name", BY_EXIF)
def test_an_orientation_of_any_type_turns_the_photo_upright(
    name: str, kind: str, order: str
) -> None:
    for orientation in range(1, 9):
        data = saved(name, tag=exif(orientation, kind, order))
        assert red_corner(data) == CORNERS[orientation], orientation
        size = photos.decode(data, LIMITS).size
        assert size == ((32, 48) if orientation > 4 else (48, 32))


@pytest.mark.parametrize("name", ["JPEG", "PNG", "WEBP", "AVIF", "TIFF"])
def test_xmp_and_texts_turn_nothing(name: str) -> None:
    data = saved(name, packet=xmp(6), text=exif(6))
    assert red_corner(data) == (0, 0)
    assert photos.decode(data, LIMITS).size == (48, 32)


@pytest.mark.parametrize("name", ["JPEG", "PNG", "WEBP", "AVIF", "HEIF"])
@pytest.mark.parametrize("damaged", [b"II*\0\xff\xff\xff\xff", b"XX*\0", b"\0" * 16])
def test_damaged_exif_turns_nothing(name: str, damaged: bytes) -> None:
    whole = exif(1).replace(b"\x01\x12", b"\x01\x28")  # Pillow would write an orientation anew
    data = saved(name, tag=whole).replace(whole[6:], damaged.ljust(len(whole) - 6, b"\0"))
    if name == "PNG":
        data = rechecked(data)
    assert damaged in data
    assert red_corner(data) == red_corner(without_metadata(data)) == (0, 0)


def test_the_first_exif_of_a_jpeg_counts() -> None:
    once = saved("JPEG", tag=exif(6))
    (second,) = [
        part
        for marker, part in photo_parts.jpeg_segments(saved("JPEG", tag=exif(3)))
        if marker == b"\xff\xe1"
    ]
    twice = once[:2] + second + once[2:]
    assert photo_parts.orientation(twice) == 3
    assert seen(without_metadata(twice)) == seen(twice)
