"""Photos of a wrong product that the rule of the catalog's report finds
(`retriever.domain.misfits`), and right ones that it reports.

Made shops of grocery photos: each of 81 products has two to six, and one in fifty photos is
exchanged with a photo of another product.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from bench.harness.model import BenchResult, BenchTable, Goal, Interval
from bench.peers.raw import Raw
from lab.datasets import grocery
from retriever.domain.misfits import MIN_LEAD, Misfit, Nearest, misfits

Say: TypeAlias = Callable[[str], None]
Floats: TypeAlias = npt.NDArray[np.float32]
Integers: TypeAlias = npt.NDArray[np.int64]

SHOPS: Final = 40
FEWEST, MOST = 2, 6
WRONG_SHARE: Final = 0.02
LEADS: Final = (0.0, 0.05, 0.1, 0.15, MIN_LEAD, 0.25, 0.3)
LEAST_RECALL, LEAST_PRECISION = 0.5, 0.5


@dataclass(frozen=True, slots=True)
class FoundShares:
    """Outcome at one least lead, over all shops."""

    recall: Interval
    """Share of the exchanged photos that are reported."""
    precision: Interval
    """Share of the reported photos that were exchanged."""
    reported: float
    """Share of all photos that are reported."""


def run(say: Say) -> BenchResult:
    """Embed the photos as the catalog's are, and examine made shops."""
    folder = grocery.find()
    if folder is None:
        return BenchResult(
            (), {}, _goals(None, f"unpack the photos as $SIGHTLINE_DATA/{grocery.FOLDER}")
        )
    photos = grocery.load(folder).train
    say(f"embedding {len(photos.paths):,} photos")
    vectors = Raw().vectors([path.read_bytes() for path in photos.paths])
    say(f"examining {SHOPS} shops")
    found = shares(vectors, photos.products, SHOPS)
    return BenchResult(
        tables=(_table(found),),
        figures={str(lead): asdict(each) for lead, each in zip(LEADS, found, strict=True)},
        goals=_goals(found[LEADS.index(MIN_LEAD)]),
    )


def shares(vectors: Floats, products: Integers, shops: int) -> list[FoundShares]:
    """Return the outcome of each of LEADS. `vectors`: [n, d]; `products`: [n]."""
    counts = np.array(
        [_shop(vectors, products, np.random.default_rng(seed)) for seed in range(shops)]
    )  # [shops, leads, (exchanged, found, reported, photos)]
    return [_shares(counts[:, place]) for place in range(len(LEADS))]


def _shop(vectors: Floats, products: Integers, rng: np.random.Generator) -> Integers:
    """Return for each of LEADS the numbers of exchanged photos, of those found, of reported photos,
    and of photos, in one made shop."""
    kept = np.concatenate(
        [
            rng.permutation(np.flatnonzero(products == each))[: rng.integers(FEWEST, MOST + 1)]
            for each in np.unique(products)
        ]
    )
    of, here = products[kept], vectors[kept]
    wrong = rng.permutation(len(kept))[: max(2, round(WRONG_SHARE * len(kept)) // 2 * 2)]
    first, second = wrong[::2], wrong[1::2]
    given = of.copy()
    given[first], given[second] = of[second], of[first]
    exchanged = {int(each) for each in wrong if given[each] != of[each]}
    reported = _examined(here, given)
    rows = []
    for lead in LEADS:
        named = {int(each.image_id) for each in reported if each.lead >= lead}
        rows.append((len(exchanged), len(named & exchanged), len(named), len(kept)))
    return np.array(rows)


def _examined(vectors: Floats, products: Integers) -> list[Misfit]:
    """Return the misfits of a shop without a least lead; image ids are places of photos."""
    units = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    cosines = units @ units.T
    found = list[Misfit]()
    for product in np.unique(products):
        own = np.flatnonzero(products == product)
        others = np.where(products == product, -1.0, cosines[own])
        best = others.argmax(axis=1)
        nearest: Sequence[Nearest | None] = [
            Nearest(str(products[place]), str(place), float(row[place]))
            for row, place in zip(others, best, strict=True)
        ]
        names = [str(place) for place in own]
        found += misfits(str(product), names, vectors[own], nearest, 0.0)
    return found


def _shares(counts: Integers) -> FoundShares:
    """Return the shares of shops' counts [shops, 4], with intervals over resampled shops."""
    rng = np.random.default_rng(0)
    drawn = rng.integers(0, len(counts), (2_000, len(counts)))
    sums = counts[drawn].sum(axis=1)
    exchanged, found, reported, photos = counts.sum(axis=0)

    def interval(value: float, draws: npt.NDArray[np.float64]) -> Interval:
        low, high = np.quantile(draws, (0.025, 0.975))
        return Interval(value, float(low), float(high))

    return FoundShares(
        interval(found / exchanged, sums[:, 1] / sums[:, 0]),
        interval(found / max(reported, 1), sums[:, 1] / np.maximum(sums[:, 2], 1)),
        float(reported / photos),
    )


def _table(found: Sequence[FoundShares]) -> BenchTable:
    def shown(value: Interval) -> str:
        return value.shown(2)

    rows = tuple(
        (f"{lead:g}", shown(each.recall), shown(each.precision), f"{each.reported:.1%}")
        for lead, each in zip(LEADS, found, strict=True)
    )
    return BenchTable(
        "Photos of a wrong product, by the least lead",
        ("least lead", "found", "right of those reported", "photos reported"),
        rows,
        f"{SHOPS} made shops of 81 groceries with {FEWEST} to {MOST} photos each, one in"
        f" {1 / WRONG_SHARE:.0f} of another product; the built-in space.",
    )


def _goals(found: FoundShares | None, missing: str = "") -> tuple[Goal, ...]:
    recall, precision = (None, None) if found is None else (found.recall, found.precision)
    return tuple(
        Goal(name, None, "", value, at_least=least, missing=missing)
        for name, least, value in (
            ("photos of a wrong product that are reported", LEAST_RECALL, recall),
            ("reported photos that are wrong", LEAST_PRECISION, precision),
        )
    )
