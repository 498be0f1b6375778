"""The values of sightline_core.branch, by the name under which the gateway knows them."""

from sightline_core.branch import (
    ABOUT,
    ANCHORED,
    BITS,
    BY_HISTORY,
    BY_WORDS,
    COSINE_BRANCHES,
    JUDGED,
    OF_SHOPPERS,
    RECOMMENDERS,
    SIMILARITY_BRANCHES,
    SPACES,
    Branch,
    branches_of,
)

__all__ = [
    "ABOUT",
    "ANCHORED",
    "BITS",
    "BY_HISTORY",
    "BY_WORDS",
    "COSINE_BRANCHES",
    "JUDGED",
    "OF_SHOPPERS",
    "RECOMMENDERS",
    "SIMILARITY_BRANCHES",
    "SPACES",
    "Branch",
    "branches_of",
]
