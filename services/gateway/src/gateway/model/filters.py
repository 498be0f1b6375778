"""Filters on products, passed through to the retriever."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from sightline import filter_text
from sightline.common.v1.filter_pb2 import Filter, FilterList
from sightline.filter_text import FilterSyntaxError
from sightline_rules import categories, filter_checks
from sightline_rules import filters as rules
from sightline_rules.fields import BY_FILTER
from sightline_rules.filters import All, FilterInvalidError, Not
from sightline_rules.kinds import FieldKind
from sightline_rules.messages import read

EQUAL = [*rules.Operator].index(rules.Operator.EQUAL) + 1
"""Number of the operator."""
CONTAINS = [*rules.Operator].index(rules.Operator.CONTAINS) + 1


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
    market_id: str = ""
    """Market that the message names; empty: none."""


def carried(message: Filter) -> CallersFilter:
    """Return a caller's filter from its message."""
    return CallersFilter(
        message=message,
        content=message.SerializeToString(deterministic=True),
        names_availability=_names(message, "availability"),
        category_path=_category(message),
        market_id=message.market_id,
    )


def parts_of(value: CallersFilter | None) -> Sequence[CallersFilter]:
    """Return the conditions of a valid filter that all have to pass, without its market."""
    message = None if value is None else value.message
    if not isinstance(message, Filter) or message.WhichOneof("expression") is None:
        return ()
    if message.HasField("all"):
        return [carried(each) for each in message.all.filters]
    alone = Filter()
    alone.CopyFrom(message)
    alone.ClearField("market_id")
    return [carried(alone)]


def all_of(parts: Sequence[CallersFilter]) -> CallersFilter:
    """Return the filter that products pass that pass all of these."""
    messages: Any = [each.message for each in parts]
    return carried(Filter(all=FilterList(filters=messages)))


@dataclass(frozen=True, slots=True)
class FilterWork:
    """What evaluating filters on one product takes, by the conditions that they have."""

    fields: frozenset[str] = frozenset()
    """Fields that are read, once for all conditions; all attributes are one."""
    attribute_parts: int = 0
    """Conditions that find a part of a text in all texts of an attribute."""
    conditions: int = 0
    """Other conditions."""

    def beside(self, other: "FilterWork") -> "FilterWork":
        """Return the work of both, evaluated together."""
        return FilterWork(
            self.fields | other.fields,
            self.attribute_parts + other.attribute_parts,
            self.conditions + other.conditions,
        )


def work_of(message: object) -> FilterWork:
    """Return the work of a filter's message, which may be invalid."""
    fields, parts, conditions = set[str](), 0, 0
    left = [message] if isinstance(message, Filter) else []
    while left:
        each = left.pop()
        kind = each.WhichOneof("expression")
        part: Any = each if kind is None else getattr(each, kind)
        if kind in ("all", "any"):
            left += part.filters
        elif kind == "not":
            left.append(part)
        elif kind is not None:
            attribute = part.field.startswith(rules.ATTRIBUTES)
            fields.add("attributes" if attribute else part.field)
            found = attribute and kind == "comparison" and part.operator == CONTAINS
            parts, conditions = parts + found, conditions + (not found)
    return FilterWork(frozenset(fields), parts, conditions)


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
    """Parse the filter of a file. Raises ValueError."""
    try:
        found = expression(text)
    except FilterSyntaxError as error:
        raise ValueError(f"{error.message}, at character {error.column + 1}") from error
    if found.WhichOneof("expression") is None:
        raise ValueError("has no condition, such as brand = Aurora")
    return carried(found)


def expression(text: str) -> Filter:
    """Return the message that a text means. Raises FilterSyntaxError, also for a filter that can't
    be evaluated."""
    found = filter_text.parse(text, FIELDS)
    try:
        filter_checks.check(read(found))
    except FilterInvalidError as error:
        raise FilterSyntaxError(error.description, text, 0) from error
    return found


def _kind(kind: FieldKind) -> str:
    """Return the name of a kind in the grammar."""
    if kind.name == "text" and not kind.countable:
        return "WORDS"
    return _KINDS.get(kind.name, kind.name.upper())


_KINDS = {"category path": "CATEGORY", "choice": "AVAILABILITY"}
FIELDS = {name: _kind(each.kind) for name, each in BY_FILTER.items() if name != rules.ATTRIBUTES}
"""Kinds of the fields that a text can name."""
