"""The branches that supply candidates: the one place that lists them.

Scenes and their checks, plans, fusion, parts of scores, reasons and degradations follow from the
table. To add a branch: a member at the end of Branch, its row in BRANCHES, and the code that finds
its candidates: for a recommender by counts a row in the ranker's
serving/ranking/recommenders.py, for any other branch a call in the gateway's retrieval/branches.py.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, StrEnum, auto
from functools import cache
from types import MappingProxyType


class Branch(StrEnum):
    """A source of candidates. New ones are at the end: bit sets of branches name them by place."""

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
    LEFT_IN_CART = "left_in_cart"


class BranchKind(Enum):
    """How a branch finds its candidates, and what their scores are."""

    SPACE = auto()
    """It follows signals in a space. Scores are cosine similarities to them."""
    WORDS = auto()
    """It follows signals in the record. Scores rate how well words match, 0 to 1."""
    BEHAVIOUR = auto()
    """It follows a shopper by a model."""
    COUNTS = auto()
    """It is a list of the ranker by counts, which needs no model. Scores are 0 to 1."""
    NEWEST = auto()
    """It lists the newest products of the record."""
    OTHER = auto()
    """No scene weighs it: a fallback, or the request's own candidates."""


class BranchNeed(Enum):
    """What a request must have so that its plan has a branch."""

    PHOTO = auto()
    TEXT = auto()
    LABEL = auto()
    """A photo whose label may be read."""
    LIKING = auto()
    """A shopper or anchors."""
    ANCHOR = auto()
    """A product that the request is about, of the request or of the shopper's history."""
    SHOPPER = auto()
    FOLLOWED = auto()
    """Values that the shopper follows."""
    NOTHING = auto()


@dataclass(frozen=True, slots=True)
class BranchTraits:
    """Description of a branch."""

    kind: BranchKind
    needs: BranchNeed
    reason: str
    """Code of the reason for its products; `reasons.REASONS` has the sentence."""
    finds: str
    """What it finds, in the words of a degradation that it substitutes."""
    space: str = ""
    """Space that it searches."""
    usual: float = 0.0
    """Weight in the fusion of a scene that has none."""


def _by_counts(needs: BranchNeed, reason: str, finds: str) -> BranchTraits:
    return BranchTraits(BranchKind.COUNTS, needs, reason, finds)


BRANCHES: Mapping[Branch, BranchTraits] = MappingProxyType(
    {
        Branch.VISUAL: BranchTraits(
            *(BranchKind.SPACE, BranchNeed.PHOTO, "LOOKS_LIKE_QUERY"),
            "products that look similar",
            space="visual",
            usual=1.0,
        ),
        Branch.TEXT: BranchTraits(
            *(BranchKind.SPACE, BranchNeed.TEXT, "MATCHES_TEXT"),
            "products that match the text",
            space="text",
            usual=1.0,
        ),
        Branch.TEXT_VISUAL: BranchTraits(
            *(BranchKind.SPACE, BranchNeed.TEXT, "LOOKS_LIKE_TEXT"),
            "products that look like the text",
            space="visual",
            usual=1.0,
        ),
        Branch.KEYWORDS: BranchTraits(
            *(BranchKind.WORDS, BranchNeed.TEXT, "MATCHES_WORDS"),
            "products that have words of the text",
            usual=1.0,
        ),
        Branch.LABELS: BranchTraits(
            *(BranchKind.WORDS, BranchNeed.LABEL, "READS_LABEL"),
            "products that have words of the label",
        ),
        Branch.COLLABORATIVE: BranchTraits(
            *(BranchKind.BEHAVIOUR, BranchNeed.LIKING, "MATCHES_TASTE"),
            "products that fit the shopper",
            usual=1.0,
        ),
        Branch.NEW: BranchTraits(
            *(BranchKind.NEWEST, BranchNeed.NOTHING, "NEW"),
            "the newest products that pass the filter",
        ),
        Branch.TRENDING: _by_counts(BranchNeed.NOTHING, "TRENDING", "products that are trending"),
        Branch.BEST_SELLERS: _by_counts(BranchNeed.NOTHING, "BEST_SELLER", "best sellers"),
        Branch.FOLLOWED: BranchTraits(
            *(BranchKind.NEWEST, BranchNeed.FOLLOWED, "FOLLOWED"),
            "the newest products that the shopper follows",
        ),
        Branch.CO_PURCHASE: _by_counts(
            BranchNeed.ANCHOR, "BOUGHT_WITH", "products that are bought together"
        ),
        Branch.CO_VIEW: _by_counts(
            BranchNeed.ANCHOR, "ALSO_VIEWED", "products that are viewed together"
        ),
        Branch.RECENTLY_VIEWED: _by_counts(
            BranchNeed.SHOPPER, "VIEWED_RECENTLY", "products that the shopper viewed"
        ),
        Branch.REORDER: _by_counts(
            BranchNeed.SHOPPER, "BUY_AGAIN", "products that the shopper bought before"
        ),
        Branch.LEFT_IN_CART: _by_counts(
            BranchNeed.SHOPPER, "LEFT_IN_CART", "products that the shopper put into the cart"
        ),
        Branch.POPULAR: BranchTraits(
            *(BranchKind.OTHER, BranchNeed.NOTHING, "POPULAR"),
            "popular products that pass the filter",
        ),
        Branch.GIVEN: BranchTraits(
            *(BranchKind.OTHER, BranchNeed.NOTHING, "GIVEN"), "the request's candidates"
        ),
    }
)
"""Description of each branch, in the order in which plans name them."""


def _of(*kinds: BranchKind) -> tuple[Branch, ...]:
    """Return the branches of these kinds, in the order of Branch."""
    return tuple(branch for branch in Branch if BRANCHES[branch].kind in kinds)


BITS = MappingProxyType({branch: 1 << bit for bit, branch in enumerate(Branch)})
"""Bit of each branch in a bit set of branches."""

SIMILARITY_BRANCHES = _of(BranchKind.SPACE, BranchKind.WORDS)
"""Branches that follow signals."""

BY_WORDS = frozenset(_of(BranchKind.WORDS))
"""Similarity branches that search the record by words: of texts, and of labels on photos."""

JUDGED = frozenset({*SIMILARITY_BRANCHES} - {Branch.LABELS})
"""Branches whose best product may be a good match: a label alone says little."""

COSINE_BRANCHES = frozenset(_of(BranchKind.SPACE))
"""Similarity branches whose scores are cosines."""

RECOMMENDERS = _of(BranchKind.COUNTS)
"""Branches that are the ranker's lists by counts."""

ANCHORED = frozenset(each for each in RECOMMENDERS if BRANCHES[each].needs is BranchNeed.ANCHOR)
"""Recommenders by co-occurrence with anchors."""

BY_HISTORY = (Branch.VISUAL, Branch.TEXT, *sorted(ANCHORED))
"""Branches that can follow a shopper's last products."""

OF_SHOPPERS = frozenset(each for each in RECOMMENDERS if BRANCHES[each].needs is BranchNeed.SHOPPER)
"""Recommenders by a shopper's own events."""

ABOUT = frozenset({*SIMILARITY_BRANCHES, *ANCHORED, Branch.FOLLOWED})
"""Branches that depend on the request's subject, not on the shopper."""

WEIGHED = tuple(each for each, one in BRANCHES.items() if one.kind is not BranchKind.OTHER)
"""Branches that a scene weighs, in the order of plans."""

SCORED = (*SIMILARITY_BRANCHES, *RECOMMENDERS, Branch.FOLLOWED)
"""Branches that are parts of raw scores."""

SPACES: Mapping[Branch, str] = MappingProxyType(
    {branch: one.space for branch, one in BRANCHES.items() if one.space}
)
"""Space that each signal branch searches; those of BY_WORDS search the record."""


@cache
def branches_of(bits: int) -> tuple[Branch, ...]:
    """Return the branches of these bits, in the order of Branch."""
    return tuple(branch for bit, branch in enumerate(Branch) if bits >> bit & 1)
