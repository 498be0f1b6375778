"""The list of spaces, with the results of their fits."""

from datetime import UTC, datetime

import pytest

from embedder.domain.fitted import SpaceEvaluation, SpaceFigure, SpaceVerdict
from embedder.domain.manifest import ServingState, SpaceManifest
from embedder.domain.models import TEXT, VISUAL, version_of
from embedder.servicer import messages
from embedder.serving.model import ServedModel
from embedder.serving.model_routes import ServedSpaces
from embedder.spaces.listing import SpaceListing
from sightline.embedder.v1 import space_pb2
from tests.fakes.embedding import NEW, OLD, FakeRecord, FakeRepository, fitted, fitted_of
from tests.fakes.triton import FakeInference

THIRD = "visual_" + "c" * 12


def manifest(name: str, hour: int, catalog: str = "wine", **changes: object) -> SpaceManifest:
    figure = SpaceFigure("1-NN", 0.8, 0.75, 0.85, 200, 0.6, 0.1, 0.3)
    figures = figure, SpaceFigure("category", 0.9, 0.8, 1.0, 200)
    evaluation = SpaceEvaluation(
        SpaceVerdict.BETTER, "better by .2", figures, "fake",
        300, 40, 12, 7,
    )  # fmt: skip
    fields = {
        "name": name,
        "version": name[-16:].rjust(16, "0").replace("_", "0")[-16:],
        "catalog_id": catalog,
        "backbone": "efficientnet_lite2",
        "dimension": 80,
        "create_time": datetime(2026, 11, 20, hour, tzinfo=UTC),
        "preprocessing": "some",
        "licence": "Apache-2.0",
        "shopper_views": 1,
        "catalogue_views": 4,
        "categories": 12,
        "takes_texts": True,
        "evaluation": evaluation,
        "files": {},
        "shopper_photo_tags": ("phone",),
        **changes,
    }
    return SpaceManifest(**fields)  # type: ignore[arg-type]


@pytest.fixture
def repository() -> FakeRepository:
    return FakeRepository({OLD: fitted(OLD, create_time=1.0)})


@pytest.fixture
def listing(repository: FakeRepository) -> SpaceListing:
    spaces = ServedSpaces(
        {VISUAL: [ServedModel(FakeInference(), 30)], TEXT: []}, fitted_of(repository)
    )
    record = FakeRecord(
        [
            (manifest(THIRD, 3), ServingState.CANDIDATE),
            (manifest(NEW, 2), ServingState.RETIRED),
            (manifest(OLD, 1, forced=True), ServingState.SERVING),
            (manifest("visual_" + "d" * 12, 4, catalog="beer"), ServingState.CANDIDATE),
        ]
    )
    return SpaceListing(spaces, record)


async def test_what_serves_is_listed_with_what_fitting_it_found(
    listing: SpaceListing, repository: FakeRepository
) -> None:
    plain, found = map(messages.listed, await listing.listed("wine", None, include_all=False))
    assert (plain.model, plain.default_version) == ("fake", True)
    assert not plain.HasField("evaluation")
    assert not plain.HasField("create_time")
    assert found.version == version_of(repository.models[OLD].description, "1")
    assert (found.ready, found.state, found.forced) == (True, space_pb2.SPACE_STATE_SERVING, True)
    assert found.HasField("evaluation")


async def test_candidates_and_retired_ones_are_listed_for_those_who_ask_for_all(
    listing: SpaceListing,
) -> None:
    found = await listing.listed("wine", None, include_all=True)
    assert {reported.model: reported.state for reported in map(messages.listed, found)} == {
        "fake": space_pb2.SPACE_STATE_SERVING,
        OLD: space_pb2.SPACE_STATE_SERVING,
        THIRD: space_pb2.SPACE_STATE_CANDIDATE,
        NEW: space_pb2.SPACE_STATE_RETIRED,
    }
    assert [each.state for each in found[2:]] == [None, None]
    assert len(await listing.listed("beer", None, include_all=True)) == 2


async def test_a_promoted_space_whose_model_is_silent_is_listed_and_not_ready(
    listing: SpaceListing, repository: FakeRepository
) -> None:
    repository.models.clear()
    _, found = await listing.listed("wine", None, include_all=False)
    reported = messages.listed(found)
    assert (reported.model, reported.ready, reported.state) == (
        OLD,
        False,
        space_pb2.SPACE_STATE_SERVING,
    )
    assert reported.version


async def test_everything_that_is_known_of_a_space_travels(listing: SpaceListing) -> None:
    found = map(messages.listed, await listing.listed("wine", None, include_all=True))
    (reported,) = [each for each in found if each.model == THIRD]
    assert (reported.state, reported.catalog_id) == (space_pb2.SPACE_STATE_CANDIDATE, "wine")
    assert (reported.shopper_views, reported.catalogue_views, reported.category_count) == (1, 4, 12)
    assert (reported.takes_texts, reported.forced, reported.ready) == (True, False, False)
    assert reported.shopper_photo_tags == ["phone"]
    assert reported.create_time.ToDatetime(UTC) == datetime(2026, 11, 20, 3, tzinfo=UTC)
    first, second = reported.evaluation.figures
    assert (first.name, first.queries) == ("1-NN", 200)
    assert first.gain_low == pytest.approx(0.1)
    assert not second.HasField("baseline")
    assert reported.evaluation.verdict == space_pb2.SpaceEvaluation.VERDICT_BETTER
    assert (reported.evaluation.photos, reported.evaluation.seed) == (300, 7)
