"""What the demo shows, as plain values: printed by ``console``, written by ``page``."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from sightline_client import Recommendations


class DemoFailed(Exception):
    """A step did not do what it says."""


def require(holds: bool, failure: str) -> None:
    """Raise DemoFailed with this sentence unless it holds."""
    if not holds:
        raise DemoFailed(failure)


@dataclass(frozen=True, slots=True)
class Shown:
    """A photo that was asked with, or a product that was looked at."""

    photo: bytes = field(repr=False)
    caption: str


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer of the suite."""

    title: str
    recommendations: Recommendations


@dataclass(frozen=True, slots=True)
class Figures:
    """A table of measured figures."""

    title: str
    headers: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    caption: str
    """What each figure means and how it was measured."""


@dataclass(frozen=True, slots=True)
class Scene:
    """One thing that the demo shows."""

    title: str
    intro: str
    """What was asked, in a sentence or two."""
    queries: tuple[Shown, ...] = ()
    answers: tuple[Answer, ...] = ()
    figures: tuple[Figures, ...] = ()
    findings: tuple[str, ...] = ()
    """What was checked and came out."""


@dataclass(frozen=True, slots=True)
class Story:
    """Everything that the page holds."""

    lead: tuple[str, ...]
    """What stands above the scenes."""
    scenes: tuple[Scene, ...]
    photos: Mapping[str, bytes] = field(repr=False)
    """A photo of every product that is shown, by product id."""
