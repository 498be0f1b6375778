"""Loss of recall and 1-NN accuracy by smaller vectors, without an engine.

Every search compares all rows, so that only the form causes a loss, and no index. Forms that need a
fit (a scale, a projection) are fitted on other vectors than they are tested on.
"""

import csv
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from bench.datasets import corpus
from bench.harness.model import BenchResult, BenchTable, Interval
from bench.harness.statistics import mean
from bench.peers.raw import Raw

Say: TypeAlias = Callable[[str], None]
Floats: TypeAlias = npt.NDArray[np.float32]
Labels: TypeAlias = npt.NDArray[np.str_]
Coded: TypeAlias = tuple[Floats, Floats]
"""Rows and queries as a form compares them, one per row of the array."""

SEED = 7
QUERIES = 500
"""Maximum number of queries of a set."""
KS = (10, 100)
REFINED = 4
"""Re-ranking by float32 considers this many times the wanted rows."""
SYNTHETIC = 5_000
_TIE = 1e-6
"""Tolerance: a row as near as the last true one counts, such as another copy of its photo."""


@dataclass(frozen=True, slots=True)
class Set:
    """Vectors to fit on and others to test on, of unit length, one per row."""

    name: str
    fit: Floats
    rows: Floats
    queries: Floats
    row_labels: Labels | None = None
    """Label of each row; None if there are no labels."""
    query_labels: Labels | None = None
    own: npt.NDArray[np.int64] | None = None
    """The row that is the query itself, which is excluded; None if queries are not among the rows.
    """


@dataclass(frozen=True, slots=True)
class Form:
    """A way to store vectors."""

    name: str
    size: Callable[[int], int]
    """Bytes of a vector by its dimensions."""
    code: Callable[[Set], Coded]
    least: int = 0
    """Minimum number of vectors to fit on."""


@dataclass(frozen=True, slots=True)
class CompressionCost:
    """Loss by one form on one set. Intervals are over its queries."""

    set: str
    form: str
    size: int
    """Bytes a vector."""
    recalls: Mapping[int, Interval]
    """By k: the fraction of the k nearest by float32 that is among the k found."""
    refined: Interval
    """The fraction of the 10 nearest that is among the first 10 × REFINED found."""
    accuracy: Interval | None
    """Fraction of queries whose nearest row has their label; None if there are no labels."""
    lost: Interval | None
    """Loss of that fraction against float32, paired by query."""


# Forms


def _rounded(kind: type[np.float16 | np.float32]) -> Callable[[Set], Coded]:
    def code(given: Set) -> Coded:
        rows, queries = (np.asarray(each, kind) for each in (given.rows, given.queries))
        return rows.astype(np.float32), queries.astype(np.float32)

    return code


def _symmetric(given: Set) -> Coded:
    """Quantise rows to −127 to 127 with a scale per dimension; queries are unchanged."""
    scale = np.maximum(np.abs(given.fit).max(axis=0), 1e-9) / 127
    return _whole(given.rows, scale) * scale, given.queries


def _between(given: Set) -> Coded:
    """Quantise to 0 to 255 between each dimension's minimum and maximum, as an index's SQ8."""
    low = given.fit.min(axis=0)
    step = np.maximum(given.fit.max(axis=0) - low, 1e-9) / 255
    return np.clip(np.rint((given.rows - low) / step), 0, 255) * step + low, given.queries


def _one_scale(given: Set) -> Coded:
    """Quantise rows and queries to −127 to 127 with one scale.

    An engine's int8 type compares the bare numbers, so dimensions must keep their proportion.
    Numbers beyond the 99.9th percentile are clipped.
    """
    scale = np.full(given.fit.shape[1], np.quantile(np.abs(given.fit), 0.999) / 127)
    return _whole(given.rows, scale), _whole(given.queries, scale)


def _whole(vectors: Floats, scale: Floats) -> Floats:
    return np.asarray(np.clip(np.rint(vectors / scale), -127, 127), np.float32)


def projected(given: Set, dimension: int) -> Set:
    """Project the set onto its directions of most energy, fitted on `fit`, at unit length.

    This is PCA without centring (the truncated SVD of Eckart and Young, 1936), which keeps cosines
    best.
    """
    _, directions = np.linalg.eigh(given.fit.T @ given.fit)  # by rising energy
    keep = directions[:, -dimension:]
    fit, rows, queries = (_unit(each @ keep) for each in (given.fit, given.rows, given.queries))
    return Set(given.name, fit, rows, queries)


def _pca(dimension: int, kind: str, width: int, then: Callable[[Set], Coded]) -> Form:
    return Form(
        f"PCA {dimension}, {kind}",
        lambda _: width * dimension,
        lambda given: then(projected(given, dimension)),
        least=dimension,
    )


FORMS = (
    Form("float32", lambda dimension: 4 * dimension, _rounded(np.float32)),
    Form("float16", lambda dimension: 2 * dimension, _rounded(np.float16)),
    Form("int8, min to max", lambda dimension: dimension, _between),
    Form("int8, symmetric", lambda dimension: dimension, _symmetric),
    Form("int8, one scale", lambda dimension: dimension, _one_scale),
    _pca(256, "float32", 4, _rounded(np.float32)),
    _pca(128, "float32", 4, _rounded(np.float32)),
    _pca(80, "float32", 4, _rounded(np.float32)),
    _pca(256, "int8", 1, _between),
)


# Sets


def run(say: Say) -> BenchResult:
    """Measure the photo sets that are present, and vectors made from a seed."""
    warnings = []
    sets = [synthetic()]
    root = Path(os.environ.get("SIGHTLINE_DATA", "/nonexistent"))
    if all((root / name).is_dir() for name in ("clothing", "grocery", "xwines")):
        sets = [*photos(root, Raw(), say), *sets]
    else:
        warnings.append("real photos: NOT MEASURED, they are missing in $SIGHTLINE_DATA")
    costs = []
    for given in sets:
        say(f"{given.name}: {len(given.rows):,} rows, {len(given.queries)} queries")
        costs += measure(given)
    return result(sets, costs, tuple(warnings))


def synthetic() -> Set:
    """Return the clustered vectors of the bench of searches.

    Their noise is isotropic around each centre, the hardest case for a projection.
    """
    data = corpus.clustered(2 * SYNTHETIC, 1_280)
    rows = _unit(data.vectors)
    return Set("synthetic", rows[:SYNTHETIC], rows[SYNTHETIC:], _unit(data.queries))


def photos(root: Path, raw: Raw, say: Say) -> list[Set]:
    """Embed photos by the suite's own graph."""
    clothes = sorted((root / "clothing").rglob("*.jpg"))
    say(f"{len(clothes):,} photos of clothing are embedded")
    clothing = _halves(_embedded(raw, clothes), np.array([path.parent.name for path in clothes]))
    say("photos of groceries and wines are embedded")
    groceries = _groceries(root / "grocery", raw)
    wines = _embedded(raw, sorted((root / "xwines" / "images").glob("*.jpg")))
    everyone = np.arange(len(wines))
    return [clothing, groceries, Set("wines", clothing.fit, wines, wines, own=everyone)]


def _halves(vectors: Floats, labels: Labels) -> Set:
    """Split into a half to fit on and a half to search.

    Some rows of the second half are queries for their own kind.
    """
    order = np.random.default_rng(SEED).permutation(len(vectors))
    fit, held = np.array_split(order, 2)
    own = np.arange(min(QUERIES, len(held)))
    rows, names = vectors[held], labels[held]
    return Set("clothing", vectors[fit], rows, rows[own], names, names[own], own)


def _groceries(root: Path, raw: Raw) -> Set:
    """Return half of the training photos to fit on, the other half to find, validation to ask."""

    def part(name: str) -> tuple[Floats, Labels]:
        with (root / name).open(newline="") as file:
            lines = list(csv.reader(file, skipinitialspace=True))
        return _embedded(raw, [root / line[0] for line in lines]), np.array([x[1] for x in lines])

    (vectors, labels), (asked, names) = part("train.txt"), part("val.txt")
    order = np.random.default_rng(SEED).permutation(len(vectors))
    fit, held = np.array_split(order, 2)
    return Set("groceries", vectors[fit], vectors[held], asked, labels[held], names)


def _embedded(raw: Raw, paths: Sequence[Path]) -> Floats:
    return _unit(raw.vectors([path.read_bytes() for path in paths]))


def _unit(vectors: Floats) -> Floats:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, 1e-12), np.float32)


# Measuring


def measure(given: Set) -> list[CompressionCost]:
    """Measure every form. float32 comes first, as the others are compared with it."""
    truth = _cosines(given, (given.rows, given.queries))
    right = _right(given, truth)
    return [_cost(given, form, truth, right) for form in FORMS if len(given.fit) >= form.least]


def _cost(given: Set, form: Form, truth: Floats, right: Floats | None) -> CompressionCost:
    scores = _cosines(given, form.code(given))
    now = _right(given, scores)
    ks = [k for k in KS if k < scores.shape[1]]
    return CompressionCost(
        given.name,
        form.name,
        form.size(given.rows.shape[1]),
        {k: mean(recalls(truth, scores, k, k)) for k in ks},
        mean(recalls(truth, scores, KS[0], REFINED * KS[0])),
        None if now is None else mean(now),
        None if now is None or right is None else mean(right - now),
    )


def _cosines(given: Set, coded: Coded) -> Floats:
    """Return the cosines [queries, rows]. A query's own row is excluded by -inf."""
    rows, queries = map(_unit, coded)
    scores: Floats = queries @ rows.T
    if given.own is not None:
        scores[np.arange(len(queries)), given.own] = -np.inf
    return scores


def recalls(truth: Floats, scores: Floats, k: int, taken: int) -> Floats:
    """Return the recall of each query: the share of its `k` nearest by `truth` among the `taken`
    best of `scores`.
    """
    found = np.argpartition(-scores, taken - 1, axis=1)[:, :taken]
    least = -np.partition(-truth, k - 1, axis=1)[:, k - 1 : k]
    good = np.take_along_axis(truth, found, axis=1) >= least - _TIE
    return np.asarray(np.minimum(good.sum(axis=1) / k, 1.0), np.float32)


def _right(given: Set, scores: Floats) -> Floats | None:
    """Return 1 for each query whose nearest row has its label, else 0."""
    if given.row_labels is None:
        return None
    return np.asarray(given.row_labels[scores.argmax(axis=1)] == given.query_labels, np.float32)


# The report


def result(
    sets: Sequence[Set], costs: Sequence[CompressionCost], warnings: tuple[str, ...] = ()
) -> BenchResult:
    """Return tables and figures."""
    rows = tuple(
        (
            cost.set,
            cost.form,
            f"{cost.size:,}",
            *(_words(cost.recalls.get(k)) for k in KS),
            _words(cost.refined),
            _words(cost.accuracy),
            _words(cost.lost),
        )
        for cost in costs
    )
    recall = [f"recall@{k}" for k in KS]
    first = f"@{KS[0]} in first {REFINED * KS[0]}"
    sizes = "; ".join(
        f"{given.name}: {len(given.rows):,} rows, {len(given.queries)} queries, fitted on"
        f" {len(given.fit):,} others"
        for given in sets
    )
    table = BenchTable(
        "Smaller vectors",
        ("vectors", "held as", "bytes", *recall, first, "1-NN", "1-NN lost"),
        rows,
        "Compared with the exact neighbours by float32; ± half of the 95% interval (bootstrap over"
        f" queries). {sizes}. Wines are fitted on clothing. 1-NN: how often the nearest row is of"
        " the same category (clothing) or product (groceries). int8: scaled by each dimension's"
        " minimum and maximum; by its maximum alone; by one scale for all dimensions and queries.",
    )
    figures = {
        "seed": SEED,
        "sets": {s.name: [len(s.fit), len(s.rows), len(s.queries)] for s in sets},
        "costs": [{**asdict(cost), "recalls": _by_k(cost)} for cost in costs],
    }
    return BenchResult((table,), figures, warnings=warnings)


def _by_k(cost: CompressionCost) -> dict[str, object]:
    return {str(k): asdict(interval) for k, interval in cost.recalls.items()}


def _words(value: Interval | None) -> str:
    if value is None:
        return ""
    return f"{value.value:.3f} ±{(value.high - value.low) / 2:.3f}"
