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
from embedder.domain.recipes import TextRecipe

MODEL = ROOT / "deploy" / "triton" / "models" / "minilm_l6_v2"
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
        if not isinstance(recipe, TextRecipe):
            raise OSError(f"{model} does not accept texts")
        self._tokens = tokenizers.read((model / tokenizers.FILE).read_bytes(), recipe)
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
        """Return a vector of unit length for each text, [n, 384]."""
        found = [self._embed(texts[at : at + BATCH]) for at in range(0, len(texts), BATCH)]
        return np.concatenate(found)

    def _embed(self, texts: Sequence[str]) -> Floats:
        encoded = self._tokens.encode_batch_fast(list(texts))
        given = {
            "input_ids": np.array([each.ids for each in encoded], np.int64),
            "attention_mask": np.array([each.attention_mask for each in encoded], np.int64),
        }
        (vectors,) = self._session.run(None, given)
        return np.asarray(vectors, np.float32)
