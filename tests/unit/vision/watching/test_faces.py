"""A watch keeps no picture of a frame that was not searched for faces."""

from __future__ import annotations

import io
from collections.abc import Callable

import pytest
from PIL import Image, ImageSequence

from sightline_rules.photo_metadata import without_metadata
from tests.unit.retriever.catalog.test_face_frames import FILES, Blur, Finder, skin
from vision.watching.faces import BlurredFrames


@pytest.mark.parametrize(
    "file", [pytest.param(file, id=name) for name, files in FILES.items() for file in files]
)
async def test_a_watch_keeps_no_picture_but_the_one_that_was_searched(
    file: Callable[[], bytes],
) -> None:
    try:
        made = file()
    except (KeyError, ValueError):
        pytest.skip("NOT MEASURED: this Pillow does not write the format")
    kept = await BlurredFrames(Finder(), Blur()).without_faces("default", without_metadata(made))
    with Image.open(io.BytesIO(kept)) as image:
        assert not any(skin(frame.copy()) for frame in ImageSequence.Iterator(image))
