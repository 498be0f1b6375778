"""Items pending for their vectors, and the space versions that the embedder offers."""

from dataclasses import dataclass

MAX_ATTEMPTS = 10
"""Number of attempts after which a photo that causes its own failure is no longer retried."""
OUTAGES = ("EMBEDDER_UNAVAILABLE", "PHOTO_STORE_UNAVAILABLE")
"""Error reasons that are presumably not caused by the photo."""


@dataclass(frozen=True, slots=True)
class Pending:
    """A photo, or a product's text, that is pending for its vector."""

    item_id: str
    """The photo's id; in a generation of texts, the product's."""
    size: int
    """Bytes of the photo, 0 for a text."""
    attempts: int
    used: bool
    """True if a product still has it; of a text, not looked up."""


@dataclass(frozen=True, slots=True)
class EmbeddingSpace:
    """A version of a space as the embedder offers it now."""

    space: str
    version: str
    dimension: int
    ready: bool
    default: bool = True
    """True if photos are embedded with it that name no version."""
    categories: int = 0
    """Number of categories that its head knows; 0: it has no head."""
    shopper_photo_tags: frozenset[str] = frozenset()
    """Tags of products whose photos are shoppers', as the version was fitted."""
    fitted: bool = False
    """True if it was fitted to a catalog, which alone may use it."""
