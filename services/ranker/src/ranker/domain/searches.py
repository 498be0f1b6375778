"""Texts that shoppers searched for, counted by shoppers."""

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass

DAYS = 90
"""Days of searches that are counted."""
MOST_READ = 300_000
"""Searches that are counted: the newest ones."""
MOST_LISTED = 10_000
LONGEST = 64
"""Characters of a text that is counted."""

Searched = tuple[str, str]
"""A text as stored, and its shopper."""


@dataclass(frozen=True, slots=True)
class SearchCount:
    """A text and the number of its shoppers."""

    text: str
    shoppers: int


def normal(text: str) -> str:
    """Return the form in which texts are compared: lower case with single spaces; empty if the text
    is too long to be counted."""
    found = " ".join(unicodedata.normalize("NFKC", text).lower().split())
    return found if len(found) <= LONGEST and found.isprintable() else ""


def counted(read: Callable[[], Iterable[Searched]], floor: int) -> list[SearchCount]:
    """Count the different shoppers of each text, and leave out texts of fewer than `floor`.

    Texts by descending count, then by text; at most MOST_LISTED. Reads twice, so that shoppers are
    only held for texts that have enough searches.
    """
    searches = Counter(normal(text) for text, _ in read())
    shoppers: defaultdict[str, set[int]] = defaultdict(set)
    for text, actor in read():
        own = normal(text)
        if own and searches[own] >= floor:
            shoppers[own].add(hash(actor))
    found = [SearchCount(text, len(own)) for text, own in shoppers.items() if len(own) >= floor]
    return sorted(found, key=lambda each: (-each.shoppers, each.text))[:MOST_LISTED]
