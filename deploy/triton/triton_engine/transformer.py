"""Common parts of transformers as ONNX graphs, for BERT and for image towers.

Weights are named as Hugging Face names them; linear layers there are [out, in].
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from triton_engine.graph import Array, Graph


@dataclass(slots=True)
class Transformer(Graph):
    """A graph over the given weights. Its methods raise KeyError with a missing weight's name."""

    weights: Mapping[str, Array] = field(kw_only=True)
    heads: int = field(kw_only=True)
    epsilon: float = field(kw_only=True)
    """Epsilon of every layer normalization."""
    used: set[str] = field(default_factory=set)
    """Names of the weights in the graph."""

    def weight(self, name: str) -> str:
        """Add a weight unchanged."""
        self.used.add(name)
        return self.constant(name, self.weights[name])

    def dense(self, x: str, name: str, *, bias: bool = True) -> str:
        """Add a linear layer: [..., in] to [..., out]."""
        weight = self.constant(
            f"{name}.weight", np.ascontiguousarray(self.weights[f"{name}.weight"].T)
        )
        self.used.add(f"{name}.weight")
        if not bias:
            return self.add("MatMul", [x, weight], name)
        product = self.add("MatMul", [x, weight], f"{name}.product")
        return self.add("Add", [product, self.weight(f"{name}.bias")], name)

    def norm(self, x: str, name: str) -> str:
        """Add a layer normalisation."""
        scale, shift = (self.weight(f"{name}.{part}") for part in ("weight", "bias"))
        return self.add(
            "LayerNormalization", [x, scale, shift], name, axis=-1, epsilon=self.epsilon
        )

    def split(self, x: str, width: int, order: list[int]) -> str:
        """Add a split of [N, T, d] into heads of `width`, transposed to `order`."""
        parts = self.constant(f"{x}.parts", np.array([0, 0, self.heads, width], np.int64))
        return self.add(
            "Transpose", [self.add("Reshape", [x, parts], f"{x}.split")], f"{x}.heads", perm=order
        )

    def attend(
        self, query: str, key: str, value: str, p: str, *, width: int, unseen: str = ""
    ) -> str:
        """Add the attention between heads of `width`: [N, T, heads * width].

        `query`, `value`: [N, heads, T, width]; `key`: [N, heads, width, T]; `unseen` is added to
        the scores; "": no mask.
        """
        scale = self.constant(p + "scale", np.float32(math.sqrt(width)))
        scores = self.add(
            "Div", [self.add("MatMul", [query, key], p + "scores"), scale], p + "scaled"
        )
        if unseen:
            scores = self.add("Add", [scores, unseen], p + "masked")
        shares = self.add("Softmax", [scores], p + "shares", axis=-1)
        x = self.add("MatMul", [shares, value], p + "seen")
        x = self.add("Transpose", [x], p + "seen.turned", perm=[0, 2, 1, 3])
        whole = self.constant(p + "whole", np.array([0, 0, width * self.heads], np.int64))
        return self.add("Reshape", [x, whole], p + "joined")

    def gelu(self, x: str, name: str) -> str:
        """Return x (1 + erf(x / sqrt 2)) / 2, in the form that onnxruntime fuses."""
        root, one, half = (
            self.constant(f"{name}.{what}", np.float32(value))
            for what, value in (("root", math.sqrt(2)), ("one", 1), ("half", 0.5))
        )
        y = self.add("Erf", [self.add("Div", [x, root], f"{name}.divided")], f"{name}.erf")
        y = self.add("Mul", [x, self.add("Add", [y, one], f"{name}.raised")], f"{name}.doubled")
        return self.add("Mul", [y, half], name)
