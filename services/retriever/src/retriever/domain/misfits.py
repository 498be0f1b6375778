"""The rule by which a photo does not fit its product. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from retriever.domain.vectors import Floats

MIN_LEAD = 0.2
"""Default of `Misfit.lead` from which a photo is reported (`python -m lab misfits`)."""


@dataclass(frozen=True, slots=True)
class Nearest:
    """The photo of another product that is nearest to a photo."""

    product_id: str
    image_id: str
    similarity: float
    """Cosine."""


@dataclass(frozen=True, slots=True)
class Misfit:
    """A photo that is nearer to another product's photos than to those of its own product."""

    product_id: str
    image_id: str
    similarity: float
    """Cosine to the nearest other photo of its product."""
    other: Nearest
    lead: float
    """`other.similarity` − `similarity`."""


def misfits(
    product_id: str,
    images: Sequence[str],
    vectors: Floats,
    nearest: Sequence[Nearest | None],
    min_lead: float,
) -> list[Misfit]:
    """Return the photos of a product that do not fit it, those with the largest lead first.

    `vectors`: of its photos, shape (photos, dimension). `nearest`: for each photo; None: no other
    product has one. A product with one photo has nothing to compare with. Of two photos, which are
    equally far from one another, only the one with the larger lead is returned.
    """
    if len(images) < 2:
        return []
    units = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    cosines = units @ units.T
    np.fill_diagonal(cosines, -1.0)
    own = cosines.max(axis=1)
    found = [
        Misfit(product_id, image, float(mine), other, other.similarity - float(mine))
        for image, mine, other in zip(images, own, nearest, strict=True)
        if other is not None
    ]
    found.sort(key=lambda each: (-each.lead, each.image_id))
    kept = [each for each in found if each.lead >= min_lead]
    return kept[:1] if len(images) == 2 else kept
