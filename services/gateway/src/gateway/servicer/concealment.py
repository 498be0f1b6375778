"""Parts of answers that reveal costs, removed for callers who may not read costs.

An operator's scene may weigh margins, or order by them: then the order of products depends on their
costs, but nothing else does.
"""

import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from google.protobuf.descriptor import Descriptor

from gateway.model.scene import MARGIN
from gateway.servicer.requests import reads_costs
from servicekit.admission import access
from servicekit.rpc.server import Binding, Context
from sightline_core.ranking import Objective
from sightline_core.score_notes import OBJECTIVE, NoteCause

PART = "sightline.common.v1.ScorePart"
NOTE = "sightline.common.v1.ScoreNote"
_OF_COSTS = frozenset(
    (NoteCause.NUMBER_MISSING, NoteCause.COST_ABOVE_PRICE, NoteCause.OTHER_CURRENCY)
)


def serve(binding: Binding) -> Binding:
    """Remove what reveals costs from the answers of a servicer that have scores.

    Raises TypeError for a stream of such answers.
    """
    for method in access.POOL.FindServiceByName(binding.full_name).methods:
        if has_scores(method.output_type):
            if method.server_streaming:
                raise TypeError(f"{method.full_name}: scores of streams are not concealed")
            inner = getattr(binding.servicer, method.name)
            setattr(binding.servicer, method.name, _concealing(inner))
    return binding


def _concealing(
    inner: Callable[[Any, Context], Awaitable[Any]],
) -> Callable[[Any, Context], Awaitable[Any]]:
    async def concealed(request: Any, context: Context) -> Any:
        answer = await inner(request, context)
        conceal(answer)
        return answer

    def method(request: Any, context: Context) -> Awaitable[Any]:
        return (inner if reads_costs() else concealed)(request, context)

    return method


def has_scores(kind: Descriptor) -> bool:
    """Return whether a message has scores, of which something may have to be concealed."""
    return bool(_plan(kind).ways)


def conceal(message: Any, *, by_margin: bool = False) -> None:
    """Remove what reveals costs. `by_margin`: the answer's products are ordered by margins."""
    plan = _plan(message.DESCRIPTOR)
    if plan.versions:
        by_margin = message.versions.objective == Objective.MARGIN
    if by_margin and plan.expected:
        message.ClearField("expected_value")
    for name, of, several in plan.ways:
        value = getattr(message, name)
        if of == PART:
            _without_margin(message, value)
        elif of == NOTE:
            _without_notes(value, by_margin=by_margin)
        elif several:
            for each in value:
                conceal(each, by_margin=by_margin)
        elif message.HasField(name):
            conceal(value, by_margin=by_margin)


def _without_margin(message: Any, parts: Any) -> None:
    """Remove the part of margins, and what is computed from it, from a scored product."""
    for place, part in enumerate(parts):
        if part.name == MARGIN:
            del parts[place]
            message.raw_score = math.fsum(each.value for each in parts)
            for name in ("score", "score_event"):
                if name in message.DESCRIPTOR.fields_by_name:
                    message.ClearField(name)
            return


def _without_notes(notes: Any, *, by_margin: bool) -> None:
    kept = [
        each
        for each in notes
        if each.part != MARGIN
        and not (by_margin and each.part == OBJECTIVE and each.cause in _OF_COSTS)
    ]
    if len(kept) < len(notes):
        del notes[:]
        notes.extend(kept)


@dataclass(frozen=True, slots=True)
class _Plan:
    """Fields of a kind of message that reveal costs."""

    versions: bool
    expected: bool
    ways: Sequence[tuple[str, str, bool]]
    """Fields that are or lead to scores, each with its kind and whether it is repeated."""


@cache
def _plan(kind: Descriptor) -> _Plan:
    ways = tuple(
        (each.name, each.message_type.full_name, each.is_repeated)
        for each in kind.fields
        if each.message_type is not None and _leads(each.message_type, frozenset())
    )
    names = kind.fields_by_name
    return _Plan("versions" in names, "expected_value" in names, ways)


def _leads(kind: Descriptor, above: frozenset[str]) -> bool:
    """Return whether a message is or has parts of scores, or notes about them."""
    return kind.full_name in (PART, NOTE) or any(
        _leads(each.message_type, above | {kind.full_name})
        for each in kind.fields
        if each.message_type is not None and each.message_type.full_name not in above
    )
