"""Similarities to a photo, corrected by the category that it shows. Pure.

The log probability of a product's category, by the classification head of the photo's space, is
added to the cosine with the weight of the scene: cosines distinguish products of one kind, the head
distinguishes kinds. lab/research/photos.md has what was measured.
"""

import math
from collections.abc import Sequence

from sightline_core.columns import ProductColumns
from sightline_core.opaque_messages import Classification
from sightline_rules import categories

LEAST = 0.01
"""Probability that every less likely category has: below it, the head's probabilities say little,
and a sure mistake would hide a product."""


def category_fits(
    shown: Sequence[tuple[Classification, float]], products: ProductColumns
) -> Sequence[float]:
    """Return for each product the sum of weight × log probability of its category, 0 or less.

    Products of categories that the head does not know have 0.
    """
    paths = products.read("category_paths", "")
    total = [0.0] * len(paths)
    for classification, weight in shown:
        fits = {
            categories.join(guess.category_path): weight
            * math.log(min(max(guess.probability, LEAST), 1.0))
            for guess in classification.guesses
        }
        total = [fit + fits.get(path, 0.0) for fit, path in zip(total, paths, strict=True)]
    return total
