"""What a photo shows, by a head that learned the catalog's categories."""

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
    """What a photo is of, by a head learned from the catalog."""

    guesses: tuple[CategoryGuess, ...]
    """The likeliest full paths, best first."""
    unknown_probability: float


@dataclass(frozen=True, slots=True)
class CategoryMismatch:
    """A photo that contradicts its product's category."""

    image_id: str
    probability: float
    """The chance that the photo is of that category, at most."""
    instead: CategoryGuess | None
    """What it rather looks like; None = like none that is known."""
    space_version: str
    """Of the space whose head says so."""
