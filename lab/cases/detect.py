"""Products in made photos of shelves: boxes, counts, names and probabilities, and the cost."""

import asyncio
import io
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import islice, pairwise
from multiprocessing import get_context
from typing import Final, TypeAlias

import grpc
import numpy as np
from PIL import Image

from bench.datasets import unique
from bench.harness.model import BenchResult, BenchTable, Goal, Interval
from bench.harness.statistics import mean, median_ratio, percentile, ratio
from embedder.domain.photos import PartView
from embedder.settings import RegionViews
from lab.datasets import featured, grocery
from lab.harness import rounds
from lab.harness.rounds import RoundFigures
from lab.objects import finding, fit, material, rivals
from lab.objects.composites import Composite
from lab.peers import embedders
from sightline.embedder.v1 import embedding_service_pb2 as pb
from sightline.embedder.v1 import embedding_service_pb2_grpc
from sightline_rules.detections import one_a_place
from sightline_rules.photo_products import MIN_PROBABILITY, probability

Say: TypeAlias = Callable[[str], None]

FIRST: Final = 10_000
"""Number of the first made photo; none was looked at before."""
PHOTOS, STRANGE, COMPARED, TUNED = 120, 40, 8, 4
"""Photos of products alone; with strangers; that rivals see too; that set the rivals' thresholds.
"""
SIZES: Final = {"none": (0, 0), "1": (1, 1), "2–5": (2, 5), "6–20": (6, 20), "21–60": (21, 60)}
FEW: Final = (1, 20)
"""Facings of the photos that the goals are about."""
FACINGS: Final = 20
MOST_ERROR, LEAST_PRECISION, LEAST_RECALL, MOST_LOSS, MOST_COST = 0.1, 0.85, 0.8, 0.03, 12.0
MOST_UNLIKELY: Final = 0.05
"""Largest mean difference of a probability from the share that is right."""
RESAMPLED, SEED = 2_000, 0
SECONDS = 60.0
EMBED, DETECT = "an embedding of the photo", "its regions"
VIEWS: Final = {RegionViews.BOTH: "two views of each", RegionViews.WHOLE: "whole alone"}
"""Views of regions whose cost is measured."""
SIDES: Final = {"1.2 megapixels": (1280, 960), "12 megapixels": (4000, 3000)}


@dataclass(frozen=True, slots=True)
class Outcome:
    """Findings in one photo."""

    facings: int
    found: int
    right: int
    """Found boxes that are those of facings."""
    named: tuple[bool, ...] = ()
    """True where the nearest product of such a box is the right one."""
    alone: tuple[bool, ...] = ()
    """True where the nearest product of the facing's true box is the right one."""
    whole: tuple[bool, ...] = ()
    """True where a box that is seen as a whole alone gets the right name (see `named`)."""
    miscounted: int = 0
    """Sum over products of the differences between the numbers counted and shown."""
    chances: tuple[tuple[float, bool, bool], ...] = ()
    """Probability of each found box, whether its nearest product is right, and whether it shows
    a product of the catalog."""


@dataclass(frozen=True, slots=True)
class DetectFigures:
    """Everything that was measured."""

    alone: Sequence[Outcome]
    strange: Sequence[Outcome]
    rivals: Mapping[str, Sequence[Outcome]]
    times: Mapping[tuple[RegionViews, str], RoundFigures]
    """By views of a region and size of the photo."""


def run(say: Say) -> BenchResult:
    """Find the products in made photos on all cores, then measure the embedder's cost."""
    if grocery.find() is None or not featured.there(fit.MODEL):
        return _absent()
    numbers = range(FIRST, FIRST + PHOTOS)
    with ProcessPoolExecutor(len(os.sched_getaffinity(0)), get_context("spawn")) as pool:
        say(f"{PHOTOS} made photos")
        alone = list(pool.map(_outcome, numbers, ["bench"] * PHOTOS, chunksize=4))
        strange = list(pool.map(_outcome, numbers[:STRANGE], ["strangers"] * STRANGE, chunksize=4))
        compared = {}
        for name in rivals.RIVALS:
            say(name)
            tuning = list(pool.map(_proposed, [name] * TUNED, range(TUNED), ["fit"] * TUNED))
            least = rivals.threshold(tuning)
            seen = range(FIRST, FIRST + COMPARED)
            found = pool.map(_proposed, [name] * COMPARED, seen, ["bench"] * COMPARED)
            compared[name] = [_judged(each, truth, least) for each, truth in found]
        compared["DetectProducts"] = list(
            pool.map(_outcome, seen, ["bench"] * COMPARED, [FACINGS // 2] * COMPARED)
        )
    say("cost")
    times = {(views, size): found for views in VIEWS for size, found in _times(say, views).items()}
    return _result(DetectFigures(alone, strange, compared, times))


def _outcome(number: int, part: material.Part, count: int | None = None) -> Outcome:
    photo = material.photo(part, number, count)
    image = finding.decoded(photo)
    objects = finding.found(image)
    boxes, truth = finding.in_pixels(image, [o.box for o in objects]), finding.facings(photo)
    pairs = finding.paired(boxes, truth)
    names = finding.named(image, boxes, merge=True)
    shown = [photo.facings[pair].name if pair >= 0 else "" for pair in pairs]
    known = [place for place, name in enumerate(shown) if name]
    alone = finding.named(image, truth[[pairs[place] for place in known]])
    whole = finding.named(image, boxes, merge=True, chosen=(PartView.WHOLE,))
    chances = [
        probability(float(names.similarity[place]), float(names.lead[place]), each.score)
        for place, each in enumerate(objects)
    ]
    counts = _counted(boxes, names.nearest, chances, [each.score for each in objects])
    wanted = Counter(each.name for each in photo.facings if each.name)
    return Outcome(
        facings=len(truth),
        found=len(boxes),
        right=sum(pair >= 0 for pair in pairs),
        named=tuple(names.nearest[place] == shown[place] for place in known),
        alone=tuple(
            nearest == shown[place] for place, nearest in zip(known, alone.nearest, strict=True)
        ),
        whole=tuple(whole.nearest[place] == shown[place] for place in known),
        miscounted=sum(abs(counts[name] - wanted[name]) for name in {*counts, *wanted}),
        chances=tuple(
            (chance, names.nearest[place] == shown[place], bool(shown[place]))
            for place, chance in enumerate(chances)
        ),
    )


def _counted(
    boxes: finding.Doubles,
    nearest: Sequence[str],
    chances: Sequence[float],
    scores: Sequence[float],
) -> Counter[str]:
    """Count the products as vision does: probable ones, of several on one place the best."""
    ids = [
        name if chance >= MIN_PROBABILITY else ""
        for name, chance in zip(nearest, chances, strict=True)
    ]
    kept = one_a_place(boxes, np.add(chances, scores), ids)
    return Counter(ids[place] for place in kept if ids[place])


def _proposed(
    name: str, number: int, part: material.Part
) -> tuple[rivals.Proposals, finding.Doubles]:
    photo = material.photo(part, number, FACINGS // 2)
    return rivals.RIVALS[name](finding.decoded(photo)), finding.facings(photo)


def _judged(found: rivals.Proposals, truth: finding.Doubles, least: float) -> Outcome:
    boxes = found.boxes[found.scores >= least]
    return Outcome(len(truth), len(boxes), sum(pair >= 0 for pair in finding.paired(boxes, truth)))


def _times(say: Say, views: RegionViews) -> dict[str, RoundFigures]:
    """Return the cost by size of the photo, if regions are embedded in these views."""
    found = {}
    with embedders.without_cache(say, EMBEDDER_REGION_VIEWS=views.value) as served:
        for name, size in SIDES.items():
            files = [*islice(_full_shelves(size), 6)]
            say(f"{name}: {len(files)} photos of {FACINGS} found objects")
            found[name] = asyncio.run(_alternating(served.port, served.programs, files, say))
    return found


def _full_shelves(size: tuple[int, int]) -> Iterator[bytes]:
    """Yield photos in which exactly FACINGS objects are found."""
    number = FIRST
    while True:
        photo = _resized(material.photo("bench", number, FACINGS), size)
        number += 1
        if len(finding.found(photo)) == FACINGS:
            file = io.BytesIO()
            photo.save(file, "JPEG", quality=unique.QUALITY)
            yield file.getvalue()


def _resized(photo: Composite, size: tuple[int, int]) -> Image.Image:
    image = Image.fromarray(photo.pixels)
    long, short = size
    wanted = (long, short) if image.width >= image.height else (short, long)
    return image.resize(wanted, Image.Resampling.BICUBIC)


async def _alternating(
    port: int, programs: Sequence[int], files: list[bytes], say: Say
) -> RoundFigures:
    source = unique.unique(files)
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub = embedding_service_pb2_grpc.EmbeddingServiceStub(channel)

        async def embed() -> None:
            (photo,) = islice(source, 1)
            asked = pb.BatchEmbedRequest(items=[pb.EmbedItem(image=photo)])
            await stub.BatchEmbed(asked, timeout=SECONDS)

        async def detect() -> None:
            (photo,) = islice(source, 1)
            await stub.EmbedRegions(pb.EmbedRegionsRequest(image=photo), timeout=SECONDS)

        calls = {EMBED: embed, DETECT: detect}
        return await rounds.alternate(calls, programs, say, count=10, each=2)


def _result(found: DetectFigures) -> BenchResult:
    few = _between(found.alone, FEW)
    gaps = [
        float(ours) - float(alone)
        for each in found.alone
        for ours, alone in zip(each.named, each.alone, strict=True)
    ]
    losses = [
        float(one) - float(two)
        for each in found.alone
        for one, two in zip(each.whole, each.named, strict=True)
    ]
    chances = [each for outcome in (*found.alone, *found.strange) for each in outcome.chances]
    return BenchResult(
        tables=(_boxes(found.alone), _rivals(found), _names(found), _bins(chances), _costs(found)),
        figures={
            "photos": [
                (each.facings, each.found, each.right, each.miscounted) for each in found.alone
            ],
            "cpu_ms": {
                f"{size}, {VIEWS[views]}": each.cpu_milliseconds
                for (views, size), each in found.times.items()
            },
        },
        goals=(
            Goal("mean error of the count, 1 to 20 facings", MOST_ERROR, "", _error(few)),
            Goal(
                "mean error of the counts by product, 1 to 20 facings",
                MOST_ERROR,
                "",
                mean([each.miscounted / each.facings for each in few]),
            ),
            Goal("precision, 1 to 20", None, "", _precision(few), at_least=LEAST_PRECISION),
            Goal("recall, 1 to 20", None, "", _recall(few), at_least=LEAST_RECALL),
            Goal(
                "top-1 of found boxes less that of the true boxes",
                None,
                "",
                mean(gaps),
                at_least=-MOST_LOSS,
            ),
            Goal(
                "mean difference of probabilities from the share that is right, by tenths",
                MOST_UNLIKELY,
                "",
                _miscalibration([*found.alone, *found.strange]),
            ),
            Goal(
                "top-1 of found boxes seen whole alone less that of two views",
                None,
                "",
                mean(losses),
                at_least=-MOST_LOSS,
            ),
            *(
                Goal(
                    f"processor time of {FACINGS} regions ÷ an embedding, {size}, {VIEWS[views]}",
                    MOST_COST,
                    "×",
                    median_ratio(each.cpu_milliseconds[DETECT], each.cpu_milliseconds[EMBED]),
                )
                for (views, size), each in found.times.items()
            ),
        ),
    )


def _between(outcomes: Sequence[Outcome], size: tuple[int, int]) -> list[Outcome]:
    return [each for each in outcomes if size[0] <= each.facings <= size[1]]


def _error(outcomes: Sequence[Outcome]) -> Interval:
    return mean([abs(each.found - each.facings) / max(1, each.facings) for each in outcomes])


def _precision(outcomes: Sequence[Outcome]) -> Interval:
    return ratio([(each.right, each.found) for each in outcomes])


def _recall(outcomes: Sequence[Outcome]) -> Interval:
    return ratio([(each.right, each.facings) for each in outcomes])


def _boxes(outcomes: Sequence[Outcome]) -> BenchTable:
    rows = []
    for name, size in SIZES.items():
        some = _between(outcomes, size)
        empty = size == (0, 0)
        rows.append(
            (
                name,
                str(len(some)),
                "–" if empty else _precision(some).shown(),
                "–" if empty else _recall(some).shown(),
                f"{sum(each.found for each in some)} found" if empty else _error(some).shown(),
            )
        )
    return BenchTable(
        "Boxes in made photos, by the number of facings",
        ("facings", "photos", "precision", "recall", "error of the count"),
        tuple(rows),
        "A box is right if it shares half of its union with a facing's. Products and backgrounds"
        " were not used for the fit. 95% intervals over photos.",
        section=None,
    )


def _rivals(found: DetectFigures) -> BenchTable:
    return BenchTable(
        f"Beside other ways, {COMPARED} photos of {FACINGS // 2} facings",
        ("way", "precision", "recall", "error of the count"),
        tuple(
            (
                name,
                *(part(each).shown() for part in (_precision, _recall)),
                _error(each).shown(),
            )
            for name, each in found.rivals.items()
        ),
        "Template matching: all catalogue photos in six sizes, correlation of colours. Sliding"
        " window: windows of four heights and three widths, embedded by the same backbone as found"
        " boxes and compared with all catalogue photos. Their thresholds are the best ones on"
        f" {TUNED} photos of the products that the head was fitted on.",
        section=None,
    )


def _names(found: DetectFigures) -> BenchTable:
    ours = [float(hit) for each in found.alone for hit in each.named]
    true = [float(hit) for each in found.alone for hit in each.alone]
    whole = [float(hit) for each in found.alone for hit in each.whole]
    miscounted = ratio([(each.miscounted, each.facings) for each in found.alone if each.facings])
    strangers = [
        float(chance < MIN_PROBABILITY)
        for outcome in found.strange
        for chance, _, known in outcome.chances
        if not known
    ]
    named = [
        float(right)
        for outcome in (*found.alone, *found.strange)
        for chance, right, _ in outcome.chances
        if chance >= MIN_PROBABILITY
    ]
    return BenchTable(
        "Products of found boxes, among 81",
        ("what", "share"),
        (
            ("the nearest product is right, found boxes", mean(ours).shown()),
            ("the nearest product is right, true boxes of the same facings", mean(true).shown()),
            ("the nearest product is right, found boxes seen whole alone", mean(whole).shown()),
            ("named detections that are right, with strangers", mean(named).shown()),
            ("objects of no product that are left unknown", mean(strangers).shown()),
            ("miscounted facings of products ÷ facings", miscounted.shown()),
        ),
        "One catalogue photo a product; cartons of one brand differ by small pictures. Strangers"
        f" are drawn packages, a quarter of the facings of {STRANGE} further photos. Objects of no"
        " product: strangers and false detections.",
        section=None,
    )


def _miscalibration(outcomes: Sequence[Outcome]) -> Interval:
    """Return the expected calibration error (Naeini et al. 2015, AAAI), in ten bins, with its
    interval over photos."""

    def error(photos: Sequence[int]) -> float:
        chances = [each[:2] for photo in photos for each in outcomes[photo].chances]
        given, right = np.array(chances, np.float64).reshape(-1, 2).T
        bins = np.minimum((given * 10).astype(int), 9)
        gaps = [abs(float((given - right)[bins == each].sum())) for each in set(bins.tolist())]
        return sum(gaps) / max(len(given), 1)

    draw = np.random.default_rng(SEED)
    photos = range(len(outcomes))
    drawn = [error(draw.choice(len(photos), len(photos)).tolist()) for _ in range(RESAMPLED)]
    low, high = np.quantile(drawn, (0.025, 0.975))
    return Interval(error(photos), float(low), float(high))


def _bins(chances: Sequence[tuple[float, bool, bool]]) -> BenchTable:
    edges = (0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0)
    rows = []
    for low, high in pairwise(edges):
        inside = [each for each in chances if low <= each[0] < high or each[0] == high == 1.0]
        if inside:
            rows.append(
                (
                    f"{low:.0%} to {high:.0%}",
                    str(len(inside)),
                    f"{np.mean([each[0] for each in inside]):.3f}",
                    mean([float(each[1]) for each in inside]).shown(),
                )
            )
    return BenchTable(
        "Probabilities and outcomes",
        ("probability", "detections", "mean probability", "share that is right"),
        tuple(rows),
        "Of the photos of both tables above.",
        section=None,
    )


def _costs(found: DetectFigures) -> BenchTable:
    return BenchTable(
        f"Cost of a photo with {FACINGS} found objects, one caller",
        ("photo", "views", "what", "ms", "ms of processor time"),
        tuple(
            (
                size,
                VIEWS[views],
                name,
                percentile(each.milliseconds[name], 0.5).shown(0),
                percentile(each.cpu_milliseconds[name], 0.5).shown(0),
            )
            for (views, size), each in found.times.items()
            for name in (EMBED, DETECT)
        ),
        "Embedder and Triton together. Medians with their 95% intervals.",
    )


def _absent() -> BenchResult:
    missing = "needs $SIGHTLINE_DATA with grocery and clothing, and the built models"
    names = ("error of the count", "precision", "recall", "processor time")
    return BenchResult(
        tables=(),
        figures={},
        goals=tuple(Goal(name, None, "", None, missing=missing) for name in names),
    )
