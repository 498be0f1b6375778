"""Similarities to a photo, corrected by the category that it shows. Pure.

The log probability of a product's category, by the classification head of the photo's space, is
added to the cosine with the weight of the scene: cosines distinguish products of one kind, the head
distinguishes kinds. docs/research/photos.md has what was measured.
"""

import math
from collections.abc import Sequence

from gateway.model.carried import Classification
from gateway.model.columns import ProductColumns
from sightline_rules import categories

LEAST = 1e-6
"""Minimum probability: its logarithm is finite."""


def category_fits(
    shown: Sequence[tuple[Classification, float]], products: ProductColumns
) -> Sequence[float]:
    """Return for each product the sum of weight × log probability of its category, 0 or less.

    A category that is less likely than "none of these" counts as likely as that, as does one that
    the head does not know. Only the likeliest categories are given: others count as likely as the
    last of them, if "none of these" is not likelier.
    """
    paths = products.read("category_paths", "")
    total = [0.0] * len(paths)
    for classification, weight in shown:
        chances = {
            categories.join(guess.category_path): guess.probability
            for guess in classification.guesses
        }
        least = max(min(chances.values(), default=0.0), classification.unknown_probability, LEAST)
        for row, path in enumerate(paths):
            total[row] += weight * math.log(min(max(chances.get(path, 0.0), least), 1.0))
    return total
