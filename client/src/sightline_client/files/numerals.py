"""Numbers and amounts as people write them: the only parser of both.

A sign between digits is the decimal one or separates thousands. Most numbers can be read in one way
only: `19,90`, `1.299,00`, `1'299.5`, `1.299.000`. A few can be read in both, such as `1.299`: the
other cells of their column decide (`forms`), or the caller.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from functools import lru_cache

from sightline_client.files.currencies import CODES, MARKS, SHARED
from sightline_client.files.texts import has_odd_digits, narrow

SIGNS = (".", ",")
"""Decimal signs."""
LONGEST = 64
"""Maximum characters of a number."""
_NUMERAL = re.compile(r"[-+]?[.,]?\d[\d.,'\u2019\s]*(?:[eE][-+]?\d{1,3})?")
_SPACES = re.compile(r"(?<=\d)(?:(?P<gap>['\u2019]|\s)\d{3})(?:(?P=gap)\d{3})*(?!\d)")
_USUAL = re.compile(r"\d{1,15}(\.\d{1,2})?", re.ASCII)
"""What most cells hold: it can be read in one way only, and quickly."""
_PLAIN = re.compile(r"[-+]?(\d+([.,]\d*)?|[.,]\d+)")
_POWER = re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)[eE][-+]?\d{1,3}")
_THOUSANDS = {
    ".": re.compile(r"[-+]?[1-9]\d{0,2}(,\d{3})+|[-+]?[1-9]\d?(,\d{2})*,\d{3}"),
    ",": re.compile(r"[-+]?[1-9]\d{0,2}(\.\d{3})+"),
}
"""Decimal sign → a whole number with the other sign between thousands (in India also between
hundreds of thousands)."""
_MAYBE = re.compile(r"(?<![\d.,])[-+]?[1-9]\d{0,2}[.,]\d{3}(?![\d.,])")


_DASH = re.compile(r"(?<=\d)([.,])\s?[-\u2013\u2014\u2012]+")
"""A dash in place of cents: `19,-`."""


class Ambiguous(ValueError):
    """Number that can be read in two ways."""


def usual(text: str) -> str:
    """Return a text with the usual digits and signs, and with zeros in place of a dash: `19,-` is
    `19,00`. A text with a raised, lowered or circled digit stays as it is, and is no number."""
    if has_odd_digits(text):
        return text
    text = narrow(text)
    return text if text[-1:].isdigit() else _DASH.sub(r"\g<1>00", text)


@lru_cache(20_000)
def readings(text: str) -> Mapping[str, Decimal]:
    """Return what a number means by the decimal sign with which it can be read: the same for both
    if it has none. Empty = the text is not a number."""
    text = usual(text).strip()
    if len(text) > LONGEST or not text:
        return {}
    if _POWER.fullmatch(text):
        return {sign: Decimal(text) for sign in (SIGNS if "." not in text else ".")}
    bare = _SPACES.sub(lambda found: re.sub(r"\D", "", found[0]), text)
    found = {sign: value for sign in SIGNS if (value := _read(bare, sign)) is not None}
    if bare != text and len(found) == 2 and any(sign in bare for sign in SIGNS):
        # Thousands that are separated by spaces are not separated by a sign as well.
        found = {sign: value for sign, value in found.items() if sign in bare}
    return found


def _read(text: str, sign: str) -> Decimal | None:
    """Read a number by its decimal sign; None = it can't be read with this one."""
    other = "," if sign == "." else "."
    whole, found, rest = text.partition(sign)
    if other in whole:
        if not _THOUSANDS[sign].fullmatch(whole):
            return None
        whole = whole.replace(other, "")
    plain = f"{whole}.{rest}" if found else whole
    return Decimal(plain) if other not in plain.replace(".", "", 1) and _is(plain) else None


def _is(text: str) -> bool:
    return "," not in text and text.isascii() and _PLAIN.fullmatch(text) is not None


def number(text: str, sign: str = "") -> Decimal | None:
    """Read a number; None = the text is not a number, or not with this decimal sign. Ambiguous if
    it can be read in two ways and no sign is given."""
    if sign != "," and _USUAL.fullmatch(text):
        return Decimal(text)
    found = readings(text)
    if sign:
        return found.get(sign)
    if len(set(found.values())) > 1:
        raise Ambiguous(text)
    return next(iter(found.values()), None)


def may_be_ambiguous(text: str) -> bool:
    """Return whether a text may hold a number that can be read in two ways. Quick."""
    return _MAYBE.search(text) is not None


def settled(text: str, sign: str) -> str:
    """Write the numbers of a text that can be read in two ways as the decimal sign demands, so that
    they can be read in one: `1.299 €` becomes `1299 €` by a comma, and `1.2990 €` by a point.
    It keeps its sign, so that it is read in the same way again."""

    def one(found: re.Match[str]) -> str:
        value = str(readings(found[0])[sign])
        return f"{value}0".replace(".", sign) if "." in value else value

    return _MAYBE.sub(one, text)


def amount(text: str) -> tuple[str, str] | None:
    """Split an amount into its number and what stands beside it: the code or the sign of a
    currency, "" = nothing. None = the text is not an amount."""
    if _USUAL.fullmatch(text):
        return text, ""
    text = usual(text)
    found = _NUMERAL.search(text)
    if found is None:
        return None
    beside = f"{text[: found.start()]} {text[found.end() :]}".strip()
    number_ = found[0].strip()
    known = not beside or bool(codes(beside))
    return (number_, beside) if known and readings(number_) else None


def codes(mark: str) -> tuple[str, ...]:
    """Return the codes of the currencies that a code or a sign may mean; () = it is none."""
    if mark.upper() in CODES:
        return (mark.upper(),)
    return (MARKS[mark.lower()],) if mark.lower() in MARKS else SHARED.get(mark.lower(), ())
