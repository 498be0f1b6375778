"""Filters on products, passed through to the retriever."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from sightline.common.v1.filter_pb2 import Filter
from sightline_rules import categories, filter_checks
from sightline_rules import filters as rules
from sightline_rules.filter_words import parsed
from sightline_rules.filters import All, FilterInvalidError, Not
from sightline_rules.messages import MICROS, read

EQUAL = [*rules.Operator].index(rules.Operator.EQUAL) + 1
"""Number of the operator."""


@dataclass(frozen=True, slots=True)
class CallersFilter:
    """A caller's filter. The retriever validates and evaluates it; the gateway passes it on."""

    message: object = field(compare=False)
    """The message, unchanged."""
    content: bytes
    """Its canonical bytes, for digests."""
    names_availability: bool
    """True if a condition uses the field `availability`."""
    category_path: tuple[str, ...] = ()
    """The category that it requires, if exactly one; otherwise empty."""


def carried(message: Filter) -> CallersFilter:
    """Return a caller's filter from its message."""
    return CallersFilter(
        message=message,
        content=message.SerializeToString(deterministic=True),
        names_availability=_names(message, "availability"),
        category_path=_category(message),
    )


def _category(message: Filter) -> tuple[str, ...]:
    """Return the category that the filter requires; empty if it requires none, or one of
    several."""
    held = message.all.filters if message.HasField("all") else (message,)
    for each in held:
        equal = each.comparison.operator == EQUAL
        if equal and each.comparison.field == "category":
            with suppress(categories.CategoryInvalidError):  # contradictory: no product passes
                return categories.check_path(categories.split(each.comparison.value.text))
    return ()


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
    """Yield the problems of a filter, or of its negation within another filter, by path."""
    message: Any = value.message
    if message.WhichOneof("expression") is None:
        yield path, "is required"
        return
    try:
        filter_checks.check(read(message, path), path, negated=negated)
    except FilterInvalidError as error:
        yield error.path, error.description


def too_large(excluded: Sequence[CallersFilter]) -> str:
    """Return why a request can't exclude the matches of these valid filters; empty if it can."""
    try:
        opposites = tuple(Not(read(each.message)) for each in excluded)
        filter_checks.check(All(opposites))
    except FilterInvalidError as error:
        return error.description if error.path == "filter" else ""
    return ""


def of_words(text: str) -> CallersFilter:
    """Parse a filter in the syntax of the command line. Raises ValueError."""
    try:
        return carried(Filter(**_table(parsed(text))))
    except FilterInvalidError as error:
        path = error.path.removeprefix("filter").removeprefix(".")
        raise ValueError(f"{path} {error.description}".strip()) from error


def _table(condition: rules.Filter) -> dict[str, Any]:
    """Return the fields of a filter's message."""
    match condition:
        case rules.All(filters):
            return {"all": {"filters": [_table(each) for each in filters]}}
        case rules.Any(filters):
            return {"any": {"filters": [_table(each) for each in filters]}}
        case rules.Not(inner):
            return {"not": _table(inner)}
        case rules.Existence(name):
            return {"existence": {"field": name}}
        case rules.Membership(name, values):
            return {"membership": {"field": name, "values": [_value(each) for each in values]}}
        case rules.Comparison(name, operator, value):
            number = [*rules.Operator].index(operator) + 1
            said = {"field": name, "operator": number, "value": _value(value)}
            return {"comparison": said}


def _value(value: rules.Value) -> dict[str, Any]:
    match value:
        case rules.Availability():
            return {"availability": [*rules.Availability].index(value) + 1}
        case rules.Money(currency, micros):
            units, rest = divmod(micros, MICROS)
            return {"money": {"currency_code": currency, "units": units, "nanos": rest * 1_000}}
        case rules.Time(micros):
            seconds, rest = divmod(micros, MICROS)
            return {"time": {"seconds": seconds, "nanos": rest * 1_000}}
        case bool():
            return {"flag": value}
        case float():
            return {"number": value}
        case _:
            return {"text": value}
