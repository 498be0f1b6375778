"""CLIP's and SigLIP's image towers as ONNX graphs.

CLIP: Radford et al. 2021, https://arxiv.org/abs/2103.00020; SigLIP: Zhai et al. 2023,
https://arxiv.org/abs/2303.15343. Both are Vision Transformers (Dosovitskiy et al. 2020,
https://arxiv.org/abs/2010.11929): the photo is divided into patches, and layers of attention
transform one vector per patch. The photo's vector is that of the class token in CLIP, and that of a
learned query over all patches in SigLIP. Weights are named as Hugging Face's
CLIPVisionModelWithProjection and SiglipVisionModel name them.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

import numpy as np
import onnx

from triton_engine.graph import Array, tensor
from triton_engine.transformer import Transformer

INPUT: Final = "pixel_values"
OUTPUT: Final = "image_embeds"
COLOURS: Final = 3
TOWER: Final = "vision_model."
PROJECTION: Final = "visual_projection"
HEAD: Final = TOWER + "head."
EMBEDDINGS: Final = TOWER + "embeddings."
THIRDS: Final = ("q_proj", "k_proj", "v_proj")
"""The parts that torch's MultiheadAttention stacks in one tensor, in this order."""

Activation = Literal["quick_gelu", "gelu", "gelu_pytorch_tanh"]
Shapes = dict[str, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class Tower:
    """Structure of an image tower."""

    kind: Literal["clip", "siglip"]
    size: int
    """Side of the square input in pixels."""
    patch: int
    """Side of a patch in pixels. A remainder at the right and at the bottom is ignored."""
    width: int
    """Components of a patch's vector."""
    inner: int
    """Components between the two dense layers."""
    layers: int
    heads: int
    activation: Activation
    epsilon: float
    """Epsilon of every layer normalization."""
    dimension: int
    """Components of the photo's vector."""

    @property
    def patches(self) -> int:
        """Number of patches of a photo."""
        side = self.size // self.patch
        return side * side


def shapes(tower: Tower) -> Shapes:
    """Return every tensor that the tower needs, by name."""
    width, inner = tower.width, tower.inner
    patch = (width, COLOURS, tower.patch, tower.patch)
    needed: Shapes = {f"{EMBEDDINGS}patch_embedding.weight": patch}
    places = tower.patches + (1 if tower.kind == "clip" else 0)
    needed[f"{EMBEDDINGS}position_embedding.weight"] = (places, width)
    for layer in range(tower.layers):
        p = f"{TOWER}encoder.layers.{layer}."
        for part in (*THIRDS, "out_proj"):
            needed |= _dense(f"{p}self_attn.{part}", width, width)
        needed |= _norm(p + "layer_norm1", width) | _norm(p + "layer_norm2", width)
        needed |= _mlp(p, width, inner)
    needed |= _norm(TOWER + "post_layernorm", width)
    if tower.kind == "clip":
        needed[f"{EMBEDDINGS}class_embedding"] = (width,)
        # The misspelling is that of the published weights.
        needed |= _norm(TOWER + "pre_layrnorm", width)
        return needed | {f"{PROJECTION}.weight": (tower.dimension, width)}
    needed[f"{EMBEDDINGS}patch_embedding.bias"] = (width,)
    needed[HEAD + "probe"] = (1, 1, width)
    needed[HEAD + "attention.in_proj_weight"] = (3 * width, width)
    needed[HEAD + "attention.in_proj_bias"] = (3 * width,)
    needed |= _dense(HEAD + "attention.out_proj", width, width)
    return needed | _norm(HEAD + "layernorm", width) | _mlp(HEAD, width, inner)


def _dense(name: str, out: int, given: int) -> Shapes:
    return {f"{name}.weight": (out, given), f"{name}.bias": (out,)}


def _norm(name: str, width: int) -> Shapes:
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}


def _mlp(p: str, width: int, inner: int) -> Shapes:
    return _dense(p + "mlp.fc1", inner, width) | _dense(p + "mlp.fc2", width, inner)


def build(weights: Mapping[str, Array], tower: Tower, name: str) -> onnx.ModelProto:
    """Return the graph: float32 `pixel_values` [N, 3, size, size], normalised, to float32
    `image_embeds` [N, dimension], of any length. `weights`: the tensors that `shapes` lists,
    float32. Every constant is an unchanged weight, so the same weights give the same bytes. Raises
    BuildError if the shapes do not match.
    """
    graph = _Network(
        weights={**weights, **dict(_thirds(weights))},
        heads=tower.heads,
        epsilon=tower.epsilon,
        tower=tower,
    )
    graph.connect()
    pixels = tensor(INPUT, onnx.TensorProto.FLOAT, ["N", COLOURS, tower.size, tower.size])
    return graph.model(name, [pixels], {OUTPUT: (tower.dimension,)})


def _thirds(weights: Mapping[str, Array]) -> Iterator[tuple[str, Array]]:
    """Yield the head's attention as three linear layers, where there is a head."""
    p = HEAD + "attention."
    for part in ("weight", "bias"):
        if (joined := weights.get(f"{p}in_proj_{part}")) is not None:
            for name, third in zip(THIRDS, np.split(joined, 3), strict=True):
                yield f"{p}{name}.{part}", third


@dataclass(slots=True)
class _Network(Transformer):
    """The graph of one tower under construction."""

    tower: Tower = field(kw_only=True)

    def connect(self) -> None:
        """Add everything from the pixels to the vector."""
        clip = self.tower.kind == "clip"
        x = self._patches(bias=not clip)
        if clip:
            x = self._with_class(x)
        x = self.add("Add", [x, self.weight(f"{EMBEDDINGS}position_embedding.weight")], "placed")
        if clip:
            x = self.norm(x, TOWER + "pre_layrnorm")
        for layer in range(self.tower.layers):
            x = self._layer(x, f"{TOWER}encoder.layers.{layer}.")
        if clip:
            # The other tokens are not used.
            x = self.norm(self._first(x), TOWER + "post_layernorm")
            self.add("Identity", [self.dense(x, PROJECTION, bias=False)], OUTPUT)
        else:
            self._ask(self.norm(x, TOWER + "post_layernorm"))

    def _patches(self, *, bias: bool) -> str:
        """Map the pixels to a vector of each patch, row by row: [N, T, d]."""
        name, side = f"{EMBEDDINGS}patch_embedding", self.tower.patch
        parts = ["weight", "bias"] if bias else ["weight"]
        weights = [self.weight(f"{name}.{part}") for part in parts]
        square = [side, side]
        x = self.add("Conv", [INPUT, *weights], name, kernel_shape=square, strides=square)
        flat = self.constant("flat", np.array([0, self.tower.width, -1], np.int64))
        return self.add("Transpose", [self.add("Reshape", [x, flat], "row")], "cut", perm=[0, 2, 1])

    def _with_class(self, x: str) -> str:
        """Put the class token before the patches of every photo: [N, 1 + T, d]."""
        count = self.add("Shape", [INPUT], "photos", start=0, end=1)
        each = self.constant("each", np.array([1, self.tower.width], np.int64))
        shape = self.add("Concat", [count, each], "class.shape", axis=0)
        token = self.weight(f"{EMBEDDINGS}class_embedding")
        return self.add(
            "Concat", [self.add("Expand", [token, shape], "class"), x], "tokens", axis=1
        )

    def _layer(self, x: str, p: str) -> str:
        """Add one layer: attention, then two dense layers, each with a residual connection."""
        normed = self.norm(x, p + "layer_norm1")
        x = self.add("Add", [x, self._attention(normed, normed, p + "self_attn.")], p + "attended")
        return self._mlp(x, p + "layer_norm2", p)

    def _attention(self, asks: str, context: str, p: str) -> str:
        """Add attention of every vector of `asks` to those of `context`: [N, T, d] each."""
        width = self.tower.width // self.tower.heads
        query = self.split(self.dense(asks, p + "q_proj"), width, [0, 2, 1, 3])
        key = self.split(self.dense(context, p + "k_proj"), width, [0, 2, 3, 1])
        value = self.split(self.dense(context, p + "v_proj"), width, [0, 2, 1, 3])
        return self.dense(self.attend(query, key, value, p, width=width), p + "out_proj")

    def _mlp(self, x: str, norm: str, p: str) -> str:
        y = self._activate(self.dense(self.norm(x, norm), p + "mlp.fc1"), p + "mlp.active")
        return self.add("Add", [x, self.dense(y, p + "mlp.fc2")], p + "sum")

    def _ask(self, x: str) -> None:
        """Add attention of the learned query to all patches, and two dense layers."""
        seen = self._attention(self.weight(HEAD + "probe"), x, HEAD + "attention.")
        self.add("Identity", [self._first(self._mlp(seen, HEAD + "layernorm", HEAD))], OUTPUT)

    def _first(self, x: str) -> str:
        """Add the selection of the first token of [N, T, d]: [N, d]."""
        return self.add("Gather", [x, self.constant("zero", np.array(0))], "first", axis=1)

    def _activate(self, x: str, name: str) -> str:
        match self.tower.activation:
            case "gelu":
                return self.gelu(x, name)
            case "quick_gelu":
                return self._quick_gelu(x, name)
            case "gelu_pytorch_tanh":
                return self._tanh_gelu(x, name)

    def _quick_gelu(self, x: str, name: str) -> str:
        """Return x sigmoid(1.702 x), as CLIP was trained with it."""
        slope = self.constant(f"{name}.slope", np.float32(1.702))
        y = self.add("Mul", [x, slope], f"{name}.sloped")
        return self.add("Mul", [x, self.add("Sigmoid", [y], f"{name}.share")], name)

    def _tanh_gelu(self, x: str, name: str) -> str:
        """Return x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x³))) / 2."""
        cubic, root, one, half = (
            self.constant(f"{name}.{what}", np.float32(value))
            for what, value in (
                ("cubic", 0.044715),
                ("root", math.sqrt(2 / math.pi)),
                ("one", 1),
                ("half", 0.5),
            )
        )
        y = self.add("Mul", [self.add("Mul", [x, x], f"{name}.square"), x], f"{name}.cube")
        y = self.add("Add", [x, self.add("Mul", [y, cubic], f"{name}.bend")], f"{name}.bent")
        y = self.add("Tanh", [self.add("Mul", [y, root], f"{name}.sloped")], f"{name}.tanh")
        y = self.add("Mul", [x, self.add("Add", [y, one], f"{name}.raised")], f"{name}.doubled")
        return self.add("Mul", [y, half], name)
