"""Embedding of what a request describes: photos, texts, and what they give."""

from collections.abc import Sequence
from typing import Any, Protocol

from sightline_core.opaque_messages import Box, Classification, Vector
from sightline_rules.fast_dataclass import fast_dataclass


class Content(Protocol):
    """A photo of a shopper, an address of one, or the text of a query."""

    @property
    def is_photo(self) -> bool:
        """True for a photo or an address of one."""

    @property
    def image(self) -> bytes:
        """The file of a photo, unless it has an address."""

    @property
    def image_uri(self) -> str:
        """The address of a photo; empty: none."""

    @property
    def text(self) -> str:
        """The text."""

    @property
    def box(self) -> Box | None:
        """The part of a photo to use; `None`: the whole photo."""


@fast_dataclass(frozen=True, slots=True)
class EmbeddedSignals:
    """Embeddings of several signals, in their order."""

    items: tuple[Vector | Any, ...]
    """The vector of each signal, or the ServiceError that says why it has none."""
    work: float | None
    """Seconds of work in the peer; `None` if unknown."""
    classifications: tuple[Classification | None, ...] = ()
    """Predicted categories by signal, `None` without a classification head; empty if none was
    requested."""
    match_cosines: tuple[Sequence[float], ...] = ()
    """Cosines of good matches by signal; empty: of none."""
    decoding: float = 0.0
    """Processor seconds of decoding photos."""
