"""Sides and formats of photos by their headers, compared with photos that Pillow writes."""

import struct

import pytest
from PIL import Image

from gateway.model.photo_header import MOST_PIXELS, PIXEL, PricedFormat, decoding_seconds
from tests.fakes.photos import avif_header, encoded


def price(form: PricedFormat, pixels: int) -> float:
    return pixels * PIXEL[form]


@pytest.mark.first(2)
@pytest.mark.parametrize(
    ("form", "kind", "options"),
    [
        (PricedFormat.JPEG, "JPEG", {}),
        (PricedFormat.JPEG, "JPEG", {"progressive": True, "comment": b"c" * 300}),
        (PricedFormat.PNG, "PNG", {}),
        (PricedFormat.WEBP, "WEBP", {}),
        (PricedFormat.WEBP, "WEBP", {"lossless": True}),
        (PricedFormat.WEBP, "WEBP", {"exif": b"Exif\0\0"}),
        (PricedFormat.AVIF, "AVIF", {}),
        (PricedFormat.HEIF, "HEIF", {}),
    ],
)
def test_decoding_is_priced_by_format_and_pixels(
    form: PricedFormat, kind: str, options: dict[str, object]
) -> None:
    photo = encoded(Image.effect_noise((640, 322), 50).convert("RGB"), kind, **options)
    assert decoding_seconds(photo) == pytest.approx(price(form, 640 * 322))


def test_a_photo_with_an_orientation_and_a_thumbnail_is_priced_by_itself() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    small = encoded(Image.new("RGB", (32, 32)), "JPEG")
    photo = encoded(Image.new("RGB", (300, 200)), "JPEG", exif=exif.tobytes() + small)
    assert decoding_seconds(photo) == pytest.approx(price(PricedFormat.JPEG, 300 * 200))


def test_a_photo_of_tiles_is_priced_as_a_whole() -> None:
    photo = avif_header((512, 512), (4_032, 3_024), (512, 512))
    assert decoding_seconds(photo) == pytest.approx(price(PricedFormat.AVIF, 4_032 * 3_024))


def test_sides_that_no_photo_has_are_bounded() -> None:
    assert decoding_seconds(avif_header((2**32 - 1, 2**32 - 1))) == price(
        PricedFormat.AVIF, MOST_PIXELS
    )


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF"])
def test_what_is_cut_off_has_no_price_and_raises_nothing(kind: str) -> None:
    photo = encoded(Image.new("RGB", (300, 200)), kind)
    for size in range(min(len(photo), 400)):
        assert 0 <= decoding_seconds(photo[:size]) <= price(PricedFormat.HEIF, MOST_PIXELS)
    assert decoding_seconds(b"") == decoding_seconds(b"no photo") == 0


def test_few_segments_of_a_jpeg_are_skipped() -> None:
    start, frame = b"\xff\xd8", b"\xff\xc0\0\x0b\x08" + struct.pack(">HH", 200, 300)
    near, far = (start + b"\xff\xe0\0\2" * count + frame for count in (100, 1_000))
    assert decoding_seconds(near) == pytest.approx(price(PricedFormat.JPEG, 300 * 200))
    assert decoding_seconds(far) == 0
