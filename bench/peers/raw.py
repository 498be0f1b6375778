"""The same work without a suite: conversion of photo files to vectors in one process."""

import hashlib
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2, service_pb2

from bench.harness.machine import ROOT
from embedder.adapters.triton.description import OUTPUTS, described
from embedder.domain.recipes import PhotoRecipe
from embedder.preprocessing import preprocess
from sightline_rules.photos import PhotoLimits

MODEL = ROOT / "deploy" / "triton" / "models" / "efficientnet_lite0"
_VERSION = "1"


class Raw:
    """The suite's own graph and decoding, with one thread."""

    def __init__(self) -> None:
        """Load the graph that the suite serves. Raise OSError if it is another one."""
        config = text_format.Parse(
            (MODEL / "config.pbtxt").read_text(), model_config_pb2.ModelConfig()
        )
        found = described(service_pb2.ModelConfigResponse(config=config))
        graph = (MODEL / _VERSION / "model.onnx").read_bytes()
        if hashlib.sha256(graph).hexdigest() != found.hashes[_VERSION]:
            raise OSError(f"{MODEL} holds another graph than its configuration says")
        if not isinstance(found.recipe, PhotoRecipe):
            raise OSError(f"{MODEL} does not accept photos")
        self._recipe, self._batch = found.recipe, found.max_batch
        self._limits = PhotoLimits()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(graph, options)

    def seconds(self, files: Sequence[Path]) -> float:
        """Return the processor seconds to read, decode, crop and embed the files."""
        since = time.process_time()
        for start in range(0, len(files), self._batch):
            self._embed([self._pixels(path) for path in files[start : start + self._batch]])
        return time.process_time() - since

    def vectors(self, photos: Sequence[bytes]) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
        """Return a vector of unit length for each photo file."""
        found = []
        for start in range(0, len(photos), self._batch):
            pixels = [self.cut(data) for data in photos[start : start + self._batch]]
            found.append(self._embed(pixels))
        return np.concatenate(found)

    def _pixels(self, path: Path) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
        return self.cut(path.read_bytes())

    def cut(self, photo: bytes) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
        """Decode and crop a photo file to uint8 RGB [side, side, 3]."""
        data, *_ = preprocess.pixels(photo, self._limits, self._recipe)
        side = self._recipe.side
        return np.frombuffer(data, np.uint8).reshape(side, side, 3)

    def _embed(
        self, pixels: Sequence[np.ndarray[tuple[int, ...], np.dtype[np.uint8]]]
    ) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
        (vectors,) = self._session.run([OUTPUTS[0]], {"image": np.stack(pixels)})
        if len(vectors) != len(pixels):
            raise OSError("the graph lost a photo")
        return np.asarray(vectors, np.float32)
