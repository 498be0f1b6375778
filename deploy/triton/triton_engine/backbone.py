"""A backbone: a network, its weights and its input. Each has a manifest, ``backbones/NAME.toml``;
NAME is the model's name in Triton. Another backbone of a known family needs a manifest and weights,
but no code.
"""

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from triton_engine.manifest import ManifestError
from triton_engine.photo_models import (
    FaceModel,
    LiteModel,
    ObjectModel,
    OnnxObjectModel,
    OnnxPhotoModel,
    ReaderModel,
    TextMapModel,
)
from triton_engine.text_models import BertModel, OnnxTextModel, PairModel, SentenceEncoderModel

BACKBONES: Final = Path(__file__).resolve().parent / "backbones"
OnnxModel = (
    OnnxPhotoModel | OnnxTextModel | FaceModel | OnnxObjectModel | TextMapModel | ReaderModel
)
"""A model whose network is an ONNX file."""
Network = LiteModel | BertModel | SentenceEncoderModel | OnnxModel
"""A model of one network."""
Backbone = Network | ObjectModel | PairModel
_FAMILIES: Final[Mapping[str, type[Backbone]]] = {
    "efficientnet-lite": LiteModel,
    "bert": BertModel,
    "universal-sentence-encoder": SentenceEncoderModel,
    "pair": PairModel,
    "onnx": OnnxPhotoModel,
    "onnx-text": OnnxTextModel,
    "centerface": FaceModel,
    "efficientnet-lite-objects": ObjectModel,
    "onnx-objects": OnnxObjectModel,
    "text-map": TextMapModel,
    "reader": ReaderModel,
}


def read_all(folder: Path = BACKBONES) -> list[Backbone]:
    """Return the backbones of a folder by name. Raises ManifestError."""
    found = [read(path) for path in sorted(folder.glob("*.toml"))]
    if not found:
        raise ManifestError(f"{folder} has no manifest (NAME.toml)")
    return found


def _tables(folder: Path, name: str) -> dict[str, object]:
    """Return the tables of a part of a pair."""
    return {**tomllib.loads((folder / f"{name}.toml").read_text()), "name": name}


def read(path: Path) -> Backbone:
    """Return the backbone of one manifest. Raises ManifestError."""
    try:
        tables = tomllib.loads(path.read_text())
        if "quantization" in tables:
            ranges = path.parent / tables["quantization"]["ranges"]
            tables["quantization"]["ranges"] = json.loads(ranges.read_text())
        if "models" in tables["network"]:
            tables["parts"] = [_tables(path.parent, name) for name in tables["network"]["models"]]
        kind = _FAMILIES[tables["network"]["family"]]
        # As JSON, because a strict model accepts its arrays as tuples.
        return kind.model_validate_json(json.dumps({**tables, "name": path.stem}))
    except (KeyError, TypeError) as error:
        known = ", ".join(_FAMILIES)
        raise ManifestError(f"{path}: network.family is none of {known}") from error
    except ValidationError as error:
        wrong = (f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise ManifestError(f"{path}: {'; '.join(wrong)}") from error
    except (OSError, ValueError) as error:  # invalid TOML, JSON or UTF-8
        raise ManifestError(f"{path}: {error}") from error
