"""Instants as files write them: the only parser of times."""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import datetime
from decimal import Decimal
from email.utils import parsedate_to_datetime

LAST_SECOND = 253_402_300_799
"""Seconds from 1970 to the end of the year 9999."""
FIRST_SECOND = -62_135_596_800
_DIGITS = re.compile(r"[-+]?\d+(\.\d*)?([eE]\+?\d{1,2})?", re.ASCII)
_MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec"
_BROWSER = re.compile(
    r"[A-Z][a-z]{2} ([A-Z][a-z]{2}) (\d{2}) (\d{4}) (\d\d:\d\d:\d\d) (?:GMT|UTC)([+-]\d{4})"
    r"(?: \(.*\))?"
)
"""What JavaScript makes of a Date: `Sun Nov 01 2026 12:00:00 GMT+0100 (…)`."""
_DAYS = range(20_000, 100_000)
"""Day numbers of spreadsheets, 1954 to 2173: as seconds they would all be of January 1970."""
_DATE = re.compile(r"(19|20)\d\d(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])(\d{6})?")


class NoTime(ValueError):
    """Text or number that is no instant. The message says why."""


def instant(text: str) -> datetime | Decimal:
    """Parse a written time, with or without a zone, or a number (see `seconds`). NoTime for
    anything else."""
    if _DIGITS.fullmatch(text):
        return Decimal(text)
    if found := _BROWSER.fullmatch(text):
        month, day, year, clock, zone = found.groups()
        text = f"{year}-{_MONTHS.find(month) // 4 + 1:02}-{day}T{clock}{zone}"
    if text[-4:] in (" UTC", " GMT") and text[:1].isdigit():
        text = f"{text[:-4]}+00:00"
    for read in (datetime.fromisoformat, parsedate_to_datetime):
        with suppress(ValueError, TypeError, IndexError):
            return read(text)
    raise NoTime("is not a time: write 2026-03-01T12:00:00Z, or seconds since 1970")


def seconds(value: Decimal) -> Decimal:
    """Return the seconds since 1970 that a number means: itself, or milli-, micro- or nanoseconds
    if that many seconds would be beyond the year 9999. NoTime for other numbers."""
    if _DATE.fullmatch(str(value)):
        raise NoTime("is a date without a zone: write 2026-03-01T12:00:00Z")
    if int(value) in _DAYS:
        raise NoTime("looks like a day number of a spreadsheet: write 2026-03-01T12:00:00Z")
    for _ in range(3):  # milliseconds, microseconds, nanoseconds
        if abs(value) > LAST_SECOND:
            value /= 1000
    if not FIRST_SECOND <= value <= LAST_SECOND:
        raise NoTime("is not within the years 1 to 9999")
    return value
