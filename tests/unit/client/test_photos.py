"""Photos from every kind of source."""

import io
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from PIL import Image

from sightline_client import SightlineClient, Uri, product_image
from sightline_client.values.photos import MAX_BYTES, encode, load
from tests.fakes.gateway import FakeGateway


async def test_every_kind_of_photo_reaches_the_request(
    client: SightlineClient, gateway: FakeGateway, tmp_path: Path
) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(b"file")
    image = Image.new("RGB", (3, 2), "red")
    await client.recommend(
        images=[path, b"bytes", Uri("https://x/y.jpg"), image, np.zeros((2, 3, 3), np.uint8)]
    )
    signals = gateway.requests["Recommend"][0].signals
    assert [signal.WhichOneof("content") for signal in signals] == [
        *("image", "image", "image_uri", "image", "image")
    ]
    assert (signals[0].image, signals[1].image) == (b"file", b"bytes")
    assert Image.open(io.BytesIO(signals[3].image)).getpixel((0, 0)) == (255, 0, 0)
    assert Image.open(io.BytesIO(signals[4].image)).size == (3, 2)


@pytest.mark.parametrize(
    "pixels",
    [
        Image.new("P", (2, 2)),
        Image.new("CMYK", (2, 2)),
        Image.new("LA", (2, 2)),
        Image.new("I;16", (2, 2)),
        np.zeros((2, 2), np.uint8),
        np.zeros((2, 2, 4), np.uint8),
    ],
    ids=["palette", "cmyk", "grey+alpha", "16 bit", "grey array", "rgba array"],
)
def test_pixels_of_any_mode_become_a_whole_photo(pixels: Any) -> None:
    assert Image.open(io.BytesIO(encode(pixels))).size == (2, 2)


@pytest.mark.full
@pytest.mark.slow
def test_pixels_that_are_too_many_for_a_png_become_a_jpeg_under_the_cap() -> None:
    noise = np.random.default_rng(1).integers(0, 255, (2000, 2000, 3), np.uint8)
    encoded = encode(noise)
    assert encoded.startswith(b"\xff\xd8")
    assert len(encoded) <= MAX_BYTES


@pytest.mark.parametrize(
    ("wrong", "hint"),
    [
        ("photo.jpg", "Path"),
        (np.zeros((2, 2, 3), np.float32), "uint8"),
        (np.zeros((2, 2, 2), np.uint8), "shape"),
        (7, "int"),
    ],
)
async def test_what_is_no_photo_is_refused_with_a_hint(wrong: object, hint: str) -> None:
    with pytest.raises(TypeError, match=hint):
        await load(cast(Any, wrong))


def test_a_products_photo_may_be_any_of_them_too(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(b"file")
    assert product_image(path).content == b"file"
    assert product_image(b"bytes").content == b"bytes"
    assert product_image(Uri("https://x")).uri == "https://x"
    assert product_image(Image.new("L", (1, 1))).content.startswith(b"\x89PNG")


def test_an_image_that_was_opened_from_a_file_keeps_its_turn() -> None:
    tag = Image.Exif()
    tag[0x0112] = 6
    file = io.BytesIO()
    Image.new("RGB", (8, 4), "red").save(file, "JPEG", exif=tag.tobytes())
    opened = Image.open(io.BytesIO(file.getvalue()))
    sent = Image.open(io.BytesIO(encode(opened)))
    assert sent.getexif()[0x0112] == 6
