"""Names that shops give to columns (column_words.toml)."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Mapping

from sightline_client.files.tables import table

_TABLES = table("column_words")
_UMLAUTS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue"})


def simple(name: str) -> str:
    """Return the letters and digits of a name, without case, width and accents."""
    flat = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", name).casefold())
    return "".join(letter for letter in flat if letter.isalnum())


def _spellings(words: str) -> frozenset[str]:
    parts = [word.strip() for word in words.split(",")]
    return frozenset(simple(each) for word in parts for each in (word, word.translate(_UMLAUTS)))


NAMES: Mapping[str, Mapping[str, int]] = {
    ours: {name: rank for rank, some in enumerate(words.split(";")) for name in _spellings(some)}
    for ours, words in _TABLES["names"].items()
}
"""Our column → names of it in files, in the form of `simple` → 0 for those that no other column
has, 1 for others."""
COSTS, MEASURES = (_spellings(_TABLES["words"][name]) for name in ("costs", "measures"))
"""Words in names of costs of a product, and of columns of numbers that are no prices."""


def speaks_of(name: str, words: Collection[str]) -> bool:
    """Return whether a name has one of the words, or a part that is a long or an Asian one."""
    parts = [simple(part) for part in re.findall(r"[^\W\d_]+", name)]
    return any(
        word == part or (word in part and (len(word) > 4 or not word.isascii()))
        for part in parts
        for word in words
    )


EITHER: Mapping[str, frozenset[str]] = {
    ours: _spellings(words) for ours, words in _TABLES["either"].items()
}
"""Our column → names that it shares with others, so that the values have to show it."""
