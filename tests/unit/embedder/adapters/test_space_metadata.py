"""The folder of fitted spaces."""

import json
import os
from pathlib import Path

import pytest

from embedder.adapters.space_metadata import SpaceMetadata
from embedder.adapters.space_store import SpaceStore
from embedder.domain.errors import ClassifierUnavailable
from embedder.domain.manifest import ServingState
from tests.fakes.embedding import NEW, OLD, FakeRepository

APPLE, MILK = ("Fruit", "Apple"), ("Dairy", "Milk")


def shelf_of(root: Path | None, *served: str) -> SpaceMetadata:
    store = None if root is None else SpaceStore(root)
    return SpaceMetadata(store, FakeRepository({}, extra=set(served)))


async def test_the_names_of_categories_are_read_from_the_serving_model_s_folder(
    tmp_path: Path,
) -> None:
    folder = SpaceStore(tmp_path).folder(NEW, ServingState.SERVING)
    folder.mkdir(parents=True)
    (folder / "categories.json").write_text(json.dumps([APPLE, MILK]))
    shelf = shelf_of(tmp_path)
    assert list(await shelf.categories(NEW)) == [APPLE, MILK]


@pytest.mark.parametrize("content", [None, "", "[1]", "{", "null", '["ab"]', '{"a": "b"}', "7"])
async def test_names_that_can_t_be_read_are_no_names(tmp_path: Path, content: str | None) -> None:
    folder = SpaceStore(tmp_path).folder(NEW, ServingState.SERVING)
    folder.mkdir(parents=True)
    if content is not None:
        (folder / "categories.json").write_text(content)
    for root in (tmp_path, None):
        with pytest.raises(ClassifierUnavailable):
            await shelf_of(root).categories(NEW)


async def test_cosines_of_good_matches_are_read_from_the_serving_model_s_folder(
    tmp_path: Path,
) -> None:
    folder = SpaceStore(tmp_path).folder(NEW, ServingState.SERVING)
    folder.mkdir(parents=True)
    cosines = [[[0.1, 0.2], [0.3, 0.4]]]
    (folder / "match_cosines.json").write_text(json.dumps(cosines))
    assert await shelf_of(tmp_path).match_cosines(NEW) == cosines


@pytest.mark.parametrize("content", [None, "", "[1]", "{", "null", '[[["a"]]]'])
async def test_a_space_without_readable_cosines_has_none(
    tmp_path: Path, content: str | None
) -> None:
    folder = SpaceStore(tmp_path).folder(NEW, ServingState.SERVING)
    folder.mkdir(parents=True)
    if content is not None:
        (folder / "match_cosines.json").write_text(content)
    for root in (tmp_path, None):
        assert await shelf_of(root).match_cosines(NEW) == ()


async def test_what_is_tried_before_its_promotion_does_not_serve(tmp_path: Path) -> None:
    for name in (OLD, OLD + "_text"):
        SpaceStore(tmp_path).folder(name, ServingState.CANDIDATE).mkdir(parents=True)
    shelf = shelf_of(tmp_path, OLD, OLD + "_text", NEW)
    assert await shelf.loaded() == {NEW}
    assert await shelf_of(None, OLD).loaded() == {OLD}


async def test_a_folder_that_is_not_there_holds_nothing(tmp_path: Path) -> None:
    assert list(await shelf_of(tmp_path / "none").spaces("wine")) == []
    assert list(await shelf_of(None).spaces("wine")) == []


async def test_a_damaged_space_is_logged_once_until_its_file_is_another(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = SpaceStore(tmp_path).folder(NEW, ServingState.SERVING)
    folder.mkdir(parents=True)
    shelf = shelf_of(tmp_path)

    async def reported() -> int:
        """Return how often it was logged while the folder was read twice."""
        assert [*await shelf.spaces("wine"), *await shelf.spaces("beer")] == []
        return capsys.readouterr().out.count("space ignored")

    assert (await reported(), await reported()) == (1, 0), "it has no manifest"
    file = folder / "manifest.json"
    file.write_text("{")
    assert (await reported(), await reported()) == (1, 0)
    os.utime(file, ns=(1, 1))
    assert (await reported(), await reported()) == (1, 0), "written anew, and no better"
