"""Tiny random CLIPs and SigLIPs in Hugging Face's layout, and their results in plain NumPy."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy

Array = np.ndarray[Any, Any]
WIDTH, INNER, LAYERS, HEADS, PATCH = 16, 32, 2, 2, 8
NETWORK = {
    "hidden_size": WIDTH,
    "intermediate_size": INNER,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS,
    "patch_size": PATCH,
}
P = "vision_model."


@dataclass(frozen=True)
class Made:
    """Checkpoint as it is written to a folder."""

    config: dict[str, Any]
    weights: dict[str, Array]
    """Weights by the names that the whole model's files have."""
    size: int
    activation: str
    bare: bool = False
    """The tower's prefix is left out, as transformers 5 does for a SiglipVisionModel."""

    def write(self, folder: Path, **files: Any) -> Path:
        """Write the checkpoint, and further JSON files by their names."""
        folder.mkdir(exist_ok=True)
        for name, value in {"config": self.config, **files}.items():
            (folder / f"{name}.json").write_text(json.dumps(value))
        stored = {n.removeprefix(P) if self.bare else n: w for n, w in self.weights.items()}
        safetensors.numpy.save_file(stored, folder / "model.safetensors", {"format": "pt"})
        return folder

    def forward(self, pixels: Array) -> Array:
        """Compute vectors from normalised pixels [N, 3, size, size], in float64."""
        w = {name: value.astype(np.float64) for name, value in self.weights.items()}
        reach = clip if f"{P}embeddings.class_embedding" in w else siglip
        return reach(w, pixels.astype(np.float64), self.activation)


def clip_made(*, whole: bool, size: int = 32, activation: str = "quick_gelu") -> Made:
    """Make a CLIP; a whole one has some of a tower of texts, and says its dimension elsewhere."""
    vision = {**NETWORK, "image_size": size, "hidden_act": activation, "projection_dim": 5}
    weights = random_weights(clip_shapes(size, 7 if whole else 5))
    config = {"model_type": "clip_vision_model", **vision}
    if whole:
        config = {"model_type": "clip", "vision_config": vision, "projection_dim": 7}
        weights["text_model.final_layer_norm.weight"] = np.ones(3, np.float32)
        weights[f"{P}embeddings.position_ids"] = np.arange(17)[None]
    architecture = "CLIPModel" if whole else "CLIPVisionModelWithProjection"
    return Made({"architectures": [architecture], **config}, weights, size, activation)


def siglip_made(*, whole: bool) -> Made:
    """Make a SigLIP whose configuration omits the defaults, as the published ones do."""
    vision = {**NETWORK, "image_size": 32}
    weights = random_weights(siglip_shapes())
    config = {"model_type": "siglip_vision_model", **vision, "architectures": ["SiglipVisionModel"]}
    if whole:
        config = {"model_type": "siglip", "vision_config": vision, "architectures": ["SiglipModel"]}
        weights["logit_bias"] = np.ones(1, np.float32)
    return Made(config, weights, 32, "gelu_pytorch_tanh", bare=not whole)


def random_weights(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Array]:
    """Return the same weights every time; those of normalisations are around 1."""
    random = np.random.default_rng(5)
    return {
        name: (random.normal(size=shape, scale=0.3) + ("norm" in name)).astype(np.float32)
        for name, shape in shapes.items()
    }


def common_shapes(places: int) -> dict[str, tuple[int, ...]]:
    """Return the tensors that both networks have."""
    shapes: dict[str, tuple[int, ...]] = {
        f"{P}embeddings.patch_embedding.weight": (WIDTH, 3, PATCH, PATCH),
        f"{P}embeddings.position_embedding.weight": (places, WIDTH),
        **pair(f"{P}post_layernorm", WIDTH),
    }
    for layer in range(LAYERS):
        p = f"{P}encoder.layers.{layer}."
        for name in ("q_proj", "k_proj", "v_proj", "out_proj"):
            shapes |= pair(f"{p}self_attn.{name}", WIDTH, WIDTH)
        shapes |= pair(f"{p}layer_norm1", WIDTH) | pair(f"{p}layer_norm2", WIDTH)
        shapes |= pair(f"{p}mlp.fc1", INNER, WIDTH) | pair(f"{p}mlp.fc2", WIDTH, INNER)
    return shapes


def clip_shapes(size: int, dimension: int) -> dict[str, tuple[int, ...]]:
    return {
        **common_shapes((size // PATCH) ** 2 + 1),
        f"{P}embeddings.class_embedding": (WIDTH,),
        **pair(f"{P}pre_layrnorm", WIDTH),
        "visual_projection.weight": (dimension, WIDTH),
    }


def siglip_shapes() -> dict[str, tuple[int, ...]]:
    return {
        **common_shapes(16),
        f"{P}embeddings.patch_embedding.bias": (WIDTH,),
        f"{P}head.probe": (1, 1, WIDTH),
        f"{P}head.attention.in_proj_weight": (3 * WIDTH, WIDTH),
        f"{P}head.attention.in_proj_bias": (3 * WIDTH,),
        **pair(f"{P}head.attention.out_proj", WIDTH, WIDTH),
        **pair(f"{P}head.layernorm", WIDTH),
        **pair(f"{P}head.mlp.fc1", INNER, WIDTH),
        **pair(f"{P}head.mlp.fc2", WIDTH, INNER),
    }


def pair(name: str, *shape: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": shape, f"{name}.bias": shape[:1]}


def clip(w: Mapping[str, Array], pixels: Array, activation: str) -> Array:
    x = patches(w, pixels)
    token = np.broadcast_to(w[f"{P}embeddings.class_embedding"], (len(x), 1, WIDTH))
    x = np.concatenate([token, x], axis=1) + w[f"{P}embeddings.position_embedding.weight"]
    x = norm(w, f"{P}pre_layrnorm", x, 1e-5)
    x = norm(w, f"{P}post_layernorm", encode(w, x, activation, 1e-5)[:, 0], 1e-5)
    return np.asarray(x @ w["visual_projection.weight"].T)


def siglip(w: Mapping[str, Array], pixels: Array, activation: str) -> Array:
    x = patches(w, pixels) + w[f"{P}embeddings.patch_embedding.bias"]
    x = encode(w, x + w[f"{P}embeddings.position_embedding.weight"], activation, 1e-6)
    x = norm(w, f"{P}post_layernorm", x, 1e-6)
    h = f"{P}head."
    joined = w[f"{h}attention.in_proj_weight"], w[f"{h}attention.in_proj_bias"]
    (q, k, v), (qb, kb, vb) = (np.split(part, 3) for part in joined)
    probe = np.broadcast_to(w[f"{h}probe"], (len(x), 1, WIDTH))
    seen = attention(probe @ q.T + qb, x @ k.T + kb, x @ v.T + vb)
    seen = dense(w, f"{h}attention.out_proj", seen)
    return np.asarray((seen + mlp(w, h, norm(w, f"{h}layernorm", seen, 1e-6), activation))[:, 0])


def patches(w: Mapping[str, Array], pixels: Array) -> Array:
    """Compute the patches one by one: [N, T, WIDTH]."""
    kernel = w[f"{P}embeddings.patch_embedding.weight"].reshape(WIDTH, -1)
    starts = range(0, pixels.shape[-1] // PATCH * PATCH, PATCH)
    squares = [pixels[:, :, y : y + PATCH, x : x + PATCH] for y in starts for x in starts]
    return np.stack([square.reshape(len(pixels), -1) @ kernel.T for square in squares], axis=1)


def encode(w: Mapping[str, Array], x: Array, activation: str, epsilon: float) -> Array:
    for layer in range(LAYERS):
        p = f"{P}encoder.layers.{layer}."
        y = norm(w, f"{p}layer_norm1", x, epsilon)
        q, k, v = (dense(w, f"{p}self_attn.{n}", y) for n in ("q_proj", "k_proj", "v_proj"))
        x = x + dense(w, f"{p}self_attn.out_proj", attention(q, k, v))
        x = x + mlp(w, p, norm(w, f"{p}layer_norm2", x, epsilon), activation)
    return x


def attention(query: Array, key: Array, value: Array) -> Array:
    """Compute the attention head by head."""
    width, parts = WIDTH // HEADS, []
    for head in range(HEADS):
        q, k, v = (part[..., head * width : (head + 1) * width] for part in (query, key, value))
        scores = np.einsum("nqd,nkd->nqk", q, k) / math.sqrt(width)
        shares = np.exp(scores - scores.max(axis=-1, keepdims=True))
        parts.append(shares / shares.sum(axis=-1, keepdims=True) @ v)
    return np.concatenate(parts, axis=-1)


def mlp(w: Mapping[str, Array], p: str, x: Array, activation: str) -> Array:
    return dense(w, f"{p}mlp.fc2", ACTIVATIONS[activation](dense(w, f"{p}mlp.fc1", x)))


def dense(w: Mapping[str, Array], name: str, x: Array) -> Array:
    return np.asarray(x @ w[f"{name}.weight"].T + w[f"{name}.bias"])


def norm(w: Mapping[str, Array], name: str, x: Array, epsilon: float) -> Array:
    centred = x - x.mean(axis=-1, keepdims=True)
    spread = np.sqrt((centred**2).mean(axis=-1, keepdims=True) + epsilon)
    return np.asarray(centred / spread * w[f"{name}.weight"] + w[f"{name}.bias"])


ACTIVATIONS = {
    "quick_gelu": lambda x: x / (1 + np.exp(-1.702 * x)),
    "gelu": lambda x: x * (1 + np.vectorize(math.erf)(x / math.sqrt(2))) / 2,
    "gelu_pytorch_tanh": lambda x: (
        x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))) / 2
    ),
}
