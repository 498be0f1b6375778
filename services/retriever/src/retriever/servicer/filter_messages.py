"""Filters: protos to values and back."""

import base64
from functools import lru_cache
from typing import Any

from retriever.domain.errors import FilterInvalid
from retriever.servicer.messages import message_of
from servicekit.rpc.requests import RequestInvalid
from sightline.common.v1 import filter_pb2
from sightline.retriever.v1 import product_service_pb2
from sightline_core.lending import ReadFilter
from sightline_core.search import Rejection
from sightline_rules import filters, messages, rejections

PARSED = 256
"""Filters that are cached: equal ones of later requests are the same object, by which their answers
are found."""


def condition(message: filter_pb2.Filter) -> filters.Filter:
    """Parse and check a filter. Raises FilterInvalid."""
    return _parsed(message.SerializeToString())


@lru_cache(maxsize=PARSED)
def _parsed(data: bytes) -> filters.Filter:
    try:
        return messages.condition(filter_pb2.Filter.FromString(data))
    except filters.FilterInvalidError as error:
        raise FilterInvalid.at(error.path, error.description) from error


def required_condition(message: filter_pb2.Filter) -> filters.Filter:
    """Parse and check a filter that must not be empty. Raises RequestInvalid, FilterInvalid."""
    if message.WhichOneof("expression") is None:
        raise RequestInvalid.at("filter", "is required; {all: {}} passes every product")
    return condition(message)


def read(message: filter_pb2.Filter) -> ReadFilter:
    """Parse and check a filter with its market. Raises FilterInvalid."""
    return ReadFilter(condition(message), message.market_id, message)


def rejection(product_id: str, found: rejections.Rejection, sent: Any) -> Rejection:
    """Return why a product does not pass a filter, with its path as the filter was `sent`."""
    path = found.path
    if sent.market_id:
        whole = sent.WhichOneof("expression") in (None, "all")
        last = len(sent.all.filters) if whole else 1
        if path.startswith(f"filter.all.filters[{last}]."):
            path = "filter.market_id"
        elif not whole:
            path = path.replace("filter.all.filters[0]", "filter", 1)
    return Rejection(product_id, path, found.condition, found.held)


def rejection_message(found: Rejection) -> product_service_pb2.Rejection:
    """Return the message of why a product does not pass a filter."""
    return message_of(product_service_pb2.Rejection, found)


def packed(message: filter_pb2.Filter) -> str:
    """Pack a filter as text, for a job's parameters."""
    return base64.b64encode(message.SerializeToString(deterministic=True)).decode()


def unpacked(text: str) -> filters.Filter:
    """Unpack a filter that `packed` returned; it is not empty."""
    data = base64.b64decode(text, validate=True)
    return required_condition(filter_pb2.Filter.FromString(data))
