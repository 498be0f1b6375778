"""Translation of facets: messages to values and back."""

from collections.abc import Iterator, Sequence
from math import isfinite

from google.type import money_pb2

from retriever.columns.column import AskedFacet
from retriever.columns.facets import Facet
from retriever.domain.errors import FacetInvalid
from servicekit.errors import FieldViolation
from servicekit.rpc.requests import check_count
from sightline.common.v1 import facet_pb2, filter_pb2
from sightline_rules import categories, filter_checks
from sightline_rules.fields import FACETED
from sightline_rules.filters import (
    ATTRIBUTES,
    Comparison,
    Filter,
    FilterInvalidError,
    Money,
    Operator,
)
from sightline_rules.kinds import AttributesKind, CategoryKind, FieldKind, MoneyKind, NumberKind
from sightline_rules.messages import money, written, written_money
from sightline_rules.rejections import words
from sightline_rules.texts import composed

MOST_FACETS = 10
MOST_VALUES = 200
DEFAULT_VALUES = 20
MOST_BOUNDS = 50
_COUNTED = tuple(field.name for field in FACETED if not isinstance(field.kind, AttributesKind))


def asked(messages: Sequence[facet_pb2.FacetRequest], market_id: str = "") -> list[AskedFacet]:
    """Return the requested facets, in a market. Raises RequestInvalid, FacetInvalid."""
    check_count("facets", len(messages), MOST_FACETS)
    if wrong := list(_violations(messages)):
        raise FacetInvalid(*wrong)
    return [_asked(message, market_id) for message in messages]


def message(facet: Facet) -> facet_pb2.Facet:
    """Return the message of a counted facet."""
    return facet_pb2.Facet(
        field=facet.field,
        values=[
            facet_pb2.FacetValue(
                text=value.text,
                product_count=value.products,
                filter=filter_message(value.condition),
                filter_text=words(value.condition),
            )
            for value in facet.values
        ],
        more_count=facet.more,
        missing_count=facet.missing,
    )


def _violations(messages: Sequence[facet_pb2.FacetRequest]) -> Iterator[FieldViolation]:
    seen: set[str] = set()
    for place, each in enumerate(messages):
        path = f"facets[{place}]"
        if each.field in seen and each.field != "category":
            yield FieldViolation(f"{path}.field", "is requested twice")
        seen.add(each.field)
        yield from _field_violations(each, path)
        if not 0 <= each.top_k <= MOST_VALUES:
            yield FieldViolation(f"{path}.top_k", f"must be 1 to {MOST_VALUES}, or 0")


def _field_violations(each: facet_pb2.FacetRequest, path: str) -> Iterator[FieldViolation]:
    try:
        kind: FieldKind | None = filter_checks.kind_of(each.field, f"{path}.field")
        countable = each.field in _COUNTED or each.field.startswith(ATTRIBUTES)
        description = f"can't be counted; countable: {', '.join(_COUNTED)} and {ATTRIBUTES}<key>"
    except FilterInvalidError as error:
        kind, countable, description = None, False, error.description
    if not countable:
        yield FieldViolation(f"{path}.field", description)
    if each.category_path and not isinstance(kind, CategoryKind):
        yield FieldViolation(f"{path}.category_path", "applies to category only")
    if each.price_bounds and not isinstance(kind, MoneyKind):
        yield FieldViolation(f"{path}.price_bounds", "applies to price only")
    if each.number_bounds and not isinstance(kind, NumberKind):
        yield FieldViolation(f"{path}.number_bounds", "applies to numbers only")
    try:
        categories.check_path(each.category_path)
    except categories.CategoryInvalidError as error:
        yield FieldViolation(f"{path}.category_path", str(error))
    yield from _price_violations(each.price_bounds, f"{path}.price_bounds")
    yield from _number_violations(each.number_bounds, f"{path}.number_bounds")


def _number_violations(bounds: Sequence[float], path: str) -> Iterator[FieldViolation]:
    yield from _count_violations(bounds, path)
    if not all(map(isfinite, bounds)):
        yield FieldViolation(path, "must be finite")
    elif list(bounds) != sorted(set(bounds)):
        yield FieldViolation(path, "must be in ascending order")


def _count_violations(bounds: Sequence[object], path: str) -> Iterator[FieldViolation]:
    if len(bounds) > MOST_BOUNDS:
        yield FieldViolation(path, f"has {len(bounds)} entries; at most {MOST_BOUNDS} are allowed")


def _price_violations(bounds: Sequence[money_pb2.Money], path: str) -> Iterator[FieldViolation]:
    if len(bounds) > MOST_BOUNDS:
        yield from _count_violations(bounds, path)
        return
    read: list[Money] = []
    for place, each in enumerate(bounds):
        at = f"{path}[{place}]"
        try:
            read.append(money(each, at))
            filter_checks.check(Comparison("price", Operator.LESS, read[-1]), at)
        except FilterInvalidError as error:
            yield FieldViolation(at, error.description)
            return
    if len({each.currency for each in read}) > 1:
        yield FieldViolation(path, "must all have the same currency")
    micros = [each.micros for each in read]
    if micros != sorted(set(micros)):
        yield FieldViolation(path, "must be in ascending order")


def _asked(each: facet_pb2.FacetRequest, market_id: str) -> AskedFacet:
    return AskedFacet(
        field=each.field,
        most=each.top_k or DEFAULT_VALUES,
        below=categories.join([composed(level) for level in each.category_path]),
        bounds=tuple(money(one, "") for one in each.price_bounds) or tuple(each.number_bounds),
        market_id=market_id,
    )


def filter_message(condition: Filter) -> filter_pb2.Filter:
    """Return the message of a filter."""
    return filter_pb2.Filter(**written(condition))


def money_message(value: Money) -> money_pb2.Money:
    """Return the message of an amount."""
    return money_pb2.Money(**written_money(value))
