"""Vectors of the collaborative space: their inner product is a product's score by behaviour.

A product's vector is the model's vector with the bias appended, and a shopper's vector ends with
the factor of biases (parts.py)::

    item_vectors[i] @ q + b · item_biases[i]  ==  [item_vectors[i], item_biases[i]] @ [q, b]
"""

import numpy as np

from ranker.domain.arrays import Floats
from ranker.domain.model import Model


def item_vectors(model: Model) -> Floats:
    """Return the products' vectors with their biases, (items, dimension + 1)."""
    return np.concatenate([model.item_vectors, model.item_biases[:, None]], axis=1)


def query_vector(query: Floats, bias: float = 1.0) -> Floats:
    """Return a shopper's vector, (dimension + 1,), in which biases have the factor `bias`."""
    return np.append(query, np.float32(bias))
