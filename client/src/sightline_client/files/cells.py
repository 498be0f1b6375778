"""Convert a cell to a value, or report its error. A cell is text in CSV and typed elsewhere;
absent, null and "" mean "not given"."""

import math
import re
from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal

from google.protobuf.timestamp_pb2 import Timestamp
from google.type.money_pb2 import Money

from sightline.common.v1 import product_pb2
from sightline_client.errors import SightlineError
from sightline_client.files import choices, instants, numerals
from sightline_client.files import texts as written
from sightline_client.files.currencies import CODES
from sightline_client.files.model import MAX_CELL, Unfit, bad
from sightline_client.files.survey import AMOUNTS

Cells = Mapping[str, object]

_ZONE = "name it with --time-zone, such as Europe/Berlin"
"""What to do about a time without a zone."""
_LARGEST = Decimal(2**63 - 1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_INTEGER = re.compile(r"[+-]?\d{1,18}")
_FAULTS = frozenset(
    {
        *("#N/A", "#REF!", "#VALUE!", "#NAME?", "#NULL!", "#NUM!", "#DIV/0!", "#SPILL!", "#CALC!"),
        *("#NV", "#BEZUG!", "#WERT!", "#ZAHL!", "#ÜBERLAUF!", "#VALEUR!", "#NOM?", "#NUL!"),
        *("#NOMBRE!", "#N/D", "#¡REF!", "#¡VALOR!", "#¿NOMBRE?", "#¡NUM!", "#¡DIV/0!"),
        *("#RIF!", "#VALORE!", "#NOME?"),
    }
)
"""What spreadsheets show where a formula failed."""


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


def words(cells: Cells, name: str) -> str:
    """Read text for people, without HTML."""
    return _of_people(name, text(cells, name))


def _of_people(name: str, value: str) -> str:
    """Remove HTML from a text. SightlineError for what a formula left that failed."""
    if value in _FAULTS:
        text = f"{value!r} is the fault of a formula: mend it in the spreadsheet, or empty the cell"
        raise bad(name, text)
    return written.plain(value)


def texts(cells: Cells, name: str, separator: str) -> list[str]:
    """Return the texts of a cell, without HTML: a list, or text split at the separator."""
    value = cells.get(name)
    if isinstance(value, list | tuple):
        return [_of_people(name, required({name: item}, name)) for item in value]
    whole = words(cells, name)
    if not whole:
        return []
    parts = [part.strip() for part in whole.split(separator)]
    if not all(parts):
        raise bad(name, f"{_short(whole)} has an empty part between two {separator!r}")
    return parts


def addresses(cells: Cells, name: str) -> list[str]:
    """Return the addresses or names of photos in a cell: a list, or text."""
    value = cells.get(name)
    if isinstance(value, list | tuple):
        return [written.address(required({name: item}, name)) for item in value]
    whole = text(cells, name)
    if "|" in whole and not all(part.strip() for part in whole.split("|")):
        raise bad(name, f"{_short(whole)} has an empty part between two '|'")
    return written.addresses(whole)


def address(cells: Cells, name: str) -> str:
    """Read an address; "" = unknown."""
    return written.address(text(cells, name))


def number(cells: Cells, name: str) -> Decimal | None:
    """Read a finite number; None = unknown."""
    value = cells.get(name)
    if isinstance(value, str):
        return _number(name, _checked(name, value)) if value.strip() else None
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise bad(name, f"is {_kind(value)}, not a number")
    # A float of a file means its shortest notation: 12.1, not 12.0999999999999996447.
    result = Decimal(repr(value) if isinstance(value, float) else value)
    if not result.is_finite():
        raise bad(name, f"{value} is not a number: leave it empty if it is unknown")
    return result


def _number(name: str, value: str) -> Decimal:
    """Read the number of a text."""
    try:
        found = numerals.number(value)
    except numerals.Ambiguous:
        one, other = (f"{each:f}" for each in numerals.readings(value).values())
        text = f"{_short(value)} may be {one} or {other}: say which with --decimal . or --decimal ,"
        raise bad(name, text) from None
    if found is None:
        raise bad(name, f"{_short(value)} is not a number: write 12.50; leave it empty if unknown")
    return found


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


def money(cells: Cells, name: str, usual: str = "") -> Money | None:
    """Read an amount; None = unknown. Its currency is that of the row, or stands beside it: both
    together must not contradict each other. `usual`: the currency if neither names one."""
    given = text(cells, "currency").upper()
    if given and given not in CODES:
        raise bad(
            "currency", f"{_short(given)} is not an ISO 4217 currency code, such as EUR or USD"
        )
    value, mark = cells.get(name), ""
    if isinstance(value, str) and (found := numerals.amount(_checked(name, value))) is not None:
        digits, mark = found
        amount: Decimal | None = _number(name, digits)
    else:
        amount = number(cells, name)
    if amount is None:
        return None
    code = _currency(name, amount, mark, given or _of_others(cells, name), usual)
    if not code:
        raise bad("currency", f"is missing: {name} {amount} needs a currency")
    return _money(name, amount, code)


def _of_others(cells: Cells, name: str) -> str:
    """Return the currency that stands beside another amount of the row; "" = none does."""
    for other in AMOUNTS if name in AMOUNTS else ():
        value = cells.get(other)
        if other != name and isinstance(value, str) and (found := numerals.amount(value)):
            named = numerals.codes(found[1])
            if len(named) == 1:
                return named[0]
    return ""


def _currency(name: str, amount: Decimal, mark: str, given: str, usual: str) -> str:
    """Return the code of an amount's currency, by the mark beside it and by what the row says."""
    named = numerals.codes(mark)
    if given and named and given not in named:
        raise bad(
            name, f"{_short(f'{amount} {mark}')} is not in {given}, as the rest of the row says"
        )
    if given or not named:
        return given or usual
    if len(named) == 1 or usual in named:
        return named[0] if len(named) == 1 else usual
    some = ", ".join(named[:3])
    raise bad("currency", f"is missing: {mark} is the sign of {some} and others; --set currency=")


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
    if isinstance(value, bool):
        return value
    word = text(cells, name)
    if not word:
        return None
    found = choices.answer(word)
    if found is None:
        raise bad(name, choices.unknown(name, word, ("true", "false")))
    return found


def availability(cells: Cells, name: str) -> product_pb2.Availability.ValueType:
    """Read yes, no, or a state in words (`choices`); empty = UNSPECIFIED."""
    value = cells.get(name)
    word = ("true" if value else "false") if isinstance(value, bool) else text(cells, name)
    if not word:
        return product_pb2.AVAILABILITY_UNSPECIFIED
    found = choices.availability(word)
    if found is None:
        raise bad(name, choices.unknown(name, word, ("true", "false", *choices.STATES)))
    return found


def time(cells: Cells, name: str) -> Timestamp | None:
    """Read an instant: ISO 8601, RFC 2822 or a browser's form with a zone, or seconds since 1970,
    or milli-, micro- or nanoseconds if that many seconds would be beyond the year 9999; None =
    unknown."""
    value = cells.get(name)
    if value is None or value == "":
        return None
    if isinstance(value, datetime):
        return _instant(name, value, _ZONE)
    if isinstance(value, date):
        raise bad(name, f"{value} has no time of day: write 2026-03-01T12:00:00Z, or {_ZONE}")
    try:
        if isinstance(value, str):
            value = _checked(name, value)
            value = instants.instant(value)
            if isinstance(value, datetime):
                if value.tzinfo is None:
                    raise without_zone(name, value.isoformat())
                return _instant(name, value, "")
        exact = number({name: value}, name)
        return None if exact is None else _seconds(instants.seconds(exact))
    except instants.NoTime as error:
        raise bad(name, f"{_short(value)} {error}") from None


def without_zone(name: str, value: str) -> SightlineError:
    """Return the error for a written time that names no zone."""
    return bad(name, f"{_short(value)} has no time zone: {_ZONE}, or append Z for UTC")


def _seconds(value: Decimal) -> Timestamp:
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
        return product_pb2.Attribute(key=key, text=_of_people(name, _checked(name, value)))
    if isinstance(value, date):
        if isinstance(value, datetime) and value.time() == datetime.min.time():
            value = value.date()
        return product_pb2.Attribute(key=key, text=value.isoformat())
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
    return written.composed(value.strip())


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
