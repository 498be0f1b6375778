"""Inspection of pieces: defects told from good pieces, false alarms, where defects are, cost."""

import asyncio
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any, Final, TypeAlias

import cv2
import grpc
import numpy as np
import numpy.typing as npt

from bench.datasets import unique
from bench.harness.model import BenchResult, BenchTable, Goal, Interval
from bench.harness.statistics import mean, median_ratio, percentile
from embedder.domain.patches import BLOCKS, patches
from embedder.domain.photos import PhotoView
from embedder.domain.recipes import PhotoRecipe, PreprocessStep
from embedder.preprocessing import preprocess
from lab.datasets import featured, grocery, pieces
from lab.datasets.pieces import GRADES, KINDS, Floats, Mask, Pixels
from lab.harness import rounds
from lab.harness.rounds import RoundFigures
from lab.peers import embedders
from sightline.embedder.v1 import embedding_service_pb2, embedding_service_pb2_grpc
from sightline.vision.v1 import inspection_service_pb2 as pb
from sightline_rules.grids import smooth
from sightline_rules.photos import PhotoLimits
from tests.peer_stubs import peer_stub
from vision.domain import inspection
from vision.domain.inspection import PatchMemory, PieceVerdict
from vision.inspection.fit_reference import CHUNK
from vision.inspection.references import MOST_AT_ONCE

Say: TypeAlias = Callable[[str], None]
Scores: TypeAlias = npt.NDArray[np.float32]

MODEL: Final = "efficientnet_lite2_positions"
PIECES: Final = 12
"""Groceries, and as many clothes."""
PHOTOS, GOOD, EACH = 59, 400, 2
"""Good photos of a reference; further good ones; photos of a kind and grade of defect."""
BY_HAND: Final = 30
RATES: Final = (0.05, 0.1, 0.2)
OURS, PLAIN, GAUSSIAN = "as served", "PatchCore", "PaDiM"
METHODS: Final = (OURS, PLAIN, GAUSSIAN)
TUNED: Final = (
    "Arla-Medium-Fat-Milk",
    "Arla-Natural-Yoghurt",
    "Kiwi",
    "Garant-Ecological",
    "Lemon",
)
"""Groceries whose photos the parameters were chosen on; with the first kinds of clothes."""
CLOTHES: Final = ("hat", "outwear", "skirt")
MOST_OVERLAP_RATE: Final = 0.3
FINE: Final = 66
"""Positions of the grid in which the places of defects are compared."""
FITS: Final = (100, 500)
"""Photos of the references whose fits are timed."""
SECONDS: Final = 120.0
INSPECT, EMBED = "an inspection", "an embedding"
LIMITS = PhotoLimits()
PUBLIC: Final = "mvtec_ad"


@dataclass
class PieceFigures:
    """Figures of one piece, by method where they differ."""

    good: dict[str, Scores] = field(default_factory=dict)
    """Scores of good photos that the reference does not have."""
    bad: dict[str, Scores] = field(default_factory=dict)
    """Scores of photos with defects, in the order of `defects`."""
    defects: list[tuple[str, str]] = field(default_factory=list)
    """Kind and grade of each."""
    overlap: dict[str, float] = field(default_factory=dict)
    """Area under the curve of per-region overlap, of defects that are not faint."""
    alarms: dict[float, Scores] = field(default_factory=dict)
    """1 for each good photo that is called unlike, by the asked rate."""
    replaced: Scores = field(default_factory=lambda: np.zeros(0, np.float32))
    """Scores of other products in the piece's place."""
    replaced_unlike: Scores = field(default_factory=lambda: np.zeros(0, np.float32))
    """1 for each of them that is called unlike at the least of RATES."""
    separation: float = 0.0

    def auroc(self, method: str, grade: str, kind: str = "") -> float:
        """Return the area under the ROC curve of one grade of defects, of a kind if named."""
        picked = [each[1] == grade and kind in {"", each[0]} for each in self.defects]
        return inspection.separation(self.good[method], self.bad[method][picked])


@dataclass(frozen=True)
class InspectionFigures:
    """Figures of all measurements."""

    pieces: Mapping[str, PieceFigures]
    by_hand: Mapping[str, float]
    """Separation of references of photos that were taken by hand, by product."""
    public: Mapping[str, float]
    """AUROC by category of the public set; empty without it."""
    times: RoundFigures
    fit_seconds: Mapping[int, float]
    """By number of photos."""


def run(say: Say) -> BenchResult:
    """Measure on the photos in $SIGHTLINE_DATA."""
    folder = grocery.find()
    if folder is None or not featured.there(MODEL):
        return _absent()
    with (
        embedders.without_cache(say) as served,
        embedders.vision_server(served.folder, served.port) as (vision, port),
    ):
        programs = *served.programs, vision
        times, fits = asyncio.run(_times(served.port, port, programs, say))
    table = _table(folder)
    found = {}
    for seed, (name, photo) in enumerate(table):
        others = {other: each for other, each in table if other != name}
        first = seed - seed % PIECES
        alike = [others[other] for other, _ in table[first : first + PIECES] if other != name]
        found[name] = _measured(photo, list(others.values()), alike, seed, say)
    say("photos taken by hand")
    by_hand = _by_hand(folder)
    public = _public(say)
    return _result(InspectionFigures(found, by_hand, public, times, fits))


def _table(folder: Path) -> list[tuple[str, Pixels]]:
    """Return photos of pieces whose classes no parameter was chosen on."""
    data = grocery.load(folder)
    first = [
        next(
            path
            for path, each in zip(data.validation.paths, data.validation.products, strict=True)
            if each == product
        )
        for product in sorted(set(data.validation.products))
    ]
    groceries = [path for path in first if not path.parent.name.startswith(TUNED)]
    paths = list(pieces.chosen(groceries, PIECES))
    for kind in CLOTHES:
        clothes = sorted((folder.parent / "clothing" / "train" / kind).glob("*.jpg"))
        paths += pieces.chosen(clothes, PIECES // len(CLOTHES))
    return [(f"{path.parent.name}/{path.stem}", pieces.read(path)) for path in paths]


def _measured(
    photo: Pixels, others: Sequence[Pixels], alike: Sequence[Pixels], seed: int, say: Say
) -> PieceFigures:
    """Fit a reference of a piece, and score good photos, defects, and `alike`, products that are
    put in its place."""
    say(f"piece {seed + 1}")
    rng = np.random.default_rng(seed)
    good = [_seen(pieces.on_table(photo, rng)) for _ in range(PHOTOS + GOOD)]
    figures, bad, masks = PieceFigures(), list[Pixels](), list[Mask]()
    for grade, name in enumerate(GRADES):
        for kind in KINDS:
            for _ in range(EACH):
                made, mask = pieces.with_defect(photo, kind, grade, others, rng)
                bad.append(_seen(pieces.on_table(made, rng)))
                masks.append(pieces.grid_of(mask, FINE))
                figures.defects.append((kind, name))
    fitted, memory = _fitted(good[:PHOTOS])
    figures.separation = memory.separation
    unseen, defects = _features(good[PHOTOS:]), _features(bad)
    shown = [at for at, (_, grade) in enumerate(figures.defects) if grade != GRADES[0]]
    for method, score in _methods(fitted, memory).items():
        of_good, of_bad = score(unseen), score(defects)
        figures.good[method] = of_good.max(axis=(1, 2)).astype(np.float32)
        figures.bad[method] = of_bad.max(axis=(1, 2)).astype(np.float32)
        figures.overlap[method] = overlap(of_bad[shown], [masks[at] for at in shown])
    for rate in RATES:
        verdicts = [
            inspection.compare(memory, each, rate, 1.0).verdict for each in _maps(memory, unseen)
        ]
        figures.alarms[rate] = np.array(
            [each is PieceVerdict.UNLIKE for each in verdicts], np.float32
        )
    _replace(figures, memory, photo, alike, rng)
    return figures


def _replace(
    figures: PieceFigures,
    memory: PatchMemory,
    photo: Pixels,
    alike: Sequence[Pixels],
    rng: np.random.Generator,
) -> None:
    """Score other products, of the size of the piece, in its place."""
    size = photo.shape[1::-1]
    placed = [cv2.resize(each, size, interpolation=cv2.INTER_AREA) for each in alike]
    features = _features([_seen(pieces.on_table(each.astype(np.uint8), rng)) for each in placed])
    maps = _maps(memory, features)
    figures.replaced = np.array([each.max() for each in maps], np.float32)
    verdicts = [inspection.compare(memory, each, RATES[0], 1.0).verdict for each in maps]
    figures.replaced_unlike = np.array(
        [each is PieceVerdict.UNLIKE for each in verdicts], np.float32
    )


def _fitted(photos: Sequence[Pixels]) -> tuple[Floats, PatchMemory]:
    """Return the features of photos, and the memory fitted on them as vision does."""
    features = _features(photos)
    on = [at % len(photos) for at in range(inspection.DRAWN)]
    drawn = [inspection.with_defect(photos[at], seed) for seed, at in enumerate(on)]
    basis = inspection.basis_of(features[:CHUNK])
    memory, _ = inspection.fit(features @ basis, _features(drawn) @ basis, on, basis)
    return features, memory


def _maps(memory: PatchMemory, features: Floats) -> list[Floats]:
    return [memory.map_of(each) for each in features]


def _methods(fitted: Floats, memory: PatchMemory) -> Mapping[str, Callable[[Floats], Floats]]:
    """Return functions from features to maps: ours, the memory without standardisation by position,
    and a Gaussian at each position (T. Defard et al., PaDiM, ICPR 2021)."""
    reduced = fitted @ memory.basis
    means = reduced.mean(axis=0)
    centred = (reduced - means).transpose(1, 2, 0, 3)
    covariance = centred.swapaxes(2, 3) @ centred / (len(fitted) - 1)
    covariance += (
        0.01
        * np.trace(covariance, axis1=2, axis2=3).mean()
        / covariance.shape[-1]
        * np.eye(covariance.shape[-1])
    )
    inverse = np.linalg.inv(covariance).astype(np.float32)

    def gaussian(features: Floats) -> Floats:
        away = features @ memory.basis - means
        squares = np.einsum("nhwi,hwij,nhwj->nhw", away, inverse, away, optimize=True)
        return smooth(np.sqrt(np.maximum(squares, 0))[..., None], inspection.NEAR)[..., 0]

    return {
        OURS: lambda features: np.stack(_maps(memory, features)),
        PLAIN: lambda features: inspection.distances_from(
            memory.patches, features @ memory.basis, inspection.NEAR
        ),
        GAUSSIAN: gaussian,
    }


def overlap(maps: Floats, masks: Sequence[Mask]) -> float:
    """Return the area under the curve of the mean overlap with each defect, over the share of good
    positions above the threshold, to MOST_OVERLAP_RATE (P. Bergmann et al., IJCV 2021)."""
    fine = np.stack(
        [cv2.resize(each, (FINE, FINE), interpolation=cv2.INTER_LINEAR) for each in maps]
    )
    where = np.stack(masks)
    good = np.sort(fine[~where])
    rates = np.linspace(0, MOST_OVERLAP_RATE, 61)
    limits = good[np.minimum((len(good) * (1 - rates)).astype(int), len(good) - 1)]
    found = [
        np.mean(
            [
                (one[mask] > limit).mean()
                for one, mask in zip(fine, where, strict=True)
                if mask.any()
            ]
        )
        for limit in limits
    ]
    return float(np.trapezoid(found, rates) / MOST_OVERLAP_RATE)


def _recipe() -> PhotoRecipe:
    """Return the preprocessing of inspected photos."""
    recipe = featured.backbone(MODEL).recipe
    return replace(recipe, crop=1.0, steps=(PreprocessStep.CROP_PAD,))


def _seen(data: bytes) -> Pixels:
    recipe = _recipe()
    pixels, *_ = preprocess.pixels(data, LIMITS, recipe, PhotoView())
    return np.frombuffer(pixels, np.uint8).reshape(recipe.side, recipe.side, 3)


def _features(photos: Sequence[Pixels]) -> Floats:
    names = [block + "_map" for block in BLOCKS]
    opened = featured.opened(MODEL)
    found = []
    for start in range(0, len(photos), featured.BATCH):
        maps = opened.run(names, {"image": np.stack(photos[start : start + featured.BATCH])})
        found.append(patches(dict(zip(BLOCKS, maps, strict=True))))
    return np.concatenate(found)


def _by_hand(folder: Path) -> dict[str, float]:
    """Return the separation of references whose photos shoppers took of a product in the shop."""
    data = grocery.load(folder)
    counts = np.bincount(data.train.products)
    found = {}
    for product in np.argsort(-counts)[:3]:
        shown = [
            path
            for path, each in zip(data.train.paths, data.train.products, strict=True)
            if each == product
        ]
        _, memory = _fitted([_seen(path.read_bytes()) for path in shown[:BY_HAND]])
        found[shown[0].parent.name] = memory.separation
    return found


def _public(say: Say) -> dict[str, float]:
    """Return the AUROC of each category of MVTec AD, if $SIGHTLINE_DATA has it."""
    folder = Path(os.environ.get("SIGHTLINE_DATA", "")) / PUBLIC
    found = {}
    for category in sorted(folder.glob("*/train/good")):
        say(f"public photos: {category.parents[1].name}")
        _, memory = _fitted(
            [_seen(path.read_bytes()) for path in sorted(category.glob("*.png"))[:200]]
        )
        scores: dict[bool, list[float]] = {True: [], False: []}
        for path in sorted((category.parents[1] / "test").glob("*/*.png")):
            (each,) = _features([_seen(path.read_bytes())])
            scores[path.parent.name == "good"].append(float(memory.map_of(each).max()))
        good, bad = (np.array(scores[is_good], np.float32) for is_good in (True, False))
        found[category.parents[1].name] = inspection.separation(good, bad)
    return found


async def _times(
    embedder: int, vision: int, programs: Sequence[int], say: Say
) -> tuple[RoundFigures, Mapping[int, float]]:
    """Return the costs of an embedding and of an inspection, and the seconds of fits. `embedder`,
    `vision`: their ports."""
    source = unique.unique(unique.photos(unique.SMALL, 40, 2.0))
    async with (
        grpc.aio.insecure_channel(f"127.0.0.1:{embedder}") as channel,
        grpc.aio.insecure_channel(f"127.0.0.1:{vision}") as inspecting,
    ):
        embedding = embedding_service_pb2_grpc.EmbeddingServiceStub(channel)
        stub = peer_stub("vision", inspecting)
        await _fit(stub, "table", 32)
        await stub.PromoteReference(pb.PromoteReferenceRequest(reference_id="table"))
        say("fits")
        fits = {count: await _fit(stub, f"of-{count}", count) for count in FITS}

        async def embed() -> None:
            items = [embedding_service_pb2.EmbedItem(image=each) for each in islice(source, 1)]
            request = embedding_service_pb2.BatchEmbedRequest(items=items)
            await embedding.BatchEmbed(request, timeout=SECONDS)

        async def inspect() -> None:
            (image,) = islice(source, 1)
            await stub.Inspect(
                pb.InspectRequest(reference_id="table", image=image), timeout=SECONDS
            )

        return await rounds.alternate({EMBED: embed, INSPECT: inspect}, programs, say), fits


async def _fit(stub: Any, name: str, count: int) -> float:
    """Make a reference of so many photos. Return the seconds of the fit."""
    rng, photo = np.random.default_rng(0), np.zeros((240, 320, 3), np.uint8)
    photo[60:180, 80:240] = rng.integers(0, 256, (120, 160, 3))
    images = [pieces.on_table(photo, rng) for _ in range(count)]
    for start in range(0, count, MOST_AT_ONCE):
        some = images[start : start + MOST_AT_ONCE]
        asked = pb.AddReferencePhotosRequest(reference_id=name, images=some)
        await stub.AddReferencePhotos(asked, timeout=SECONDS)
    began = time.perf_counter()
    await stub.FitReference(pb.FitReferenceRequest(reference_id=name), timeout=SECONDS)
    return time.perf_counter() - began


def _result(found: InspectionFigures) -> BenchResult:
    of_pieces = list(found.pieces.values())
    # Photos of a piece share its threshold.
    alarms = {rate: mean([np.mean(each.alarms[rate]) for each in of_pieces]) for rate in RATES}
    auroc = {
        (method, grade): mean([each.auroc(method, grade) for each in of_pieces])
        for method in METHODS
        for grade in GRADES
    }
    overlaps = {method: mean([each.overlap[method] for each in of_pieces]) for method in METHODS}
    cost = median_ratio(found.times.cpu_milliseconds[INSPECT], found.times.cpu_milliseconds[EMBED])
    public = mean(list(found.public.values())) if found.public else None
    return BenchResult(
        tables=(
            _by_method(auroc, overlaps),
            _by_kind(of_pieces),
            _replacements(of_pieces),
            _false_alarms(alarms),
            _hands(found.by_hand, of_pieces),
            _costs(found.times),
            _fits(found.fit_seconds),
        ),
        figures={
            "auroc": {
                name: {grade: each.auroc(OURS, grade) for grade in GRADES}
                for name, each in found.pieces.items()
            },
            "overlap": {name: each.overlap for name, each in found.pieces.items()},
            "alarms": {f"{rate:g}": alarms[rate].value for rate in RATES},
            "replaced": {
                name: inspection.separation(each.good[OURS], each.replaced)
                for name, each in found.pieces.items()
            },
            "separation by hand": found.by_hand,
            "public": found.public,
            "ms": found.times.milliseconds,
            "cpu_ms": found.times.cpu_milliseconds,
            "fit_seconds": {str(count): each for count, each in found.fit_seconds.items()},
        },
        goals=(
            Goal("AUROC of middle defects", None, "", auroc[OURS, "middle"], at_least=0.95),
            Goal("AUROC of faint defects", None, "", auroc[OURS, "faint"], at_least=0.85),
            *(
                Goal(
                    f"false alarms when {rate:.0%} are asked for",
                    rate + 0.01,
                    "",
                    alarms[rate],
                    at_least=rate - 0.01,
                    by_figure=True,
                )
                for rate in RATES
            ),
            Goal("AUPRO of middle and strong defects", None, "", overlaps[OURS], at_least=0.8),
            Goal(
                f"AUROC of the public set MVTec AD, {len(found.public)} categories",
                None,
                "",
                public,
                at_least=0.9,
                missing=f"unpack it as $SIGHTLINE_DATA/{PUBLIC}, then: python -m lab inspect",
            ),
            Goal(f"{INSPECT} ÷ {EMBED}, processor time", 6.0, "×", cost),
        ),
    )


def _by_method(
    auroc: Mapping[tuple[str, str], Interval], overlaps: Mapping[str, Interval]
) -> BenchTable:
    return BenchTable(
        "Defects told from good pieces, and where they are",
        ("method", *(f"AUROC, {grade}" for grade in GRADES), "AUPRO"),
        tuple(
            (method, *(auroc[method, grade].shown() for grade in GRADES), overlaps[method].shown())
            for method in METHODS
        ),
        f"Means over {2 * PIECES} pieces, half of them groceries and half clothes, with their 95%"
        f" intervals; {PHOTOS} good photos a reference. The same features and means over neighbours"
        " for all: PatchCore without standardisation by position, and PaDiM, a Gaussian at each"
        " position. AUPRO: middle and strong defects, to a rate of 30%.",
        section=None,
    )


def _by_kind(of_pieces: Sequence[PieceFigures]) -> BenchTable:
    return BenchTable(
        "AUROC by kind of defect",
        ("defect", *GRADES),
        tuple(
            (
                kind,
                *(
                    mean([each.auroc(OURS, grade, kind) for each in of_pieces]).shown()
                    for grade in GRADES
                ),
            )
            for kind in KINDS
        ),
        "As served.",
        section=None,
    )


def _replacements(of_pieces: Sequence[PieceFigures]) -> BenchTable:
    halves = {"groceries": of_pieces[:PIECES], "clothes": of_pieces[PIECES:]}
    return BenchTable(
        "Another product in the piece's place",
        ("pieces", "AUROC", f"called unlike, {RATES[0]:.0%} false alarms"),
        tuple(
            (
                name,
                mean(
                    [inspection.separation(each.good[OURS], each.replaced) for each in half]
                ).shown(),
                mean(np.concatenate([each.replaced_unlike for each in half])).shown(),
            )
            for name, half in halves.items()
        ),
        f"As served. The {PIECES - 1} other groceries in the place of each, scaled to its size, and"
        " the other clothes in that of each.",
        section=None,
    )


def _false_alarms(alarms: Mapping[float, Interval]) -> BenchTable:
    return BenchTable(
        "Good pieces called unlike",
        ("asked for", "measured"),
        tuple((f"{rate:g}", each.shown()) for rate, each in alarms.items()),
        f"{2 * PIECES * GOOD:,} further photos of good pieces.",
        section=None,
    )


def _hands(by_hand: Mapping[str, float], of_pieces: Sequence[PieceFigures]) -> BenchTable:
    on_table = [each.separation for each in of_pieces]
    rows = [("on a table", f"{min(on_table):.2f} to {max(on_table):.2f}", "yes")]
    rows += [
        (f"by hand: {name}", f"{value:.2f}", "yes" if value >= inspection.SEPARATION else "no")
        for name, value in by_hand.items()
    ]
    return BenchTable(
        "References that allow a verdict",
        ("photos", "separation", "verdicts"),
        tuple(rows),
        f"By hand: {BY_HAND} photos that people took of a product in a shop.",
        section=None,
    )


def _costs(times: RoundFigures) -> BenchTable:
    return BenchTable(
        "Cost of a photo, one caller",
        ("what", "ms", "ms of processor time"),
        tuple(
            (
                name,
                percentile(times.milliseconds[name], 0.5).shown(1),
                percentile(times.cpu_milliseconds[name], 0.5).shown(1),
            )
            for name in (EMBED, INSPECT)
        ),
        "Photos of 0.3 megapixels; all processes together. Medians with their 95% intervals.",
        section=None,
    )


def _fits(seconds: Mapping[int, float]) -> BenchTable:
    return BenchTable(
        "Time of a fit",
        ("photos", "s"),
        tuple((f"{count}", f"{each:.1f}") for count, each in seconds.items()),
        "FitReference of one reference each, photos of 0.1 megapixels.",
        section=None,
    )


def _absent() -> BenchResult:
    missing = "needs $SIGHTLINE_DATA with grocery and clothing, and the built models"
    names = ("AUROC of middle defects", "AUROC of faint defects", "false alarms", "AUPRO")
    return BenchResult(
        tables=(),
        figures={},
        goals=tuple(Goal(name, None, "", None, missing=missing) for name in names),
    )
