"""Amounts of google.type.Money as decimal text, such as "12.50"."""

from __future__ import annotations

import re
from typing import Final

_NANOS: Final = 10**9
_TEXT: Final = re.compile(r"(-?)([0-9]{1,18})(?:[.]([0-9]{1,9}))?")
_MOST: Final = 10**18
"""Bound of units, which are integers of 64 bits."""


def text(units: int, nanos: int) -> str:
    """Return an amount with two digits after the point, more if it has more, none if it is whole;
    empty for what is no amount."""
    if units * nanos < 0 or abs(nanos) >= _NANOS or abs(units) >= _MOST:
        return ""
    digits = f"{abs(nanos):09d}".rstrip("0")
    whole = f"{'-' if units < 0 or nanos < 0 else ''}{abs(units)}"
    return f"{whole}.{digits:0<2}" if digits else whole


def parse(amount: str) -> tuple[int, int]:
    """Return units and nanos. Raises ValueError."""
    found = _TEXT.fullmatch(amount)
    if found is None:
        raise ValueError
    sign = -1 if found[1] else 1
    return sign * int(found[2]), sign * int((found[3] or "").ljust(9, "0"))
