"""Fitted spaces are added and removed, each visible to its own catalog only."""

import pytest

from embedder.domain.errors import (
    ClassifierUnavailable,
    EmbedderUnavailable,
    ModelNotReady,
    SpaceVersionUnavailable,
)
from embedder.domain.models import VISUAL, version_of
from embedder.domain.recipes import Sentences
from embedder.serving.fitted_models import FittedModels
from embedder.serving.model import KEPT, ServedModel
from embedder.serving.model_routes import FEW_SECONDS, ServedSpaces
from tests.fakes.embedding import NEW, OLD, FakeRepository, fitted
from tests.fakes.triton import FakeInference


@pytest.fixture
def repository() -> FakeRepository:
    models = [
        fitted(OLD, create_time=1.0, categories=3),
        fitted(NEW, create_time=2.0),
    ]
    return FakeRepository({model.model: model for model in models})


@pytest.fixture
def found(repository: FakeRepository) -> FittedModels:
    return FittedModels(repository, repository.serve, lambda: repository.now)


@pytest.fixture
def spaces(found: FittedModels) -> ServedSpaces:
    return ServedSpaces({VISUAL: [ServedModel(FakeInference(), 30)]}, found)


def version(repository: FakeRepository, name: str) -> str:
    return version_of(repository.models[name].description, "1")


async def test_a_fitted_space_is_seen_by_its_own_catalog_alone(
    spaces: ServedSpaces, repository: FakeRepository
) -> None:
    wanted = version(repository, NEW)
    assert (await spaces.route(VISUAL, wanted, "wine")).served.model == NEW
    with pytest.raises(SpaceVersionUnavailable) as caught:
        await spaces.route(VISUAL, wanted, "beer")
    assert wanted not in str(caught.value.metadata)
    models = {c: [s.model for s in await spaces.states(c)] for c in ("wine", "beer")}
    assert models == {"wine": ["fake", NEW, OLD], "beer": ["fake"]}


async def test_no_version_stays_the_settings_first_model_s(spaces: ServedSpaces) -> None:
    assert (await spaces.route(VISUAL, "", "wine")).served.model == "fake"
    first, *others = await spaces.states("wine")
    assert (first.default, [state.default for state in others]) == (True, [False, False])


async def test_names_that_are_no_fitted_space_s_are_left_alone(
    found: FittedModels, repository: FakeRepository
) -> None:
    repository.extra = {"efficientnet_lite0", "visual_", "visual_" + "A" * 12, "x" + OLD, "x_text"}
    await found.look(0)
    assert [model.model for model in found.of("wine")] == [NEW, OLD]


async def test_what_is_promoted_is_found_when_its_version_is_asked_for_a_moment_later(
    spaces: ServedSpaces, repository: FakeRepository
) -> None:
    later = repository.models.pop(NEW)
    wanted = version_of(later.description, "1")
    with pytest.raises(SpaceVersionUnavailable):
        await spaces.route(VISUAL, wanted, "wine")
    repository.models[NEW] = later
    repository.now += KEPT
    assert (await spaces.route(VISUAL, wanted, "wine")).served.model == NEW


async def test_what_is_retired_is_served_no_more(
    spaces: ServedSpaces, repository: FakeRepository
) -> None:
    wanted = version(repository, OLD)
    await spaces.route(VISUAL, wanted, "wine")
    del repository.models[OLD]
    repository.now += KEPT
    assert OLD not in [state.model for state in await spaces.states("wine")]
    with pytest.raises(SpaceVersionUnavailable):
        await spaces.route(VISUAL, wanted, "wine")


async def test_while_the_server_is_silent_the_known_ones_stay(
    spaces: ServedSpaces, repository: FakeRepository
) -> None:
    wanted = version(repository, OLD)
    await spaces.route(VISUAL, wanted, "wine")
    repository.failure = EmbedderUnavailable("down")
    repository.now += KEPT
    assert (await spaces.route(VISUAL, wanted, "wine")).served.model == OLD
    with pytest.raises(SpaceVersionUnavailable):
        await spaces.route(VISUAL, "0" * 16, "wine")


async def test_as_long_as_the_repository_was_never_read_no_version_is_denied(
    spaces: ServedSpaces, repository: FakeRepository
) -> None:
    repository.failure = EmbedderUnavailable("down")
    with pytest.raises(EmbedderUnavailable):
        await spaces.route(VISUAL, version(repository, OLD), "wine")


async def test_a_fitted_model_that_is_silent_may_be_the_one_and_one_that_is_broken_is_not(
    spaces: ServedSpaces, repository: FakeRepository
) -> None:
    broken = repository.models[NEW]
    broken.silence = EmbedderUnavailable("loading")
    with pytest.raises(EmbedderUnavailable):
        await spaces.route(VISUAL, "0" * 16, "wine")
    broken.silence = ModelNotReady("nobody understands its configuration")
    repository.now += KEPT
    with pytest.raises(SpaceVersionUnavailable):
        await spaces.route(VISUAL, "0" * 16, "wine")
    assert (await spaces.route(VISUAL, version(repository, OLD), "wine")).served.model == OLD


async def test_the_repository_is_read_no_more_often_than_asked_for(
    found: FittedModels, repository: FakeRepository
) -> None:
    for _ in range(5):
        await found.look(KEPT)
    assert repository.read == 1
    repository.now += KEPT
    await found.look(FEW_SECONDS)
    assert repository.read == 1
    await found.look(KEPT)
    assert repository.read == 2


async def test_the_newest_space_with_categories_classifies(
    spaces: ServedSpaces, repository: FakeRepository
) -> None:
    assert await spaces.classifier("wine") == version(repository, OLD)
    repository.models[NEW].change(categories=2)
    repository.now += 31
    for state in await spaces.states("wine"):
        assert state.ready
    assert await spaces.classifier("wine") == version(repository, NEW)
    with pytest.raises(ClassifierUnavailable):
        await spaces.classifier("beer")


async def test_a_space_takes_texts_when_there_is_a_map_for_them(
    spaces: ServedSpaces, repository: FakeRepository
) -> None:
    mapped = fitted(NEW + "_text", recipe=Sentences(6))
    repository.models[mapped.model] = mapped
    taking = {state.model: state.takes_texts for state in await spaces.states("wine")}
    assert taking == {"fake": False, NEW: True, OLD: False}
    for name, there in ((NEW, True), (OLD, False)):
        route = await spaces.route(VISUAL, version(repository, name), "wine")
        way = await spaces.text_map(route)
        assert (way is not None) == there


async def test_without_a_folder_for_spaces_nothing_is_looked_for() -> None:
    spaces = ServedSpaces({VISUAL: [ServedModel(FakeInference(), 30)]})
    with pytest.raises(ClassifierUnavailable):
        await spaces.classifier("default")
    assert [state.model for state in await spaces.states("default")] == ["fake"]
