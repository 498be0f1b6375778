"""BERT for sentences, as an ONNX graph: the mean of its tokens, at unit length.

Devlin et al. 2019, https://arxiv.org/abs/1810.04805; the mean over the words as a sentence's
vector: Reimers and Gurevych 2019, https://arxiv.org/abs/1908.10084. Weights are named as Hugging
Face's BertModel names them; linear layers there are [out, in].
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import onnx

from triton_engine.graph import Array, tensor
from triton_engine.manifest import BuildError
from triton_engine.text_models import BertModel
from triton_engine.transformer import Transformer

IDS: Final = "input_ids"
MASK: Final = "attention_mask"
OUTPUT: Final = "embedding"
NORM_EPSILON: Final = 1e-12
UNSEEN: Final = -1e9
"""Added to the attention scores of padding."""
UNUSED: Final = ("pooler.", "embeddings.position_ids")
"""Parts of the weights that a mean of tokens does not use."""


def build(weights: Mapping[str, Array], model: BertModel) -> onnx.ModelProto:
    """Return the graph: int64 ids and mask (1 = a word, 0 = padding) [N, T] to float32
    [N, dimension] of unit length.

    Every constant is an unchanged weight. Raises BuildError if the weights do not belong to the
    manifest's network.
    """
    graph = _Network(weights=weights, heads=model.network.heads, epsilon=NORM_EPSILON)
    try:
        graph.connect(model.input.max_tokens)
    except KeyError as error:
        raise BuildError(f"{model.name}: the weights have no {error.args[0]}") from error
    spare = [n for n in weights if n not in graph.used and not n.startswith(UNUSED)]
    if spare:
        raise BuildError(f"{model.name}: the network makes no use of {spare[0]}")
    inputs = [tensor(name, onnx.TensorProto.INT64, ["N", "T"]) for name in (IDS, MASK)]
    return graph.model(model.name, inputs, {OUTPUT: (model.network.dimension,)})


@dataclass(slots=True)
class _Network(Transformer):
    """A graph of transformer layers over the given weights."""

    def connect(self, tokens: int) -> None:
        """Add everything from the ids to the vector."""
        words = self.add("Cast", [MASK], "mask", to=onnx.TensorProto.FLOAT)
        unseen = self._unseen(words)
        x = self._embed(tokens)
        layer = 0
        while f"encoder.layer.{layer}.output.dense.weight" in self.weights:
            x = self._layer(x, unseen, f"encoder.layer.{layer}.")
            layer += 1
        self.unit(self._mean(x, words), OUTPUT)

    def _embed(self, tokens: int) -> str:
        """Sum the embeddings of the token, its position and the (only) segment: [N, T, d]."""
        word = self.weight("embeddings.word_embeddings.weight")
        x = self.add("Gather", [word, IDS], "word")
        places = self.weights["embeddings.position_embeddings.weight"]
        self.used.add("embeddings.position_embeddings.weight")
        if tokens > len(places):
            raise BuildError(f"input.max_tokens: the weights know {len(places)} places")
        zero, one = (self.constant(n, np.array([v], np.int64)) for n, v in (("0", 0), ("1", 1)))
        length = self.add("Shape", [IDS], "length_of_text", start=1, end=2)
        place = self.constant("places", places[:tokens])
        place = self.add("Slice", [place, zero, length, zero, one], "place")
        x = self.add("Add", [x, place], "word.placed")
        kinds = self.weights["embeddings.token_type_embeddings.weight"]
        self.used.add("embeddings.token_type_embeddings.weight")
        x = self.add("Add", [x, self.constant("first_sentence", kinds[0])], "word.typed")
        return self.norm(x, "embeddings.LayerNorm")

    def _unseen(self, words: str) -> str:
        """Add the attention mask: 0 at tokens and UNSEEN at padding, [N, 1, 1, T]."""
        inner = self.constant("inner", np.array([1, 2], np.int64))
        x = self.add("Unsqueeze", [words, inner], "mask.over_heads")
        one = self.constant("one", np.float32(1))
        x = self.add("Sub", [one, x], "mask.padding")
        return self.add("Mul", [x, self.constant("unseen", np.float32(UNSEEN))], "mask.unseen")

    def _layer(self, x: str, unseen: str, p: str) -> str:
        """Add one transformer layer: attention, then two dense layers, each with a residual
        connection.
        """
        seen = self.dense(self._attend(x, unseen, p), p + "attention.output.dense")
        x = self.add("Add", [seen, x], p + "attention.sum")
        x = self.norm(x, p + "attention.output.LayerNorm")
        y = self.gelu(self.dense(x, p + "intermediate.dense"), p + "gelu")
        y = self.dense(y, p + "output.dense")
        return self.norm(self.add("Add", [y, x], p + "output.sum"), p + "output.LayerNorm")

    def _attend(self, x: str, unseen: str, p: str) -> str:
        p += "attention.self."
        width = len(self.weights[p + "query.weight"]) // self.heads
        query = self.split(self.dense(x, p + "query"), width, [0, 2, 1, 3])
        key = self.split(self.dense(x, p + "key"), width, [0, 2, 3, 1])
        value = self.split(self.dense(x, p + "value"), width, [0, 2, 1, 3])
        return self.attend(query, key, value, p, width=width, unseen=unseen)

    def _mean(self, x: str, words: str) -> str:
        """Average over the tokens, without padding: [N, d]."""
        last = self.constant("last", np.array([2], np.int64))
        share = self.add("Unsqueeze", [words, last], "mask.of_words")
        axis = self.constant("axis", np.array([1], np.int64))
        x = self.add(
            "ReduceSum", [self.add("Mul", [x, share], "seen_words"), axis], "sum", keepdims=0
        )
        count = self.add("ReduceSum", [words, axis], "count", keepdims=1)
        least = self.constant("least", np.float32(1e-9))
        return self.add("Div", [x, self.add("Max", [count, least], "count_or_more")], "mean")
