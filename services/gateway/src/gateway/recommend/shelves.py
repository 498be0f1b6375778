"""Several shelves of a page in one request: no product is on two of them.

The candidates of all shelves are found side by side. Then the shelves are formed one after another,
each without the products of the earlier ones, so that the result does not depend on which search
ends first.
"""

import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TypeAlias

from gateway.model.causes import Peer
from gateway.model.plan import MOST_ASKED, RequestPlan
from gateway.model.query import RequestQuery
from gateway.model.response import (
    FoundProduct,
    ListAnswer,
    RecommendAnswer,
    SearchAnswer,
    ShelfAnswer,
)
from gateway.ranking.fuse import K
from gateway.recommend.answer_report import versions_of
from gateway.recommend.charge import charged_together
from gateway.recommend.listing import list_page
from gateway.recommend.one_stamp import of_one_stamp
from gateway.recommend.pages import attribution
from gateway.recommend.plan_request import scened
from gateway.recommend.recommend import find_candidates, form_answer
from gateway.recommend.search import nearest_page
from gateway.recommend.validate import check, check_shelves
from gateway.retrieval.branches import FoundCandidates
from gateway.retrieval.branches import search as find_near
from gateway.state import tokens
from gateway.state.request_context import RequestContext, RequestDependencies
from servicekit.errors import ServiceError
from servicekit.rpc import equal_calls
from servicekit.tasks.parallel import in_parallel
from sightline_core.answer import FUSED, AnswerOrder, AnswerRecord, AnswerResult
from sightline_core.columns import NO_PRODUCTS, ProductColumns, gathered
from sightline_core.opaque_messages import ProductRow
from sightline_core.shoppers import Shopper

Answer: TypeAlias = RecommendAnswer | SearchAnswer | ListAnswer
FormedShelf: TypeAlias = tuple[RequestContext, Answer]
"""An answer, with the run that formed it."""
Form: TypeAlias = Callable[[ProductColumns], Awaitable[FormedShelf]]
"""Forms a shelf without these products and their near-duplicates; raises ServiceError."""


class ShelfKind(StrEnum):
    """Kind of answer of a shelf."""

    NOTHING = ""
    """Not said; rejected."""
    RECOMMEND = "recommend"
    SEARCH = "search"
    LIST = "list"


@dataclass(frozen=True, slots=True)
class ShelfQuery:
    """Request for a shelf."""

    shelf_id: str
    kind: ShelfKind
    query: RequestQuery = field(default_factory=RequestQuery)
    error: ServiceError | None = None
    """Why its message can't be read."""


async def recommend_shelves(
    shared: RequestQuery, shelves: Sequence[ShelfQuery], deps: RequestDependencies
) -> tuple[ShelfAnswer, ...]:
    """Return the shelves in their order, each with an answer or an error.

    `shared`: what the request has for all of them. Raises errors of the caller in it,
    RequestTooExpensive and QuotaExhausted; without any answer, the error of the first shelf.
    """
    check(shared, deps.catalogs)
    check_shelves([shelf.shelf_id for shelf in shelves])
    answers = [_rejected(shelf, deps) for shelf in shelves]
    asked = [place for place, answer in enumerate(answers) if answer is None]
    if asked:
        queries = {f"shelves[{place}]": shelves[place].query for place in asked}
        async with charged_together(queries, deps) as runs:
            kinds = [shelves[place].kind for place in asked]
            plans = _deepened([(run.plan, run.query.results_a_page) for run in runs])
            deeper = [replace(run, plan=plan) for run, plan in zip(runs, plans, strict=True)]
            with equal_calls.shared():
                forms = await in_parallel(*map(_found, kinds, deeper))
            formed = await _formed(forms, shared.as_answered.shopper)
            for place, run in zip(asked, runs, strict=True):
                if shelves[place].kind is ShelfKind.RECOMMEND:
                    query = shelves[place].query.as_answered
                    deps.recent.note(run.plan.scene.name, query, run.time_micros)
            for place, (answer, token) in zip(asked, formed, strict=True):
                answers[place] = ShelfAnswer(shelves[place].shelf_id, answer, token)
    found = [answer for answer in answers if answer is not None]
    first = found[0].answer
    if isinstance(first, ServiceError) and all(
        isinstance(each.answer, ServiceError) for each in found
    ):
        raise first
    return tuple(found)


def _rejected(shelf: ShelfQuery, deps: RequestDependencies) -> ShelfAnswer | None:
    """Return the error of a shelf that can't be planned; None if it can."""
    error = shelf.error
    try:
        if error is None:
            search = shelf.kind is ShelfKind.SEARCH
            check(shelf.query, deps.catalogs, signals_required=search)
            scened(shelf.query, deps.scenes.get(shelf.query.scene, shelf.query.catalog_id))
    except ServiceError as problem:
        error = problem
    return None if error is None else ShelfAnswer(shelf.shelf_id, error)


def _deepened(asked: Sequence[tuple[RequestPlan, int]]) -> Sequence[RequestPlan]:
    """Return plans, each with the results of a page, with candidates in place of those that earlier
    shelves may take.

    The scene's minimum number of candidates covers them first.
    """
    taken, deepened = 0, []
    for plan, page in asked:
        most = min(plan.scene.most_candidates, MOST_ASKED)
        top_k = max(plan.top_k, min(round(page * plan.scene.over_fetch) + taken, most))
        deepened.append(replace(plan, top_k=top_k, generated=max(plan.generated, top_k)))
        taken += page
    return deepened


async def _formed(
    forms: Sequence[Form | ServiceError], shopper: Shopper | None
) -> Sequence[tuple[Answer | ServiceError, str]]:
    """Return the answer to each shelf, or its error, and its attribution token."""
    shown, formed = NO_PRODUCTS, list[FormedShelf | ServiceError]()
    for form in forms:
        try:
            run, answer = await _or_raise(form)(shown)
        except ServiceError as error:
            formed.append(error)
            continue
        formed.append((run, answer))
        if products := _products(answer):
            parts = (shown, products)
            shown = gathered([(each, range(len(each.product_ids))) for each in parts])
    # Records that are queued at once are stored in one transaction.
    return [
        (each, "") if isinstance(each, ServiceError) else (each[1], _attributed(*each, shopper))
        for each in formed
    ]


async def _found(kind: ShelfKind, run: RequestContext) -> Form | ServiceError:
    """Find the candidates of a shelf. Return what forms it, or its error."""
    steps = _STEPS[kind]
    try:
        found = await steps[0](run) if steps else None
    except ServiceError as error:
        return error

    async def formed(now: RequestContext) -> FormedShelf:
        if not steps or not found:
            return now, await list_page(now)
        again = found if now.trace is run.trace else await steps[0](now)
        return now, await steps[1](replace(again, run=replace(again.run, shown=now.shown)))

    return lambda shown: of_one_stamp(replace(run, shown=shown), formed)


def _or_raise(form: Form | ServiceError) -> Form:
    if isinstance(form, ServiceError):
        raise form
    return form


Steps: TypeAlias = tuple[
    Callable[[RequestContext], Awaitable[FoundCandidates]],
    Callable[[FoundCandidates], Awaitable[Answer]],
]
_STEPS: Mapping[ShelfKind, Steps | None] = {
    ShelfKind.RECOMMEND: (find_candidates, form_answer),
    ShelfKind.SEARCH: (find_near, nearest_page),
    ShelfKind.LIST: None,
}
"""What finds the candidates of a shelf, and forms it. The retriever finds and orders a list in one
call."""


def _products(answer: Answer) -> ProductColumns | None:
    """Return the products of an answer, with what tells whether others are near-duplicates of
    them; None if it has none. Pins of a list have only their families."""
    rows = {row.product_id: row for row in map(_row, answer.results)}
    known = answer.candidates
    held = [place for place, item in enumerate(known.product_ids) if item in rows]
    others = rows.keys() - known.product_ids
    pins = ProductColumns([*others], [rows[item].parent_id for item in others])
    return gathered([(known, held), (pins, range(len(others)))]) if rows else None


def _row(result: AnswerResult | FoundProduct) -> ProductRow:
    return result.row if isinstance(result, AnswerResult) else result.product


def _attributed(run: RequestContext, answer: Answer, shopper: Shopper | None) -> str:
    """Return the attribution token of a shelf. An answer without one is recorded in the order
    shown, if possible; the ranker did not order it."""
    if token := "" if isinstance(answer, SearchAnswer) else answer.attribution_token:
        return token
    if isinstance(answer, RecommendAnswer) or Peer.RANKER in run.trace.unreachable:
        return ""
    scores = [1 / (K + place) for place in range(1, len(answer.results) + 1)]
    record = AnswerRecord(
        answer_id=secrets.token_hex(16),
        request_digest=run.digests.stored,
        shopper=shopper,
        versions=versions_of(run.trace, run.plan.scene, run.deps.service_version),
        seed=tokens.seed_of(run.digests.stored),
        degradations=answer.degradations,
        answer_micros=run.time_micros,
        expire_micros=run.time_micros + round(run.deps.answer_seconds * 1e6),
        arms=run.arms,
        order=AnswerOrder(
            product_ids=[_row(each).product_id for each in answer.results],
            raw_scores=scores,
            parts=((FUSED, scores),),
            total=len(scores),
        ),
    )
    query = replace(run.query, shopper=shopper)
    queued = run.deps.answers.offer(query.catalog_id, record)
    return attribution(query, run.deps.keys(), record) if queued else ""
