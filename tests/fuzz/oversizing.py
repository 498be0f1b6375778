"""Requests above the limits of their calls: lists with far too many entries, and too many bytes."""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import cache
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from servicekit.admission.entry_limits import FIELDS, ITEMS
from servicekit.admission.limits import MIB, descriptor, request_bytes
from sightline.common.v1 import limits_pb2
from tests.fuzz.encoding import framed
from tests.fuzz.model import Answer
from tests.fuzz.surface import METHODS, Method

REFUSED = frozenset({"INVALID_ARGUMENT", "RESOURCE_EXHAUSTED"})
TINY = b"\xf8\x7c\x00"
"""A number 0 in an unknown field (1,999)."""
_DEEPEST = 4
_NEVER_PACKED = frozenset(
    {FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_BYTES, FieldDescriptor.TYPE_MESSAGE}
)
_WIDTHS = dict.fromkeys(
    (FieldDescriptor.TYPE_FLOAT, FieldDescriptor.TYPE_FIXED32, FieldDescriptor.TYPE_SFIXED32), 4
) | dict.fromkeys(
    (FieldDescriptor.TYPE_DOUBLE, FieldDescriptor.TYPE_FIXED64, FieldDescriptor.TYPE_SFIXED64), 8
)
"""Bytes of each entry of a packed list; 1 of all others."""
Path = tuple[FieldDescriptor, ...]


def draw(chance: random.Random) -> tuple[Method, bytes]:
    """Return a call, and a request that must be rejected before it is parsed."""
    method = chance.choice([*METHODS.values()])
    most = request_bytes(_limits(method))
    paths = _lists(method.request.DESCRIPTOR)
    # One of many megabytes stands for a dozen of one.
    if not paths or chance.random() < 0.3 * MIB / most:
        return method, _long(chance, most)
    if most > len(TINY) * FIELDS and chance.random() < 0.1:
        return method, TINY * chance.choice((FIELDS + 1, most // len(TINY)))
    return method, _many(chance, chance.choice(paths), most)


def complaint(answer: Answer) -> str:
    """Return the fault of the answer to such a request; empty if there is none."""
    if answer.code in REFUSED | {"DEADLINE_EXCEEDED"}:
        return ""
    return f"too large, and answers {answer.code}: {answer.message[:200]}"


def _limits(method: Method) -> Any:
    found = descriptor(method.path[1:])
    return found.GetOptions().Extensions[limits_pb2.limits]


def _long(chance: random.Random, most: int) -> bytes:
    """Return more bytes than the call accepts, in an unknown field."""
    size = most + chance.choice((1, 1_000, MIB // 2))
    return framed(1_999, bytes(size))


def _many(chance: random.Random, path: Path, most: int) -> bytes:
    """Return more entries than a list accepts: one more, several times as many, or as many as fit
    into the call's bytes."""
    *outer, last = path
    taken = last.GetOptions().Extensions[limits_pb2.max_items] or ITEMS
    width = 2 if last.type in _NEVER_PACKED else _WIDTHS.get(last.type, 1)
    room = (min(most, 2 * MIB if chance.random() < 0.9 else most) - 100) // width
    count = min(chance.choice((taken + 1, 3 * taken, 100 * taken, room)), room)
    if last.type in _NEVER_PACKED:
        data = framed(last.number, b"") * count
    else:
        data = framed(last.number, b"\1" * width * count)
    for each in reversed(outer):
        data = framed(each.number, data)
    return data


@cache
def _lists(message: Descriptor) -> tuple[Path, ...]:
    """Return the paths of a request's lists, a few messages deep."""
    return tuple(_found(message, ()))


def _found(message: Descriptor, above: Path) -> Iterator[Path]:
    for each in message.fields:
        here = (*above, each)
        if each.is_repeated:
            yield here
        if each.type == FieldDescriptor.TYPE_MESSAGE and len(here) < _DEEPEST:
            yield from _found(each.message_type, here)
