"""Blurring of faces in a decoding process of the retriever."""

from __future__ import annotations

from pathlib import Path

import pytest

from retriever.adapters import photo_work
from retriever.adapters.photos import PhotoStore
from retriever.domain.errors import ImageRejected
from sightline_rules.blurring import blurred
from tests.fakes.decoding import FakeDecoders
from tests.fakes.photos import encoded
from tests.unit.rules.test_blurring import FACE, LIMITS, noise


async def test_the_store_blurs_in_a_decoding_process(tmp_path: Path) -> None:
    store = PhotoStore(str(tmp_path), decoders=FakeDecoders(photo_work.__name__))
    data = encoded(noise(64, 64), "PNG")
    for faces in ([FACE], []):  # none: the first picture of a file with several
        assert await store.blurred("default", data, faces) == blurred(data, LIMITS, faces)
    with pytest.raises(ImageRejected):
        await store.blurred("default", data[:200], [FACE])
    store.close()


def test_a_process_that_lies_can_give_the_file_no_other_size() -> None:
    assert photo_work.file_of((2,), b"ab\0\0") == b"ab"
    for size in (0, 5):
        with pytest.raises(ValueError, match="size"):
            photo_work.file_of((size,), b"ab\0\0")
