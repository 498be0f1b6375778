"""Filters: protos to values and back."""

import base64

from google.protobuf.timestamp_pb2 import Timestamp
from google.type import money_pb2

from retriever.domain.errors import FilterInvalid
from retriever.servicer.messages import AVAILABILITY, MICROS, common_fields, values_by_number
from servicekit.requests import RequestInvalid
from sightline.common.v1 import filter_pb2
from sightline.retriever.v1 import product_service_pb2
from sightline_rules import filter_checks, filters
from sightline_rules.rejections import Rejection

_OPERATOR = values_by_number(filter_pb2.Comparison.Operator.DESCRIPTOR, filters.Operator)


def condition(message: filter_pb2.Filter) -> filters.Filter:
    """A filter, checked. Raises FilterInvalid."""
    try:
        return filter_checks.check(_filter(message, "filter"))
    except filters.FilterInvalidError as error:
        raise FilterInvalid.at(error.path, error.description) from error


def required_condition(message: filter_pb2.Filter) -> filters.Filter:
    """A filter that says something, checked. Raises RequestInvalid, FilterInvalid."""
    if message.WhichOneof("expression") is None:
        raise RequestInvalid.at("filter", "is required; {all: {}} passes every product")
    return condition(message)


def rejection(product_id: str, found: Rejection) -> product_service_pb2.Rejection:
    """Why a product does not pass a filter."""
    fields = common_fields(product_service_pb2.Rejection.DESCRIPTOR, found)
    return product_service_pb2.Rejection(**fields, product_id=product_id)


def packed(message: filter_pb2.Filter) -> str:
    """A filter as text, for a job's parameters."""
    return base64.b64encode(message.SerializeToString(deterministic=True)).decode()


def unpacked(text: str) -> filters.Filter:
    """What `packed` made of a filter that says something."""
    data = base64.b64decode(text, validate=True)
    return required_condition(filter_pb2.Filter.FromString(data))


def _filter(message: filter_pb2.Filter, path: str) -> filters.Filter:
    match message.WhichOneof("expression"):
        case "all":
            return filters.All(_filters(message.all, f"{path}.all"))
        case "any":
            return filters.Any(_filters(message.any, f"{path}.any"))
        case "not":
            return filters.Not(_filter(getattr(message, "not"), f"{path}.not"))
        case "comparison":
            return _comparison(message.comparison, f"{path}.comparison")
        case "membership":
            return _membership(message.membership, f"{path}.membership")
        case "existence":
            return filters.Existence(message.existence.field)
        case _:
            return filters.All()


def _filters(message: filter_pb2.FilterList, path: str) -> tuple[filters.Filter, ...]:
    return tuple(
        _filter(part, f"{path}.filters[{index}]") for index, part in enumerate(message.filters)
    )


def _comparison(given: filter_pb2.Comparison, path: str) -> filters.Comparison:
    operator = _OPERATOR.get(given.operator)
    # Reported first: what an unknown field is compared with does not matter.
    filter_checks.rule_of(given.field, f"{path}.field")
    if operator is None:
        raise filters.FilterInvalidError(f"{path}.operator", "is required")
    return filters.Comparison(given.field, operator, _filter_value(given.value, f"{path}.value"))


def _membership(given: filter_pb2.Membership, path: str) -> filters.Membership:
    return filters.Membership(
        given.field,
        tuple(
            _filter_value(value, f"{path}.values[{index}]")
            for index, value in enumerate(given.values)
        ),
    )


def _filter_value(value: filter_pb2.FilterValue, path: str) -> filters.Value:
    match value.WhichOneof("kind"):
        case "text":
            return value.text
        case "money":
            return money(value.money, f"{path}.money")
        case "availability":
            found = AVAILABILITY.get(value.availability)
            if found is None:
                raise filters.FilterInvalidError(
                    f"{path}.availability", "is not one of the known values"
                )
            return found
        case "time":
            return _filter_time(value.time, path)
        case "number":
            return value.number
        case "flag":
            return value.flag
        case _:
            raise filters.FilterInvalidError(path, "is required")


def money(message: money_pb2.Money, path: str) -> filters.Money:
    """An amount, checked. Raises FilterInvalidError."""
    if not 0 <= message.nanos < 1_000_000_000 or message.nanos % 1_000:
        raise filters.FilterInvalidError(
            f"{path}.nanos", "must be from 0 to 999,999,999 with at most six decimals"
        )
    return filters.Money(message.currency_code, message.units * MICROS + message.nanos // 1_000)


def _filter_time(time: Timestamp, path: str) -> filters.Time:
    # https://protobuf.dev/reference/protobuf/google.protobuf/#timestamp: years 1 to 9999
    if not -62_135_596_800 <= time.seconds <= 253_402_300_799 or not 0 <= time.nanos < 10**9:
        raise filters.FilterInvalidError(f"{path}.time", "must be a time of the years 1 to 9999")
    return filters.Time(time.seconds * MICROS + time.nanos // 1_000)
