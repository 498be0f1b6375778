"""A row's values as a line of JSON. Read again, each value means the same or is rejected as before:
no rejected value becomes valid.
"""

import json
import math
from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal

from sightline_client.files.model import Unfit

INSTANTS = frozenset({"time"})
"""Columns that accept a time as text, as attributes do. In other columns a time is rejected."""


def line(cells: Mapping[str, object]) -> str:
    """Return the cells as one JSON object."""
    return _object({name: _instant(name, value) for name, value in cells.items()})


def _instant(name: str, value: object) -> object:
    if name == "attributes" and isinstance(value, Mapping):
        return {key: _dated(each) for key, each in value.items()}
    return _dated(value) if name in INSTANTS else value


def _dated(value: object) -> object:
    return value.isoformat() if isinstance(value, date) else value


def _object(values: Mapping[str, object]) -> str:
    return "{" + ", ".join(f"{_text(name)}: {_cell(item)}" for name, item in values.items()) + "}"


def _cell(value: object) -> str:
    try:
        return _value(value)
    except RecursionError:
        return _refused(type(value).__name__, "nested too deeply")


def _value(value: object) -> str:
    if value is None or isinstance(value, bool | int):
        return json.dumps(value)
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, float | Decimal) and _finite(value):
        return _number(value)
    if isinstance(value, list | tuple):
        pairs = _pairs(value)
        return "[" + ", ".join(map(_value, value)) + "]" if pairs is None else _value(pairs)
    if isinstance(value, Mapping) and all(isinstance(name, str) for name in value):
        return (
            "{" + ", ".join(f"{_text(name)}: {_value(item)}" for name, item in value.items()) + "}"
        )
    if isinstance(value, Unfit):
        return _refused("unfit", value.words)
    return _refused(type(value).__name__, value.hex() if isinstance(value, bytes) else str(value))


def _pairs(values: Sequence[object]) -> dict[str, object] | None:
    """Convert a Parquet map, which comes as pairs, to an object with a list for each key, because a
    key may repeat. None = it is not such a map."""
    pairs = [item for item in values if isinstance(item, tuple) and len(item) == 2]
    if not values or len(pairs) < len(values):
        return None
    found: dict[str, list[object]] = {}
    silent: dict[str, list[object]] = {}  # these have no meaning, so they can be replaced
    for key, value in pairs:
        parts = value if isinstance(value, list) else [] if value is None else [value]
        if parts and not isinstance(key, str):
            return None
        (found if parts else silent).setdefault(str(key), []).extend(parts)
    return {**found, **{key: none for key, none in silent.items() if key not in found}}


def _finite(value: float | Decimal) -> bool:
    """Return whether the value is finite. A finite decimal may exceed the range of floats."""
    return value.is_finite() if isinstance(value, Decimal) else math.isfinite(value)


def _number(value: float | Decimal) -> str:
    """Write a number with a point or an exponent, so that it is not read as a whole number, which
    becomes a text's digits where the number was rejected."""
    text = str(value)
    return text if any(mark in text for mark in ".eE") else f"{text}.0"


def _text(value: str) -> str:
    """Write a text, escaped if it has an unpaired surrogate, which no text file can hold."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return json.dumps(value)
    return json.dumps(value, ensure_ascii=False)


def _refused(kind: str, text: str) -> str:
    """Write a list of lists, which no column accepts."""
    return f"[[{_text(kind)}, {_text(text)}]]"
