"""Photos in, a candidate out; with a stand-in for the fitting process."""

import asyncio
import json
import os
import sys
import time
import tomllib
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from embedder.adapters.space_store import SpaceStore
from embedder.domain.errors import (
    EmbedderUnavailable,
    FitFailed,
    FitInProgress,
    FitInvalid,
    FitUnavailable,
    SpaceNotFound,
)
from embedder.domain.fits import FitPhoto, FitProgress, FitSettings
from embedder.domain.fitted import SpaceVerdict
from embedder.domain.manifest import ServingState, SpaceManifest
from embedder.domain.photos import Camera
from embedder.fitting import process
from embedder.spaces.learn import Learner
from servicekit import whole_files
from tests.broken_files import BROKEN
from tests.engines import ROOT
from tests.fakes import features
from tests.fakes.photos import photo
from tests.fakes.spaces import TinySources, description
from tests.waiting import SECONDS

pytestmark = pytest.mark.slow

COMMAND = (sys.executable, "-m", "tests.fakes.fitting")
SETTINGS = FitSettings("default", "tiny", 256, 0)


class Bench:
    """Learner with its dependencies."""

    def __init__(self, root: Path) -> None:
        self.store = SpaceStore(root / "spaces")
        self.root = root / "spaces"
        self.backbones = root / "backbones"
        self.sources = TinySources(features.backbone(self.backbones))
        self.learner = self.made()

    def made(self, patience: float = 5.0) -> Learner:
        return Learner(
            self.store,
            self.backbones,
            self.sources,
            default_backbone="tiny",
            command=COMMAND,
            patience=patience,
        )

    async def fit(self, settings: FitSettings = SETTINGS, *more: FitPhoto) -> list[FitProgress]:
        photos = some(*labelled(), *more)
        return [each async for each in self.learner.fit(settings, photos)]

    async def candidate(self, settings: FitSettings = SETTINGS) -> SpaceManifest:
        found = (await self.fit(settings))[-1].candidate
        assert found is not None
        return found


def labelled(count: int = 24) -> list[FitPhoto]:
    """Return photos of six products in two categories, of both cameras."""
    return [
        FitPhoto(
            photo(32, 32, seed),
            f"p{seed % 6}",
            title="Oat milk" if seed % 6 else "",
            category=("Milk", "Oat") if seed % 2 else ("Fruit",),
            camera=Camera.SHOPPER if seed % 3 else Camera.CATALOGUE,
        )
        for seed in range(count)
    ]


async def some(*photos: FitPhoto) -> AsyncIterator[FitPhoto]:
    for each in photos:
        yield each


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.mark.full
async def test_a_fit_reports_how_far_it_is_and_last_the_candidate(bench: Bench) -> None:
    reported = await bench.fit(SETTINGS, FitPhoto(b"no photo", "p1"))

    assert [each.stage for each in reported] == [
        *["features"] * 5,
        "evaluate",
        "fit",
        *["write"] * 3,
    ]
    assert [each.done for each in reported][:5] == [0, 8, 16, 24, 25]
    assert reported[-1].skipped == 1
    assert [each.candidate is None for each in reported] == [True] * 9 + [False]


async def test_a_candidate_is_all_that_triton_needs_with_a_manifest(bench: Bench) -> None:
    found = await bench.candidate(replace(SETTINGS, shopper_photo_tags=("phone",)))

    folder = bench.store.folder(found.name, ServingState.CANDIDATE)
    text_folder = bench.store.folder(found.text_name, ServingState.CANDIDATE)
    assert bench.store.find("default", found.version) == (found, ServingState.CANDIDATE)
    bench.store.check(found, ServingState.CANDIDATE)
    assert found.name == f"visual_{whole_files.sha256_of(folder / '1/model.onnx')[:12]}"
    assert (found.backbone, found.dimension, found.categories) == ("tiny", 8, 2)
    assert (found.takes_texts, found.licence, found.forced) == (True, "Apache-2.0", False)
    assert found.shopper_photo_tags == ("phone",)
    assert found.evaluation.verdict is SpaceVerdict.BETTER
    described = description(folder)
    assert (described.space, described.catalog, described.cameras) == ("visual", "default", True)
    assert (described.dimension, described.categories) == (8, 2)
    assert (described.shopper_views, described.catalog_views) == (1, 4)
    assert description(text_folder).recipe.version == "e" * 16  # type: ignore[union-attr]
    assert "blocks" not in (folder / "config.pbtxt").read_text()
    cosines = json.loads((folder / "match_cosines.json").read_bytes())
    assert cosines[0] == [[0.25] * 6] * 2
    assert "dynamic_batching" in (folder / "configs/gpu.pbtxt").read_text()
    assert list(bench.root.glob("work/*")) == []


@pytest.mark.full
async def test_the_same_photos_and_seed_make_the_same_space_and_other_catalogs_another(
    bench: Bench,
) -> None:
    first, again = await bench.candidate(), await bench.candidate()
    other = await bench.candidate(replace(SETTINGS, catalog_id="other"))
    assert (first.name, first.version) == (again.name, again.version)
    assert first.version != other.version
    assert bench.store.find("default", first.name)[0].create_time == first.create_time
    with pytest.raises(SpaceNotFound):
        bench.store.find("other", first.version)


@pytest.mark.full
async def test_what_was_computed_of_a_photo_is_kept_for_the_next_try(bench: Bench) -> None:
    await bench.fit()
    assert len(bench.sources.calls) == 24
    await bench.fit(replace(SETTINGS, seed=1))
    assert len(bench.sources.calls) == 24 + 4  # the pixels of four are proof, and not kept


@pytest.mark.full
@pytest.mark.parametrize("way", BROKEN)
async def test_features_in_a_damaged_file_are_computed_again(bench: Bench, way: str) -> None:
    await bench.fit()
    damaged, *_ = sorted(bench.store.features.rglob("*.npy"))
    BROKEN[way](damaged)
    assert (await bench.fit(replace(SETTINGS, seed=1)))[-1].candidate is not None
    assert len(bench.sources.calls) in {24 + 4, 24 + 5}, "the one, unless it is proof"


@pytest.mark.full
async def test_a_model_server_that_is_gone_for_a_moment_costs_nothing(bench: Bench) -> None:
    bench.sources.failures = [EmbedderUnavailable("killed")] * 3
    assert (await bench.fit())[-1].candidate is not None


@pytest.mark.full
async def test_one_that_stays_away_ends_the_fit_and_the_next_goes_on_where_it_was(
    bench: Bench,
) -> None:
    bench.learner = bench.made(patience=0.1)
    bench.sources.failures = [EmbedderUnavailable("killed")] * 100
    with pytest.raises(EmbedderUnavailable):
        await bench.fit()
    bench.sources.failures = []
    assert (await bench.fit())[-1].candidate is not None


@pytest.mark.full
@pytest.mark.parametrize(
    ("photos", "reported"),
    [
        (labelled(3), "3 photos of 3 products"),
        ([replace(each, product="one") for each in labelled()], "24 photos of 1 products"),
        ([replace(each, image=b"no") for each in labelled()], "0 photos .* 24 can't"),
        (
            [replace(each, product=str(n % 2)) for n, each in enumerate(labelled())],
            "three products",
        ),
    ],
)
async def test_photos_that_teach_nothing_are_refused_with_what_is_wanted(
    bench: Bench, photos: list[FitPhoto], reported: str
) -> None:
    with pytest.raises(FitInvalid, match=reported):
        [each async for each in bench.learner.fit(SETTINGS, some(*photos))]
    assert list(bench.root.glob("candidates/*")) == []


@pytest.mark.full
@pytest.mark.parametrize("name", ["lite9", "../tiny", "", "tiny/../tiny"])
async def test_a_backbone_that_is_not_there_is_refused_by_name(bench: Bench, name: str) -> None:
    if not name:
        assert (await bench.fit(replace(SETTINGS, backbone="")))[-1].candidate is not None
        return
    with pytest.raises(FitInvalid, match="the backbones are: tiny"):
        await bench.fit(replace(SETTINGS, backbone=name))


async def test_without_folders_nothing_is_fitted(bench: Bench) -> None:
    learner = Learner(
        None, bench.backbones, bench.sources, default_backbone="tiny", command=COMMAND
    )
    with pytest.raises(FitUnavailable, match="EMBEDDER_SPACES"):
        [each async for each in learner.fit(SETTINGS, some())]


async def test_what_fitting_lacks_is_said_before_a_photo_is_looked_at(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "LIBRARIES", ("numpy", "onnx_that_is_not", "scipy_that_is_not"))
    with pytest.raises(FitUnavailable, match=r"no onnx_that_is_not and no scipy.* extra `fit`"):
        await bench.fit()
    assert bench.sources.calls == []


def test_what_fitting_may_lack_is_what_its_extra_brings() -> None:
    project = tomllib.loads((ROOT / "services/embedder/pyproject.toml").read_text())["project"]
    extra = project["optional-dependencies"]["fit"]
    assert [wanted.split(">")[0] for wanted in extra] == list(process.LIBRARIES)


@pytest.mark.full
async def test_a_process_that_dies_is_reported_and_leaves_nothing(bench: Bench) -> None:
    with pytest.raises(FitFailed, match="status 9"):
        await bench.fit(replace(SETTINGS, seed=3))
    assert list(bench.root.glob("work/*")) == []


@pytest.mark.full
async def test_a_fit_that_is_cancelled_ends_its_process_and_another_may_begin(bench: Bench) -> None:
    hung = replace(SETTINGS, seed=2)
    begun = asyncio.Event()

    async def fit() -> None:
        async for each in bench.learner.fit(hung, some(*labelled())):
            if each.stage == "evaluate":
                begun.set()

    task = asyncio.create_task(fit())
    await asyncio.wait_for(begun.wait(), SECONDS)
    with pytest.raises(FitInProgress):
        await bench.fit()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert list(bench.root.glob("work/*")) == []
    assert (await bench.fit())[-1].candidate is not None


async def test_a_fit_that_can_not_begin_blocks_no_later_one(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full() -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as disk:
        disk.setattr(bench.store, "prepare", full)
        for _ in range(2):
            with pytest.raises(FitUnavailable):
                await anext(aiter(bench.learner.fit(SETTINGS, some(*labelled()))))

    async def begin() -> None:
        progress = bench.learner.fit(SETTINGS, some(*labelled()))
        try:
            await anext(aiter(progress))
        finally:
            await progress.aclose()  # type: ignore[attr-defined]

    for awaits in range(1, 9):  # a thread begins the fit meanwhile
        fit = asyncio.create_task(begin())
        for _ in range(awaits):
            await asyncio.sleep(0)
        fit.cancel()
        await asyncio.wait({fit})
    await begin()


@pytest.mark.full
async def test_without_a_text_model_or_titles_there_is_no_text_map(bench: Bench) -> None:
    bench.sources.texts = False
    assert not (await bench.candidate()).takes_texts
    bench.sources.texts = True
    untitled = [replace(each, title=" ") for each in labelled()]
    reported = [each async for each in bench.learner.fit(SETTINGS, some(*untitled))]
    assert reported[-1].candidate is not None
    assert not reported[-1].candidate.takes_texts


@pytest.mark.full
async def test_features_that_no_fit_wanted_for_long_are_forgotten(bench: Bench) -> None:
    await bench.fit()
    kept = sorted(bench.root.glob("features/*/*/*.npy"))
    assert np.load(kept[0]).ndim == 2
    long_ago = time.time() - 40 * 86400
    for path in kept:
        os.utime(path, (long_ago, long_ago))
    few = labelled(20)
    assert [each async for each in bench.learner.fit(SETTINGS, some(*few))][-1].candidate
    assert len(list(bench.root.glob("features/*/*/*.npy"))) == 2 * 20
