"""JSON to messages, with the path of what is wrong.

Names may be lowerCamelCase or as in the proto. Unknown names, duplicate keys, values of another
type, numbers out of range and invalid base64 are rejected, where parsers of JSON guess. Paths are
those of the proto, as in the errors of gRPC calls.

Requests have no maps, no `Any` and none of the types that wrap values: JSON says the same without.
"""

from __future__ import annotations

import difflib
import json
import math
import re
import struct
from binascii import Error as Base64Error
from binascii import a2b_base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from gateway.http.mapping import amounts, counting, kinds
from servicekit import deadlines
from servicekit.admission.entry_limits import RequestMalformed
from servicekit.admission.limits import ENTRIES
from servicekit.errors import FieldViolation
from servicekit.rpc.requests import RequestInvalid

Read = Callable[[Any], Any]
Fill = Callable[[Any, Any], None]

AMOUNT = "amount"
"""Member of an amount that holds it as decimal text."""
SHOWN = 64
"""Characters of an unknown name that an error repeats."""

_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_LONE = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F])"
    rb"|(?<!\\u[dD][89abAB][0-9a-fA-F]{2})\\u[dD][c-fC-F]"
)
EACH = 256
"""Entries after which the deadline is looked at."""
_WHOLE = re.compile(r"-?(0|[1-9][0-9]*)([.][0-9]+)?([eE][+-]?[0-9]{1,3})?")
_URL_ALPHABET = bytes.maketrans(b"-_", b"+/")
_FLOAT = struct.Struct("<f")


class Wrong(Exception):
    """A value that does not fit its field; the path is completed on the way out."""

    def __init__(self, description: str, path: str = "") -> None:
        super().__init__(description)
        self.description, self.path = description, path

    def under(self, name: str) -> Wrong:
        """Return the same error, with its path below a field or an entry of a list."""
        joined = name + self.path if self.path.startswith("[") else f"{name}.{self.path}"
        return Wrong(self.description, joined.rstrip("."))

    def error(self) -> RequestInvalid:
        """Return the error for the caller."""
        return RequestInvalid(FieldViolation(self.path or "body", self.description))


def fill(message: Message, data: bytes) -> None:
    """Fill a message from JSON. Raises RequestMalformed, RequestInvalid, DeadlineExceeded."""
    counting.values(data, ENTRIES)
    fill_from(message, parse(data))


def fill_from(message: Message, value: Any) -> None:
    """Fill a message from a JSON value. Raises RequestInvalid, DeadlineExceeded."""
    try:
        filler(message.DESCRIPTOR)(message, value)
    except Wrong as wrong:
        raise wrong.error() from None


def parse(data: bytes) -> Any:
    """Return the value of a JSON text whose values were counted (`counting`).

    Raises RequestMalformed, RequestInvalid (duplicate keys), DeadlineExceeded.
    """
    if _SURROGATE.search(data) and _LONE.search(data.replace(b"\\\\", b"--")):
        raise RequestMalformed("the body is not JSON: it holds a half of a surrogate pair")
    try:
        return json.loads(data.decode(), object_pairs_hook=_object_of, parse_constant=_constant)
    except Wrong as wrong:
        raise wrong.error() from None
    except json.JSONDecodeError as error:
        at = f"{error.msg}: line {error.lineno} column {error.colno}"
        raise RequestMalformed(f"the body is not JSON: {at}") from None
    except UnicodeDecodeError:
        raise RequestMalformed("the body is not JSON: it is not UTF-8") from None
    except ValueError:
        raise RequestMalformed("the body is not JSON: a number has too many digits") from None
    except RecursionError:
        raise RequestMalformed("the body is nested too deeply") from None


def _object_of(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object. Raises Wrong if it has a key twice: parsers differ in which one counts."""
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                raise Wrong("is given twice in one object", name[:SHOWN])
            seen.add(name)
    deadlines.check()
    return found


def _constant(name: str) -> Any:
    raise RequestMalformed(f"the body is not JSON: {name} is no value")


@dataclass(frozen=True, slots=True)
class _Row:
    """A field of a message, and the function that fills it from the value of a JSON key."""

    path: str
    """Name of the field in the proto."""
    put: Fill
    twin: str
    """The field's other name."""


@cache
def filler(descriptor: Any) -> Fill:
    """Return the function that fills messages of a type, made once per type. It raises Wrong.

    Raises TypeError for a type that no request may have.
    """
    name = descriptor.full_name
    if name in kinds.TEXTS:
        return _string
    if name == kinds.MONEY:
        return _money
    if name.startswith(kinds.PACKAGE) or descriptor.GetOptions().map_entry:
        raise TypeError(f"a request can't have {name}")
    return _object(descriptor)


@cache
def _object(descriptor: Any) -> Fill:
    rows: dict[str, _Row] = {}

    def fill_in(message: Any, value: Any) -> None:
        if type(value) is not dict:
            raise Wrong(f"must be an object, not {_kind(value)}")
        if not rows:  # later, as types may contain themselves
            rows.update(_rows(descriptor))
        for key, item in value.items():
            row = rows.get(key)
            if row is None:
                raise unknown(key, descriptor)
            if row.twin != key and row.twin in value:
                raise Wrong("is given twice, by both of its names", row.path)
            if item is None:
                continue
            try:
                row.put(message, item)
            except Wrong as wrong:
                raise wrong.under(row.path) from None

    return fill_in


def _rows(descriptor: Any) -> dict[str, _Row]:
    rows = {}
    for field in descriptor.fields:
        put = _put(field)
        rows[field.name] = _Row(field.name, put, field.json_name)
        rows[field.json_name] = _Row(field.name, put, field.name)
    return rows


def unknown(key: str, descriptor: Any) -> Wrong:
    """Return the error for a name that is no field of a message, with the nearest one."""
    names = [field.json_name for field in descriptor.fields]
    near = difflib.get_close_matches(_camel(key[:SHOWN]), names, 1)
    meant = f"; did you mean {near[0]}?" if near else ""
    return Wrong(f"is no field of {descriptor.name}{meant}", key[:SHOWN])


def _camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(part.capitalize() for part in rest)


def _put(field: Any) -> Fill:
    """Return the function that sets a field of a message."""
    put = _put_list(field) if field.is_repeated else _put_one(field)
    oneof = field.containing_oneof
    if oneof is None or len(oneof.fields) == 1:
        return put

    def put_alone(message: Any, value: Any) -> None:
        if message.WhichOneof(oneof.name) is not None:
            others = ", ".join(each.name for each in oneof.fields)
            raise Wrong(f"only one of {others} may be given")
        put(message, value)

    return put_alone


def _put_one(field: Any) -> Fill:
    name = field.name
    if field.message_type is None:
        read = reader(field)
        return lambda message, value: setattr(message, name, read(value))
    fill_in = filler(field.message_type)

    def put(message: Any, value: Any) -> None:
        inner = getattr(message, name)
        inner.SetInParent()
        fill_in(inner, value)

    return put


def _put_list(field: Any) -> Fill:
    name, kind = field.name, field.message_type
    read: Any = reader(field) if kind is None else filler(kind)

    def put(message: Any, value: Any) -> None:
        if type(value) is not list:
            raise Wrong(f"must be a list, not {_kind(value)}")
        entries = getattr(message, name)
        for index, item in enumerate(value):
            if not index % EACH:
                deadlines.check()
            try:
                if kind is None:
                    entries.append(read(item))
                else:
                    read(entries.add(), item)
            except Wrong as wrong:
                raise wrong.under(f"[{index}]") from None

    return put


@cache
def reader(field: Any) -> Read:
    """Return the function that reads one value of a field that is no message. It raises Wrong."""
    if field.enum_type is not None:
        return _enum(field.enum_type)
    if field.type == FieldDescriptor.TYPE_BYTES:
        return _bytes
    if field.cpp_type in kinds.RANGES:
        return _integer(*kinds.RANGES[field.cpp_type])
    return {
        FieldDescriptor.CPPTYPE_STRING: _text,
        FieldDescriptor.CPPTYPE_BOOL: _flag,
        FieldDescriptor.CPPTYPE_DOUBLE: _double,
        FieldDescriptor.CPPTYPE_FLOAT: _float,
    }[field.cpp_type]


def _enum(descriptor: Any) -> Read:
    numbers = {value.name: value.number for value in descriptor.values}
    number = _integer(*kinds.RANGES[FieldDescriptor.CPPTYPE_INT32])

    def read(value: Any) -> int:
        if type(value) is str:
            found = numbers.get(value)
            if found is None:
                raise Wrong(f"is no value of {descriptor.name}{_nearest(value, numbers)}")
            return int(found)
        if type(value) not in (int, float):
            raise Wrong(f"must be a name or a number of {descriptor.name}, not {_kind(value)}")
        return int(number(value))

    return read


def _nearest(value: str, names: Mapping[str, Any] | Sequence[str]) -> str:
    near = difflib.get_close_matches(value[:SHOWN].upper(), list(names), 1, 0.4)
    return f"; did you mean {near[0]}?" if near else f": it is one of {', '.join(names)}"


def _integer(least: int, most: int) -> Read:
    def read(value: Any) -> int:
        found = value if type(value) is int else _whole(value)
        if not least <= found <= most:
            raise Wrong(f"must be {least} to {most}")
        return found

    return read


def _whole(value: Any) -> int:
    """Return the integer of a JSON number such as 1e3, or of one in a string."""
    if type(value) is str:
        if not _WHOLE.fullmatch(value):
            raise Wrong("must be a whole number, not a text")
        try:
            return int(value)
        except ValueError:
            value = float(value)
    if type(value) is not float:
        raise Wrong(f"must be a whole number, not {_kind(value)}")
    if not value.is_integer():
        raise Wrong("must be a whole number")
    return int(value)


def _double(value: Any) -> float:
    if type(value) is str:
        if value in _WORDS:
            return _WORDS[value]
        if not _WHOLE.fullmatch(value):
            raise Wrong("must be a number, not a text")
        value = float(value)
    if type(value) not in (int, float):
        raise Wrong(f"must be a number, not {_kind(value)}")
    try:
        found = float(value)
    except OverflowError:
        found = math.inf
    if not math.isfinite(found):
        raise Wrong("is out of the range of a double")
    return found


_WORDS = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def _float(value: Any) -> float:
    found = _double(value)
    try:
        _FLOAT.pack(found)
    except OverflowError:
        raise Wrong("is out of the range of a float") from None
    return found


def _text(value: Any) -> str:
    if type(value) is not str:
        raise Wrong(f"must be a text, not {_kind(value)}")
    return value


def _flag(value: Any) -> bool:
    if type(value) is not bool:
        raise Wrong(f"must be true or false, not {_kind(value)}")
    return value


def text_flag(value: str) -> bool:
    """Return the flag of a query. Raises Wrong."""
    if value not in ("true", "false"):
        raise Wrong("must be true or false")
    return value == "true"


def _bytes(value: Any) -> bytes:
    """Return the bytes of base64, of both alphabets, with or without padding."""
    if type(value) is not str:
        raise Wrong(f"must be base64, not {_kind(value)}")
    try:
        given = value.encode("ascii").rstrip(b"=")
        if b"-" in given or b"_" in given:
            given = given.translate(_URL_ALPHABET)
        return a2b_base64(given + b"=" * (-len(given) % 4), strict_mode=True)
    except (UnicodeEncodeError, Base64Error):
        raise Wrong("is not valid base64") from None


def _kind(value: Any) -> str:
    """Return what a JSON value is, for an error; never the value, which may be personal."""
    kinds_of: dict[type, str] = {
        dict: "an object",
        list: "a list",
        str: "a text",
        bool: "a flag",
        type(None): "null",
    }
    return kinds_of.get(type(value), "a number")


def _string(message: Any, value: Any) -> None:
    """Fill a Timestamp, Duration or FieldMask."""
    try:
        message.FromJsonString(_text(value))
    except (ValueError, OverflowError):
        forms = {"Timestamp": "a time such as 2026-01-31T12:00:00Z", "Duration": "seconds as 1.5s"}
        form = forms.get(message.DESCRIPTOR.name, "names of fields as title,brand")
        raise Wrong(f"must be {form}") from None


def _money(message: Any, value: Any) -> None:
    """Fill an amount from units and nanos, from its text, or from both if they are equal."""
    if type(value) is not dict or AMOUNT not in value:
        _object(message.DESCRIPTOR)(message, value)
        return
    fields = {key: item for key, item in value.items() if key != AMOUNT}
    _object(message.DESCRIPTOR)(message, fields)
    if value[AMOUNT] is None:
        return
    try:
        units, nanos = amounts.parse(_text(value[AMOUNT]))
    except ValueError:
        raise Wrong('must be a number as text, such as "12.50"', AMOUNT) from None
    given = any(fields.get(name) is not None for name in ("units", "nanos"))
    if given and (message.units, message.nanos) != (units, nanos):
        raise Wrong("is another amount than units and nanos", AMOUNT)
    message.units, message.nanos = units, nanos
