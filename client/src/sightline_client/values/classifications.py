"""Categories of photos, as plain values."""

from dataclasses import dataclass

from sightline_client.values.catalog import CategoryGuess
from sightline_client.values.filters import Filter


@dataclass(frozen=True, slots=True)
class FilterProposal:
    """A filter that fits a photo."""

    filter: Filter
    text: str
    """The same filter in the syntax of the command line."""
    probability: float
    """Probability that the product in the photo passes it, 0 to 1."""


@dataclass(frozen=True, slots=True)
class Classification:
    """Categories of a photo, by a classification head learned from the catalog."""

    guesses: tuple[CategoryGuess, ...]
    """The most likely full paths, best first."""
    unknown_probability: float
    """Probability that it shows none of the catalog's categories, 0 to 1."""
    unknown: bool
    """True if no category is likelier than ``unknown_probability``."""
    sure: CategoryGuess | None
    """The deepest category with a probability of at least 0.5; `None` if there is none."""
    proposals: tuple[FilterProposal, ...]
    """Filters for a search, likeliest first."""
    space_version: str
    """Version of the fitted space whose head classified the photo."""
    request_id: str
