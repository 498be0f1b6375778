"""Texts of a catalog as agents may read them: bounded, without invisible characters."""

import re
import unicodedata

TITLE = 300
"""Maximum characters of a title, brand, category, tag or value."""
DESCRIPTION = 4_000
"""Maximum characters of a description."""
_KEPT = frozenset("\n\t")
_HIDDEN = frozenset(("Cc", "Cf", "Cn", "Co", "Cs"))
_IGNORABLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f"
    "\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0000-\U000e0fff]"
)
"""Default-ignorable code points (Unicode 16, DerivedCoreProperties): shown as nothing."""
_JOINERS, _MONGOLIAN = frozenset("\u200c\u200d"), frozenset("\u180b\u180c\u180d\u180f")
_EMOJI = "\ufe0e\ufe0f"


def shown(text: str, most: int = TITLE) -> str:
    """Return a text without control, format and other invisible characters, which can hide
    instructions from people, and with at most `most` characters.

    Those that scripts and emoji need are kept where they need them, one after a visible character:
    joiners, variation selectors of emoji and of Mongolian letters.
    """
    if not text.isprintable() or _IGNORABLE.search(text):
        text = "".join(_visible(text))
    return text if len(text) <= most else f"{text[: most - 1]}…"


def identifier(text: str) -> str:
    """Return an id with each invisible character as its number, such as `U+200B`: nothing is hidden
    in it, and it can't be taken for another id."""
    if text.isprintable() and not _IGNORABLE.search(text):
        return text
    return "".join(f"U+{ord(each):04X}" if _is_hidden(each) else each for each in text)


def _visible(text: str) -> list[str]:
    kept: list[str] = []
    for each in text:
        before = kept[-1] if kept else " "
        if each in _KEPT or not _is_hidden(each) or _is_needed(each, before):
            kept.append(each)
    return kept


def _is_hidden(each: str) -> bool:
    return bool(_IGNORABLE.match(each)) or unicodedata.category(each) in _HIDDEN


def _is_needed(each: str, before: str) -> bool:
    """Return whether an invisible character belongs to the one before it."""
    if each in _JOINERS:
        return before in _EMOJI or not (before.isspace() or _is_hidden(before))
    if each in _MONGOLIAN:
        return "\u1820" <= before <= "\u18aa"
    if each in _EMOJI:
        return unicodedata.category(before) in ("So", "Sm", "Po", "Nd", "Sk", "Pd")
    return False
