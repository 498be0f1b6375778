"""References and inspections, on a fake model."""

import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from embedder.adapters.reference_store import ReferenceStore
from embedder.domain import errors
from embedder.domain.inspection import BLOCKS, PieceVerdict
from embedder.domain.items import Priority
from embedder.domain.models import Inferred, Tensors
from embedder.domain.photos import Camera
from embedder.domain.recipes import TextRecipe
from embedder.domain.reference_evaluation import (
    ReferenceEvaluation,
    ReferenceFigures,
    ReferenceVerdict,
)
from embedder.domain.references import FittedReference, ListedReference, ReferenceState
from embedder.embedding.photo_intake import PhotoIntake
from embedder.inspection import heat_picture, references
from embedder.inspection.inspect_piece import InspectionQuery, Inspector
from embedder.inspection.patch_features import PatchFeatures
from embedder.inspection.references import References
from embedder.preprocessing import work
from embedder.serving.priority import ModelQueues
from servicekit.rpc.requests import RequestInvalid
from servicekit.telemetry import Stages
from sightline_rules.photos import PhotoLimits
from tests.fakes.decoding import FakeDecoders
from tests.fakes.pieces import piece
from tests.fakes.triton import DESCRIPTION, RECIPE, FakeFetch, FakeInference, FakeModels

SIDE = 64


class FakeMaps(FakeInference):
    """A model whose maps are the photo's colours in two sizes."""

    lacks = ""
    """A map that is missing."""

    async def infer(self, inputs: Tensors) -> Inferred:
        found = await super().infer(inputs)
        colours = inputs["image"].astype(np.float32).transpose(0, 3, 1, 2) / 255
        maps = {
            block: colours[:, :, :: 4 * step, :: 4 * step]
            for block, step in zip((*BLOCKS, "head"), (1, 2, 2), strict=True)
        }
        return replace(found, maps={k: v for k, v in maps.items() if k != self.lacks})


@pytest.fixture
def model() -> FakeMaps:
    return FakeMaps(replace(DESCRIPTION, model="maps", recipe=replace(RECIPE, side=SIDE)))


@pytest.fixture
def models(model: FakeMaps) -> FakeModels:
    return FakeModels(model)


@pytest.fixture
def features(model: FakeMaps, models: FakeModels) -> PatchFeatures:
    intake = PhotoIntake(FakeDecoders(work.__name__), dict.fromkeys(Camera, PhotoLimits()))
    return PatchFeatures(intake, ModelQueues(999), model, models)


@pytest.fixture
def made(features: PatchFeatures, tmp_path: Path) -> References:
    return References(ReferenceStore(tmp_path), features)


@pytest.fixture
def inspector(made: References, features: PatchFeatures) -> Inspector:
    return Inspector(made, features, FakeFetch({"https://a.example/p.jpg": piece(101)}))


def query(**fields: Any) -> InspectionQuery:
    given: dict[str, Any] = {
        "catalog": "default",
        "photo": None,
        "uri": None,
        "reference_id": "r",
        "product_id": "",
        "version": "",
        "rate": None,
        "heat_map": False,
        "priority": Priority.INTERACTIVE,
    }
    return InspectionQuery(**given | fields)


async def add(made: References, photos: Sequence[bytes]) -> None:
    for start in range(0, len(photos), 16):
        outcomes, _ = await made.add("default", "r", photos[start : start + 16], Stages())
        assert set(outcomes) == {None}


async def fit(made: References, product: str = "") -> ListedReference:
    """Fit the draft. Return the version; progress rises to the total."""
    steps = [each async for each in made.fit("default", "r", product, Stages())]
    done = [each.done for each in steps]
    assert (done, done[-1]) == (sorted(done), steps[-1].total)
    found = steps[-1].fitted
    assert found is not None
    return found


async def fitted(made: References, count: int = 24) -> None:
    await add(made, [piece(seed) for seed in range(count)])
    await fit(made, "p")
    await made.promote("default", "r", "", force=False)


async def test_the_model_is_loaded_and_described_once(
    features: PatchFeatures, models: FakeModels, model: FakeMaps
) -> None:
    for _ in range(3):
        seen = await features.see(
            piece(0), Camera.SHOPPER, "default", Priority.INTERACTIVE, Stages()
        )
        found = await features.compute([seen.pixels[0]], "default", Priority.BULK, Stages())
    assert (models.loads, model.described) == (["maps"], 1)
    assert found.patches.shape == (1, SIDE // 4, SIDE // 4, 6)
    assert np.linalg.norm(found.heads) == pytest.approx(1)


async def test_a_model_that_was_unloaded_is_loaded_again(
    features: PatchFeatures, models: FakeModels, model: FakeMaps
) -> None:
    pixels = np.zeros((SIDE, SIDE, 3), np.uint8)
    await features.compute([pixels], "default", Priority.BULK, Stages())
    model.error = errors.ModelAbsent()
    await features.compute([pixels] * 3, "default", Priority.BULK, Stages())
    assert models.loads == ["maps", "maps"]
    assert model.batches[-2:] == [2, 1]


async def test_a_model_without_these_maps_is_reported(
    features: PatchFeatures, model: FakeMaps
) -> None:
    pixels = np.zeros((SIDE, SIDE, 3), np.uint8)
    model.lacks = BLOCKS[1]
    with pytest.raises(errors.ModelFailed):
        await features.compute([pixels], "default", Priority.BULK, Stages())


async def test_a_model_of_texts_is_reported(features: PatchFeatures, model: FakeMaps) -> None:
    model.change(recipe=TextRecipe(9, "x"))
    with pytest.raises(errors.ModelNotReady):
        await features.see(piece(0), Camera.SHOPPER, "default", Priority.BULK, Stages())


async def test_a_stained_piece_is_unlike(made: References, inspector: Inspector) -> None:
    await fitted(made)
    stained = await inspector.inspect(
        query(photo=piece(101, stained=True), heat_map=True), Stages()
    )
    assert (stained.comparison.verdict, stained.rate) == (PieceVerdict.UNLIKE, 0.05)
    assert Image.open(io.BytesIO(stained.png)).size == (51, 64)
    by_uri = await inspector.inspect(query(uri="https://a.example/p.jpg"), Stages())
    assert (by_uri.comparison.verdict, by_uri.png) == (PieceVerdict.LIKE, b"")


async def test_a_bad_photo_fails_alone(made: References) -> None:
    outcomes, count = await made.add("default", "r", [piece(0), b"x", piece(1)], Stages())
    assert ([type(each) for each in outcomes], count) == (
        [type(None), errors.PhotoUndecodable, type(None)],
        2,
    )


@pytest.mark.full
async def test_another_model_needs_another_reference(
    made: References, inspector: Inspector, model: FakeMaps
) -> None:
    await fitted(made)
    model.change(hashes={"1": "b" * 64})
    other = Inspector(
        made,
        PatchFeatures(inspector.features._intake, ModelQueues(9), model, FakeModels(model)),
        FakeFetch(),
    )
    with pytest.raises(errors.ModelNotReady, match="fit it again"):
        await other.inspect(query(photo=piece(1)), Stages())


async def test_one_reference_is_fitted_at_a_time(made: References) -> None:
    async with made._fitting:
        with pytest.raises(errors.FitInProgress, match="another reference"):
            await fit(made)


@pytest.mark.full
async def test_a_draft_survives_a_failed_fit(made: References, model: FakeMaps) -> None:
    await made.add("default", "r", [piece(seed) for seed in range(12)], Stages())
    model.error = errors.EmbedderUnavailable("down")
    with pytest.raises(errors.EmbedderUnavailable):
        await fit(made)
    model.error = None
    assert (await fit(made)).photos == 12


@pytest.mark.full
async def test_a_fit_that_is_cancelled_leaves_the_draft_and_lets_the_next_one_run(
    made: References,
) -> None:
    await add(made, [piece(seed) for seed in range(12)])
    steps = made.fit("default", "r", "", Stages())
    assert (await anext(steps)).done == 0
    await steps.aclose()  # type: ignore[attr-defined]
    (draft,) = await made.listed("default", "r")
    assert (draft.state, draft.photos) == (ReferenceState.DRAFT, 12)
    assert (await fit(made)).photos == 12


@pytest.mark.full
async def test_a_second_version_is_compared_on_photos_that_the_first_was_not_fitted_on(
    made: References,
) -> None:
    await fitted(made)
    await add(made, [piece(seed) for seed in range(12, 44)])
    found = await fit(made, "p")
    assert found.manifest is not None
    evaluation = found.manifest.evaluation
    assert evaluation is not None
    assert (evaluation.photos, evaluation.defects) == (20, 40)
    assert evaluation.verdict is not ReferenceVerdict.WORSE
    assert evaluation.gain_low <= evaluation.gain_high
    assert evaluation.fitted.threshold is not None
    (serving,) = [
        each.manifest
        for each in await made.listed("default", "r")
        if each.manifest is not None and each.state is ReferenceState.SERVING
    ]
    assert evaluation.compared_version == serving.version
    assert (await made.promote("default", "r", "", force=False)).manifest == found.manifest


@pytest.mark.full
async def test_too_few_new_photos_are_not_compared_on(made: References) -> None:
    await fitted(made)
    await add(made, [piece(seed) for seed in range(15, 33)])
    found = await fit(made)
    assert found.manifest is not None
    assert found.manifest.evaluation is None


@pytest.mark.full
async def test_a_worse_version_is_promoted_by_force_alone(made: References) -> None:
    await fitted(made)
    store, (first,) = made.needed(), await made.listed("default", "r")
    assert first.manifest is not None
    _, memory = store.load("default", "r", "", "")
    evaluation = ReferenceEvaluation(
        verdict=ReferenceVerdict.WORSE,
        compared_version=first.manifest.version,
        photos=20,
        defects=40,
        fitted=ReferenceFigures(0.8),
        compared=ReferenceFigures(0.95),
        gain_low=-0.2,
        gain_high=-0.1,
    )
    other = FittedReference(replace(memory, scores=memory.scores + 1), "maps", evaluation)
    found = store.keep("default", "r", "p", other, ["a"])
    assert found.manifest is not None
    assert found.manifest.evaluation == evaluation
    version = found.manifest.version
    with pytest.raises(errors.PromotionRefused, match="worse than the one that serves") as caught:
        await made.promote("default", "r", version, force=False)
    assert caught.value.metadata == {"verdict": "WORSE"}
    promoted = await made.promote("default", "r", version, force=True)
    assert promoted.state is ReferenceState.SERVING
    assert (await made.promote("default", "r", version, force=False)).manifest == found.manifest
    await made.promote("default", "r", first.manifest.version, force=False)
    with pytest.raises(errors.PromotionRefused):
        await made.promote("default", "r", version, force=False)
    await made.delete("default", "r", first.manifest.version)
    assert (await made.promote("default", "r", version, force=False)).manifest == found.manifest


@pytest.mark.full
async def test_the_figures_show_where_the_new_photos_are_not_of_good_pieces(
    made: References,
) -> None:
    await fitted(made)
    await add(made, [piece(seed, stained=seed % 2 == 0) for seed in range(30, 70)])
    found = await fit(made, "p")
    assert found.manifest is not None
    evaluation = found.manifest.evaluation
    assert evaluation is not None
    assert evaluation.compared.false_alarms == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize("name", ["", "../x", "A", "a" * 65, "a/b", ".a", "a\n"])
async def test_a_name_that_is_no_name_is_rejected(made: References, name: str) -> None:
    with pytest.raises(RequestInvalid):
        await made.add("default", name, [piece(0)], Stages())
    with pytest.raises(RequestInvalid):
        await made.delete("default", name, "")


async def test_a_request_has_a_bounded_number_of_photos(made: References) -> None:
    for count in (0, references.MOST_AT_ONCE + 1):
        with pytest.raises(RequestInvalid):
            await made.add("default", "r", [b"x"] * count, Stages())


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"photo": b"x", "reference_id": ""},
        {"photo": b"x", "rate": 0.0},
        {"photo": b"x", "rate": 0.6},
        {"photo": b"x", "rate": float("nan")},
    ],
)
async def test_a_query_that_is_out_of_range_is_rejected(
    inspector: Inspector, fields: dict[str, Any]
) -> None:
    with pytest.raises(RequestInvalid):
        await inspector.inspect(query(**fields), Stages())


def test_a_picture_is_coloured_where_scores_are_high() -> None:
    pixels = np.full((40, 40, 3), 128, np.uint8)
    scores = np.zeros((10, 10), np.float32)
    scores[7:, 7:] = 3
    picture = np.asarray(Image.open(io.BytesIO(heat_picture.png(pixels, scores, 1.0))))
    red, blue = (picture[..., channel].astype(int) for channel in (0, 2))
    assert (red - blue)[32:, 32:].min() > 50
    assert abs((red - blue)[:16, :16]).max() < 5
