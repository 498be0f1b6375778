"""The branches that supply candidates."""

from collections.abc import Mapping
from enum import StrEnum
from functools import cache
from types import MappingProxyType


class Branch(StrEnum):
    """A source of candidates."""

    VISUAL = "visual"
    TEXT = "text"
    TEXT_VISUAL = "text_visual"
    KEYWORDS = "keywords"
    COLLABORATIVE = "collaborative"
    POPULAR = "popular"
    NEW = "new"
    CO_VIEW = "co_view"
    CO_PURCHASE = "co_purchase"
    TRENDING = "trending"
    BEST_SELLERS = "best_sellers"
    REORDER = "reorder"
    RECENTLY_VIEWED = "recently_viewed"
    FOLLOWED = "followed"
    GIVEN = "given"
    """The request's own candidates; no other branch runs with it."""
    LABELS = "labels"


BITS = MappingProxyType({branch: 1 << bit for bit, branch in enumerate(Branch)})
"""Bit of each branch in a bit set of branches."""

SIMILARITY_BRANCHES = (
    *(Branch.VISUAL, Branch.TEXT, Branch.TEXT_VISUAL, Branch.KEYWORDS, Branch.LABELS),
)
"""Branches that follow signals. Their scores are cosine similarities to the signals; those of
BY_WORDS rate how well words match, 0 to 1."""

BY_WORDS = frozenset({Branch.KEYWORDS, Branch.LABELS})
"""Similarity branches that search the record by words: of texts, and of labels on photos."""

JUDGED = frozenset({*SIMILARITY_BRANCHES} - {Branch.LABELS})
"""Branches whose best product may be a good match: a label alone says little."""

COSINE_BRANCHES = frozenset({Branch.VISUAL, Branch.TEXT, Branch.TEXT_VISUAL})
"""Similarity branches whose scores are cosines."""

ANCHORED = frozenset({Branch.CO_VIEW, Branch.CO_PURCHASE})
"""Recommenders by co-occurrence with anchors."""

BY_HISTORY = (Branch.VISUAL, Branch.TEXT, *sorted(ANCHORED))
"""Branches that can follow a shopper's last products."""

OF_SHOPPERS = frozenset({Branch.REORDER, Branch.RECENTLY_VIEWED})
"""Recommenders by a shopper's own events."""

RECOMMENDERS = (
    *(Branch.CO_VIEW, Branch.CO_PURCHASE, Branch.TRENDING, Branch.BEST_SELLERS),
    *(Branch.REORDER, Branch.RECENTLY_VIEWED),
)
"""Branches that are the ranker's lists by counts, which need no model. Their scores are 0 to 1."""

ABOUT = frozenset({*SIMILARITY_BRANCHES, *ANCHORED, Branch.FOLLOWED})
"""Branches that depend on the request's subject, not on the shopper."""

SPACES: Mapping[Branch, str] = MappingProxyType(
    {Branch.VISUAL: "visual", Branch.TEXT: "text", Branch.TEXT_VISUAL: "visual"}
)
"""Space that each signal branch searches; those of BY_WORDS search the record."""


@cache
def branches_of(bits: int) -> tuple[Branch, ...]:
    """Return the branches of these bits, in the order of Branch."""
    return tuple(branch for bit, branch in enumerate(Branch) if bits >> bit & 1)
