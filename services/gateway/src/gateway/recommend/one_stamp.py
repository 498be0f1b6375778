"""Answers of one state of catalog, model and index. Candidates are found, ranked and shown by
several reads; a change between two of them must not be seen by some of these alone."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from gateway.state.request_context import RequestContext
from sightline_core.changed import changed
from sightline_core.columns import Stamp
from sightline_core.search import ProductRows

T = TypeVar("T")

MOST_REPEATED = 2
"""Times that an answer is formed anew. Products that are written more often than answers can be
formed are then shown as recorded, in the order that their former values gave them."""
SHARE_OF_TIME = 0.5
"""Share of a request's time after which its answer is not formed anew."""


class ChangedMeanwhile(Exception):
    """What an answer is made of has changed since its candidates were found."""


async def of_one_stamp(run: RequestContext, form: Callable[[RequestContext], Awaitable[T]]) -> T:
    """Form an answer; anew if its products, its model or an index that it searches change
    meanwhile."""
    for _ in range(MOST_REPEATED):
        run.trace.may_repeat = True
        try:
            return await form(run)
        except ChangedMeanwhile:
            run = changed(run, trace=run.trace.anew())
            if run.trace.elapsed > run.plan.ends.answer * SHARE_OF_TIME:
                break
    return await form(run)


def compare_products(
    run: RequestContext, rows: ProductRows, asked: int, stamp: Stamp | None
) -> None:
    """Raise ChangedMeanwhile unless `asked` products are shown as they were at the stamp of what
    ordered them, if the answer may be formed anew."""
    if run.trace.may_repeat and not rows.is_of(stamp, asked):
        raise ChangedMeanwhile


def compare_versions(
    run: RequestContext, model_version: str, *, history_changed: bool = False
) -> None:
    """Raise ChangedMeanwhile if the candidates were found by another model or history of the
    shopper than those that ranked them, or in two generations of one space, if the answer may be
    formed anew."""
    trace = run.trace
    if not trace.may_repeat:
        return
    other = trace.model_version and trace.model_version != model_version
    if other or history_changed or len({each.space for each in trace.spaces}) < len(trace.spaces):
        raise ChangedMeanwhile
