"""Instants as files write them: the only parser of times."""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import UTC, datetime, timedelta, tzinfo
from decimal import Decimal
from email.utils import parsedate_to_datetime

from sightline_client.files.texts import bare, narrow

LAST_SECOND = 253_402_300_799
"""Seconds from 1970 to the end of the year 9999."""
FIRST_SECOND = -62_135_596_800
_LONGEST = 100
"""Maximum characters of a time."""
_OUTSIDE = "is not within the years 1 to 9999"
ORDERS = ("dmy", "mdy")
"""Orders of day and month before the year."""
_DIGITS = re.compile(r"[-+]?\d+([.,]\d*)?([eE]\+?\d{1,2})?", re.ASCII)
_BROWSER = re.compile(
    r"[A-Z][a-z]{2} ([A-Z][a-z]{2} \d{2} \d{4} [\d:]{8} GMT[+-]\d{4})(?: \(.*\))?"
)
"""What JavaScript makes of a Date: `Sun Nov 01 2026 12:00:00 GMT+0100 (…)`."""
_DAYS = range(20_000, 100_000)
"""Day numbers of spreadsheets, 1954 to 2173: as seconds they would all be of January 1970."""
LAST_DAY = _DAYS[-1]
"""Greatest day number of a spreadsheet."""
_DAY_ZERO = datetime(1899, 12, 30)  # noqa: DTZ001 - a day number has no zone
_DATE = re.compile(
    r"(19|20)\d\d(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])(\d{6}|([01]\d|2[0-3])[0-5]\d)?"
    r"|(199|20\d)\d(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])([01]\d|2[0-3])"
)
"""A date in digits, also with an hour, which as seconds would be after 2033."""
_YEAR = 365 * 86_400
"""Seconds from 1970 that are rather a year, a day and a month, or a date such as 04112026."""
_EXACT = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)", re.ASCII)

_YEAR_FIRST = re.compile(r"(\d{4})(?:([-/.])(\d{1,2})\2(\d{1,2})|年\s*(\d{1,2})月\s*(\d{1,2})日)")
_YEAR_LAST = re.compile(r"(\d{1,2})([-/.])\s?(\d{1,2})\2\s?(\d{4}|\d{2}(?!\d))")
_DAY_AND_NAME = re.compile(
    r"(\d{1,2})(?:\.|er|st|nd|rd|th|º)?(?: de)?[ -]+([^\W\d_]{3,10})\.?(?: del?)?[ ,-]+(\d{4})"
)
_NAME_AND_DAY = re.compile(r"([^\W\d_]{3,10})\.? (\d{1,2})(?:st|nd|rd|th)?,? (\d{4})")
_WEEKDAY = re.compile(r"[^\W\d_]{2,12}\.?,? +(?=\d)|[^\W\d_]{2,12}\.?, +")
_CLOCK = re.compile(
    r"(?:\(.\)|星期.|.曜日?)?[\s,T-]*(?:um|à|a las|alle(?: ore)?|ore|at)?\s*(上午|下午|午前|午後)?"
    r"\s*(\d{1,2})\s?(?::|\.|h|時|时|点)\s?(\d{2})?分?(?:[:.]?(\d{2})(?:[.,](\d{1,6})\d*)?秒?)?"
    r"\s?(am|pm|a\. ?m\.|p\. ?m\.)?\s?(?:uhr|h)?\s?(z|utc|gmt)?"
    r"(?:([+-])(\d\d):?(\d\d))?",
    re.IGNORECASE,
)
_MONTHS = """
january february march april may june july august september october november december
januar februar marz april mai juni juli august september oktober november dezember
janvier fevrier mars avril mai juin juillet aout septembre octobre novembre decembre
enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre
gennaio febbraio marzo aprile maggio giugno luglio agosto settembre ottobre novembre dicembre
"""


def _beginnings() -> dict[str, int]:
    """Return the month of each beginning of its names that no other month has."""
    found: dict[str, set[int]] = {}
    for place, name in enumerate(_MONTHS.split()):
        for end in range(3, len(name) + 1):
            found.setdefault(name[:end], set()).add(place % 12 + 1)
    return {text: month for text, (month, *others) in found.items() if not others}


_MONTH = _beginnings()


class NoTime(ValueError):
    """Text or number that is no instant. The message says why."""


class TwoDays(NoTime):
    """Date whose day and month can be read in both orders."""


def is_exact(text: str) -> bool:
    """Return whether a text is an instant in the usual form. Quick."""
    return _EXACT.fullmatch(text) is not None


def instant(text: str, order: str = "") -> datetime | Decimal:
    """Parse a written time, with or without a zone, or a number (see `seconds` and `day_number`).
    NoTime for anything else; TwoDays for a date that needs `order`, one of `ORDERS`."""
    if len(text) > _LONGEST:
        raise NoTime(f"is not a time: it has over {_LONGEST} characters")
    text = " ".join(text.split())
    if _DIGITS.fullmatch(text):
        return Decimal(text.replace(",", "."))
    if text[-4:] in (" UTC", " GMT") and text[:1].isdigit():
        text = f"{text[:-4]}+00:00"
    with suppress(ValueError):
        return datetime.fromisoformat(text)
    browser = _BROWSER.fullmatch(text.replace(" UTC", " GMT"))
    local = _written(browser[1] if browser else text, order)
    if local is not None:
        return local
    with suppress(ValueError, TypeError, IndexError, OverflowError):
        found = parsedate_to_datetime(text)
        if found.tzinfo is not None or not text[-1:].isalpha():  # a zone that it does not know
            return found
    raise NoTime("is not a time: write 2026-03-01T12:00:00Z, or seconds since 1970")


def order_of(text: str) -> str:
    """Return the order of day and month that a date shows; "" = it shows none."""
    found = _YEAR_LAST.match(text)
    if found is None or found[2] == ".":
        return ""
    first, second = int(found[1]), int(found[3])
    if (first > 12) == (second > 12):
        return ""
    return "dmy" if first > 12 else "mdy"


def _written(text: str, order: str) -> datetime | None:
    """Read a date as people of a country write it, with or without a time of day; None = it is
    none."""
    text = narrow(text).strip()
    if (weekday := _WEEKDAY.match(text)) and not _NAME_AND_DAY.match(text):
        text = text[weekday.end() :]
    day, rest = _day(text, order)
    if day is None:
        return None
    if not rest.strip():
        return day
    clock = _CLOCK.fullmatch(rest)
    if clock is None:
        return None
    half, hour, minute, second, fraction, noon, utc, sign, hours, minutes = clock.groups()
    after = half in ("下午", "午後") or (noon or "").lower().startswith("p")
    at = int(hour) % 12 + 12 * after if half or noon else int(hour)
    east = timedelta(hours=int(hours or 0), minutes=int(minutes or 0))
    zone = UTC if utc and not sign else None
    try:
        found = day.replace(
            hour=at,
            minute=int(minute or 0),
            second=int(second or 0),
            microsecond=int((fraction or "0").ljust(6, "0")),
            tzinfo=UTC if sign else zone,
        )
    except ValueError:
        return None
    try:
        return found - east if sign == "+" else found + east
    except OverflowError:
        raise NoTime(_OUTSIDE) from None


def _day(text: str, order: str) -> tuple[datetime | None, str]:
    """Read the date at the start of a text. Return it, and the rest of the text."""
    if found := _YEAR_FIRST.match(text):
        year, month, day = found[1], found[3] or found[5], found[4] or found[6]
    elif found := _YEAR_LAST.match(text):
        first, mark, second, year = found.groups()
        if len(year) == 2:
            if mark != ".":
                return None, text
            year = f"{20 - (year >= '70')}{year}"
        if mark == ".":
            order = "dmy"
        elif int(first) > 12 or int(second) > 12:
            order = "dmy" if int(first) > 12 else "mdy"
        if not order and first != second:
            raise TwoDays(
                f"may be day {int(first)} of month {int(second)} or day {int(second)} of month"
                f" {int(first)}: say which with --date-order dmy or --date-order mdy"
            )
        day, month = (second, first) if order == "mdy" else (first, second)
    elif (found := _DAY_AND_NAME.match(text)) and (named := _month(found[2])):
        day, month, year = found[1], str(named), found[3]
    elif (found := _NAME_AND_DAY.match(text)) and (named := _month(found[1])):
        day, month, year = found[2], str(named), found[3]
    else:
        return None, text
    with suppress(ValueError):
        return datetime(int(year), int(month), int(day)), text[found.end() :]  # noqa: DTZ001
    return None, text


def _month(name: str) -> int:
    """Return the month of a name or its beginning; 0 = it is none."""
    return _MONTH.get(bare(name), 0)


def placed(local: datetime, zone: tzinfo) -> datetime:
    """Return the instant of a local time: the first of both when clocks are set back. NoTime for a
    time that clocks skip, and for one that is no instant of the years 1 to 9999."""
    found = local.replace(tzinfo=zone)
    try:
        shown = found.astimezone(UTC).astimezone(zone).replace(tzinfo=None)
    except OverflowError:
        raise NoTime(_OUTSIDE) from None
    if shown != local:
        raise NoTime(f"does not exist in {zone}: the clocks were set forward then")
    return found


def is_day_number(value: Decimal) -> bool:
    """Return whether a number can only be the day number of a spreadsheet."""
    return _DAYS.start <= value < _DAYS.stop


def day_number(value: Decimal) -> datetime:
    """Return the local time of a spreadsheet's day number, to the millisecond."""
    return _DAY_ZERO + timedelta(milliseconds=round(value * 86_400_000))


def seconds(value: Decimal) -> Decimal:
    """Return the seconds since 1970 that a number means: itself, or milli-, micro- or nanoseconds
    if that many seconds would be beyond the year 9999. NoTime for other numbers."""
    if _DATE.fullmatch(str(value)):
        raise NoTime("is a date without a zone: write 2026-03-01T12:00:00Z")
    if is_day_number(value):
        raise NoTime(
            "looks like a day number of a spreadsheet: name its zone with --time-zone, such as"
            " Europe/Berlin, or write 2026-03-01T12:00:00Z"
        )
    if 0 < abs(value) < _YEAR:
        raise NoTime("is no number of seconds since 1970: write 2026-03-01T12:00:00Z")
    for _ in range(3):  # milliseconds, microseconds, nanoseconds
        if abs(value) > LAST_SECOND:
            value /= 1000
    if not FIRST_SECOND <= value <= LAST_SECOND:
        raise NoTime(_OUTSIDE)
    return value
