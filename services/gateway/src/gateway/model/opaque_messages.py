"""The values of sightline_core.opaque_messages, by the name under which the gateway knows them."""

from sightline_core.opaque_messages import (
    Box,
    CategoryGuess,
    Classification,
    EmbedderSpace,
    Facet,
    FacetRequest,
    Guesses,
    Image,
    Instant,
    LabelLine,
    PhotoPoint,
    ProductRow,
    RecallEstimate,
    Subject,
    Vector,
)

__all__ = [
    "Box",
    "CategoryGuess",
    "Classification",
    "EmbedderSpace",
    "Facet",
    "FacetRequest",
    "Guesses",
    "Image",
    "Instant",
    "LabelLine",
    "PhotoPoint",
    "ProductRow",
    "RecallEstimate",
    "Subject",
    "Vector",
]
