"""Questions about a shelf: a comparison with a plan, and quantities to reorder."""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from servicekit import deadlines
from servicekit.errors import ServiceError
from servicekit.telemetry import Stages
from vision.detection import plan as plans
from vision.detection import stock
from vision.detection.degradations import cause_of
from vision.detection.detect import SECONDS, detect_products
from vision.detection.plan import ShelfPlan
from vision.detection.plan_comparison import PlanComparison, compare
from vision.detection.stock import ShelfStock, StockRequest, StockSuggestion
from vision.detection.validate import check
from vision.domain.detections import (
    CountedSales,
    Degradation,
    DegradationCause,
    DetectionAnswer,
    DetectionQuery,
    StoredProduct,
)
from vision.ports.detecting import DetectionPeers, ProductSearch, SalesCounts

RESERVE = 0.02
"""Seconds of a deadline that are kept to report a failure."""
GIVEN_BY_ID = "planned products are given by id alone"
STAGE = "stock"
"""Stage of an answer's degradations in which sales are read."""


@dataclass(frozen=True, slots=True)
class ShelfQuestion:
    """A plan to compare with, and a request for quantities."""

    plan: ShelfPlan | None = None
    stock: StockRequest | None = None
    known_days: Mapping[str, int] = field(default_factory=dict)
    """Day on which the catalog first stored each planned product, in days since 1970 (UTC)."""


@dataclass(frozen=True, slots=True)
class ShelfReport:
    """Answer to a ShelfQuestion."""

    comparison: PlanComparison | None = None
    suggestions: Sequence[StockSuggestion] = ()
    degradations: tuple[Degradation, ...] = ()
    missing: Sequence[StoredProduct] = ()
    """Planned products that were not found."""


async def detect_on_shelf(
    query: DetectionQuery, question: ShelfQuestion, peers: DetectionPeers, stages: Stages
) -> tuple[DetectionAnswer, ShelfReport]:
    """Find the products in a photo, and answer the question about them.

    Raises RequestInvalid, the errors of `detect_products` and of `checked`.
    """
    check(query)
    seconds = deadlines.budget(RESERVE, SECONDS)
    with deadlines.within(SECONDS if seconds is None else seconds):
        question = await checked(question, query, peers.retriever)
        found = await detect_products(query, peers, stages)
        answered = await report(question, query, found, peers.ranker)
        return found, await _with_missing(answered, question, query, found, peers.retriever)


async def _with_missing(
    answered: ShelfReport,
    question: ShelfQuestion,
    query: DetectionQuery,
    found: DetectionAnswer,
    retriever: ProductSearch,
) -> ShelfReport:
    """Return the report with the planned products that were not found."""
    known = {each.product_id for each in found.products}
    planned = question.plan.product_ids if question.plan else ()
    missing = [item for item in planned if item not in known]
    if not missing:
        return answered
    try:
        read = await retriever.products(query.catalog_id, missing, query.filter)
    except ServiceError as error:
        cause = cause_of(error, DegradationCause.RETRIEVER_UNAVAILABLE)
        lost = Degradation("hydrate", cause, GIVEN_BY_ID)
        return replace(answered, degradations=(*answered.degradations, lost))
    return replace(answered, missing=read)


async def checked(
    question: ShelfQuestion, query: DetectionQuery, retriever: ProductSearch
) -> ShelfQuestion:
    """Return the question with its plan's positions filled in.

    Raises PlanInvalid, also for products that no detection can show: unknown ones, and those that
    do not pass. Raises RequestInvalid and errors of the retriever.
    """
    if question.stock is not None:
        stock.checked(question.stock)
    if question.plan is None:
        return question
    plan = plans.checked(question.plan, query.most)
    found = await retriever.planned(query.catalog_id, plan.product_ids, query.filter)
    problems = {
        item: "is not in the catalog" if item in found.missing else _failing(found.failing, item)
        for item in plan.product_ids
        if item not in found.created_days
    }
    plans.refuse_products(plan, problems)
    return replace(question, plan=plan, known_days=found.created_days)


async def report(
    question: ShelfQuestion, query: DetectionQuery, found: DetectionAnswer, ranker: SalesCounts
) -> ShelfReport:
    """Compare the detections with the plan, and suggest quantities. Unavailable sales degrade the
    answer."""
    comparison = None
    if question.plan is not None:
        # In a thread: hundreds of facings take tens of milliseconds.
        comparison = await asyncio.to_thread(compare, question.plan, found.detections)
    if question.stock is None:
        return ShelfReport(comparison)
    shelf = _stock(question, found)
    sales: CountedSales | None = None
    degradations: tuple[Degradation, ...] = ()
    if ids := list(shelf.on_shelf):
        try:
            sales = await ranker.sales(query.catalog_id, ids, question.stock.history_days)
        except ServiceError as error:
            cause = cause_of(error, DegradationCause.RANKER_UNAVAILABLE)
            degradations = (Degradation(STAGE, cause),)
    return ShelfReport(comparison, stock.suggest(question.stock, shelf, sales), degradations)


def _failing(failing: Mapping[str, str], product_id: str) -> str:
    """Return why a planned product can't be found."""
    condition = failing.get(product_id)
    return "does not pass the filter" + (f" ({condition})" if condition else "")


def _stock(question: ShelfQuestion, found: DetectionAnswer) -> ShelfStock:
    """Return the units of each planned and each found product."""
    count: Mapping[str, int] = Counter(dict(found.counts))
    planned = question.plan.product_ids if question.plan else ()
    days = {each.product_id: each.created_day for each in found.products}
    on_shelf = {item: count[item] for item in [*planned, *count]}
    return ShelfStock(on_shelf, {**days, **question.known_days})
