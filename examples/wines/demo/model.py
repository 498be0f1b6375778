"""Results of the demo as plain values, printed by ``console`` and written by ``page``."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from sightline_client import Recommendations


class DemoFailed(Exception):
    """A step of the demo failed."""


def require(holds: bool, failure: str) -> None:
    """Raise DemoFailed with this sentence unless the condition is true."""
    if not holds:
        raise DemoFailed(failure)


@dataclass(frozen=True, slots=True)
class Shown:
    """A query photo, or a viewed product."""

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
    """Meaning of each figure, and its measurement."""


@dataclass(frozen=True, slots=True)
class Scene:
    """One scene of the demo."""

    title: str
    intro: str
    """The request, in one or two sentences."""
    queries: tuple[Shown, ...] = ()
    answers: tuple[Answer, ...] = ()
    figures: tuple[Figures, ...] = ()
    findings: tuple[str, ...] = ()
    """Findings: what was checked, and the result."""


@dataclass(frozen=True, slots=True)
class Story:
    """Content of the page."""

    lead: tuple[str, ...]
    """Paragraphs above the scenes."""
    scenes: tuple[Scene, ...]
    photos: Mapping[str, bytes] = field(repr=False)
    """A photo of every shown product, by product id."""
