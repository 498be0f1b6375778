"""Blurring of faces in photos."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from retriever.adapters import photo_work
from retriever.adapters.blurring import CELLS, blurred
from retriever.adapters.photos import PhotoStore
from retriever.domain.errors import ImageRejected
from retriever.domain.faces import FaceBox
from retriever.domain.watches import WatchBox
from sightline_rules.photos import PhotoLimits, PhotoRejectedError
from tests.fakes.decoding import FakeDecoders
from tests.fakes.photos import encoded

LIMITS = PhotoLimits()
FACE = FaceBox(0.25, 0.25, 0.5, 0.75)


def noise(width: int, height: int) -> Image.Image:
    values = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    return Image.fromarray(values)


def pixels(data: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB"), np.int16)


def test_of_a_face_a_few_colours_are_left_and_the_rest_stays() -> None:
    before = noise(240, 120)
    after = pixels(blurred(encoded(before, "PNG"), LIMITS, [FACE]))
    changed = np.abs(after - np.asarray(before, np.int16)).max(axis=2) > 40
    # The face is 60 x 60 pixels, its margin 24 of each side.
    left, top, right, bottom = 36, 6, 144, 114
    inside = changed[top:bottom, left:right]
    assert inside.mean() > 0.9
    changed[top:bottom, left:right] = False
    assert changed.mean() < 0.01
    cell = (right - left) // CELLS
    within = after[top + 2 : top + cell - 2, left + 2 : left + cell - 2]
    assert within.reshape(-1, 3).std(axis=0).max() < 8


@pytest.mark.parametrize(
    "face", [FaceBox(0, 0, 1, 1), FaceBox(0, 0, 0.001, 0.001), FaceBox(0.999, 0.999, 1, 1)]
)
def test_faces_of_any_size_are_blurred(face: FaceBox) -> None:
    assert pixels(blurred(encoded(noise(30, 20), "PNG"), LIMITS, [face])).shape == (20, 30, 3)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "AVIF"])
def test_any_photo_becomes_an_upright_jpeg_without_metadata(kind: str) -> None:
    exif = Image.Exif()
    exif[0x0112], exif[0x013B] = 6, "ann"
    turned = {} if kind == "GIF" else {"exif": exif}
    data = blurred(encoded(noise(40, 20), kind, **turned), LIMITS, [FACE])
    with Image.open(io.BytesIO(data)) as image:
        assert image.format == "JPEG"
        assert image.size == ((40, 20) if kind == "GIF" else (20, 40))
        assert not image.getexif()
    assert b"ann" not in data


def test_a_profile_of_rgb_is_kept() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    data = blurred(encoded(noise(40, 20), "PNG", icc_profile=profile), LIMITS, [FACE])
    with Image.open(io.BytesIO(data)) as image:
        assert image.info["icc_profile"] == profile


def test_a_photo_that_grows_beyond_the_limit_is_refused() -> None:
    data = encoded(noise(200, 200), "JPEG", quality=10)
    with pytest.raises(PhotoRejectedError, match="after its faces were blurred"):
        blurred(data, PhotoLimits(max_bytes=len(data)), [FACE])


@pytest.mark.parametrize(
    ("part", "size"),
    [
        (WatchBox(0.25, 0, 0.75, 1), (20, 20)),
        (WatchBox(0, 0, 1, 1), (40, 20)),
        (WatchBox(0.999, 0.999, 1, 1), (1, 1)),
    ],
)
def test_a_part_is_cut_out_after_faces_were_blurred(part: WatchBox, size: tuple[int, int]) -> None:
    before = encoded(noise(40, 20), "PNG")
    whole = pixels(blurred(before, LIMITS, [FACE]))
    left, top, right, bottom = part.pixels(40, 20)
    found = pixels(blurred(before, LIMITS, [FACE], part))
    assert found.shape == (size[1], size[0], 3)
    assert np.abs(found - whole[top:bottom, left:right]).mean() < 12  # two JPEGs


async def test_the_store_blurs_in_a_decoding_process(tmp_path: Path) -> None:
    store = PhotoStore(str(tmp_path), decoders=FakeDecoders(photo_work.__name__))
    data = encoded(noise(64, 64), "PNG")
    for faces in ([FACE], []):  # none: the first picture of a file with several
        assert await store.blurred("default", data, faces) == blurred(data, LIMITS, faces)
    part = WatchBox(0, 0, 0.5, 0.5)
    for faces in ([], [FACE], [FACE, FACE]):
        made = blurred(data, LIMITS, faces, part)
        assert await store.blurred("default", data, faces, part) == made
    with pytest.raises(ImageRejected):
        await store.blurred("default", data[:200], [FACE])
    store.close()


def test_a_process_that_lies_can_give_the_file_no_other_size() -> None:
    assert photo_work.file_of((2,), b"ab\0\0") == b"ab"
    for size in (0, 5):
        with pytest.raises(ValueError, match="size"):
            photo_work.file_of((size,), b"ab\0\0")
