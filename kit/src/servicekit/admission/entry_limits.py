"""Limits on the lists of a request, checked on its bytes before they are parsed.

An empty message in a list takes two bytes on the wire, a hundred in memory, and a microsecond of
conversion: 2 MiB of them cost the gateway 247 MiB and 27 s (0.5.6, 2026-10). So entries are counted
first, along the wire format (https://protobuf.dev/programming-guides/encoding/), and counting stops
at the first excess. Only lists and messages that contain lists are visited.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from google.protobuf.descriptor import FieldDescriptor

from servicekit.errors import FieldViolation, InvalidArgument
from sightline.common.v1 import limits_pb2

ITEMS = 5_000
"""Default limit of a list's entries, where the proto declares none."""
FIELDS = 600_000
"""Maximum number of visited fields, which takes a third of a second."""
DEEPEST = 100
"""Maximum depth of nested messages; protobuf's parsers accept no more."""

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_CONTINUED = bytes(range(128, 256))
"""Bytes of a varint other than its last one."""
_WIDTHS = dict.fromkeys(("FLOAT", "FIXED32", "SFIXED32"), 4)
_WIDTHS |= dict.fromkeys(("DOUBLE", "FIXED64", "SFIXED64"), 8)
_UNPACKED = ("STRING", "BYTES", "MESSAGE", "GROUP")
_WIDTH = {
    getattr(FieldDescriptor, name): 0 if short in _UNPACKED else _WIDTHS.get(short, 1)
    for name in dir(FieldDescriptor)
    if name.startswith("TYPE_")
    for short in [name.removeprefix("TYPE_")]
}
"""Bytes of each entry of a packed list, by the field's type; 1: a varint, 0: never packed."""


class RequestMalformed(InvalidArgument, reason="REQUEST_MALFORMED"):
    """The bytes of a request are not a message of its type."""

    message = (
        "the request is not a message of this call's type: generate the client from the protos"
    )


class TooManyEntries(InvalidArgument, reason="REQUEST_INVALID"):
    """A list of a request, or all of them together, is longer than its call takes."""

    def __init__(self, path: str, most: int, what: str = "entries") -> None:
        path = path.removeprefix("request.")  # errors about an explained request name its fields
        description = f"has more than {most:,} {what}"
        violations = [FieldViolation(path, description)] if path else []
        super().__init__(f"{path or 'the request'}: {description}", violations=violations)


@dataclass(slots=True)
class _Field:
    """A list field, or a message field that contains lists."""

    name: str
    most: int
    """Maximum number of entries; 0: not a list."""
    width: int
    """See _WIDTH."""
    within: _Shape | None
    """Shape of its messages; None if they contain no list."""

    def entries(self, data: bytes, start: int, end: int) -> int:
        """Return the number of list entries between two offsets."""
        if self.width == 0:
            return 1
        if self.width > 1:
            return (end - start) // self.width
        return len(data[start:end].translate(None, _CONTINUED))


@dataclass(slots=True)
class _Shape:
    """The fields of a message type that are visited, by number."""

    fields: dict[int, _Field] = field(default_factory=dict)


class EntryLimits:
    """Limits of list entries in requests of one message type."""

    def __init__(self, descriptor: Any, most: int) -> None:
        """`most`: maximum number of entries of all lists together, and of visited messages."""
        self._most = most
        self._shape = _shape(descriptor, {})

    def check(self, data: bytes) -> None:
        """Raise TooManyEntries, or RequestMalformed for bytes that no parser would accept."""
        if self._shape is None:
            return
        try:
            _Walk(data, self._most).message(self._shape, 0, len(data), _Place())
        except IndexError as error:
            raise RequestMalformed from error


@dataclass(slots=True)  # not frozen: each request creates one
class _Place:
    """A message within a request."""

    path: str = ""
    """Its field path: `filter.all.`."""
    depth: int = 0
    seen: dict[str, Any] = field(default_factory=dict)
    """Entries counted in it so far: repeated occurrences of a singular message are merged."""

    def within(self, found: _Field) -> _Place:
        """Return the place of a message in a field of this one."""
        seen = {} if found.most else self.seen.setdefault(found.name, {})
        return _Place(f"{self.path}{found.name}.", self.depth + 1, seen)


class _Walk:
    """One pass over the bytes of a request."""

    __slots__ = ("_data", "_fields", "_left", "_most")

    def __init__(self, data: bytes, most: int) -> None:
        self._data, self._most, self._left, self._fields = data, most, most, FIELDS

    def message(self, shape: _Shape, at: int, end: int, place: _Place) -> None:
        """Count the entries between two offsets."""
        if place.depth > DEEPEST:
            raise RequestMalformed
        while at < end:
            self._fields -= 1
            if self._fields < 0:
                raise TooManyEntries("", FIELDS, "fields")
            tag, at = self._number(at)
            kind, found = tag & 7, shape.fields.get(tag >> 3)
            if kind == _BYTES:
                size, at = self._number(at)
                after = at + size
            else:
                after = self._after(kind, at)
            if after > end:
                raise RequestMalformed
            if found is not None and kind == _BYTES:
                self._count(found, found.entries(self._data, at, after), place)
                if found.within is not None:
                    self.message(found.within, at, after, place.within(found))
            elif found is not None:
                self._count(found, 1, place)
            at = after

    def _count(self, found: _Field, count: int, place: _Place) -> None:
        """Add entries of a field. Raises TooManyEntries."""
        self._left -= count
        if found.most:
            place.seen[found.name] = count = place.seen.get(found.name, 0) + count
            if count > found.most:
                raise TooManyEntries(place.path + found.name, found.most)
        if self._left < 0:
            raise TooManyEntries("", self._most, "entries in all its lists")

    def _number(self, at: int) -> tuple[int, int]:
        """Decode the varint at an offset; return it and the offset after it."""
        byte = self._data[at]
        if byte < 128:
            return byte, at + 1
        number = byte & 127
        for shift in range(7, 70, 7):
            at += 1
            byte = self._data[at]
            number |= (byte & 127) << shift
            if byte < 128:
                return number, at + 1
        raise RequestMalformed

    def _after(self, kind: int, at: int) -> int:
        """Return the offset after a value that is not length-delimited."""
        if kind == _VARINT:
            return self._number(at)[1]
        if kind in (_FIXED32, _FIXED64):
            return at + (4 if kind == _FIXED32 else 8)
        raise RequestMalformed  # a group: no message of ours has any


def _shape(descriptor: Any, known: dict[str, _Shape]) -> _Shape | None:
    """Return the shape of a message type; None if it contains no list at any depth."""
    if not _holds_lists(descriptor, set()):
        return None
    if descriptor.full_name in known:  # a filter holds filters
        return known[descriptor.full_name]
    made = known[descriptor.full_name] = _Shape()
    for each in descriptor.fields:
        within = _shape(each.message_type, known) if each.message_type else None
        if each.is_repeated or within is not None:
            most = each.GetOptions().Extensions[limits_pb2.max_items] or ITEMS
            made.fields[each.number] = _Field(
                each.name, most if each.is_repeated else 0, _WIDTH[each.type], within
            )
    return made


def _holds_lists(descriptor: Any, seen: set[str]) -> bool:
    seen.add(descriptor.full_name)
    return any(
        each.is_repeated
        or (
            each.message_type is not None
            and each.message_type.full_name not in seen
            and _holds_lists(each.message_type, seen)
        )
        for each in descriptor.fields
    )
