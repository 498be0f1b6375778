"""Universal Sentence Encoder for many languages as an ONNX graph.

The n-gram network of Yang et al., Multilingual Universal Sentence Encoder for Semantic Retrieval
(2019): embeddings of the tokens, three branches of convolutions over 2, 3 and 5 tokens, their sum
over the text, and a dense network.
"""

import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import onnx

from triton_engine.graph import Array, Graph, tensor
from triton_engine.manifest import BuildError
from triton_engine.text_models import SentenceEncoderModel

IDS: Final = "input_ids"
MASK: Final = "attention_mask"
OUTPUT: Final = "embedding"
WINDOWS: Final = ((2, 0), (3, 1), (5, 2))
"""Tokens of each branch's convolutions, and how many of them are before the token itself."""


def read(weights: bytes) -> dict[str, Array]:
    """Return the arrays of a file of NumPy's format by name. Raises BuildError."""
    try:
        with np.load(io.BytesIO(weights), allow_pickle=False) as arrays:
            return dict(arrays)
    except (OSError, ValueError) as error:
        raise BuildError(f"the weights are not arrays of NumPy: {error}") from error


def build(weights: Mapping[str, Array], model: SentenceEncoderModel) -> onnx.ModelProto:
    """Return the graph: int64 `input_ids` and `attention_mask` [N, T] to float32 `embedding`
    [N, dimension] of unit length. A text must have at least one token.

    Raises BuildError if the weights do not belong to this network.
    """
    graph = _Network(weights=weights, epsilon=float(weights.get("eps", 0)))
    try:
        graph.connect()
    except KeyError as error:
        raise BuildError(f"{model.name}: the weights have no {error.args[0]}") from error
    inputs = [tensor(name, onnx.TensorProto.INT64, ["N", "T"]) for name in (IDS, MASK)]
    return graph.model(model.name, inputs, {OUTPUT: (model.network.dimension,)})


@dataclass(slots=True, kw_only=True)
class _Network(Graph):
    """A graph over the given weights."""

    weights: Mapping[str, Array]
    epsilon: float

    def connect(self) -> None:
        """Add everything from the ids to the vector."""
        words = self.add("Cast", [MASK], "mask", to=onnx.TensorProto.FLOAT)
        last = self.constant("last", np.array([2], np.int64))
        seen = self.add("Unsqueeze", [words, last], "mask.of_words")
        embedded = self._embed()
        branches = self._branches(embedded, seen)
        x = self.add("Concat", [embedded, *branches], "features", axis=2)
        scale, shift = self._weight("ln_g"), self._weight("ln_b")
        x = self.add(
            "LayerNormalization",
            [x, scale, shift],
            "features.normed",
            axis=-1,
            epsilon=self.epsilon,
        )
        self._dense(self._sum(x, words, seen))

    def _weight(self, name: str) -> str:
        return self.constant(name, self.weights[name])

    def _embed(self) -> str:
        """Look the tokens up in the table of bytes, and scale them: [N, T, 512].

        The published table has a scale and a lowest value for each remainder of the token's number.
        """
        parts = [self.weights[f"q{number + 1}"] for number in range(len(self.weights["scale"]))]
        table = np.stack(parts, axis=1).reshape(-1, parts[0].shape[1])
        rows = self.add("Gather", [self.constant("table", table), IDS], "rows")
        count = self.constant("parts", np.int64(len(parts)))
        part = self.add("Mod", [IDS, count], "part")
        x = self.add("Cast", [rows], "bytes", to=onnx.TensorProto.FLOAT)
        for op, name in (("Mul", "scale"), ("Add", "lo")):
            column = self.constant(name, self.weights[name][:, None])
            x = self.add(
                op, [x, self.add("Gather", [column, part], f"{name}.of")], f"embedded.{name}"
            )
        return x

    def _branches(self, x: str, seen: str) -> list[str]:
        """Return the outputs of the convolutions' branches, each [N, T, 256]."""
        sizes = [str(size) for size, _ in WINDOWS]
        together = {
            name: np.concatenate([self.weights[f"{name}{size}"] for size in sizes], axis=-1)
            for name in ("proj", "proj_b", "ln_g", "ln_b")
        }
        x = self.add("MatMul", [x, self.constant("proj", together["proj"])], "projected.product")
        x = self.add("Add", [x, self.constant("proj_b", together["proj_b"])], "projected")
        scale, shift = (self.constant(f"all.{n}", together[n]) for n in ("ln_g", "ln_b"))
        x = self.add(
            "LayerNormalization", [x, scale, shift], "normed", axis=-1, epsilon=self.epsilon
        )
        names = [f"branch.{size}" for size in sizes]
        widths = self.constant(
            "widths", np.array([self.weights[f"proj{size}"].shape[1] for size in sizes], np.int64)
        )
        self.nodes.append(onnx.helper.make_node("Split", [x, widths], names, name="split", axis=2))
        return [self._branch(*each, seen) for each in zip(names, WINDOWS, strict=True)]

    def _branch(self, x: str, window: tuple[int, int], seen: str) -> str:
        """Add two convolutions, each with a residual connection."""
        for layer in ("w1", "w2"):
            size, before = window
            name = f"{layer}_{size}"
            y = self._window(self.add("Mul", [x, seen], f"{name}.seen"), size, before, name)
            y = self.add("MatMul", [y, self._weight(name)], f"{name}.product")
            bias = self._weight(name.replace("w", "b"))
            y = self.add("Relu", [self.add("Add", [y, bias], f"{name}.sum")], f"{name}.relu")
            x = self.add("Add", [y, x], f"{name}.out")
        return x

    def _window(self, x: str, size: int, before: int, name: str) -> str:
        """Join each token with its neighbours, zeros outside the text: [N, T, size * d]."""
        after = size - 1 - before
        pads = self.constant(f"{name}.pads", np.array([0, before, 0, 0, after, 0], np.int64))
        padded = self.add("Pad", [x, pads], f"{name}.padded")
        axis = self.constant(f"{name}.axis", np.array([1], np.int64))
        parts = []
        for place in range(size):
            start = self.constant(f"{name}.start.{place}", np.array([place], np.int64))
            left = place - size + 1
            end = np.array([left or np.iinfo(np.int64).max], np.int64)
            stop = self.constant(f"{name}.end.{place}", end)
            parts.append(self.add("Slice", [padded, start, stop, axis], f"{name}.{place}"))
        return self.add("Concat", parts, f"{name}.window", axis=2)

    def _sum(self, x: str, words: str, seen: str) -> str:
        """Sum over the tokens, projected and divided by the root of their number: [N, 512]."""
        axis = self.constant("axis", np.array([1], np.int64))
        x = self.add("ReduceSum", [self.add("Mul", [x, seen], "kept"), axis], "sum", keepdims=0)
        count = self.add("ReduceSum", [words, axis], "count", keepdims=1)
        x = self.add("MatMul", [x, self._weight("cnn_W")], "sum.product")
        x = self.add("Add", [x, self.add("Mul", [count, self._weight("cnn_b")], "biases")], "sums")
        return self.add("Div", [x, self.add("Sqrt", [count], "root")], "mean")

    def _dense(self, x: str) -> str:
        """Add the dense network and the scaling to unit length."""
        first = self.add("Relu", [self._product(x, "d0")], "dense.0")
        second = self.add(
            "Add", [self._product(x, "p1"), self._product(first, "d1")], "dense.1.sum"
        )
        second = self.add("Relu", [second], "dense.1")
        third = self.add("Relu", [self._product(second, "d2")], "dense.2")
        x = self.add("Add", [self._product(second, "p3"), self._product(third, "d3")], "dense.3")
        return self.unit(self.add("Tanh", [x], "tanh"), OUTPUT)

    def _product(self, x: str, name: str) -> str:
        return self.add("MatMul", [x, self._weight(name)], f"{name}.product")
