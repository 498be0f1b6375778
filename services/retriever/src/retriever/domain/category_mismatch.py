"""Category of a photo, by a classification head fitted to the catalog, and whether it contradicts
its product's category. Pure functions.

The limits were chosen on phone photos of groceries (2026-11, `python -m lab accuracy`), each by a
head that had no part of it: those that flag most wrong categories while four flags in five are
right where one category in twenty is wrong, also among those that the head learned from. A product
of which the head saw no photo is flagged wrongly far more often: lab/research/embedder.md.
"""

from collections.abc import Collection
from dataclasses import dataclass

CategoryPath = tuple[str, ...]
"""From the root down."""


@dataclass(frozen=True, slots=True)
class CategoryGuess:
    """A category that a photo may be of."""

    path: CategoryPath
    probability: float


@dataclass(frozen=True, slots=True)
class Classification:
    """A photo's category, classified by a head learned from the catalog."""

    guesses: tuple[CategoryGuess, ...]
    """The likeliest full paths, best first."""
    unknown_probability: float


@dataclass(frozen=True, slots=True)
class CategoryMismatch:
    """A photo that contradicts its product's category."""

    image_id: str
    probability: float
    """Upper bound of the probability that the photo is of that category."""
    instead: CategoryGuess | None
    """The more probable category, or `None` if no known category is."""
    space_version: str
    """Version of the space whose head classified it."""


OWN_AT_MOST = 0.02
"""Maximum probability of the product's own category for a contradiction …"""
OTHER_AT_LEAST = 0.6
"""… if another category has at least this probability …"""
UNKNOWN_AT_LEAST = 0.9
"""… or if the photo is of no known category with at least this probability."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds for a contradiction. The bench of accuracy tries other values."""

    own_at_most: float = OWN_AT_MOST
    other_at_least: float = OTHER_AT_LEAST
    unknown_at_least: float = UNKNOWN_AT_LEAST


LIMITS = Limits()


def category_mismatch(
    own: CategoryPath,
    seen: Classification,
    known: Collection[CategoryPath],
    image_id: str,
    space_version: str,
    *,
    limits: Limits = LIMITS,
) -> CategoryMismatch | None:
    """Return how a photo contradicts a product's category; `None` if it does not or is unknown.

    `known`: the full paths that the head knows. A category that is neither among them nor above one
    is never contradicted: it may be newer than the head.
    """
    mine = {path for path in known if _within(path, own)}
    if not own or not mine:
        return None
    chance = _at_most(seen, mine)
    if chance > limits.own_at_most:
        return None
    others = (guess for guess in seen.guesses if not _related(guess.path, own))
    best = max(others, key=lambda guess: guess.probability, default=None)
    if best is not None and best.probability >= limits.other_at_least:
        return CategoryMismatch(image_id, chance, best, space_version)
    if seen.unknown_probability >= limits.unknown_at_least:
        return CategoryMismatch(image_id, chance, None, space_version)
    return None


def _at_most(seen: Classification, paths: Collection[CategoryPath]) -> float:
    """Return an upper bound of the joint probability of some categories: one that is not among the
    guesses has no more than the last guess, and all of those no more than the remainder."""
    guessed = [guess for guess in seen.guesses if guess.path in paths]
    sure = sum(guess.probability for guess in guessed)
    left = 1.0 - seen.unknown_probability - sum(guess.probability for guess in seen.guesses)
    least = min((guess.probability for guess in seen.guesses), default=1.0)
    return min(sure + max(min(left, (len(paths) - len(guessed)) * least), 0.0), 1.0)


def _related(path: CategoryPath, own: CategoryPath) -> bool:
    """Return whether one category is within the other."""
    return _within(path, own) or _within(own, path)


def _within(path: CategoryPath, category: CategoryPath) -> bool:
    return path[: len(category)] == category
