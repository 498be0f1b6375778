"""The version of a space."""

import pytest

from embedder.domain.errors import ModelNotReady
from embedder.domain.models import Description, version_of
from embedder.domain.recipes import PhotoRecipe
from tests.fakes.triton import DESCRIPTION, FakeInference


def changed(**changes: object) -> Description:
    inference = FakeInference()
    inference.change(**changes)
    return inference.description


def test_a_version_is_sixteen_hexadecimal_digits_and_the_same_each_time() -> None:
    version = version_of(DESCRIPTION, "1")
    assert len(bytes.fromhex(version)) == 8
    assert version == version_of(changed(model="renamed", max_batch=9, licence="?"), "1")


def test_a_version_differs_with_the_model_the_preprocessing_and_the_precision() -> None:
    others = [
        changed(hashes={"1": "b" * 64}),
        changed(recipe=PhotoRecipe(8, 0.9, "none")),
        changed(recipe=PhotoRecipe(8, 0.875, "other")),
        changed(precision="int8"),
        DESCRIPTION,
    ]
    assert len({version_of(other, "1") for other in others}) == len(others)


def test_two_numbers_of_the_same_file_are_one_version() -> None:
    description = changed(hashes={"1": "a" * 64, "2": "a" * 64})
    assert version_of(description, "1") == version_of(description, "2")


def test_a_version_without_a_hash_is_no_version() -> None:
    with pytest.raises(ModelNotReady):
        version_of(DESCRIPTION, "2")
