"""Gain by several signals in a query, fused by rank or combined in the space.

Every photo of GroceryStoreDataset's train part is a product, and photos of its val part are
queries: two photos of one product; a photo and the name of its kind; a photo and an unwanted
product that it found. By the product's own code: the lists and their fusion (gateway), the blend
(retriever), the fitted space and its text map (embedder). Figures are means over queries of the
first ten products with 95% intervals (bootstrap); differences are paired by query.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from bench.harness import statistics
from bench.harness.model import BenchResult, BenchTable, Goal, Interval
from bench.peers import sentences
from bench.peers.sentences import SentenceModel
from embedder.domain.fitted import Labelled
from embedder.fitting import fit
from gateway.ranking.fuse import fuse
from lab.datasets import featured, groceries, grocery
from lab.datasets.groceries import BACKBONE, LabelledPhotos
from retriever.domain.product import ProductContent
from retriever.domain.texts import text_of
from retriever.domain.vectors import blended
from sightline_core.branch import Branch
from sightline_core.candidates import CandidateList
from sightline_core.columns import ProductColumns

SEED = 0
PLACES = 10
LISTED = 100
"""Number of products of each list, as in the default scene."""
AWAY = (0.25, 0.5, 1.0)
"""Weights of unwanted signals."""
CHOSEN = 0.5
"""The client's default weight."""

RANK, SCORE, VECTOR = "by rank", "by rank, ordered by similarity", "in the space"
APART, ROCCHIO = "a list of its own", "in the space"
"""Ways to use unwanted signals: the gateway's, and Rocchio's formula."""
PHOTO, PAIR, NAMED, AWAY_FROM = (
    "a photo",
    "two photos of a product",
    "a photo and its kind's name",
    "a photo, not a product it found",
)

Floats: TypeAlias = npt.NDArray[np.float32]
Say: TypeAlias = Callable[[str], None]
Doubles: TypeAlias = npt.NDArray[np.float64]
Part: TypeAlias = tuple[float, Floats]
"""A signal: its weight (negative: unwanted) and its vector."""


@dataclass(frozen=True, slots=True)
class Shelf:
    """The products of one space."""

    vectors: Floats
    """[n, d], of unit length."""
    names: npt.NDArray[np.str_]
    """Name of the product that each photo shows."""
    ids: Sequence[str]

    def listing(self, part: Part, signal: int, branch: Branch = Branch.VISUAL) -> CandidateList:
        """Return the products nearest to one signal, as the retriever lists them."""
        weight, vector = part
        near = self.vectors @ vector
        best = np.argsort(-near, kind="stable")[:LISTED]
        return CandidateList(
            branch,
            abs(weight),
            ProductColumns([self.ids[row] for row in best]),
            [float(near[row]) for row in best],
            signal=signal,
            negative=weight < 0,
        )

    def first(self, order: Iterable[str], without: str = "") -> npt.NDArray[np.str_]:
        """Return the names of the first products of an order."""
        rows = [int(each) for each in order if each != without][:PLACES]
        return self.names[rows]


@dataclass(slots=True)
class Shares:
    """Fractions of wanted and of unwanted products among the first ones of each query."""

    wanted: list[float] = field(default_factory=list)
    unwanted: list[float] = field(default_factory=list)

    def add(self, first: npt.NDArray[np.str_], wanted: str, unwanted: str = "") -> None:
        """Count one query's answer."""
        self.wanted.append(float((first == wanted).mean()))
        self.unwanted.append(float((first == unwanted).mean()))


Found: TypeAlias = dict[tuple[str, str], dict[str, Shares]]
"""Fractions of each system, by space and task."""


def run(say: Say) -> BenchResult:
    """Measure all tasks: minutes if photos have to be embedded, else seconds."""
    path = grocery.find()
    if path is None or not featured.there(BACKBONE):
        what = "the features model was not built" if path else "$SIGHTLINE_DATA/grocery is missing"
        return _result({}, (f"NOT MEASURED: {what}",))
    say("photos through the backbone")
    shelf, asked = groceries.photos(path, "train"), groceries.photos(path, "validation")
    model = SentenceModel() if sentences.there() else None
    found: Found = {}
    for space, (products, queries, worded) in _spaces(shelf, asked, model, say):
        found[space, PAIR] = _pairs(products, queries, asked.names)
        found[space, AWAY_FROM] = _away(products, queries, asked.names)
        if worded is not None:
            found[space, NAMED] = _named(products, queries, asked, worded)
    missing = () if model else ("NOT MEASURED: texts: the text model was not built (make engines)",)
    return _result(found, missing)


# The spaces


@dataclass(frozen=True, slots=True)
class Worded:
    """The text space that belongs to a visual one."""

    shelf: Shelf
    """The products' text vectors."""
    asked: Mapping[str, Floats]
    """The vector of each kind's name in the text space."""
    mapped: Mapping[str, Floats]
    """Vectors of these names in the visual space; empty if it has no text map."""


def _spaces(
    shelf: LabelledPhotos, asked: LabelledPhotos, model: SentenceModel | None, say: Say
) -> Iterator[tuple[str, tuple[Shelf, Floats, Worded | None]]]:
    ids = [str(row) for row in range(len(shelf.names))]
    names = np.array(shelf.names)
    yield "pretrained", (Shelf(shelf.plain, names, ids), asked.plain, None)
    say("a space is fitted")
    titled = None if model is None else _titles(shelf, model)
    data = Labelled(
        features=shelf.features[:, None, :],
        kinds=np.zeros(len(names), np.int8),
        products=shelf.names,
        groups=ids,
        categories=shelf.categories,
        sentences=titled,
    )
    fitted = fit.fit(data, fit.FitOptions(), SEED)
    of_shelf, of_asked = (
        fitted.embed(each.features, np.zeros(len(each.names), np.int8)) for each in (shelf, asked)
    )
    worded = None
    if model is not None and titled is not None:
        kinds = sorted({category[-1] for category in asked.categories})
        vectors = model.vectors(kinds)
        mapped = fitted.text_map.vectors(vectors) if fitted.text_map is not None else None
        worded = Worded(
            Shelf(titled, names, ids),
            dict(zip(kinds, vectors, strict=True)),
            {} if mapped is None else dict(zip(kinds, mapped, strict=True)),
        )
    yield "fitted", (Shelf(of_shelf, names, ids), of_asked, worded)


def _titles(shelf: LabelledPhotos, model: SentenceModel) -> Floats:
    """Return the vector of each product's text, as the retriever requests it."""
    said = [
        text_of(ProductContent(name, name.replace("-", " "), category_path=category))
        for name, category in zip(shelf.names, shelf.categories, strict=True)
    ]
    each = sorted(set(said))
    places = {text: place for place, text in enumerate(each)}
    return model.vectors(each)[[places[text] for text in said]]


# The tasks


def _pairs(shelf: Shelf, queries: Floats, names: Sequence[str]) -> dict[str, Shares]:
    """Search by each photo together with another one of the same product."""
    draw = np.random.default_rng(SEED)
    found: dict[str, Shares] = {}
    for row, name in enumerate(names):
        others = [other for other, also in enumerate(names) if also == name and other != row]
        if others:
            parts = [(1.0, queries[row]), (1.0, queries[int(draw.choice(others))])]
            for system, order in _orders(shelf, parts):
                found.setdefault(system, Shares()).add(shelf.first(order), name)
    return found


def _away(shelf: Shelf, queries: Floats, names: Sequence[str]) -> dict[str, Shares]:
    """Search by each photo that finds a wrong product among the first, with that product as
    unwanted.
    """
    found: dict[str, Shares] = {}
    for vector, name in zip(queries, names, strict=True):
        alone = _by_vector(shelf, [(1.0, vector)])
        wrong = next((each for each in alone[:PLACES] if shelf.names[int(each)] != name), "")
        if not wrong:
            continue
        unwanted = str(shelf.names[int(wrong)])
        # A query product is never in the answer, so it is excluded from both answers.
        found.setdefault(PHOTO, Shares()).add(shelf.first(alone, wrong), name, unwanted)
        for weight in AWAY:
            parts = [(1.0, vector), (-weight, shelf.vectors[int(wrong)])]
            listings = [shelf.listing(part, signal) for signal, part in enumerate(parts)]
            for system, order in ((APART, _by_rank(listings)), (ROCCHIO, _by_vector(shelf, parts))):
                shares = found.setdefault(f"{system}, −{weight:g}", Shares())
                shares.add(shelf.first(order, wrong), name, unwanted)
    return found


def _named(
    shelf: Shelf, queries: Floats, asked: LabelledPhotos, worded: Worded
) -> dict[str, Shares]:
    """Search by each photo together with the name of its kind ("Apple")."""
    found: dict[str, Shares] = {}
    for vector, name, category in zip(queries, asked.names, asked.categories, strict=True):
        text, kind = worded.asked[category[-1]], category[-1]
        photo = shelf.listing((1.0, vector), 0)
        said = worded.shelf.listing((1.0, text), 1, Branch.TEXT)
        orders = {
            PHOTO: _by_rank([photo]),
            "the name alone": _by_rank([said]),
            RANK: _by_rank([photo, said]),
            SCORE: _by_score([photo, said]),
        }
        if worded.mapped:
            parts = [(1.0, vector), (1.0, worded.mapped[kind])]
            orders[VECTOR] = _by_vector(shelf, parts)
        for system, order in orders.items():
            found.setdefault(system, Shares()).add(shelf.first(order), name)
    return found


def _orders(shelf: Shelf, parts: Sequence[Part]) -> Iterator[tuple[str, list[str]]]:
    """Yield the order of the first signal, and that of each way to combine signals of one space."""
    yield PHOTO, _by_vector(shelf, parts[:1])
    listings = [shelf.listing(part, signal) for signal, part in enumerate(parts)]
    yield RANK, _by_rank(listings)
    yield SCORE, _by_score(listings)
    yield VECTOR, _by_vector(shelf, parts)


def _by_rank(listings: Sequence[CandidateList]) -> list[str]:
    """Return the order of Search: fusion by rank."""
    fused = fuse(listings, (), LISTED * 2, {})
    return [fused.columns.product_ids[place] for place in fused.order]


def _by_score(listings: Sequence[CandidateList]) -> list[str]:
    """Return the order of Recommend for an unknown shopper: by the sum of similarities."""
    fused = fuse(listings, (), LISTED * 2, {})
    total = np.zeros(len(fused.order))
    for values in fused.similarities.values():
        total += np.nan_to_num(np.array(values))
    order = sorted(fused.order, key=lambda place: -total[place])
    return [fused.columns.product_ids[place] for place in order]


def _by_vector(shelf: Shelf, parts: Sequence[Part]) -> list[str]:
    query = blended([(weight, [vector]) for weight, vector in parts])
    if query is None:
        return []
    return list(shelf.listing((1.0, query), 0).columns.product_ids)


# The result


def _result(found: Found, missing: tuple[str, ...]) -> BenchResult:
    return BenchResult(
        tables=tuple(_table(*key, systems) for key, systems in found.items()),
        figures={"signals": list(_figures(found))},
        goals=_goals(found),
        warnings=missing,
    )


def _table(space: str, task: str, systems: Mapping[str, Shares]) -> BenchTable:
    first = next(iter(systems.values()))
    away = task == AWAY_FROM
    return BenchTable(
        f"{task.capitalize()}, {space} space: share of the first {PLACES}",
        ("", "wanted", f"more than {PHOTO}", *(("not wanted",) if away else ())),
        tuple(
            (
                system,
                statistics.mean(shares.wanted).shown(),
                "" if system == PHOTO else _gain(systems, system).shown(sign=True),
                *((statistics.mean(shares.unwanted).shown(),) if away else ()),
            )
            for system, shares in systems.items()
        ),
        f"Mean over {len(first.wanted)} queries (95% interval); differences are paired.",
        section=None,
    )


def _gain(systems: Mapping[str, Shares], system: str, than: str = PHOTO) -> Interval:
    return statistics.mean(np.subtract(systems[system].wanted, systems[than].wanted))


def _goals(found: Found) -> list[Goal]:
    """Return the goals of a fitted space, by the default scene's fusion and the client's weight."""

    def goal(
        name: str, task: str, measure: Callable[[Mapping[str, Shares]], Interval], least: float
    ) -> Goal:
        systems = found.get(("fitted", task))
        measured = measure(systems) if systems else None
        return Goal(name, at_most=None, unit="", measured=measured, at_least=least)

    turned = f"{APART}, −{CHOSEN:g}"
    return [
        goal(
            f"{PAIR}: wanted ones, more than by one",
            PAIR,
            lambda systems: _gain(systems, VECTOR),
            0.0,
        ),
        goal(
            f"{NAMED}: wanted ones, more than by the photo",
            NAMED,
            lambda systems: _gain(systems, SCORE),
            0.0,
        ),
        goal(
            f"{AWAY_FROM}: wanted ones, more than without it",
            AWAY_FROM,
            lambda systems: _gain(systems, turned),
            0.0,
        ),
        goal(
            f"{AWAY_FROM}: unwanted ones, fewer than without it",
            AWAY_FROM,
            lambda systems: statistics.mean(
                np.subtract(systems[PHOTO].unwanted, systems[turned].unwanted)
            ),
            0.0,
        ),
    ]


def _figures(found: Found) -> Iterator[dict[str, object]]:
    for (space, task), systems in found.items():
        for system, shares in systems.items():
            wanted, unwanted = statistics.mean(shares.wanted), statistics.mean(shares.unwanted)
            yield {
                "space": space,
                "task": task,
                "system": system,
                "queries": len(shares.wanted),
                "wanted": [wanted.value, wanted.low, wanted.high],
                "unwanted": [unwanted.value, unwanted.low, unwanted.high],
            }
