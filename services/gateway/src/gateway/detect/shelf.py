"""Questions about a shelf: a comparison with a plan, and quantities to reorder."""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from gateway.detect import plan as plans
from gateway.detect import stock
from gateway.detect.detect import detect_products
from gateway.detect.plan import ShelfBox, ShelfPlan
from gateway.detect.plan_comparison import PlanComparison, ShelfDetection, compare
from gateway.detect.stock import ShelfStock, StockRequest, StockSuggestion
from gateway.detect.validate import check
from gateway.model.causes import Peer
from gateway.model.detections import Detection, DetectionAnswer, DetectionQuery
from gateway.model.peer_failures import cause_of
from gateway.model.peers import CountedSales
from gateway.model.query import AnswerScope
from gateway.ports import RankerPort, RetrieverPort
from gateway.state.request_context import RequestDependencies
from servicekit.errors import ServiceError
from sightline_core.degradations import Degradation
from sightline_core.opaque_messages import ProductRow
from sightline_core.search import Rejection

DAY_MICROS = 86_400_000_000
GIVEN_BY_ID = "planned products are given by id alone"
STAGE = "stock"
"""Stage of an answer's timings and degradations in which sales are read."""


@dataclass(frozen=True, slots=True)
class ShelfQuestion:
    """A plan to compare with, and a request for quantities, of one catalog."""

    catalog_id: str
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
    missing: Sequence[ProductRow] = ()
    """Planned products that were not found."""


async def detect_on_shelf(
    query: DetectionQuery, question: ShelfQuestion, deps: RequestDependencies
) -> tuple[DetectionAnswer, ShelfReport]:
    """Find the products in a photo, and answer the question about them.

    Raises the errors of `detect_products` and of `checked`.
    """
    check(query, deps.catalogs)
    with deps.in_time(deps.detect_seconds):
        question = await checked(question, query.scope, query.most, deps.peers.retriever)
        found = await detect_products(query, deps)
        seen = [_seen(each) for each in found.detections]
        answered = await report(question, seen, found.rows, deps.peers.ranker)
        return found, await _with_missing(answered, question, query, found.rows, deps)


async def _with_missing(
    answered: ShelfReport,
    question: ShelfQuestion,
    query: DetectionQuery,
    rows: Sequence[ProductRow],
    deps: RequestDependencies,
) -> ShelfReport:
    """Return the report with the planned products that are not among `rows`."""
    known = {row.product_id for row in rows}
    planned = question.plan.product_ids if question.plan else ()
    missing = [item for item in planned if item not in known]
    if not missing:
        return answered
    try:
        found = await deps.peers.retriever.products(query.catalog_id, missing, query.scope)
    except ServiceError as error:
        lost = Degradation("hydrate", cause_of(Peer.RETRIEVER, error), GIVEN_BY_ID)
        return replace(answered, degradations=(*answered.degradations, lost))
    return replace(answered, missing=found.rows)


def _seen(found: Detection) -> ShelfDetection:
    box = found.box
    return ShelfDetection(found.product_id, ShelfBox(box.left, box.top, box.right, box.bottom))


async def checked(
    question: ShelfQuestion, scope: AnswerScope, most_detections: int, retriever: RetrieverPort
) -> ShelfQuestion:
    """Return the question with its plan's positions filled in.

    Raises PlanInvalid, also for products that no detection can show: unknown ones, and those that
    do not pass. Raises RequestInvalid and errors of the retriever.
    """
    if question.stock is not None:
        stock.checked(question.stock)
    if question.plan is None:
        return question
    plan = plans.checked(question.plan, most_detections)
    found = await retriever.checked(question.catalog_id, plan.product_ids, scope)
    problems = dict.fromkeys(plan.product_ids, "does not pass the filter")
    problems |= dict.fromkeys(found.missing, "is not in the catalog")
    problems |= {item: _failing(why) for item, why in found.rejections.items()}
    for item in found.columns.product_ids:
        problems.pop(item, None)
    plans.refuse_products(plan, problems)
    made = found.columns.create_time_micros
    known = zip(found.columns.product_ids, made, strict=True) if len(made) else ()
    return replace(
        question, plan=plan, known_days={item: micros // DAY_MICROS for item, micros in known}
    )


async def report(
    question: ShelfQuestion,
    seen: Sequence[ShelfDetection],
    rows: Sequence[ProductRow],
    ranker: RankerPort,
) -> ShelfReport:
    """Compare the detections with the plan, and suggest quantities.

    `rows`: the products of the detections, most detections first. Unavailable sales degrade the
    answer.
    """
    comparison = None
    if question.plan is not None:
        # In a thread: hundreds of facings take tens of milliseconds.
        comparison = await asyncio.to_thread(compare, question.plan, seen)
    if question.stock is None:
        return ShelfReport(comparison)
    shelf = _stock(question, seen, rows)
    sales: CountedSales | None = None
    degradations: tuple[Degradation, ...] = ()
    if shelf.on_shelf:
        try:
            sales = await ranker.sales(
                question.catalog_id, list(shelf.on_shelf), question.stock.history_days
            )
        except ServiceError as error:
            degradations = (Degradation(STAGE, cause_of(Peer.RANKER, error)),)
    return ShelfReport(comparison, stock.suggest(question.stock, shelf, sales), degradations)


def _failing(why: Rejection) -> str:
    """Return why a planned product can't be found."""
    return "does not pass the filter" + (f" ({why.condition})" if why.condition else "")


def _stock(
    question: ShelfQuestion, seen: Sequence[ShelfDetection], rows: Sequence[ProductRow]
) -> ShelfStock:
    """Return the units of each planned and each found product."""
    count = Counter(each.product_id for each in seen if each.product_id)
    ids = [*(question.plan.product_ids if question.plan else ()), *(row.product_id for row in rows)]
    ids += [item for item, _ in count.most_common()]
    found = {row.product_id: row.create_time.ToMicroseconds() // DAY_MICROS for row in rows}
    return ShelfStock({item: count[item] for item in ids}, {**found, **question.known_days})
