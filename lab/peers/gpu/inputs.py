"""Inputs of the two models: photos and titles of the example wines, as tensors."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2, service_pb2

from bench.harness.machine import ROOT
from embedder.adapters import tokenizers
from embedder.adapters.triton.description import described
from embedder.domain.recipes import PhotoRecipe, TextRecipe
from embedder.preprocessing import preprocess
from examples.wines.catalogue import load_wines
from sightline_rules.photos import PhotoLimits

MODELS: Final = ROOT / "deploy" / "triton" / "models"
PHOTOS: Final = "efficientnet_lite2"
TEXTS: Final = "minilm_l6_v2"
UNBATCHED: Final = "_unbatched"
"""Ending of the names of models that take requests one by one."""
IMAGES = 60
"""Different photos of each process of callers."""

Tensors: TypeAlias = Mapping[str, npt.NDArray[Any]]
"""Inputs of one item, each [1, ...]."""


def config(model: str) -> Any:
    """Return the model's configuration for GPU nodes."""
    text = (MODELS / model / "configs" / "gpu.pbtxt").read_text()
    return text_format.Parse(text, model_config_pb2.ModelConfig())


def _recipe(model: str) -> Any:
    return described(service_pb2.ModelConfigResponse(config=config(model))).recipe


def wine_photos() -> list[Path]:
    """Return the files of the wines' photos."""
    return sorted((ROOT / "examples" / "wines" / "images").glob("*.jpg"))


def titles() -> list[str]:
    """Return the wines' titles."""
    return [wine.title for wine in load_wines()]


@cache
def photo_pixels() -> list[Tensors]:
    """Return the wines' photos as the embedder gives them to Triton."""
    recipe = _recipe(PHOTOS)
    assert isinstance(recipe, PhotoRecipe)
    found: list[Tensors] = []
    for path in wine_photos():
        data, *_ = preprocess.pixels(path.read_bytes(), PhotoLimits(), recipe)
        pixels = np.frombuffer(data, np.uint8).reshape(1, recipe.side, recipe.side, 3)
        found.append({"image": pixels})
    return found


@cache
def text_tokens() -> list[Tensors]:
    """Return the wines' titles as the embedder gives them to Triton, one a request."""
    recipe = _recipe(TEXTS)
    assert isinstance(recipe, TextRecipe)
    tokens = tokenizers.read((MODELS / TEXTS / tokenizers.FILE).read_bytes(), recipe)
    return [
        {
            "input_ids": np.array([encoded.ids], np.int64),
            "attention_mask": np.array([encoded.attention_mask], np.int64),
        }
        for encoded in (tokens.encode(title) for title in titles())
    ]
