"""Perceptual hashes in the record."""

from __future__ import annotations

from dataclasses import replace

import pytest

from retriever.record import Record
from retriever.record.hashes import from_signed, to_signed
from sightline_rules.photos import image_id
from tests.unit.retriever.conftest import write


@pytest.mark.parametrize("value", [0, 1, (1 << 63) - 1, 1 << 63, (1 << 64) - 1])
def test_a_hash_is_read_as_it_was_stored(value: int) -> None:
    assert -(1 << 63) <= to_signed(value) < 1 << 63
    assert from_signed(to_signed(value)) == value


async def test_a_new_photo_comes_with_its_hash(record: Record) -> None:
    made = write("a", b"1")
    image = replace(made.new_images[image_id(b"1")], perceptual_hash=(1 << 64) - 2)
    await record.write("default", [replace(made, new_images={image.image_id: image})])
    assert (await record.get("default", ["a"]))["a"].images[0].perceptual_hash == (1 << 64) - 2
