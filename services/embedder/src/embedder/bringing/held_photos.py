"""Check of a brought model on the shop's own photos, beside the model in use."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np

from embedder.adapters.triton import config_file
from embedder.bringing.trial_process import Embedded, TrialProcess
from embedder.domain.brought import Look, ModelRefused, Refusal, Wanted
from embedder.domain.errors import FitInvalid, ModelNotReady
from embedder.domain.fitted import (
    KINDS,
    SHOPPER,
    FittedSpace,
    Floats,
    Labelled,
    SpaceEvaluation,
    SpaceFigure,
    SpaceVerdict,
    unit,
)
from embedder.domain.models import FEATURES
from embedder.domain.recipes import PhotoRecipe
from embedder.fitting.components import Rows
from embedder.fitting.evaluate_space import evaluate
from embedder.fitting.fit import FitOptions, fit_rows
from embedder.fitting.measuring import HIT, NEAREST, Learn, Refit, Views
from embedder.fitting.occasions import by_occasion

GRAPH: Final = "1/model.onnx"
LEAST_PHOTOS: Final = 20
SHOWN: Final = (NEAREST, HIT)

Tell = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class ShopPhoto:
    """A photo of the shop's, with its labels."""

    path: Path
    product: str
    upload: str = ""
    """Photos of one upload are never compared with one another; empty: not known."""


@dataclass(frozen=True, slots=True)
class PhotoCost:
    """Cost of a photo with its preprocessing, on one thread of this machine."""

    model: str
    processor_ms: float
    """Mean."""
    p50_ms: float


@dataclass(frozen=True, slots=True)
class HeldReport:
    """Result of the check."""

    verdict: SpaceVerdict
    text: str
    figures: tuple[SpaceFigure, ...]
    """Each with the model in use as its baseline, and the interval of the difference."""
    fitted: SpaceFigure | None
    """NEAREST of spaces fitted on the brought model; None if the photos do not suffice."""
    photos: int
    products: int
    occasions: int
    """Groups of photos that were never compared with one another."""
    rejected: int
    """Photos that can't be decoded."""
    costs: tuple[PhotoCost, ...]


@dataclass(frozen=True, slots=True)
class TriedModel:
    """A model in its process, and how it sees photos."""

    name: str
    process: TrialProcess
    look: Look
    steps: str = ""
    fitted: bool = False
    """It is a space that was fitted on photos: the process gives what it was fitted on."""


def served_model(folder: Path) -> TriedModel:
    """Start the model in a folder of Triton's model repository; of a fitted space, its backbone.
    Raises ModelRefused."""
    try:
        description, _ = config_file.read((folder / config_file.NAME).read_text("utf-8"))
    except (OSError, ValueError, ModelNotReady) as error:
        raise ModelRefused(
            Refusal.MANIFEST,
            f"{folder} is not a model of this suite: {error}. Name the folder of the model in use"
            " by --beside, such as deploy/triton/models/efficientnet_lite2",
        ) from error
    recipe = description.recipe
    if not isinstance(recipe, PhotoRecipe):
        raise ModelRefused(Refusal.MANIFEST, f"{folder} takes no photos: name another by --beside")
    fitted, name = bool(description.catalog), description.model
    if fitted:
        name += ", fitted anew in each fold"
    process = TrialProcess(folder / GRAPH, Wanted(vector=FEATURES if fitted else "embedding"))
    steps = ";".join(map(str, recipe.steps))
    return TriedModel(name, process, Look(crop=recipe.crop), steps, fitted)


def sampled(photos: Sequence[ShopPhoto], most: int, seed: int) -> list[ShopPhoto]:
    """Return at most this number of photos, drawn from as many products with several photos as
    possible. Raises ModelRefused if there are too few."""
    draw = np.random.default_rng(seed)
    by_product: dict[str, list[ShopPhoto]] = {}
    for photo in photos:
        by_product.setdefault(photo.product, []).append(photo)
    several = [each for each in by_product.values() if len(each) > 1]
    share = max(2, most // max(1, len(several)))
    chosen: list[ShopPhoto] = []
    for place in draw.permutation(len(several))[: most // 2]:
        shown = several[place]
        chosen += [shown[each] for each in draw.permutation(len(shown))[:share]]
    if len(chosen) < LEAST_PHOTOS:
        raise ModelRefused(
            Refusal.PHOTOS,
            f"{len(chosen)} photos show products with several photos; the check needs at least"
            f" {LEAST_PHOTOS}: give more",
        )
    return chosen


def held(
    photos: Sequence[ShopPhoto], brought: TriedModel, beside: TriedModel, *, seed: int, tell: Tell
) -> HeldReport:
    """Measure both models on the same photos: is a photo's nearest photo of another occasion one of
    its product? A fitted space may have learned from these photos, so it is fitted again in each
    fold, on the others. Raises ModelRefused and FitInvalid."""
    seen = list(_embedded(photos, (brought, beside), tell))
    if len(seen) < LEAST_PHOTOS:
        raise ModelRefused(Refusal.PHOTOS, "nearly no photo can be decoded: give others")
    ours, theirs = (np.stack([each[model].vectors for _, each in seen]) for model in (0, 1))
    alike = Labelled(
        features=theirs,
        kinds=np.full(len(seen), SHOPPER, np.int8),
        products=[photo.product for photo, _ in seen],
        groups=[photo.upload or photo.path.as_posix() for photo, _ in seen],
        categories=[()] * len(seen),
    )
    in_use = by_occasion(alike)
    grouped = replace(in_use, features=ours)
    before = _refit(in_use, seed) if beside.fitted else unit(theirs[:, 0])

    def evaluated(learn: Learn) -> SpaceEvaluation:
        views = Views(1, 1)
        name = beside.name
        return evaluate(
            grouped, FitOptions(), before, name, seed=seed, views=views, learn=learn, unseen=False
        )

    found = evaluated(unchanged)
    figures = tuple(each for each in found.figures if each.name in SHOWN)
    if not figures:
        raise ModelRefused(
            Refusal.PHOTOS,
            "the photos of each product seem to be taken together, so nothing can be measured: give"
            " some of other days",
        )
    return HeldReport(
        verdict=found.verdict,
        text=found.text,
        figures=figures,
        fitted=_fitted(evaluated),
        photos=found.photos,
        products=found.products,
        occasions=len({*grouped.groups}),
        rejected=len(photos) - len(seen),
        costs=tuple(
            _cost(model.name, [each[place] for _, each in seen])
            for place, model in enumerate((brought, beside))
        ),
    )


def _refit(data: Labelled, seed: int) -> Refit:
    def refit(train: Rows) -> Floats:
        space = fit_rows(data, train, FitOptions(), seed, texts=False)
        return space.embed(data.features[:, 0], data.kinds)

    return refit


def _fitted(evaluated: Callable[[Learn], SpaceEvaluation]) -> SpaceFigure | None:
    try:
        figures = evaluated(fit_rows).figures
    except FitInvalid:
        return None
    return next((each for each in figures if each.name == NEAREST), None)


def _embedded(
    photos: Sequence[ShopPhoto], models: Sequence[TriedModel], tell: Tell
) -> Iterator[tuple[ShopPhoto, list[Embedded]]]:
    """Yield the photos that can be decoded, with each model's vector."""
    for done, photo in enumerate(photos, 1):
        data = photo.path.read_bytes()
        found = [each.process.embed(data, [each.look], each.steps) for each in models]
        tell(done, len(photos))
        whole = [each for each in found if each is not None]
        if len(whole) == len(models):
            yield photo, whole


def unchanged(
    data: Labelled, rows: Rows, options: FitOptions, seed: int, *, texts: bool = True
) -> FittedSpace:
    """Return the map that leaves vectors as they are, in place of a fitted one."""
    del rows, options, seed, texts
    width = data.features.shape[2]
    one = np.ones((KINDS, width), np.float32)
    return FittedSpace(means=0 * one, scales=one, projection=np.eye(width, dtype=np.float32))


def _cost(name: str, found: Sequence[Embedded]) -> PhotoCost:
    processor = [1000 * each.processor_seconds for each in found]
    wall = [1000 * each.wall_seconds for each in found]
    return PhotoCost(name, float(np.mean(processor)), float(np.median(wall)))


def labelled(rows: Sequence[Mapping[str, str]]) -> list[ShopPhoto]:
    """Return the photos of rows with `path`, `product` and perhaps `upload`."""
    return [ShopPhoto(Path(row["path"]), row["product"], row.get("upload", "")) for row in rows]
