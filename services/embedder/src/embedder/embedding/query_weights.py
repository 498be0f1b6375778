"""Weights of two text networks in the vector of a query.

The vector of a product has both networks' vectors with equal weights. That of a query has more of
the network that reads its language better; the similarity is then the weighted mean of both
networks' cosines, times a number that is the same for all products. lab/research/texts.md has the
measurements.
"""

import unicodedata
from typing import Final

import numpy as np

from embedder.domain.items import Vectors

ENGLISH: Final = "en"
SECOND_SHARE: Final = 0.2
"""Share of the second network in the squared length of a query's vector, if the query is or may be
English; with the products' equal shares, that is a third of the similarity."""


def weighted(vector: Vectors, dimensions: tuple[int, int], text: str, language: str) -> Vectors:
    """Return the vector [sum of dimensions] of a query, of unit length: of the second network alone
    for a query in another language than English or in another script than Latin."""
    share = 1.0 if not_english(text, language) else SECOND_SHARE
    weights = np.sqrt(np.array([1 - share, share], np.float32))
    found: Vectors = vector * np.repeat(weights, dimensions)
    found /= np.sqrt(found @ found)
    return found


def not_english(text: str, language: str) -> bool:
    """Return whether a query is in another language than English, by its letters or, if they are
    Latin, by its language code."""
    letters = [letter for letter in text if letter.isalpha()]
    foreign = sum(not unicodedata.name(letter, "").startswith("LATIN") for letter in letters)
    code = language.replace("_", "-").partition("-")[0].lower()
    return 2 * foreign > len(letters) or code not in ("", ENGLISH)
