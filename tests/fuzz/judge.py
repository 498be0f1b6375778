"""Faults of answers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import DecodeError, Message
from google.rpc import status_pb2

from tests.fuzz.model import Answer
from tests.fuzz.surface import Method

_ROOT = str(Path(__file__).resolve().parents[2])
_STATUS = status_pb2.Status.DESCRIPTOR.full_name
_GUILTY = {2: "UNKNOWN", 13: "INTERNAL"}

LEAK = re.compile(
    r"Traceback|File \"|\.py\b|site-packages|0x[0-9a-f]{8}|\bline \d+, in |"
    r"\b[A-Za-z]*[a-z](?:Error|Exception)\b|"
    r"(?<![\w.:/])/(?:root|tmp|home|usr|opt|var|work|app|proc)/\w|"
    r"\b(?:sqlalchemy|sqlite3|pymilvus|tritonclient|psycopg|grpc\._)\b|" + re.escape(_ROOT)
)
"""A stack trace, a file of ours, the name of an exception's class or of a vendor's package."""


def complaints(answer: Answer, method: Method) -> Iterator[str]:
    """Yield the faults of an answer."""
    if answer.code in _GUILTY.values():
        yield f"answers {answer.code}: {answer.message[:200]}"
    yield from _leaks("the status", answer.message)
    yield from _leaks("the details", answer.details.decode("utf-8", "replace"))
    if not _holds_status(method.response.DESCRIPTOR):
        return
    for raw in answer.responses:
        message = method.response()
        try:
            message.ParseFromString(raw)
        except DecodeError:
            yield "answers bytes that are no answer"
            continue
        for status in statuses(message):
            if status.code in _GUILTY:
                yield f"an item answers {_GUILTY[status.code]}: {status.message[:200]}"
            yield from _leaks("an item's status", status.message)
            for detail in status.details:
                yield from _leaks("an item's details", detail.value.decode("utf-8", "replace"))


def statuses(message: Message) -> Iterator[status_pb2.Status]:
    """Yield every google.rpc.Status within a message."""
    if isinstance(message, status_pb2.Status):
        yield message
        return
    for field, value in message.ListFields():
        if field.message_type is None or not _holds_status(field.message_type):
            continue
        for part in value if field.is_repeated else (value,):
            yield from statuses(part)


def _leaks(where: str, text: str) -> Iterator[str]:
    if found := LEAK.search(text):
        around = text[max(0, found.start() - 60) : found.end() + 60]
        yield f"{where} leaks {found.group()!r}: {around!r}"


@cache
def _holds_status(descriptor: Descriptor) -> bool:
    return _reaches(descriptor, frozenset())


def _reaches(descriptor: Descriptor, seen: frozenset[str]) -> bool:
    if descriptor.full_name == _STATUS:
        return True
    if descriptor.full_name in seen:
        return False
    inner = seen | {descriptor.full_name}
    return any(
        field.type == FieldDescriptor.TYPE_MESSAGE and _reaches(field.message_type, inner)
        for field in descriptor.fields
    )
