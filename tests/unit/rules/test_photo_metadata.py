"""Metadata is removed from photos of every format, and their pictures stay bit for bit."""

import io
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from sightline_rules import photos
from sightline_rules.photo_metadata import without_metadata
from sightline_rules.photos import PhotoLimits, PhotoRejectedError

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


def test_what_is_no_photo_is_rejected() -> None:
    with pytest.raises(PhotoRejectedError):
        without_metadata(b"hello")
