"""Texts that programs write where they have no value. As ids they would join all that lack one."""

import re

from sightline_client.files import cells
from sightline_client.files.cells import Cells
from sightline_client.files.model import bad

PLACEHOLDER = "ID_PLACEHOLDER"
"""Reason of a row that has a placeholder as an id."""
PLACEHOLDERS = frozenset(
    {
        *("-", "--", "n/a", "#n/a", "nan", "nil", "none", "null", "undefined", "\\n"),
        *("(none)", "(not set)", "(null)", "(undefined)", "<null>", "<none>", "not set"),
        *("[object object]", "#ref!", "#value!", "#name?", "#null!", "#num!", "#div/0!"),
        "00000000-0000-0000-0000-000000000000",
    }
)
"""In lower case. The ranker has the same (`sightline_rules.placeholders`)."""


_SHORTENED = re.compile(r"\d[.,]\d+E\+\d\d")


def is_placeholder(text: object) -> bool:
    """Return whether a text stands for no value."""
    return isinstance(text, str) and text.strip().casefold() in PLACEHOLDERS


def identity(row: Cells, name: str) -> str:
    """Read an id that is needed. SightlineError for a missing one, for a placeholder, and for one
    that a spreadsheet has shortened to a number such as 4.00638E+12."""
    return _checked(cells.required(row, name), name)


def identity_or_none(row: Cells, name: str) -> str:
    """Read an id that may be missing; "" = it is. SightlineError as in `identity`."""
    return _checked(cells.text(row, name), name)


def _checked(value: str, name: str) -> str:
    if is_placeholder(value):
        raise bad(name, f"{value!r} stands for no value", reason=PLACEHOLDER)
    if _SHORTENED.fullmatch(value):
        text = f"{value!r} is a number that a spreadsheet has shortened: format the column as text"
        raise bad(name, text)
    return value
