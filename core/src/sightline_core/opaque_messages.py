"""Values that the gateway passes through unchanged from one peer to another or to the caller.

Each protocol names the fields that the domain reads. Wire messages satisfy them, so nothing is
copied.
"""

from collections.abc import Iterator, Sequence
from typing import Protocol


class Instant(Protocol):
    """A point in time."""

    def ToMicroseconds(self) -> int:  # noqa: N802
        """Return microseconds since 1970 (UTC)."""

    def ToJsonString(self) -> str:  # noqa: N802
        """Return the time in the format of RFC 3339."""


class Image(Protocol):
    """A photo of a product."""

    image_id: str


class ProductRow(Protocol):
    """A product as stored in the record."""

    product_id: str
    parent_id: str
    title: str
    brand: str

    @property
    def category_path(self) -> Sequence[str]:
        """Its category path, from the root down."""

    @property
    def images(self) -> Sequence[Image]:
        """Its photos, main photo first."""

    @property
    def create_time(self) -> Instant:
        """Time when the catalog first stored it."""

    @property
    def update_time(self) -> Instant:
        """Time of its last write."""

    def SerializeToString(self) -> bytes:  # noqa: N802
        """Serialize it for a file."""

    def ByteSize(self) -> int:  # noqa: N802
        """Return the number of bytes of SerializeToString."""


class Vector(Protocol):
    """An embedding in a version of a space."""

    space: str
    space_version: str
    dimension: int
    data: bytes
    """Its components: float32, little-endian."""


class EmbedderSpace(Protocol):
    """A version of a space in the embedder."""

    space: str
    version: str
    model: str
    dimension: int
    ready: bool
    default_version: bool
    takes_texts: bool


class Box(Protocol):
    """A part of a photo, as fractions of its width and height."""

    left: float
    top: float
    right: float
    bottom: float


class PhotoPoint(Protocol):
    """A point in an upright photo, as fractions of its width and height from the top left."""

    x: float
    y: float


class LabelLine(Protocol):
    """A line of text that was read in a photo, with its place."""

    text: str

    @property
    def corners(self) -> Sequence[PhotoPoint]:
        """The four corners of a line."""


class CategoryGuess(Protocol):
    """A category that a photo may show."""

    probability: float

    @property
    def category_path(self) -> Sequence[str]:
        """The category path, from the root down."""


class Guesses(Protocol):
    """Categories that a photo may show, most probable first; may be truncated."""

    def __iter__(self) -> Iterator[CategoryGuess]:
        """Iterate over the categories."""

    def __delitem__(self, key: slice, /) -> None:
        """Delete some of the categories."""


class Classification(Protocol):
    """Predicted categories of a photo."""

    unknown: bool

    @property
    def guesses(self) -> Guesses:
        """The categories."""


class FacetRequest(Protocol):
    """A requested facet; the retriever validates it."""

    field: str

    def SerializeToString(self, *, deterministic: bool = ...) -> bytes:  # noqa: N802
        """Serialize it for digests."""


class Facet(Protocol):
    """Counts of products by the values of a field."""

    field: str


class RecallEstimate(Protocol):
    """Measured recall of a plan of the index."""
