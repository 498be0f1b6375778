"""Rules of fields, read from the contract's comments: which a request needs, and valid values."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor

from gateway.http.comments import comments
from gateway.http.schemas import RANGE

_OPTIONAL = re.compile(r"[Dd]efault|[Ee]mpty|[Uu]nset|\b[Ii]f\b|\b0 to |Set by the service")
_EITHER = re.compile(r"[Ee]xactly one of (?:`\w+`,? (?:and )?)+")
_QUOTED = re.compile(r'"([A-Za-z][\w.-]+)"')
_UNIQUE = re.compile(r"each (?:id|product|`\w+`) (?:at most )?once|unique among")


@dataclass(frozen=True, slots=True)
class FieldRules:
    """Rules of a field, as its comment states them."""

    required: bool
    """True if requests without it are rejected."""
    plain: bool
    """True if the comment names no value that stands for an unset field."""
    given: bool
    """True if the service sets it."""
    unique: bool
    """True if ids differ: those of a list's entries, or this id among those of its neighbours."""
    span: tuple[float, float] | None
    """Range of a number. None: the comment names none."""
    default: bool
    """True if 0 stands for a default."""
    words: tuple[str, ...]
    """Values that the comment quotes."""


@cache
def field_rules(field: FieldDescriptor) -> FieldRules:
    """Return the rules that the comment of a field states."""
    text = comments().get(field.full_name, "")
    number = not field.is_repeated and field.message_type is None and field.enum_type is None
    found = RANGE.search(text) if number and "−" not in text else None
    always = "Required." in text and not text.startswith("For ")
    plain = not _OPTIONAL.search(text)
    return FieldRules(
        required=always or (plain and "1 to " in text),
        plain=plain and number,
        given="Set by the service" in text,
        unique=_UNIQUE.search(text) is not None,
        span=(_number(found[1]), _number(found[2])) if found else None,
        default="efault" in text,
        words=tuple(_QUOTED.findall(text)),
    )


def _number(text: str) -> float:
    return float(text.replace(",", "").rstrip("."))


@cache
def either_of(message: Descriptor) -> frozenset[str]:
    """Return the fields of which a message has exactly one, beside its oneofs."""
    found = _EITHER.search(comments().get(message.full_name, ""))
    return frozenset(re.findall(r"`(\w+)`", found[0])) if found else frozenset()


@cache
def accepted_values(enum: EnumDescriptor) -> tuple[int, ...]:
    """Return the numbers of an enum's values that requests may have."""
    said = comments()
    return tuple(
        value.number
        for value in enum.values
        if "rejected" not in said.get(f"{enum.full_name}.{value.name}", "")
    )
