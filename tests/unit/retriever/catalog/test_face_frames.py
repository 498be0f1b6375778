"""Where faces matter, a photo is stored without what its first picture does not show."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence

import pytest
from PIL import Image, ImageSequence

from retriever.catalog.faces import FaceRules
from retriever.domain.faces import FacePolicy
from sightline_rules import blurring
from sightline_rules.photo_areas import PhotoArea
from sightline_rules.photo_metadata import without_metadata
from sightline_rules.photos import Format, PhotoLimits, decode

LIMITS = PhotoLimits()
PLAIN, FACE = (Image.new("RGB", (64, 64), colour) for colour in ((250, 250, 250), (200, 120, 90)))


def several(kind: str, **options: object) -> bytes:
    """Return a file whose first picture is plain, and whose second one shows a face."""
    file = io.BytesIO()
    # Copies: Pillow keeps a format's options with a picture.
    PLAIN.copy().save(file, kind, save_all=True, append_images=[FACE.copy()], **options)
    return file.getvalue()


def with_thumbnail() -> bytes:
    """Return a JPEG whose JFIF header has a face of 8 × 8 pixels."""
    file = io.BytesIO()
    PLAIN.copy().save(file, "JPEG")
    whole, small = file.getvalue(), FACE.resize((8, 8)).tobytes()
    header = b"JFIF\0\1\1\0\0\1\0\1\x08\x08" + small
    extension = b"JFXX\0\x13\x08\x08" + small
    return b"".join(
        [b"\xff\xd8"]
        + [b"\xff\xe0" + (len(each) + 2).to_bytes(2, "big") + each for each in (header, extension)]
        + [whole[20:]]
    )


FILES: dict[Format, Sequence[Callable[[], bytes]]] = {
    Format.JPEG: [lambda: several("MPO"), with_thumbnail],
    Format.PNG: [
        lambda: several("PNG"),
        lambda: several("PNG", default_image=True),
    ],
    Format.WEBP: [lambda: several("WEBP", lossless=True), lambda: several("WEBP", duration=500)],
    Format.GIF: [lambda: several("GIF"), lambda: several("GIF", duration=500, loop=0)],
    Format.AVIF: [lambda: several("AVIF", quality=90)],
    Format.TIFF: [lambda: several("TIFF"), lambda: several("TIFF", compression="tiff_deflate")],
    Format.HEIF: [lambda: several("HEIF", quality=90)],
    Format.BMP: [],
}
"""Files of every format that can hold several pictures."""


class Finder:
    """Sees what the embedder sees: the first picture."""

    async def faces(self, catalog_id: str, photo: bytes) -> list[PhotoArea]:
        return [PhotoArea(0.2, 0.2, 0.8, 0.8)] if skin(decode(photo, LIMITS)) else []


class Blur:
    async def blurred(
        self, catalog_id: str, data: bytes, faces: Sequence[PhotoArea], box: PhotoArea | None = None
    ) -> bytes:
        return blurring.blurred(data, LIMITS, faces, box)


def skin(image: Image.Image) -> bool:
    red, _, blue = image.convert("RGB").resize((1, 1)).getpixel((0, 0))  # type: ignore[misc]
    return red - blue > 60


def test_every_format_is_tried() -> None:
    assert FILES.keys() == set(Format)


@pytest.mark.parametrize("policy", [FacePolicy.BLURRED, FacePolicy.REFUSED])
@pytest.mark.parametrize(
    "file", [pytest.param(file, id=name) for name, files in FILES.items() for file in files]
)
async def test_no_picture_but_the_one_that_was_searched_is_stored(
    file: Callable[[], bytes], policy: FacePolicy
) -> None:
    try:
        made = file()
    except (KeyError, ValueError):
        pytest.skip("NOT MEASURED: this Pillow does not write the format")
    rules = FaceRules(Finder(), Blur(), {"*": policy})
    kept = await rules.applied("default", without_metadata(made))
    with Image.open(io.BytesIO(kept)) as image:
        assert not any(skin(frame.copy()) for frame in ImageSequence.Iterator(image))
    assert FACE.resize((8, 8)).tobytes() not in kept


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP"])
async def test_a_single_picture_stays_as_it_is(kind: str) -> None:
    file = io.BytesIO()
    PLAIN.copy().save(file, kind)
    data = without_metadata(file.getvalue())
    rules = FaceRules(Finder(), Blur(), {"*": FacePolicy.BLURRED})
    assert await rules.applied("default", data) is data
