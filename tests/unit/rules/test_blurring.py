"""Blurring of faces in photos."""

import io

import numpy as np
import pytest
from PIL import Image, ImageCms

from sightline_rules.blurring import CELLS, blurred
from sightline_rules.photo_areas import PhotoArea
from sightline_rules.photos import PhotoLimits, PhotoRejectedError
from tests.fakes.photos import encoded

LIMITS = PhotoLimits()
FACE = PhotoArea(0.25, 0.25, 0.5, 0.75)


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
    "face", [PhotoArea(0, 0, 1, 1), PhotoArea(0, 0, 0.001, 0.001), PhotoArea(0.999, 0.999, 1, 1)]
)
def test_faces_of_any_size_are_blurred(face: PhotoArea) -> None:
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
        (PhotoArea(0.25, 0, 0.75, 1), (20, 20)),
        (PhotoArea(0, 0, 1, 1), (40, 20)),
        (PhotoArea(0.999, 0.999, 1, 1), (1, 1)),
    ],
)
def test_a_part_is_cut_out_after_faces_were_blurred(part: PhotoArea, size: tuple[int, int]) -> None:
    before = encoded(noise(40, 20), "PNG")
    whole = pixels(blurred(before, LIMITS, [FACE]))
    left, top, right, bottom = part.pixels(40, 20)
    found = pixels(blurred(before, LIMITS, [FACE], part))
    assert found.shape == (size[1], size[0], 3)
    assert np.abs(found - whole[top:bottom, left:right]).mean() < 12  # two JPEGs
