"""Searches of a verification, and the exact pass over the record that measures them."""

import asyncio
from collections import Counter
from collections.abc import Sequence

import numpy as np

from retriever.domain.generation import VectorMetric
from retriever.domain.index_values import IndexRow
from retriever.domain.vectors import Floats, Scores, exact_scores
from retriever.indexing.verification.case import Case
from retriever.indexing.verification.photo_neighbours import PhotoNeighbours
from retriever.search.nearest import begin
from retriever.search.query import SearchQuery
from sightline_rules.evaluation.conditions import judged
from sightline_rules.evaluation.work import finish
from sightline_rules.filters import Comparison, Filter, Operator

PAGE = 500
"""Rows read at a time: 2.5 MB of vectors at 1,280 dimensions."""
QUERIES = 100
"""Maximum number of searches, without and with a filter each."""
EQUAL = 1e-5
"""Similarities that differ by less are equal."""
PASSING = (0.01, 0.6)
"""Share of the sample that a filter has to pass to be tried."""


class Trial:
    """Searches under one condition, with their exact results from the pass over the record."""

    def __init__(self, condition: Filter, queries: Floats, k: int, newest: int) -> None:
        """Prepare a trial. `newest`: the index did not hold later commits; they may be missing."""
        self.condition = condition
        self.queries = queries
        self.hits: list[dict[str, float]] = []
        """For each query: the row ids that the index found, with their exact scores once known."""
        self._k = k
        self.newest = newest
        self._best: Scores = np.empty((len(queries), 0))
        """For each query: the scores of the exact nearest rows, in no order."""
        self._passing = 0

    def look(self, rows: Sequence[IndexRow], scores: Scores) -> None:
        """Take rows of the record into account; `scores`: of each for each query."""
        passing = finish(judged(self.condition, [row.facts for row in rows]))
        kept: list[int] = np.flatnonzero(passing).tolist()
        due = [place for place in kept if rows[place].seq <= self.newest]
        self._passing += len(due)
        best = np.concatenate([self._best, scores[:, due]], axis=1)
        if best.shape[1] > self._k:
            best = np.partition(best, -self._k, axis=1)[:, -self._k :]
        self._best = best
        places = {rows[place].row_id: place for place in kept}
        for number, hits in enumerate(self.hits):
            for row_id in hits.keys() & places.keys():
                hits[row_id] = float(scores[number, places[row_id]])

    def recall(self) -> float:
        """Return the share of the exact nearest that were found, 0 to 1; 1 if there are none."""
        wanted = min(self._k, self._passing)
        if not wanted or not self.hits:
            return 1.0
        found = [
            min(wanted, sum(score >= least - EQUAL for score in hits.values()))
            for hits, least in zip(self.hits, self._best.min(axis=1), strict=True)
        ]
        return float(np.mean(found)) / wanted


def queries_between(sample: Sequence[IndexRow]) -> Floats:
    """Return queries between two sampled photos each, as near to some photos as a shopper's."""
    sound = [row.vector for row in sample if is_sound(row.vector)][: QUERIES + 1]
    if not sound:
        return np.empty((0, 0), dtype=np.float32)
    units = np.array([vector / np.linalg.norm(vector) for vector in sound])
    mixed = units + 0.5 * np.roll(units, 1, axis=0)
    return np.asarray(mixed[:QUERIES], dtype=np.float32)


def is_sound(vector: Floats) -> bool:
    return bool(np.isfinite(vector).all() and vector.any())


def filters_for(sample: Sequence[IndexRow]) -> list[Filter]:
    """Return the condition on a brand or a category that about a tenth of the sample passes."""
    counts: Counter[tuple[str, str]] = Counter()
    for row in sample:
        if row.facts.brand:
            counts["brand", row.facts.brand] += 1
        if row.facts.category:
            counts["category", row.facts.category] += 1
    low, high = (share * len(sample) for share in PASSING)
    fitting = [item for item, count in counts.items() if low <= count <= high]
    if not fitting:
        return []
    name, value = min(fitting, key=lambda item: (abs(counts[item] - 0.1 * len(sample)), item))
    return [Comparison(name, Operator.EQUAL, value)]


# Searches and the exact pass


async def newest_commit(case: Case) -> int:
    """Return the newest commit that the index holds, with all before it."""
    made, record = case.generation, case.tools.record
    present = await record.find_generation(made.catalog_id, made.name)
    head = (await record.freshness(present)).head
    missing = await record.changes(present, 1)
    return missing[0].seq - 1 if missing else head


async def run_searches(case: Case, trial: Trial) -> None:
    """Search each query's nearest rows, by the plan of an ordinary search."""
    catalog = case.generation.catalog_id
    for vector in trial.queries:
        nearest = await begin(
            SearchQuery(catalog, condition=trial.condition, top_k=case.demand.k),
            case.generation,
            trial.newest,
            vectors=[vector],
            excluded=0,
            latest=not trial.hits,
            record=case.tools.record,
            index=case.tools.index,
            samples=case.samples,
        )
        found = await nearest.look(nearest.plan.limit, None)
        trial.hits.append({hit.row_id: -np.inf for hit in found.hits})
    await case.advance()


async def exact_pass(case: Case, trials: Sequence[Trial], neighbours: PhotoNeighbours) -> int:
    """Examine every row of the record once. Return the number of invalid vectors."""
    unsound, after = 0, ""
    while page := await case.tools.record.row_page(case.generation, after, PAGE):
        after = page[-1].row_id
        metric = case.generation.parameters.metric
        unsound += await asyncio.to_thread(_look, page, metric, trials, neighbours)
        await case.advance(len(page))
    return unsound


def _look(
    page: Sequence[IndexRow],
    metric: VectorMetric,
    trials: Sequence[Trial],
    neighbours: PhotoNeighbours,
) -> int:
    """Add a page's rows. Return the number of invalid ones."""
    sound = [row for row in page if is_sound(row.vector)]
    neighbours.look(sound)
    queries = trials[0].queries
    if sound and len(queries):
        scores = exact_scores(queries, np.array([row.vector for row in sound]), metric)
        for trial in trials:
            trial.look(sound, scores)
    return len(page) - len(sound)
