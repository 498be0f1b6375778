"""Answers of one state of catalog, model and index. Candidates are found, ranked and shown by
several reads; a change between two of them must not be seen by some of these alone."""

from collections.abc import Awaitable, Callable
from enum import StrEnum
from typing import TypeVar

from prometheus_client import Counter

from gateway.state.request_context import RequestContext
from gateway.state.trace import RequestTrace
from sightline_core.changed import changed
from sightline_core.columns import Stamp
from sightline_core.search import ProductRows

F = TypeVar("F")
T = TypeVar("T")

MOST_REPEATED = 2
"""Times that an answer is formed anew. Products that are written more often than answers can be
formed are then shown as recorded, in the order that their former values gave them."""

ANEW = Counter(
    "sightline_gateway_answers_formed_anew_total",
    "Times that an answer was formed anew, by what changed meanwhile: products, model, index,"
    " history.",
    ("cause",),
)


class Change(StrEnum):
    """Kind of data that changed while an answer was formed."""

    PRODUCTS = "products"
    MODEL = "model"
    INDEX = "index"
    HISTORY = "history"


_ANEW = {each: ANEW.labels(each) for each in Change}


class ChangedMeanwhile(Exception):
    """Products, model, index or history have changed since the candidates were found."""

    def __init__(self, change: Change) -> None:
        super().__init__(change)
        self.change = change


async def of_one_stamp(run: RequestContext, form: Callable[[RequestContext], Awaitable[T]]) -> T:
    """Form an answer; anew if its products, its model or an index that it searches change
    meanwhile.

    A change that is found late, when a second formation of the same duration would end after the
    time of the first stage, is ignored: it must not cost an answer that is complete.
    """
    for _ in range(MOST_REPEATED):
        run.trace.repeat_until = run.plan.ends.embed / 2
        try:
            return await form(run)
        except ChangedMeanwhile as error:
            _ANEW[error.change].inc()
            run = changed(run, trace=run.trace.anew())
    return await form(run)


def in_steps(
    find: Callable[[RequestContext], Awaitable[F]], form: Callable[[F], Awaitable[T]]
) -> Callable[[RequestContext], Awaitable[T]]:
    """Return what finds candidates, and forms an answer of them."""

    async def formed(run: RequestContext) -> T:
        return await form(await find(run))

    return formed


def compare_products(
    trace: RequestTrace, rows: ProductRows, asked: int, stamp: Stamp | None
) -> None:
    """Raise ChangedMeanwhile unless `asked` products are shown as they were at the stamp of what
    ordered them, if the answer may be formed anew."""
    if trace.repeat_until and not rows.is_of(stamp, asked):
        _form_anew(trace, Change.PRODUCTS)


def compare_versions(
    trace: RequestTrace, model_version: str, *, history_changed: bool = False
) -> None:
    """Raise ChangedMeanwhile if the candidates were found by another model or history of the
    shopper than those that ranked them, or in two generations of one space, if the answer may be
    formed anew."""
    if not trace.repeat_until:
        return
    if trace.model_version and trace.model_version != model_version:
        _form_anew(trace, Change.MODEL)
    if history_changed:
        _form_anew(trace, Change.HISTORY)
    if len({each.space for each in trace.spaces}) < len(trace.spaces):
        _form_anew(trace, Change.INDEX)


def _form_anew(trace: RequestTrace, change: Change) -> None:
    if trace.elapsed <= trace.repeat_until:
        raise ChangedMeanwhile(change)
