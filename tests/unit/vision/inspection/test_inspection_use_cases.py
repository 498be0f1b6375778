"""References and inspections, on features that are colours."""

import hashlib
import io
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from servicekit.artefacts.content_store import SHELVES
from servicekit.rpc.requests import RequestInvalid
from servicekit.telemetry import Stages
from tests.broken_files import BROKEN
from tests.fakes.patches import FakePatches
from tests.fakes.pieces import piece
from vision.adapters.photos import PhotoStore
from vision.domain import errors
from vision.domain.inspection import GivenPhoto, PieceVerdict
from vision.domain.reference_evaluation import (
    ReferenceEvaluation,
    ReferenceFigures,
    ReferenceVerdict,
)
from vision.domain.references import FittedReference, ListedReference, ReferenceState
from vision.inspection import files, heat_picture, references
from vision.inspection.files import ReferenceFiles
from vision.inspection.inspect_piece import InspectionQuery, Inspector
from vision.inspection.references import References
from vision.record import Record
from vision.watching.expiry import collect

DAY_SECONDS = 86_400.0
ADDRESS = "https://a.example/p.jpg"


@pytest.fixture
def features() -> FakePatches:
    made = FakePatches()
    made.photos[ADDRESS] = piece(101)
    return made


@pytest.fixture
async def photos(tmp_path: Path) -> AsyncIterator[PhotoStore]:
    store = PhotoStore(str(tmp_path / "photos"))
    yield store
    store.close()


@pytest.fixture(params=["folder", "bucket"])
async def each_store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[PhotoStore]:
    """Yield a store of each kind."""
    folder = str(tmp_path / "photos")
    store = PhotoStore(folder if request.param == "folder" else f"memory:/{folder}")
    yield store
    store.close()


@pytest.fixture
def made(record: Record, photos: PhotoStore, features: FakePatches) -> References:
    return References(record, ReferenceFiles(photos), features)


@pytest.fixture
def inspector(made: References, features: FakePatches) -> Inspector:
    return Inspector(made, features)


def query(**fields: Any) -> InspectionQuery:
    given: dict[str, Any] = {
        "catalog": "default",
        "photo": None,
        "reference_id": "r",
        "product_id": "",
        "version": "",
        "rate": None,
        "heat_map": False,
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


async def test_a_stained_piece_is_unlike(made: References, inspector: Inspector) -> None:
    await fitted(made)
    stained = await inspector.inspect(
        query(photo=GivenPhoto(piece(101, stained=True)), heat_map=True), Stages()
    )
    assert (stained.comparison.verdict, stained.rate) == (PieceVerdict.UNLIKE, 0.05)
    assert Image.open(io.BytesIO(stained.png)).size == (51, 64)
    by_uri = await inspector.inspect(query(photo=GivenPhoto(uri=ADDRESS)), Stages())
    assert (by_uri.comparison.verdict, by_uri.png) == (PieceVerdict.LIKE, b"")


async def test_a_bad_photo_fails_alone(made: References) -> None:
    outcomes, count = await made.add("default", "r", [piece(0), b"x", piece(1)], Stages())
    assert ([type(each) for each in outcomes], count) == (
        [type(None), errors.ImageRejected, type(None)],
        2,
    )


async def test_another_model_needs_another_reference(
    made: References, inspector: Inspector, features: FakePatches
) -> None:
    await fitted(made)
    features.model = "colours 2"
    with pytest.raises(errors.ModelNotReady, match="fit it again"):
        await inspector.inspect(query(photo=GivenPhoto(piece(1))), Stages())


async def test_one_reference_is_fitted_at_a_time(made: References) -> None:
    async with made._fitting:
        with pytest.raises(errors.FitInProgress, match="another reference"):
            await fit(made)


@pytest.mark.full
async def test_a_draft_survives_a_failed_fit(made: References, features: FakePatches) -> None:
    await made.add("default", "r", [piece(seed) for seed in range(12)], Stages())
    features.error = errors.EmbedderUnavailable()
    with pytest.raises(errors.EmbedderUnavailable):
        await fit(made)
    features.error = None
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
    (first,) = await made.listed("default", "r")
    assert first.manifest is not None
    _, memory = await made.load("default", "r", "", "")
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
    found = await made._keep("default", "r", "p", other, ["a"])
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
        {"photo": GivenPhoto(b"x"), "reference_id": ""},
        {"photo": GivenPhoto(b"x"), "rate": 0.0},
        {"photo": GivenPhoto(b"x"), "rate": 0.6},
        {"photo": GivenPhoto(b"x"), "rate": float("nan")},
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


def stored(folder: Path, name: str) -> Path:
    """Return the path of a stored file."""
    (path,) = folder.glob(f"photos/default/*/*/{name}")
    return path


async def names(photos: PhotoStore) -> set[str]:
    """Return the names of all stored files."""
    return {name for shelf in range(SHELVES) for name in await photos.files.names("default", shelf)}


async def test_a_photo_is_prepared_and_stored_once(
    made: References, features: FakePatches, photos: PhotoStore, record: Record
) -> None:
    for _ in range(2):
        outcomes, count = await made.add("default", "r", [piece(0)], Stages())
        assert (outcomes, count) == ([None], 1)
    assert features.prepared == 1
    assert await names(photos) == set((await record.draft("default", "r")).values())


async def test_drafts_of_the_same_photo_share_no_file(made: References, photos: PhotoStore) -> None:
    for name in ("r", "s"):
        await made.add("default", name, [piece(0)], Stages())
    assert len(await names(photos)) == 2


async def test_files_of_what_is_gone_are_unnamed_and_no_others(
    made: References, record: Record, photos: PhotoStore
) -> None:
    await fitted(made, 10)
    (kept,) = await made.listed("default", "r")
    assert kept.manifest is not None
    stored = await names(photos)
    assert len(stored) == 11
    assert {*await record.unnamed_files("default", stored)} == stored - {kept.manifest.file}
    await made.delete("default", "r", "")
    assert {*await record.unnamed_files("default", stored)} == stored


async def test_named_files_of_any_age_stay_and_those_of_what_is_deleted_go(
    record: Record, each_store: PhotoStore, features: FakePatches
) -> None:
    made, later = (
        References(record, ReferenceFiles(each_store), features),
        time.time() + 2 * DAY_SECONDS,
    )
    await fitted(made, 10)
    await add(made, [piece(20), piece(21)])
    stored = await names(each_store)
    assert len(stored) == 13
    await collect("default", record, each_store.files, time.time())
    assert await names(each_store) == stored  # none is a day old
    await collect("default", record, each_store.files, later)
    kept = await names(each_store)
    assert len(kept) == 3  # the memory and the draft's photos
    await add(made, [piece(20)])
    await collect("default", record, each_store.files, later)
    assert await names(each_store) == kept
    assert len(await made._draft("default", "r")) == 2
    assert await made.load("default", "r", "", "")
    await record.drop_photos("default", "r", [hashlib.sha256(piece(20)).hexdigest()])
    await add(made, [piece(20)])  # under another name, whatever is done with the former file
    await collect("default", record, each_store.files, later)
    assert len(await made._draft("default", "r")) == 2
    await made.delete("default", "r", "")
    await collect("default", record, each_store.files, later)
    assert await names(each_store) == set()


@pytest.mark.parametrize("way", BROKEN)
async def test_a_damaged_photo_of_a_draft_costs_no_other(
    made: References, record: Record, tmp_path: Path, way: str
) -> None:
    await add(made, [piece(seed) for seed in range(11)])
    photo, name = next(iter((await record.draft("default", "r")).items()))
    BROKEN[way](stored(tmp_path, name))
    assert (await fit(made)).photos == 10
    await add(made, [piece(seed) for seed in range(11)])
    assert photo in await record.draft("default", "r"), "it can be given again"


@pytest.mark.parametrize("way", BROKEN)
async def test_a_damaged_memory_is_not_compared_with(
    made: References, record: Record, photos: PhotoStore, tmp_path: Path, way: str
) -> None:
    await fitted(made, 10)
    manifest, _ = await made.load("default", "r", "", "")
    BROKEN[way](stored(tmp_path, manifest.file))
    others = References(record, ReferenceFiles(photos), made.features)
    with pytest.raises(errors.ReferenceNotFound):
        await others.load("default", "r", "", "")


async def test_memories_are_read_to_the_bit_and_few_are_kept(
    made: References, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "CACHED", 1)
    await fitted(made, 10)
    await add(made, [piece(seed) for seed in range(20, 31)])
    newest = (await fit(made, "p")).manifest
    assert newest is not None
    for version in ("", newest.version, ""):
        manifest, memory = await made.load("default", "r", "", version)
        assert memory.version(manifest.model, "p") == manifest.version
    assert len(made.files._memories) == 1
