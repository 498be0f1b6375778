"""Photos of every format, whole, odd and hostile."""

import struct
import warnings
import zlib
from functools import cache, partial

import pytest
from PIL import Image

from sightline_rules import photos
from sightline_rules.photos import (
    PhotoLimits,
    PhotoRejectedError,
    RejectionReason,
    decode,
    inspect,
    sniff,
)
from tests.fakes.photos import (
    MEDIA_TYPES,
    claiming,
    encoded,
    frames,
    gif_of,
    picture,
    png,
    png_chunks,
)
from tests.work import cost

LIMITS = PhotoLimits()
FORMATS = list(MEDIA_TYPES)
LOSSY = {"JPEG", "WEBP", "AVIF", "HEIF"}


def half_red(width: int = 40, height: int = 20) -> Image.Image:
    """Return a picture with a red left half and a blue right half."""
    image = Image.new("RGB", (width, height), "blue")
    image.paste("red", (0, 0, width // 2, height))
    return image


def rejected(data: bytes, reason: RejectionReason, limits: PhotoLimits = LIMITS) -> str:
    """Check that both readers reject it for the reason. Return the message."""
    said = set()
    for look in (inspect, decode):
        with pytest.raises(PhotoRejectedError) as caught:
            look(data, limits)
        assert caught.value.reason is reason
        said.add(str(caught.value))
    (message,) = said
    return message


def is_red(pixel: object) -> bool:
    assert isinstance(pixel, tuple)
    return bool(pixel[0] > 200 and pixel[1] < 60 and pixel[2] < 60)


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_is_known_by_its_bytes(name: str) -> None:
    data = encoded(half_red(), name)
    info = inspect(data, LIMITS)
    assert (info.media_type, info.width, info.height) == (MEDIA_TYPES[name], 40, 20)
    assert len(info.image_id) == 64
    upright = decode(data, LIMITS)
    assert (upright.mode, upright.size) == ("RGB", (40, 20))
    assert is_red(upright.getpixel((5, 10)))
    assert not is_red(upright.getpixel((35, 10)))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["JPEG", "PNG", "WEBP", "AVIF", "HEIF", "TIFF"])
def test_a_photo_of_any_format_is_turned_upright(name: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    lying = half_red(64, 32)
    options = {"quality": 95} if name in LOSSY else {}
    data = encoded(lying, name, exif=exif.tobytes() if name != "TIFF" else exif, **options)
    upright = decode(data, LIMITS)
    info = inspect(data, LIMITS)
    assert (info.width, info.height) == upright.size
    assert upright.size == ((32, 64) if orientation > 4 else (64, 32))
    # Where the left half of the stored picture is to be seen.
    red = {1: (8, 16), 2: (56, 16), 3: (56, 16), 4: (8, 16)}.get(orientation) or (
        (16, 8) if orientation in {5, 6} else (16, 56)
    )
    blue = (upright.width - 1 - red[0], upright.height - 1 - red[1])
    assert is_red(upright.getpixel(red))
    assert not is_red(upright.getpixel(blue))


@pytest.mark.parametrize("name", FORMATS)
def test_a_photo_that_is_cut_off_is_refused(name: str) -> None:
    whole = encoded(picture(90, 70), name)
    inspect(whole, LIMITS)
    for length in (len(whole) - 40, len(whole) // 2, len(whole) // 4, 20):
        rejected(whole[:length], RejectionReason.UNDECODABLE)


@pytest.mark.parametrize("name", FORMATS)
def test_a_bomb_of_pixels_is_refused_at_once(name: str) -> None:
    # WebP has no more, and libavif refuses more itself, as undecodable.
    side = {"WEBP": 16_383, "AVIF": 16_000}.get(name, 30_000)
    bomb = claiming(name, side, side)
    assert "pixels" in rejected(bomb, RejectionReason.TOO_LARGE)
    assert cost(lambda: rejected(bomb, RejectionReason.TOO_LARGE)) < 5


@pytest.mark.parametrize("name", ["GIF", "PNG", "WEBP", "AVIF", "HEIF", "TIFF", "JPEG"])
def test_of_several_frames_or_pages_the_first_counts(name: str) -> None:
    data = frames("MPO" if name == "JPEG" else name)
    info = inspect(data, LIMITS)
    assert (info.media_type, info.width, info.height) == (MEDIA_TYPES[name], 32, 24)
    assert is_red(decode(data, LIMITS).getpixel((16, 12)))


def test_a_hundred_thousand_frames_cost_no_more_than_the_first() -> None:
    many = gif_of(100_000)
    assert len(many) > 10**6
    assert is_red(decode(many, LIMITS).getpixel((16, 12)))
    assert inspect(many, LIMITS).width == 32
    assert cost(lambda: (decode(many, LIMITS), inspect(many, LIMITS))) < 4


@pytest.mark.parametrize("size", [(1, 60_000), (60_000, 1), (1, 1)])
@pytest.mark.parametrize("name", ["JPEG", "PNG", "GIF", "TIFF", "BMP"])
def test_a_strip_and_a_dot_are_photos(name: str, size: tuple[int, int]) -> None:
    data = encoded(Image.new("RGB", size, "red"), name)
    info = inspect(data, LIMITS)
    assert (info.width, info.height) == size
    assert is_red(decode(data, LIMITS, min_side=448).getpixel((0, 0)))


def test_a_strip_wider_than_a_format_allows_can_not_be_written() -> None:
    """Check the encoders: WebP ends at 16,383 pixels, AVIF and HEIC at fewer, so no such file
    exists."""
    with pytest.raises(ValueError, match=r"invalid dimension|too large|exceed|encod"):
        encoded(Image.new("RGB", (1, 60_000)), "WEBP")


@cache
def giant() -> bytes:
    """Return 200 MiB, compressed to less than 300 kB."""
    return zlib.compress(bytes(200 * 2**20), 9)


@pytest.mark.full
@pytest.mark.slow
@pytest.mark.parametrize("name", [b"zTXt", b"iCCP", b"iTXt"])
def test_giant_texts_and_profiles_of_a_png_are_not_unpacked(name: bytes) -> None:
    head, *rest = png_chunks(encoded(half_red(), "PNG"))
    packed = giant()
    body = {
        b"zTXt": b"Comment\0\0" + packed,
        b"iCCP": b"icc\0\0" + packed,
        b"iTXt": b"Comment\0\1\0\0\0" + packed,
    }[name]
    assert len(body) < 300_000
    data = png(head, (name, body), *rest)
    if name == b"iCCP":
        assert "more than 1 MiB" in rejected(data, RejectionReason.UNDECODABLE)
        assert cost(lambda: rejected(data, RejectionReason.UNDECODABLE)) < 4
    else:  # the catalog does not store it
        assert decode(data, LIMITS).tobytes() == half_red().tobytes()
        assert cost(lambda: decode(data, LIMITS)) < 4


def test_thousands_of_texts_of_a_png_are_not_unpacked() -> None:
    head, *rest = png_chunks(encoded(half_red(), "PNG"))
    text = (b"zTXt", b"Comment\0\0" + zlib.compress(bytes(2**19), 9))
    data = png(head, *[text] * 10_000, *rest)
    assert decode(data, LIMITS).tobytes() == half_red().tobytes()
    assert cost(lambda: decode(data, LIMITS)) < 50


def test_files_that_are_two_things_at_once_are_read_as_what_they_start_with() -> None:
    photo = encoded(half_red(), "JPEG")
    for tail in (b"PK\3\4" + bytes(100), b"<script>alert(1)</script>", encoded(half_red(), "PNG")):
        assert inspect(photo + tail, LIMITS).media_type == "image/jpeg"
    for head in (b"%PDF-1.4\n", b"<html>", b"PK\3\4", b"\0"):
        rejected(head + photo, RejectionReason.UNDECODABLE)


@pytest.mark.parametrize(
    "brands", [b"mp42isom", b"qt  ", b"isomiso2avc1", b"jxl ", b"crx isom", b"heiXheiX"]
)
def test_a_film_in_the_container_of_heic_is_refused_undecoded(brands: bytes) -> None:
    box = struct.pack(">I", 12 + len(brands)) + b"ftyp" + brands[:4] + bytes(4) + brands[4:]
    with pytest.raises(PhotoRejectedError):
        sniff(box + bytes(200))


def test_a_tiff_with_absurd_tags_is_refused() -> None:
    good = encoded(half_red(), "TIFF")
    assert inspect(good, LIMITS).width == 40
    for tag, kind, count, value in (
        (273, 4, 1, 0xFFFFFFF0),  # the strip starts behind the end
        (273, 4, 0x0FFFFFFF, 8),  # a quarter of a billion strips
        (277, 3, 1, 0xFFFF),  # samples a pixel
        (258, 3, 0x0FFFFFFF, 8),  # bits a sample
        (259, 3, 1, 0x7777),  # no such compression
        (256, 4, 1, 0),  # no width
        (262, 3, 1, 999),  # no such colours
    ):
        bad = bytearray(good)
        (start,) = struct.unpack_from("<I", good, 4)
        (entries,) = struct.unpack_from("<H", good, start)
        for at in range(start + 2, start + 2 + 12 * entries, 12):
            if struct.unpack_from("<H", good, at)[0] == tag:
                struct.pack_into("<HHII", bad, at, tag, kind, count, value)
        assert bytes(bad) != good, tag
        assert cost(partial(rejected, bytes(bad), RejectionReason.UNDECODABLE)) < 20, tag


def test_a_tiff_whose_pages_go_round_in_a_circle_is_its_first_page() -> None:
    good = bytearray(encoded(half_red(), "TIFF"))
    (start,) = struct.unpack_from("<I", good, 4)
    (entries,) = struct.unpack_from("<H", good, start)
    struct.pack_into("<I", good, start + 2 + 12 * entries, start)
    assert inspect(bytes(good), LIMITS).width == 40


def test_colours_that_have_no_meaning_as_a_picture_are_refused_by_name() -> None:
    assert "LAB" in rejected(encoded(Image.new("LAB", (8, 8)), "TIFF"), RejectionReason.UNDECODABLE)
    rejected(encoded(Image.new("F", (8, 8)), "TIFF"), RejectionReason.UNDECODABLE)


@pytest.mark.parametrize(
    ("mode", "name"),
    [("CMYK", "TIFF"), ("CMYK", "JPEG"), ("I;16", "TIFF"), ("I;16", "PNG"), ("1", "TIFF")]
    + [("RGBA", name) for name in ("PNG", "WEBP", "AVIF", "HEIF", "TIFF")]
    + [("P", name) for name in ("PNG", "GIF", "TIFF", "BMP")]
    + [("L", name) for name in FORMATS],
)
def test_every_colour_mode_of_every_format_becomes_rgb(mode: str, name: str) -> None:
    data = encoded(Image.new(mode, (24, 16)), name)
    assert decode(data, LIMITS).mode == "RGB"
    assert inspect(data, LIMITS).width == 24


def test_a_sixteen_bit_grey_png_with_a_transparent_grey_is_read() -> None:
    head, *rest = png_chunks(encoded(Image.new("I;16", (8, 8), 0x8000), "PNG"))
    data = png(head, (b"tRNS", struct.pack(">H", 0xFFFF)), *rest)
    assert decode(data, LIMITS).mode == "RGB"


def test_odd_metadata_is_no_reason_to_refuse_nor_to_warn() -> None:
    data = encoded(half_red(), "JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\xff\xff" + bytes(9))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert inspect(data, LIMITS).width == 40
        assert decode(data, LIMITS).size == (40, 20)


def test_a_refusal_crosses_to_another_process_as_a_number_and_a_text() -> None:
    for reason in RejectionReason:
        error = PhotoRejectedError(reason, "why")
        copy = PhotoRejectedError.of(error.code, str(error))
        assert (copy.reason, str(copy)) == (reason, "why")
    for unknown in (0, 255):
        assert PhotoRejectedError.of(unknown, "").reason is RejectionReason.UNDECODABLE


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
        b"BMW sells cars",
        b"<!doctype html><title>photo.jpg</title>",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"\xff\xd8\xff" + b"\0" * 50,
        encoded(half_red(400, 300), "JPEG")[:-600],
        encoded(half_red(400, 300), "PNG")[:-60],
        encoded(half_red(400, 300), "WEBP")[:-60],
    ],
    ids=[
        "empty",
        "text",
        "gif",
        "bm",
        "html",
        "svg",
        "header only",
        "cut jpeg",
        "cut png",
        "cut webp",
    ],
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
    """Check scans of 100 bytes, each of which makes the decoder process every pixel: 10 MiB would
    take half an hour."""
    ordinary = encoded(half_red(400, 400), "JPEG", progressive=True)
    last_scan = ordinary[ordinary.rfind(b"\xff\xc4", 0, ordinary.rfind(b"\xff\xda")) : -2]
    assert inspect(ordinary, LIMITS).width == 400
    for read in (inspect, decode):
        with pytest.raises(PhotoRejectedError) as caught:
            read(ordinary[:-2] + 5_000 * last_scan + b"\xff\xd9", LIMITS)
        assert caught.value.reason is RejectionReason.UNDECODABLE
        assert "scans" in str(caught.value)


@pytest.mark.parametrize("kind", list(MEDIA_TYPES))
def test_a_header_says_how_many_pixels_a_photo_counts_and_nothing_is_decoded(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = encoded(picture(90, 70), kind)
    expected = photos.decode(whole, PhotoLimits()).size
    monkeypatch.setattr(photos, "_load", None)
    assert photos.pixels(whole, PhotoLimits()) == expected[0] * expected[1] == 90 * 70
    with pytest.raises(PhotoRejectedError, match="pixels") as caught:
        photos.pixels(claiming(kind, 9_000, 9_000), PhotoLimits())
    assert caught.value.reason is RejectionReason.TOO_LARGE


def test_a_jpeg_in_many_scans_counts_its_pixels_as_often_as_it_is_gone_through() -> None:
    plain = encoded(picture(100, 100), "JPEG", progressive=True)
    scans = plain.count(b"\xff\xda")
    assert scans <= 16
    assert photos.pixels(plain, PhotoLimits()) == 100 * 100
    many = plain + b"\xff\xda" * (64 - scans)
    assert photos.pixels(many, PhotoLimits()) == 4 * 100 * 100
    with pytest.raises(PhotoRejectedError, match="in 64 scans, which count as 40,000 pixels"):
        photos.decode(many, PhotoLimits(max_pixels=39_999))
