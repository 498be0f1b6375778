"""Routes from versions to models, while some models are silent."""

import asyncio
from dataclasses import replace

import pytest

from embedder.domain.errors import EmbedderUnavailable, ModelNotReady, SpaceVersionUnavailable
from embedder.domain.models import TEXT, VISUAL, version_of
from embedder.serving.model import SILENCE, ServedModel
from embedder.serving.model_routes import ServedSpaces
from servicekit.errors import ServiceError
from tests.fakes.triton import DESCRIPTION, FakeInference

NEWER = replace(DESCRIPTION, model="newer", dimension=20, hashes={"1": "b" * 64})
OLD, NEW, NONE = version_of(DESCRIPTION, "1"), version_of(NEWER, "1"), "0" * 16
CATALOG = "default"
DOWN = EmbedderUnavailable("down")


@pytest.fixture
def models() -> tuple[FakeInference, FakeInference]:
    return FakeInference(), FakeInference(NEWER)


@pytest.fixture
def spaces(models: tuple[FakeInference, FakeInference]) -> ServedSpaces:
    return ServedSpaces({VISUAL: [ServedModel(model, 30) for model in models], TEXT: []})


async def test_no_version_is_the_default_one_whatever_the_models_say(
    spaces: ServedSpaces, models: tuple[FakeInference, FakeInference]
) -> None:
    for model in models:
        model.silence = DOWN
    with pytest.raises(EmbedderUnavailable):
        await spaces.route(VISUAL, "", CATALOG)
    assert [model.described for model in models] == [1, 0]
    models[0].silence = None
    await asyncio.sleep(SILENCE)
    assert (await spaces.route(VISUAL, "", CATALOG)).served.model == "fake"


async def test_a_version_is_found_by_asking_the_models_once(
    spaces: ServedSpaces, models: tuple[FakeInference, FakeInference]
) -> None:
    for _ in range(3):
        assert (await spaces.route(VISUAL, OLD, CATALOG)).served.model == "fake"
        assert (await spaces.route(VISUAL, NEW, CATALOG)).served.model == "newer"
    assert [model.described for model in models] == [1, 1]


async def test_a_version_that_no_model_serves_is_refused_with_those_that_are_served(
    spaces: ServedSpaces,
) -> None:
    with pytest.raises(SpaceVersionUnavailable) as caught:
        await spaces.route(VISUAL, NONE, CATALOG)
    assert caught.value.metadata == {"space": "visual", "served_versions": f"{OLD},{NEW}"}


@pytest.mark.parametrize("error", [DOWN, ModelNotReady("foreign")])
async def test_as_long_as_a_model_never_spoke_nobody_says_that_a_version_is_not_served(
    spaces: ServedSpaces, models: tuple[FakeInference, FakeInference], error: ServiceError
) -> None:
    models[1].silence = error
    with pytest.raises(type(error)):
        await spaces.route(VISUAL, NEW, CATALOG)
    assert (await spaces.route(VISUAL, OLD, CATALOG)).served.model == "fake"


async def test_the_version_of_a_model_that_went_silent_is_still_its_own(
    spaces: ServedSpaces, models: tuple[FakeInference, FakeInference]
) -> None:
    await spaces.route(VISUAL, NEW, CATALOG)
    for model in models:
        model.silence = DOWN
    assert (await spaces.route(VISUAL, NEW, CATALOG)).served.model == "newer"
    with pytest.raises(SpaceVersionUnavailable):
        await spaces.route(VISUAL, NONE, CATALOG)


async def test_the_versions_are_listed_with_the_default_one_first_each_ready_on_its_own(
    spaces: ServedSpaces, models: tuple[FakeInference, FakeInference]
) -> None:
    models[0].error = DOWN
    first, second = await spaces.states(CATALOG)
    assert (first.model, first.version, first.default, first.ready) == ("fake", OLD, True, False)
    assert (second.model, second.version, second.default) == ("newer", NEW, False)
    assert second.ready
    assert first.known is not None
    assert second.known is not None
    assert (first.known.dimension, second.known.dimension) == (12, 20)
