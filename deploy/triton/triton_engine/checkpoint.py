"""Reads the image tower from a folder in Hugging Face's layout. The folder is untrusted.

``config.json`` says how the network is built, ``model.safetensors`` holds its weights, and
``preprocessor_config.json``, if there is one, says how photos were preprocessed. Only the tower's
tensors are read, and each must have the shape that the configuration implies. Missing keys of
``config.json`` have the defaults of Hugging Face's CLIPVisionConfig and SiglipVisionConfig.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeVar

import numpy as np
import safetensors
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from triton_engine import vision
from triton_engine.graph import Array
from triton_engine.manifest import BuildError
from triton_engine.tables import Number, Positive
from triton_engine.vision import TOWER, Activation, Tower

CONFIG: Final = "config.json"
WEIGHTS: Final = "model.safetensors"
PREPROCESSOR: Final = "preprocessor_config.json"
MAX_TEXT: Final = 1 << 20
"""Maximum bytes of a JSON file; published ones have a few thousand."""
MAX_WEIGHTS: Final = 2**31 - 2**24
"""Maximum bytes of the weights: an ONNX file with its weights inside is one protobuf message."""
PICKLES: Final = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
DTYPES: Final = ("F32", "F16")
"""Types as safetensors names them. Both become float32 without loss."""
UNUSED: Final = ("embeddings.position_ids",)
"""Tensors of a tower that are not weights."""
BICUBIC: Final = 3
"""Pillow's number of the embedder's resampling filter."""

Side = Annotated[int, Field(ge=1, le=4096)]
Width = Annotated[int, Field(ge=1, le=16384)]
Colours = tuple[Number, Number, Number]


Read = TypeVar("Read", bound=BaseModel)


class CheckpointError(BuildError):
    """The folder can't be exported; the message names the problem and the remedy."""


class _Vision(BaseModel):
    """The used keys of a tower's configuration. Other keys concern training or texts."""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)

    hidden_size: Width = 768
    intermediate_size: Width = 3072
    num_hidden_layers: Annotated[int, Field(ge=1, le=128)] = 12
    num_attention_heads: Annotated[int, Field(ge=1, le=256)] = 12
    num_channels: Literal[3] = 3
    image_size: Annotated[int, Field(ge=32, le=1024)] = 224


class _Clip(_Vision):
    patch_size: Side = 32
    hidden_act: Activation = "quick_gelu"
    layer_norm_eps: Positive = 1e-5


class _Siglip(_Vision):
    patch_size: Side = 16
    hidden_act: Activation = "gelu_pytorch_tanh"
    layer_norm_eps: Positive = 1e-6
    vision_use_head: Literal[True] = True


class _Projection(BaseModel):
    """Dimension of a vector."""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)

    projection_dim: Width = 512


class _Preprocessor(BaseModel):
    """The used keys of ``preprocessor_config.json``; None: the family's default."""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)

    size: Side | dict[str, Side | None] | None = None
    crop_size: Side | dict[str, Side | None] | None = None
    do_center_crop: bool | None = None
    do_resize: Literal[True] | None = None
    do_rescale: bool | None = True
    do_normalize: bool | None = True
    rescale_factor: Annotated[float, Field(ge=1e-4, le=1)] | None = 1 / 255
    image_mean: Colours | None = None
    image_std: tuple[Positive, Positive, Positive] | None = None
    resample: int | None = BICUBIC


@dataclass(frozen=True, slots=True)
class _Family:
    """Family of a value of config.json's ``model_type``."""

    kind: Literal["clip", "siglip"]
    architecture: str
    whole: bool
    """Classes that include a text tower, so that the photos' configuration is the part
    ``vision_config``.
    """


FAMILIES: Final[Mapping[str, _Family]] = {
    "clip": _Family("clip", "CLIPModel", whole=True),
    "clip_vision_model": _Family("clip", "CLIPVisionModelWithProjection", whole=False),
    "siglip": _Family("siglip", "SiglipModel", whole=True),
    "siglip_vision_model": _Family("siglip", "SiglipVisionModel", whole=False),
}
CLIP_MEAN: Final = (0.48145466, 0.4578275, 0.40821073)
CLIP_DEVIATION: Final = (0.26862954, 0.26130258, 0.27577711)
HALF: Final = (0.5, 0.5, 0.5)


@dataclass(frozen=True, slots=True)
class Seen:
    """Preprocessing of photos in the checkpoint's training."""

    crop: float
    """Fraction of the photo's shorter side that the center square keeps."""
    mean: Colours
    """Normalization of bytes: the tower takes (byte - mean) / scale."""
    scale: Colours
    notes: tuple[str, ...] = ()
    """Differences in Sightline's preprocessing, for people."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The image tower of a folder."""

    tower: Tower
    weights: Mapping[str, Array]
    """The tensors that vision.shapes lists, float32."""
    seen: Seen


def read(folder: Path) -> Checkpoint:
    """Return the image tower of a folder. Raises CheckpointError."""
    if not folder.is_dir():
        raise CheckpointError(f"there is no folder {folder}")
    config = _json(folder / CONFIG)
    tower = _tower(config)
    seen = _seen(folder, tower)
    return Checkpoint(tower, _weights(folder, tower), seen)


def _json(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            text = file.read(MAX_TEXT + 1)
        if len(text) > MAX_TEXT:
            raise CheckpointError(
                f"{path.name} is larger than {MAX_TEXT} bytes: it is another file"
            )
        found = json.loads(text)
    except OSError as error:
        raise CheckpointError(
            f"{path.name} can't be read ({error.strerror}): name a folder in Hugging Face's layout"
        ) from error
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path.name} is not valid JSON: download it again") from error
    if not isinstance(found, dict):
        raise CheckpointError(f"{path.name} is not a JSON object: download it again")
    return found


def _tower(config: Mapping[str, Any]) -> Tower:
    """Return the tower's structure."""
    family = _family(config)
    stated = config.get("vision_config") if family.whole else config
    where = f"{CONFIG}, vision_config" if family.whole else CONFIG
    v: _Clip | _Siglip
    if family.kind == "clip":
        v = _parse(_Clip, stated, where)
        # For a whole CLIP the top level of the configuration applies, and its tower's value may be
        # unused.
        dimension = _parse(_Projection, config, CONFIG).projection_dim
    else:
        v = _parse(_Siglip, stated, where)
        dimension = v.hidden_size
    if v.hidden_size % v.num_attention_heads or v.patch_size > v.image_size:
        raise CheckpointError(
            f"{where}: {v.num_attention_heads} heads of a width of {v.hidden_size}, patches of "
            f"{v.patch_size} pixels of {v.image_size}: no valid network, download it again"
        )
    return Tower(
        kind=family.kind,
        size=v.image_size,
        patch=v.patch_size,
        width=v.hidden_size,
        inner=v.intermediate_size,
        layers=v.num_hidden_layers,
        heads=v.num_attention_heads,
        activation=v.hidden_act,
        epsilon=v.layer_norm_eps,
        dimension=dimension,
    )


def _family(config: Mapping[str, Any]) -> _Family:
    """Return the checkpoint's family: by its class, or by its model_type if it names no class."""
    kind, classes = config.get("model_type"), config.get("architectures")
    family = FAMILIES.get(kind) if isinstance(kind, str) else None
    if family and (
        not classes or (isinstance(classes, list) and classes[0] == family.architecture)
    ):
        return family
    raise CheckpointError(
        f"{CONFIG}: model_type {kind!r:.80} of architectures {classes!r:.80} is none of "
        f'{_known()}: export it by its own tools, and write a manifest of the family "onnx"'
    )


def _known() -> str:
    return ", ".join(family.architecture for family in FAMILIES.values())


def _parse(kind: type[Read], stated: object, where: str) -> Read:
    try:
        # As JSON, because a strict model accepts its arrays as tuples.
        return kind.model_validate_json(json.dumps(stated))
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise CheckpointError(
            f"{where}: {wrong}. This network is not supported: export it by its own tools, and "
            'write a manifest of the family "onnx"'
        ) from error


def _weights(folder: Path, tower: Tower) -> dict[str, Array]:
    """Return the tower's tensors. Check that none is missing and none unknown."""
    path = folder / WEIGHTS
    if not path.is_file():
        raise CheckpointError(_instead(folder))
    shapes = vision.shapes(tower)
    total = sum(4 * math.prod(shape) for shape in shapes.values())
    if total > MAX_WEIGHTS:
        raise CheckpointError(
            f"the tower has {total} bytes of weights, an ONNX file holds {MAX_WEIGHTS}: take a "
            "smaller model"
        )
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            stored = _stored(set(file.keys()), shapes)
            return {name: _tensor(file, stored[name], shapes[name]) for name in shapes}
    except (safetensors.SafetensorError, OSError) as error:
        raise CheckpointError(
            f"{WEIGHTS} is not a safetensors file ({error}): download it again"
        ) from error


def _instead(folder: Path) -> str:
    """Return the remedy for a folder without the file of weights."""
    names = sorted(path.name for path in folder.iterdir())
    if f"{WEIGHTS}.index.json" in names:
        return f"the weights are in several files: save them in one, {WEIGHTS}"
    if pickles := [name for name in names if name.endswith(PICKLES)]:
        return (
            f"{pickles[0]} is a pickle and is not read, because that could run any code: take "
            f"{WEIGHTS} of the same model, or convert the pickle if you trust it"
        )
    return f"there is no {WEIGHTS} in {folder}: download it there"


def _stored(keys: set[str], shapes: Mapping[str, Any]) -> dict[str, str]:
    """Return the name of each needed tensor in the file.

    Since transformers 5 a SiglipVisionModel is saved without its tower's prefix.
    """
    prefix = TOWER if any(key.startswith(TOWER) for key in keys) else ""
    stored = {n: prefix + n.removeprefix(TOWER) if n.startswith(TOWER) else n for n in shapes}
    if missing := [name for name in stored.values() if name not in keys]:
        raise CheckpointError(
            f"{WEIGHTS} has no {missing[0]}, one of {len(missing)} that {CONFIG} requires: take "
            f"both files of the same model, of a kind that returns vectors: {_known()}"
        )
    of_tower = {key for key in keys if key.startswith(prefix)} - set(stored.values())
    if spare := sorted(k for k in of_tower if not k.removeprefix(prefix).startswith(UNUSED)):
        raise CheckpointError(
            f"{WEIGHTS} has {spare[0]}, one of {len(spare)} of which the network of {CONFIG} makes "
            "no use: take both files of the same model"
        )
    return stored


def _tensor(file: Any, name: str, shape: tuple[int, ...]) -> Array:
    """Return one tensor as float32."""
    stated = file.get_slice(name)
    found, dtype = tuple(stated.get_shape()), stated.get_dtype()
    if found != shape:
        raise CheckpointError(
            f"{WEIGHTS}: {name} is of shape {found}, {CONFIG} requires {shape}: take both files of "
            "the same model"
        )
    if dtype not in DTYPES:
        raise CheckpointError(f"{WEIGHTS}: {name} is of {dtype}: save the model as float32")
    values: Array = file.get_tensor(name).astype(np.float32)
    if not np.isfinite(values).all():
        raise CheckpointError(
            f"{WEIGHTS}: {name} has numbers that are not finite: download it again"
        )
    return values


def _seen(folder: Path, tower: Tower) -> Seen:
    """Return the preprocessing of photos, in the manifest's terms."""
    clip = tower.kind == "clip"
    family = _Preprocessor(
        size={"shortest_edge" if clip else "height": tower.size},
        crop_size=tower.size,
        do_center_crop=clip,
        image_mean=CLIP_MEAN if clip else HALF,
        image_std=CLIP_DEVIATION if clip else HALF,
    )
    path, notes = folder / PREPROCESSOR, []
    if path.exists():
        said = _parse(_Preprocessor, _json(path), PREPROCESSOR)
        stated = family.model_copy(update=said.model_dump(exclude_none=True, exclude_unset=True))
    else:
        stated = family
        notes.append(f"There was no {PREPROCESSOR}: crop, mean and scale are the family's.")
    crop = _crop(stated, tower.size)
    if isinstance(stated.size, dict) and "shortest_edge" not in stated.size:
        notes.append("The authors resized whole photos to a square; here the center is cropped.")
    if stated.resample != BICUBIC:
        notes.append(
            f"The authors resized by Pillow's filter {stated.resample}; here it is bicubic."
        )
    return _normalised(stated, crop, notes)


def _crop(stated: _Preprocessor, size: int) -> float:
    """Return the fraction that the center square keeps."""
    short = _side(stated.size, "size")
    kept = _side(stated.crop_size, "crop_size") if stated.do_center_crop else short
    if kept != size or kept > short:
        raise CheckpointError(
            f"{PREPROCESSOR} makes squares of {kept} pixels out of {short}, the network takes "
            f"{size}: take both files of the same model"
        )
    return kept / short


def _side(stated: int | dict[str, int | None] | None, name: str) -> int:
    """Return the side of the square of a size."""
    sides = stated if isinstance(stated, dict) else {"shortest_edge": stated}
    known = {name: n for name, n in sides.items() if n is not None}
    if len(set(known.values())) != 1 or not known.keys() <= {"shortest_edge", "height", "width"}:
        raise CheckpointError(
            f"{PREPROCESSOR}: {name} {stated} is not a square: write the manifest by hand"
        )
    return next(iter(known.values()))


def _normalised(stated: _Preprocessor, crop: float, notes: Sequence[str]) -> Seen:
    """Convert (byte * factor - mean) / deviation to (byte - mean) / scale."""
    mean, deviation = stated.image_mean, stated.image_std
    if mean is None or deviation is None or not stated.do_normalize:
        mean, deviation = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
    factor = (stated.do_rescale and stated.rescale_factor) or 1.0
    return Seen(crop, _divided(mean, factor), _divided(deviation, factor), tuple(notes))


def _divided(numbers: Colours, factor: float) -> Colours:
    """Round to six digits, as many as the version of the space shows."""
    red, green, blue = (float(f"{number / factor:.6g}") for number in numbers)
    return red, green, blue
