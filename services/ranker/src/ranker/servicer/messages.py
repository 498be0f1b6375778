"""Conversion of values to messages field by field, and columns of numbers.

A field takes the attribute of its name, or that of `NAMES`. Enums are matched by name, times are
microseconds since 1970 (UTC; ``start_time`` takes ``start_micros``), and nested values become
nested messages. `None` leaves the field unset.
"""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.timestamp_pb2 import Timestamp

from ranker.domain.arrays import Doubles
from ranker.domain.features import Money
from ranker.domain.messages import money
from servicekit.rpc.requests import timestamp
from sightline.ranker.v1 import ranking_service_pb2 as pb

M = TypeVar("M", bound=Message)

NAMES = {
    "event_time": "time_micros",
    # models
    "model_version": "version",
    "train_time": "trained_micros",
    "promote_time": "promoted_micros",
    # evaluations
    "production_version": "production",
    "production_form": "production_as",
    "evaluate_time": "evaluated_micros",
    "split_time": "moment_micros",
    "event_count_before": "events_before",
    "event_count_after": "events_after",
    "place_share": "places",
    "product_share": "products",
    "interest_share": "interests",
    # online reports
    "answer_count": "answers",
    "shown_answer_count": "shown_answers",
    "arm": "arms",
    "token_count": "tokens",
    "named_count": "named",
    "joined_count": "joined",
    "compute_time": "computed_micros",
    "policy": "name",
    "impression_count": "count",
    "effective_sample_size": "size",
}
"""Fields whose attributes have other names."""


def message_of(kind: type[M], value: object, **given: object) -> M:
    """Convert a dataclass or mapping to a message; `given` adds fields that it does not have."""
    made: dict[str, Any] = {}
    for field in kind.DESCRIPTOR.fields:
        found: Any = given.pop(field.name) if field.name in given else _attribute(value, field.name)
        if found is not None:
            made[field.name] = (
                [_converted(field, one) for one in found]
                if field.is_repeated
                else _converted(field, found)
            )
    return kind(**made, **given)


def _attribute(value: object, name: str) -> Any:
    usual = name.removesuffix("_time") + "_micros" if name.endswith("_time") else name
    known = NAMES.get(name, usual)
    if isinstance(value, Mapping):
        return value.get(known, value.get(name))
    return getattr(value, known, getattr(value, name, None))


def _converted(field: FieldDescriptor, value: Any) -> Any:
    if field.enum_type is not None and isinstance(value, str):
        prefix = field.enum_type.values_by_number[0].name.removesuffix("UNSPECIFIED")
        name = f"{prefix}{value.upper().replace('-', '_')}"
        # What a message leaves unspecified is "NONE" in a value.
        return 0 if value == "NONE" else field.enum_type.values_by_name[name].number
    if field.message_type is None or isinstance(value, Message):
        return value
    kind = GetMessageClass(field.message_type)
    if kind is Timestamp:
        return timestamp(value)
    if isinstance(value, Money):
        return money(value)
    return message_of(kind, value)


def of_floats(column: Sequence[float]) -> Doubles:
    """Return the numbers of a message's `repeated float` field."""
    alone = pb.BranchSignal()
    alone.similarities.MergeFrom(column)
    data = alone.SerializeToString()
    return np.frombuffer(data, "<f4", len(column), len(data) - 4 * len(column)).astype(np.float64)
