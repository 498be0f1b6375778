"""Filters on products, as they are carried through."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from gateway.model.messages import Filter
from sightline_rules import filter_checks
from sightline_rules.filter_messages import read
from sightline_rules.filters import All, FilterInvalidError, Not


@dataclass(frozen=True, slots=True)
class CallersFilter:
    """A caller's filter. The retriever judges and evaluates it; here it is carried through."""

    message: object
    """As it came, untouched."""
    content: bytes
    """Its canonical bytes, for digests."""
    names_availability: bool
    """Whether some condition in it names the field `availability`."""


def carried(message: Filter) -> CallersFilter:
    """The filter as it came."""
    return CallersFilter(
        message=message,
        content=message.SerializeToString(deterministic=True),
        names_availability=_names(message, "availability"),
    )


def _names(message: Filter, field: str) -> bool:
    kind = message.WhichOneof("expression")
    if kind is None:
        return False
    part: Any = getattr(message, kind)
    if kind in ("all", "any"):
        return any(_names(item, field) for item in part.filters)
    if kind == "not":
        return _names(part, field)
    return bool(part.field == field)


def problems(value: CallersFilter, path: str, *, negated: bool) -> Iterator[tuple[str, str]]:
    """What is wrong with a filter, or with its opposite as a part of another one, by path."""
    message: Any = value.message
    if message.WhichOneof("expression") is None:
        yield path, "is required: it says nothing"
        return
    try:
        filter_checks.check(read(message, path), path, negated=negated)
    except FilterInvalidError as error:
        yield error.path, error.description


def too_large(excluded: Sequence[CallersFilter]) -> str:
    """Why a request can't exclude what passes these filters, each of which is good; "" = it can."""
    try:
        opposites = tuple(Not(read(each.message)) for each in excluded)
        filter_checks.check(All(opposites))
    except FilterInvalidError as error:
        return error.description if error.path == "filter" else ""
    return ""
