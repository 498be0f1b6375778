"""Effect of a changed scene: recent requests answered by it, and recorded answers ranked again.

Recent requests of this process are answered anew by both scenes, so that all entries show. Without
one, recorded answers are compared, whose candidates stay: entries that select candidates are
listed. Expected figures are always of recorded answers. Sums are exact (math.fsum): the same
answers give the same bits in whatever order they and their products are added.
"""

import asyncio
import math
import time
from collections import defaultdict
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Iterable,
    Mapping,
    Sequence,
    Set,
)
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import asdict, dataclass, replace
from functools import reduce
from itertools import chain, zip_longest
from operator import or_
from typing import Any

from gateway.model.peers import ReplayRules
from gateway.model.query import AnswerScope, RequestQuery
from gateway.model.replay import ExpectedOutcome
from gateway.model.scene import ATTRIBUTE, Scene
from gateway.ports import RankerPort, RetrieverPort
from gateway.recommend.expected_figures import ExpectedFigure, OutcomePair, expected_figures
from gateway.recommend.plan_request import weights_of
from servicekit.errors import ServiceError
from sightline_core.branch import Branch, branches_of
from sightline_core.opaque_messages import ProductRow
from sightline_core.parts import MARGIN, NUMBERS
from sightline_core.ranking import AnswerRange

MOST_ANSWERS, DEFAULT_ANSWERS = 200, 100
MOST_PLACES, DEFAULT_PLACES = 200, 20
AT_ONCE = 4
"""Number of answers computed together, in one place of expensive requests."""
MOST_READ = 1000
MOST_SHOWN = 20
MOST_EXAMPLES = 10
NEW_MICROS = 30 * 86_400 * 1_000_000
REPLAYED = (
    *("parts_with_signals", "parts_without_signals", "parts_with_history", "diversity"),
    *("objective", "objective_strength"),
)
"""Entries that determine how candidates are ranked."""
UNKEPT = (*NUMBERS, Branch.FOLLOWED)
"""Parts that a record holds only if they had a weight."""
GONE = frozenset({"ANSWER_RECORD_MISSING", "ANSWER_RECORD_OUTDATED"})


@dataclass(frozen=True, slots=True)
class AnswerOrders:
    """First products of an answer before and after a change."""

    answer_id: str
    before: Sequence[str]
    after: Sequence[str]
    outcomes: OutcomePair | None
    """Expected outcomes of both; `None` if the ranker has learned no probabilities or they would
    reveal costs."""

    @property
    def products(self) -> Sequence[str]:
        """The products of both."""
        return (*self.before, *self.after)


@dataclass(frozen=True, slots=True)
class SceneEntryChange:
    """A changed entry of a scene's file."""

    path: str
    before: str
    after: str
    """Empty if the entry is missing."""
    replayed: bool
    """True if the compared answers show the effect of the change."""


@dataclass(frozen=True, slots=True)
class ExposureChange:
    """Share of the total exposure, 0 to 1, of a product, brand or category."""

    dimension: str
    name: str
    before: float
    after: float


@dataclass(frozen=True, slots=True)
class ExposureFigure:
    """A summary figure of exposure."""

    name: str
    before: float
    after: float


@dataclass(frozen=True, slots=True)
class ChangedAnswer:
    """First products of an answer that changes."""

    answer_id: str
    before_product_ids: Sequence[str]
    after_product_ids: Sequence[str]


@dataclass(frozen=True, slots=True)
class SceneDiff:
    """Comparison of recorded answers with those of a changed scene."""

    answer_count: int
    skipped_count: int
    """Number of answers whose records are deleted, or that can't be given or computed again."""
    changed_count: int
    changed_place_share: float
    replaced_share: float
    changes: Sequence[SceneEntryChange]
    exposures: Sequence[ExposureChange]
    figures: Sequence[ExposureFigure]
    answers: Sequence[ChangedAnswer]
    expected: Sequence[ExpectedFigure] = ()
    anew_count: int = 0
    """Number of compared answers that were given anew; 0: recorded ones were ranked again."""


@dataclass(frozen=True, slots=True)
class AnswerSample:
    """Selection of the answers to compare."""

    catalog_id: str
    scene: str
    answers: int
    since_micros: int
    places: int
    """Number of first places that are compared."""
    costs: bool = False
    """True if the caller may read costs; otherwise products are compared as if none had a cost."""


Turn = Callable[[int], AbstractAsyncContextManager[object]]
"""Wait for a place of expensive requests, for a number of answers."""


AnswerAnew = Callable[[RequestQuery, Scene, int], Awaitable[Sequence[str]]]
"""Return the first products with which a scene answers a request now. Raises ServiceError."""


@asynccontextmanager
async def at_once(_: object) -> AsyncIterator[None]:
    """Wait for nothing."""
    yield


@dataclass(frozen=True, slots=True)
class RecentSample:
    """Recent requests, and how a scene answers them."""

    requests: Sequence[RequestQuery]
    answer: AnswerAnew
    turn: Callable[[Sequence[RequestQuery]], AbstractAsyncContextManager[object]] = at_once
    """Wait for a place of expensive requests, for both answers to some requests."""
    alone: bool = False
    """If true, recorded answers are not compared."""


async def scene_diff(
    sample: AnswerSample,
    current: Scene,
    changed: Scene,
    ranker: RankerPort,
    retriever: RetrieverPort,
    *,
    turn: Turn = at_once,
    recent: RecentSample | None = None,
) -> SceneDiff:
    """Return how a scene's answers would change. Raises ServiceError when a peer fails."""
    alone = recent is not None and recent.alone
    ids = (
        []
        if alone
        else await ranker.newest_answers(
            sample.catalog_id, sample.scene, sample.since_micros, sample.answers
        )
    )
    found: list[AnswerOrders] = []
    rows: dict[str, ProductRow] = {}
    for start in range(0, len(ids), AT_ONCE):
        some = ids[start : start + AT_ONCE]
        async with turn(len(some)):
            found += await _compared(sample, some, changed, ranker, retriever, rows=rows)
    changes = entry_changes(current, changed)
    anew = [] if recent is None else await _anew(sample, (current, changed), recent)
    if recent is None or not (anew or alone):
        return _summary(found, len(ids), rows, changes)
    await _add_rows(sample, {item for each in anew for item in each.products}, rows, retriever)
    shown = [replace(each, replayed=True) for each in changes]
    return replace(
        _summary(anew, len(recent.requests), rows, shown),
        expected=_expected(found),
        anew_count=len(anew),
    )


async def _anew(
    sample: AnswerSample, scenes: tuple[Scene, Scene], recent: RecentSample
) -> list[AnswerOrders]:
    """Answer recent requests by both scenes, without those that fail."""

    async def orders(query: RequestQuery) -> AnswerOrders | None:
        try:
            before, after = [await recent.answer(query, scene, sample.places) for scene in scenes]
        except ServiceError:
            return None
        return AnswerOrders("", before, after, None)

    found: list[AnswerOrders] = []
    for start in range(0, len(recent.requests), AT_ONCE):
        some = recent.requests[start : start + AT_ONCE]
        async with recent.turn(some):
            answered = await asyncio.gather(*map(orders, some))
        found += [each for each in answered if each is not None]
    return found


async def _compared(
    sample: AnswerSample,
    ids: Sequence[str],
    changed: Scene,
    ranker: RankerPort,
    retriever: RetrieverPort,
    *,
    rows: dict[str, ProductRow],
) -> list[AnswerOrders]:
    """Return the orders of some answers, without those that can't be computed again. Add their
    products to `rows`."""
    read = await asyncio.gather(*(_asked(sample.catalog_id, one, changed, ranker) for one in ids))
    asked = [each for each in read if each is not None]
    ids_of = {item for each in asked for item in each.product_ids}
    await _add_rows(sample, ids_of, rows, retriever)
    orders = await asyncio.gather(*(_orders(sample, each, changed, rows, ranker) for each in asked))
    return [each for each in orders if each is not None]


@dataclass(frozen=True, slots=True)
class _Asked:
    """A recorded answer, and the weights of a scene."""

    answer_id: str
    product_ids: Sequence[str]
    weights: Mapping[str, float]
    by_margins: bool
    """True if margins were weighed, so that the recorded scores depend on costs."""


async def _asked(
    catalog_id: str, answer_id: str, scene: Scene, ranker: RankerPort
) -> _Asked | None:
    try:
        record = await ranker.answer(catalog_id, AnswerRange(answer_id))
    except ServiceError as error:
        if error.reason in GONE:
            return None
        raise
    named = branches_of(reduce(or_, record.order.branches, 0))
    names = [name for name, _ in record.order.parts]
    weights = weights_of(scene, named, tuple(names))
    return _Asked(answer_id, record.order.product_ids, weights, MARGIN in names)


async def _add_rows(
    sample: AnswerSample,
    product_ids: Set[str],
    rows: dict[str, ProductRow],
    retriever: RetrieverPort,
) -> None:
    """Add the current products of answers, by id."""
    ids = sorted(product_ids - rows.keys())
    for start in range(0, len(ids), MOST_READ):
        chunk = ids[start : start + MOST_READ]
        found = await retriever.products(sample.catalog_id, chunk, AnswerScope(), unshown=True)
        rows |= {row.product_id: row for row in found.rows}


async def _orders(
    sample: AnswerSample,
    asked: _Asked,
    scene: Scene,
    rows: Mapping[str, ProductRow],
    ranker: RankerPort,
) -> AnswerOrders | None:
    known = [rows[item] for item in asked.product_ids if item in rows]
    # Weighed margins that were recorded with the answer would reveal costs, too.
    weights = {
        part: weight for part, weight in asked.weights.items() if sample.costs or part != MARGIN
    }
    rules = ReplayRules(
        weights, scene.diversity, known, scene.applied_objective, costs=sample.costs
    )
    try:
        found = await ranker.replay(sample.catalog_id, asked.answer_id, sample.places, rules)
    except ServiceError as error:
        if error.reason in GONE:
            return None
        raise
    if not found.recomputed and not found.changed:
        return None
    before, after = ([one.product_id for one in side] for side in (found.recomputed, found.changed))
    outcomes = _known((found.outcome, found.changed_outcome))
    # They are by the recorded scores.
    shown = sample.costs or not asked.by_margins
    return AnswerOrders(asked.answer_id, before, after, outcomes if shown else None)


def _known(pair: tuple[ExpectedOutcome | None, ExpectedOutcome | None]) -> OutcomePair | None:
    before, after = pair
    return None if before is None or after is None else (before, after)


def _summary(
    found: Sequence[AnswerOrders],
    sampled: int,
    rows: Mapping[str, ProductRow],
    changes: Iterable[SceneEntryChange],
) -> SceneDiff:
    moved = [sum(a != b for a, b in zip_longest(each.before, each.after)) for each in found]
    replaced = [len({*each.before} - {*each.after}) for each in found]
    lengths = [max(len(each.before), len(each.after), 1) for each in found]
    most = sorted(range(len(found)), key=lambda at: (-replaced[at], -moved[at]))[:MOST_EXAMPLES]
    shares = _exposure(each.before for each in found), _exposure(each.after for each in found)
    return SceneDiff(
        answer_count=len(found),
        skipped_count=sampled - len(found),
        changed_count=sum(map(bool, moved)),
        changed_place_share=_mean_share(moved, lengths),
        replaced_share=_mean_share(replaced, lengths),
        changes=tuple(changes),
        exposures=tuple(_exposures(*shares, rows)),
        figures=tuple(_figures(*shares, rows)),
        answers=[
            ChangedAnswer(
                answer_id=each.answer_id,
                before_product_ids=each.before,
                after_product_ids=each.after,
            )
            for each in (found[at] for at in most if moved[at])
        ],
        expected=_expected(found),
    )


def _expected(found: Sequence[AnswerOrders]) -> Sequence[ExpectedFigure]:
    return tuple(expected_figures([each.outcomes for each in found if each.outcomes]))


def _mean_share(counts: Sequence[int], lengths: Sequence[int]) -> float:
    shares = [count / length for count, length in zip(counts, lengths, strict=True)]
    return math.fsum(shares) / len(shares) if shares else 0.0


Shares = Mapping[str, float]
"""Share of the total exposure, by owner."""


def _exposure(orders: Iterable[Sequence[str]]) -> Shares:
    found = defaultdict[str, list[float]](list)
    for order in orders:
        for place, product_id in enumerate(order, start=1):
            found[product_id].append(1 / math.log2(place + 1))
    total = math.fsum(chain.from_iterable(found.values()))
    return {item: math.fsum(values) / total for item, values in found.items()}


def _exposures(
    before: Shares, after: Shares, rows: Mapping[str, ProductRow]
) -> Iterable[ExposureChange]:
    """Yield, for each dimension, the owners whose share changes most."""
    kinds: Mapping[str, Callable[[str], str]] = {
        "product": str,
        "brand": lambda item: rows[item].brand if item in rows else "",
        "category": lambda item: next(iter(rows[item].category_path), "") if item in rows else "",
    }
    for dimension, name in kinds.items():
        one, two = _grouped(before, name), _grouped(after, name)
        gains = {each: two.get(each, 0.0) - one.get(each, 0.0) for each in {**one, **two}}
        for each in sorted(gains, key=lambda key: (-abs(gains[key]), key))[:MOST_SHOWN]:
            yield ExposureChange(
                dimension=dimension,
                name=each,
                before=one.get(each, 0.0),
                after=two.get(each, 0.0),
            )


def _grouped(shares: Shares, name: Callable[[str], str]) -> Shares:
    found = defaultdict[str, list[float]](list)
    for item, share in shares.items():
        found[name(item)].append(share)
    return {owner: min(math.fsum(each), 1.0) for owner, each in found.items()}  # rounding


def _figures(
    before: Shares, after: Shares, rows: Mapping[str, ProductRow]
) -> Iterable[ExposureFigure]:
    shown = {**before, **after}
    since = time.time() * 1e6 - NEW_MICROS
    new = {item for item, row in rows.items() if row.create_time.ToMicroseconds() > since}
    figures: Mapping[str, Callable[[Shares], float]] = {
        "gini_products": lambda shares: gini([shares.get(item, 0.0) for item in shown]),
        "products": len,
        "new_share": lambda shares: min(math.fsum(shares.get(item, 0.0) for item in new), 1.0),
    }
    for name, figure in figures.items():
        yield ExposureFigure(name=name, before=figure(before), after=figure(after))


def gini(shares: Sequence[float]) -> float:
    """Return the Gini coefficient of shares, from 0 (all equal) towards 1 (one owner has
    everything)."""
    ordered, count, total = sorted(shares), len(shares), math.fsum(shares)
    if not total:
        return 0.0
    weighed = sum((2 * rank - count - 1) * share for rank, share in enumerate(ordered, start=1))
    return weighed / (count * total)


def entry_changes(current: Scene | None, changed: Scene) -> Iterable[SceneEntryChange]:
    """Yield the entries that differ; none without a scene to compare with."""
    if current is None:
        return
    before, after = (dict(_entries(_by_name(one))) for one in (current, changed))
    for path in sorted(before.keys() | after.keys()):
        one, two = before.get(path, ""), after.get(path, "")
        if one != two and path not in ("name", "version"):
            table, _, part = path.partition(".")
            kept_only_weighed = part in UNKEPT or part.startswith(ATTRIBUTE)
            lacks = kept_only_weighed and float(one or 0) == 0
            replayed = table in REPLAYED and not lacks
            yield SceneEntryChange(path=path, before=one, after=two, replayed=replayed)


def _by_name(scene: Scene) -> Mapping[str, Any]:
    """Return a scene's entries; controls by their names."""
    controls = {each.name: each.said for each in scene.controls}
    return asdict(replace(scene, controls=())) | {"controls": controls}


def _entries(value: Mapping[Any, Any], path: str = "") -> Iterable[tuple[str, str]]:
    for name, each in value.items():
        own = f"{path}{name}"
        if isinstance(each, Mapping):
            yield from _entries(each, f"{own}.")
        else:
            yield own, str(each)
