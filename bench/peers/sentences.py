"""Texts to vectors in one process, by the suite's own graph and tokens, without a suite."""

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2, service_pb2

from bench.harness.machine import ROOT
from embedder.adapters import tokenizers
from embedder.adapters.triton.description import described
from embedder.domain.recipes import SECOND, PairRecipe, TextInput
from embedder.embedding.query_weights import weighted

MODEL = ROOT / "deploy" / "triton" / "models" / "texts_16"
ENGLISH = MODEL.with_name("minilm_l6_v2")
"""The English network alone."""
BATCH = 16

Floats = npt.NDArray[np.float32]


def there(model: Path = MODEL) -> bool:
    """Return whether the model was built."""
    return (model / "1" / "model.onnx").is_file()


class SentenceModel:
    """The text model."""

    def __init__(self, model: Path = MODEL, threads: int = 0) -> None:
        """``threads``: 0 = onnxruntime's default. Raise OSError if the model was not built, or
        does not accept texts.
        """
        config = text_format.Parse(
            (model / "config.pbtxt").read_text(), model_config_pb2.ModelConfig()
        )
        recipe = described(service_pb2.ModelConfigResponse(config=config)).recipe
        if not isinstance(recipe, TextInput):
            raise OSError(f"{model} does not accept texts")
        self._recipe = recipe
        parts = (recipe.first, recipe.second) if isinstance(recipe, PairRecipe) else (recipe,)
        self._tokens = {
            prefix: tokenizers.read((model / f"{prefix}{tokenizers.FILE}").read_bytes(), part)
            for prefix, part in zip(("", SECOND), parts, strict=False)
        }
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        graph = (model / "1" / "model.onnx").read_bytes()
        self._session = onnxruntime.InferenceSession(graph, options)

    def seconds(self, texts: Sequence[str]) -> float:
        """Return the processor seconds to make tokens and vectors."""
        since = time.process_time()
        self.vectors(texts)
        return time.process_time() - since

    def vectors(self, texts: Sequence[str]) -> Floats:
        """Return a vector of unit length for each text that describes a product, [n, d]."""
        found = [self._embed(texts[at : at + BATCH]) for at in range(0, len(texts), BATCH)]
        return np.concatenate(found)

    def query(self, text: str, language: str = "") -> Floats:
        """Return the vector of a shopper's query, [d]."""
        (found,) = self.vectors([text])
        if isinstance(self._recipe, PairRecipe):
            return weighted(found, self._recipe.dimensions, text, language)
        return np.asarray(found, np.float32)

    def _embed(self, texts: Sequence[str]) -> Floats:
        given = {
            prefix + name: ids
            for prefix, tokens in self._tokens.items()
            for name, ids in tokenizers.encoded(tokens, texts).items()
        }
        (vectors,) = self._session.run(None, given)
        return np.asarray(vectors, np.float32)
