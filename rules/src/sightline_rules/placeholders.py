"""Texts that programs write where they have no value. As ids they would join all that lack one."""

from __future__ import annotations

PLACEHOLDERS = frozenset(
    {
        *("-", "--", "n/a", "#n/a", "nan", "nil", "none", "null", "undefined", "\\n"),
        *("(none)", "(not set)", "(null)", "(undefined)", "<null>", "<none>", "not set"),
        *("[object object]", "#ref!", "#value!", "#name?", "#null!", "#num!", "#div/0!"),
        "00000000-0000-0000-0000-000000000000",
    }
)
"""In lower case. The client has the same, as it imports nothing of ours but the contract."""
_LONGEST = max(map(len, PLACEHOLDERS))


def is_placeholder(text: str) -> bool:
    """Return whether an id stands for no value."""
    return len(text) <= _LONGEST and text.strip().casefold() in PLACEHOLDERS
