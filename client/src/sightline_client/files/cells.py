"""Convert a cell to a value, or report its error. A cell is text in CSV and typed elsewhere;
absent, null and "" mean "not given"."""

import math
import re
import unicodedata
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from email.utils import parsedate_to_datetime

from google.protobuf.timestamp_pb2 import Timestamp
from google.type.money_pb2 import Money

from sightline.common.v1 import product_pb2
from sightline_client.files.currencies import CODES
from sightline_client.files.model import MAX_CELL, Unfit, bad

Cells = Mapping[str, object]

_YES = frozenset({"true", "yes", "y", "1"})
_NO = frozenset({"false", "no", "n", "0"})
_STATES = {
    name.removeprefix("AVAILABILITY_").lower(): value
    for name, value in product_pb2.Availability.items()
    if value
}
_LARGEST = Decimal(2**63 - 1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_SECOND = 253_402_300_799
"""Seconds from 1970 to the end of the year 9999."""
_INTEGER = re.compile(r"[+-]?\d{1,18}")


def text(cells: Cells, name: str) -> str:
    """Read text, without surrounding blanks; "" = unknown. A whole number becomes its digits."""
    value = cells.get(name)
    if value is None:
        return ""
    if isinstance(value, str):
        return _checked(name, value)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise bad(name, f"is {_kind(value)}, not text")


def required(cells: Cells, name: str) -> str:
    """Read required text."""
    value = text(cells, name)
    if not value:
        raise bad(name, "is missing")
    return value


def texts(cells: Cells, name: str, separator: str) -> list[str]:
    """Return the texts of a cell: a list, or text split at the separator."""
    value = cells.get(name)
    if isinstance(value, list | tuple):
        return [required({name: item}, name) for item in value]
    whole = text(cells, name)
    if not whole:
        return []
    parts = [part.strip() for part in whole.split(separator)]
    if not all(parts):
        raise bad(name, f"{_short(whole)} has an empty part between two {separator!r}")
    return parts


def number(cells: Cells, name: str) -> Decimal | None:
    """Read a finite number; None = unknown."""
    value = cells.get(name)
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    if isinstance(value, bool) or not isinstance(value, str | int | float | Decimal):
        raise bad(name, f"is {_kind(value)}, not a number")
    if isinstance(value, str):
        value = _checked(name, value)
        if len(value) > 64:
            raise bad(name, f"{_short(value)} is not a number")
    try:
        # A float of a file means its shortest notation: 12.1, not 12.0999999999999996447.
        result = Decimal(repr(value) if isinstance(value, float) else value)
    except InvalidOperation:
        comma = ": write 12.50, with a point and without separators of thousands"
        raise bad(name, f"{_short(str(value))} is not a number{comma}") from None
    if not result.is_finite():
        raise bad(name, f"{value} is not a number: leave it empty if it is unknown")
    return result


def integer(cells: Cells, name: str, most: int) -> int:
    """Read a whole number, 0 to ``most``; 0 = unknown."""
    value = cells.get(name)
    if isinstance(value, str) and _INTEGER.fullmatch(value):
        whole = int(value)
    else:
        exact = number(cells, name)
        if exact is None:
            return 0
        if not -most <= exact <= most or exact != int(exact):
            raise bad(name, f"{exact} is not a whole number from 0 to {most:,}")
        whole = int(exact)
    if not 0 <= whole <= most:
        raise bad(name, f"{whole} is not a whole number from 0 to {most:,}")
    return whole


def money(cells: Cells, name: str) -> Money | None:
    """Read an amount with its currency, which has its own column; None = unknown."""
    amount, code = number(cells, name), text(cells, "currency").upper()
    if code and code not in CODES:
        raise bad(
            "currency", f"{_short(code)} is not an ISO 4217 currency code, such as EUR or USD"
        )
    if amount is None:
        return None
    if not code:
        raise bad("currency", f"is missing: {name} {amount} needs a currency")
    return _money(name, amount, code)


def _money(name: str, value: Decimal, code: str) -> Money:
    if value < 0:
        raise bad(name, f"{value} is negative")
    if value > _LARGEST:
        raise bad(name, f"{_short(str(value))} is too large")
    units = int(value)
    micros = (value - units) * 1_000_000
    if micros != int(micros):
        raise bad(name, f"{_short(str(value))} has more than six decimals")
    return Money(currency_code=code, units=units, nanos=int(micros) * 1000)


def flag(cells: Cells, name: str) -> bool | None:
    """Read true or false; None = unknown."""
    value = cells.get(name)
    word = str(value).lower() if isinstance(value, bool) else text(cells, name).lower()
    if word and word not in _YES | _NO:
        raise bad(name, f"{_short(word)} is neither true nor false")
    return word in _YES if word else None


def availability(cells: Cells, name: str) -> product_pb2.Availability.ValueType:
    """Read true, false, or a state by its name; empty = UNSPECIFIED."""
    value = cells.get(name)
    if isinstance(value, bool):
        word = "true" if value else "false"
    else:
        word = text(cells, name).lower().replace(" ", "_").replace("-", "_")
    if not word:
        return product_pb2.AVAILABILITY_UNSPECIFIED
    if word in _YES:
        return product_pb2.AVAILABILITY_IN_STOCK
    if word in _NO:
        return product_pb2.AVAILABILITY_OUT_OF_STOCK
    if word in _STATES:
        return _STATES[word]
    known = ", ".join(_STATES)
    raise bad(name, f"{_short(word)} is not one of true, false, {known}")


def time(cells: Cells, name: str) -> Timestamp | None:
    """Read an instant: ISO 8601 or RFC 2822 with a zone, or seconds since 1970, or milli-, micro-
    or nanoseconds if that many seconds would be beyond the year 9999; None = unknown."""
    value = cells.get(name)
    if value is None or value == "":
        return None
    if isinstance(value, datetime):
        zone = f'give the column one, in pandas frame["{name}"].dt.tz_localize("UTC")'
        return _instant(name, value, zone)
    if isinstance(value, str):
        written = _written(_checked(name, value))
        if written is not None:
            return _instant(name, written, "append Z for UTC, or +02:00")
    elif isinstance(value, date):
        raise bad(name, f"{value} has no time of day: write 2026-03-01T12:00:00Z")
    return _seconds(name, number(_seconds_of(name, value), name))


def _written(text: str) -> datetime | None:
    """Parse a time; None = the text is not a time, or is a number."""
    if text[-4:] in (" UTC", " GMT") and text[:1].isdigit():
        text = f"{text[:-4]}+00:00"
    for read in (datetime.fromisoformat, parsedate_to_datetime):
        with suppress(ValueError, TypeError, IndexError):
            return read(text)
    return None


def _seconds_of(name: str, value: object) -> Cells:
    try:
        if isinstance(value, str):
            Decimal(value)
    except InvalidOperation:
        hint = "is not a time: write 2026-03-01T12:00:00Z, or seconds since 1970"
        raise bad(name, f"{_short(value)} {hint}") from None
    return {name: value}


def _seconds(name: str, value: Decimal | None) -> Timestamp | None:
    if value is None:
        return None
    for _ in range(3):  # milliseconds, microseconds, nanoseconds
        if abs(value) > _LAST_SECOND:
            value /= 1000
    if not -62_135_596_800 <= value <= _LAST_SECOND:
        raise bad(name, f"{value} is not within the years 1 to 9999")
    seconds = math.floor(value)
    return Timestamp(seconds=seconds, nanos=int((value - seconds) * 1_000_000_000))


def _instant(name: str, value: datetime, hint: str) -> Timestamp:
    if value.tzinfo is None:
        raise bad(name, f"{value.isoformat()} has no time zone: {hint}")
    since = value - _EPOCH
    return Timestamp(seconds=since.days * 86_400 + since.seconds, nanos=since.microseconds * 1000)


def attribute(name: str, key: object, value: object) -> product_pb2.Attribute:
    """Read one typed property."""
    if not isinstance(key, str):
        raise bad(name, f"{key!r} is not a valid name of an attribute")
    _checked(name, key)
    if isinstance(value, bool):
        return product_pb2.Attribute(key=key, flag=value)
    if isinstance(value, str):
        return product_pb2.Attribute(key=key, text=_checked(name, value))
    if isinstance(value, int | float | Decimal):
        try:
            plain = float(value)
        except OverflowError:
            plain = math.inf
        if math.isfinite(plain):
            return product_pb2.Attribute(key=key, number=plain)
        raise bad(name, f"{_short(key)}: {_short(str(value))} is not a finite number")
    raise bad(name, f"{_short(key)} is {_kind(value)}: write text, a number, true or false")


def _checked(name: str, value: str) -> str:
    if value.isascii() and len(value) <= MAX_CELL:
        return value.strip()
    if len(value) > MAX_CELL:
        raise bad(name, f"has {len(value):,} characters, {MAX_CELL:,} at most")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise bad(
            name,
            "is not UTF-8 text: save the file as UTF-8, or name what it is"
            " with --encoding, such as cp1252",
        ) from None
    return unicodedata.normalize("NFC", value.strip())


def _kind(value: object) -> str:
    if isinstance(value, Unfit):
        return value.words
    names = {
        bool: "true or false",
        float: "a number with decimals",
        Decimal: "a number with decimals",
    }
    names |= {dict: "an object", list: "a list", bytes: "bytes", datetime: "a time"}
    return names.get(type(value), f"a {type(value).__name__}")


def _short(value: object) -> str:
    shown = str(value)
    return repr(shown if len(shown) <= 60 else shown[:57] + "…")
