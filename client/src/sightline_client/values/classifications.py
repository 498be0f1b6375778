"""Categories of photos, as plain values."""

from dataclasses import dataclass

from sightline_client.values.catalog import CategoryGuess
from sightline_client.values.filters import Filter
from sightline_client.values.signals import Subject


@dataclass(frozen=True, slots=True)
class FilterProposal:
    """A filter that fits a photo."""

    filter: Filter
    text: str
    """The same as the command line writes filters."""
    probability: float
    """The chance that what the photo shows passes it, 0 to 1."""


@dataclass(frozen=True, slots=True)
class Classification:
    """Categories of a photo, by a head that was learned from the catalog."""

    guesses: tuple[CategoryGuess, ...]
    """The most likely full paths, best first."""
    unknown_probability: float
    """The chance that it is of none of the catalog's categories, 0 to 1."""
    unknown: bool
    """Nothing fits."""
    sure: CategoryGuess | None
    """The deepest category that is likely (at least 0.5); None = there is none."""
    proposals: tuple[FilterProposal, ...]
    """Filters to search on with, the likeliest first."""
    subject: Subject | None
    """Where the subject is, if it was to be looked for."""
    space_version: str
    """The version of the fitted space whose head it is."""
    request_id: str
