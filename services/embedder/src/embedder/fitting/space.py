"""A fitted map in NumPy: what its graph has to give. Values in, values out."""

import numpy as np
import numpy.typing as npt

from embedder.domain.fitted import Fitted, Floats, Head, TextMap


def embed(fitted: Fitted, features: Floats, kinds: npt.NDArray[np.int8]) -> Floats:
    """Return the vectors [n, d], of unit length, of photos' features [n, f] and kinds [n]."""
    standard = (features - fitted.means[kinds]) / fitted.scales[kinds]
    return unit(standard @ fitted.projection)


def categories(head: Head, vectors: Floats) -> Floats:
    """Return the chances [n, C + 1] of each category, of the unknown last."""
    known = vectors @ head.weights + head.biases
    unknown = np.full((len(known), 1), head.unknown, known.dtype)
    logits = np.concatenate([known, unknown], axis=1)
    chances = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(chances / chances.sum(axis=1, keepdims=True), np.float32)


def texts(text_map: TextMap, sentences: Floats) -> Floats:
    """Return the vectors [n, d], of unit length, of the text model's vectors [n, 384]."""
    return unit(sentences @ text_map.weights + text_map.biases)


def unit(vectors: Floats) -> Floats:
    """Return the rows brought to unit length; one of zeros stays so."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, np.finfo(np.float32).tiny), np.float32)
