import io

import pytest
from PIL import Image

from sightline_rules.photos import PhotoLimits, PhotoRejectedError, RejectionReason, decode, inspect

LIMITS = PhotoLimits()


def encoded(image: Image.Image, name: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, name, **options)
    return buffer.getvalue()


def half_red(width: int = 40, height: int = 20) -> Image.Image:
    """Left half red, right half blue."""
    image = Image.new("RGB", (width, height), "blue")
    image.paste("red", (0, 0, width // 2, height))
    return image


@pytest.mark.parametrize(
    ("name", "media_type"), [("JPEG", "image/jpeg"), ("PNG", "image/png"), ("WEBP", "image/webp")]
)
def test_the_three_formats_are_known_by_their_bytes(name: str, media_type: str) -> None:
    info = inspect(encoded(half_red(), name), LIMITS)
    assert (info.media_type, info.width, info.height) == (media_type, 40, 20)
    assert len(info.image_id) == 64


def test_a_rotated_photo_is_turned_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # stored lying on its side: turn it by 90 degrees clockwise to see it upright
    data = encoded(half_red(), "JPEG", exif=exif, quality=95)
    info = inspect(data, LIMITS)
    assert (info.width, info.height) == (20, 40)
    upright = decode(data, LIMITS)
    assert upright.size == (20, 40)
    top, bottom = upright.getpixel((10, 5)), upright.getpixel((10, 35))
    assert isinstance(top, tuple)
    assert isinstance(bottom, tuple)
    assert top[0] > 200 > top[2]
    assert bottom[2] > 200 > bottom[0]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"this is a text file, whatever its name says",
        b"GIF89a" + b"\0" * 100,
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"\xff\xd8\xff" + b"\0" * 50,
        encoded(half_red(400, 300), "JPEG")[:-600],
        encoded(half_red(400, 300), "PNG")[:-60],
        encoded(half_red(400, 300), "WEBP")[:-60],
    ],
    ids=["empty", "text", "gif", "svg", "header only", "cut jpeg", "cut png", "cut webp"],
)
def test_what_is_no_whole_photo_is_refused_by_both(data: bytes) -> None:
    for look in (inspect, decode):
        with pytest.raises(PhotoRejectedError) as caught:
            look(data, LIMITS)
        assert caught.value.reason is RejectionReason.UNDECODABLE


def test_too_many_bytes_or_pixels_are_refused_before_decoding() -> None:
    data = encoded(half_red(), "PNG")
    for limits in (PhotoLimits(max_bytes=len(data) - 1), PhotoLimits(max_pixels=799)):
        for look in (inspect, decode):
            with pytest.raises(PhotoRejectedError) as caught:
                look(data, limits)
            assert caught.value.reason is RejectionReason.TOO_LARGE
    assert inspect(data, PhotoLimits(max_bytes=len(data), max_pixels=800)).width == 40


def test_a_bomb_of_pixels_is_refused_as_too_large() -> None:
    data = bytearray(encoded(Image.new("1", (64, 64)), "PNG"))
    import struct
    import zlib

    header = struct.pack(">II", 30_000, 30_000) + bytes(data[24:29])
    data[16:33] = header + struct.pack(">I", zlib.crc32(b"IHDR" + header))
    with pytest.raises(PhotoRejectedError) as caught:
        inspect(bytes(data), LIMITS)
    assert caught.value.reason is RejectionReason.TOO_LARGE


def test_one_pixel_is_a_photo() -> None:
    data = encoded(Image.new("RGB", (1, 1), "red"), "PNG")
    assert (inspect(data, LIMITS).width, decode(data, LIMITS).size) == (1, (1, 1))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "I;16"])
def test_every_mode_becomes_rgb_with_white_behind_transparency(mode: str) -> None:
    image = Image.new(mode, (4, 4))
    assert decode(encoded(image, "PNG"), LIMITS).mode == "RGB"


def test_transparent_becomes_white_and_sixteen_bit_grey_keeps_its_brightness() -> None:
    clear = encoded(Image.new("RGBA", (2, 2), (255, 0, 0, 0)), "PNG")
    assert decode(clear, LIMITS).getpixel((0, 0)) == (255, 255, 255)
    grey = encoded(Image.new("I;16", (2, 2), 0x8000), "PNG")
    assert decode(grey, LIMITS).getpixel((0, 0)) == (128, 128, 128)


def test_cmyk_jpegs_decode() -> None:
    assert decode(encoded(Image.new("CMYK", (8, 8)), "JPEG"), LIMITS).mode == "RGB"


def test_a_draft_keeps_both_sides_above_the_asked_size() -> None:
    data = encoded(half_red(1_600, 1_200), "JPEG")
    assert decode(data, LIMITS, min_side=256).size == (400, 300)
    assert decode(data, LIMITS, min_side=601).size == (1_600, 1_200)


def test_a_jpeg_of_thousands_of_scans_is_refused_undecoded() -> None:
    """A scan of 100 bytes makes the decoder go over every pixel: 10 MiB would keep it busy for half
    an hour."""
    ordinary = encoded(half_red(400, 400), "JPEG", progressive=True)
    last_scan = ordinary[ordinary.rfind(b"\xff\xc4", 0, ordinary.rfind(b"\xff\xda")) : -2]
    assert inspect(ordinary, LIMITS).width == 400
    for read in (inspect, decode):
        with pytest.raises(PhotoRejectedError) as caught:
            read(ordinary[:-2] + 5_000 * last_scan + b"\xff\xd9", LIMITS)
        assert caught.value.reason is RejectionReason.UNDECODABLE
        assert "scans" in str(caught.value)
