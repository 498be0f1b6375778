"""Texts of a catalog as agents may read them: bounded, without invisible characters."""

import unicodedata

TITLE = 300
"""Maximum characters of a title, brand, category, tag or value."""
DESCRIPTION = 4_000
"""Maximum characters of a description."""
_KEPT = frozenset("\n\t\u200c\u200d")
"""Characters of the categories Cc and Cf that texts need: the joiners are part of words and emoji.
"""
_HIDDEN = frozenset(("Cc", "Cf", "Co", "Cs"))


def shown(text: str, most: int = TITLE) -> str:
    """Return a text without control and format characters, which can hide instructions from
    people, and with at most `most` characters."""
    if not text.isprintable():
        text = "".join(
            each for each in text if each in _KEPT or unicodedata.category(each) not in _HIDDEN
        )
    return text if len(text) <= most else f"{text[: most - 1]}…"
