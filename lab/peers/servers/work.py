"""The work of each of the other servers: conversion of a photo file to a vector, in one process.

The same graph, the same decoding and the same settings of onnxruntime as the embedder has.
"""

import os

import numpy as np
import onnxruntime

from embedder.domain.recipes import PhotoRecipe
from embedder.preprocessing import preprocess
from sightline_rules.photos import PhotoLimits

WORKERS = 2


class Work:
    """A loaded model with one thread."""

    def __init__(self) -> None:
        """Open the graph that EMBEDDING_GRAPH names."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(os.environ["EMBEDDING_GRAPH"], options)
        side = self._session.get_inputs()[0].shape[1]
        self._recipe = PhotoRecipe(side, 0.875, "in the graph")
        self._limits = PhotoLimits()

    def __call__(self, photo: bytes) -> bytes:
        """Return the vector, float32 little-endian."""
        data, *_ = preprocess.pixels(photo, self._limits, self._recipe)
        side = self._recipe.side
        pixels = np.frombuffer(data, np.uint8).reshape(1, side, side, 3)
        (vectors,) = self._session.run(["embedding"], {"image": pixels})
        return np.asarray(vectors[0], "<f4").tobytes()
