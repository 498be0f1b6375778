"""How a brought model sees photos: what the caller says, else `preprocessor_config.json` beside the
file, as Hugging Face's tools write it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from embedder.domain.brought import Colours, Fit, Look, ModelRefused, Refusal, ResizeFilter

FILE: Final = "preprocessor_config.json"
MOST_BYTES: Final = 2**20
_FILTERS: Final = {
    0: ResizeFilter.NEAREST,
    1: ResizeFilter.LANCZOS,
    2: ResizeFilter.BILINEAR,
    3: ResizeFilter.BICUBIC,
}
"""Pillow's numbers of filters."""
Finite = Annotated[float, Field(allow_inf_nan=False)]
Factor = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Side = Annotated[int, Field(ge=1, le=8192)]
Read = TypeVar("Read", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """Preprocessing as the network's authors do it."""

    look: Look
    side: int = 0
    """Width and height of the input; 0: not said."""


class _Said(BaseModel):
    """Keys of the file that matter here; others, such as the processor's name, are ignored."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    do_resize: bool = True
    size: Side | dict[str, Side | None] | None = None
    resample: int | None = None
    do_center_crop: bool | None = None
    crop_size: Side | dict[str, Side | None] | None = None
    crop_pct: Annotated[float, Field(gt=0, le=1)] | None = None
    do_rescale: bool = True
    rescale_factor: Factor = 1 / 255
    do_normalize: bool = True
    image_mean: tuple[Finite, Finite, Finite] | None = None
    image_std: tuple[Factor, Factor, Factor] | None = None


class _Chosen(BaseModel):
    """Options of the caller; None: as the file says."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    crop: Annotated[float, Field(gt=0, le=1)] | None = None
    rescale: Factor | None = None
    mean: tuple[Finite, Finite, Finite] | None = None
    std: tuple[Factor, Factor, Factor] | None = None
    channels: Annotated[str, Field(pattern="^(RGB|BGR)$")] = "RGB"
    size: Side | None = None


def preprocessing(file: Path, options: Mapping[str, Any]) -> Preprocessing:
    """Return the preprocessing for an ONNX file. Raises ModelRefused."""
    chosen = _parsed(_Chosen, options, "the options")
    path = next((p for p in (file.with_name(FILE), file.parent.parent / FILE) if p.is_file()), None)
    if path is None and (chosen.mean is None or chosen.std is None):
        raise ModelRefused(
            Refusal.PREPROCESSING,
            f"there is no {FILE} beside {file.name}: put it there, or say how the network sees"
            " photos by --mean and --std, and --rescale, --crop and --channels if they differ",
        )
    said = _Said(image_mean=chosen.mean, image_std=chosen.std)
    if path is not None:
        said = _parsed(_Said, _read(path), path.name)
    factor = chosen.rescale or (said.rescale_factor if said.do_rescale else 1.0)
    none = not said.do_normalize
    mean = chosen.mean or (None if none else said.image_mean) or (0.0, 0.0, 0.0)
    deviation = chosen.std or (None if none else said.image_std) or (1.0, 1.0, 1.0)
    look, side = _framed(said)
    look = replace(
        look,
        crop=chosen.crop or look.crop,
        mean=_divided(mean, factor),
        scale=_divided(deviation, factor),
        channels="BGR" if chosen.channels == "BGR" else "RGB",
    )
    return Preprocessing(look, chosen.size or side)


def _framed(said: _Said) -> tuple[Look, int]:
    """Return crop, fit and filter, and the side."""
    if said.resample is not None and said.resample not in _FILTERS:
        raise ModelRefused(
            Refusal.PREPROCESSING, f"{FILE}: resample {said.resample} is none of Pillow's 0 to 3"
        )
    filters = _FILTERS[3 if said.resample is None else said.resample]
    if said.size is None or not said.do_resize:
        return Look(resize=filters), 0
    short, squash = _side(said.size, "size")
    if said.do_center_crop is False or (said.crop_size is None and not said.do_center_crop):
        if said.crop_pct is not None:
            return Look(crop=said.crop_pct, resize=filters), short
        return Look(resize=filters, fit=Fit.SQUASH if squash else Fit.COVER), short
    kept, _ = _side(said.crop_size or said.size, "crop_size")
    if kept > short:
        raise ModelRefused(
            Refusal.PREPROCESSING, f"{FILE}: it cuts {kept} pixels out of {short}: correct the file"
        )
    return Look(crop=kept / short, resize=filters), kept


def _side(stated: int | dict[str, int | None], name: str) -> tuple[int, bool]:
    """Return the side of the square of a size, and whether it is of both sides."""
    sides = stated if isinstance(stated, dict) else {"shortest_edge": stated}
    known = {key: value for key, value in sides.items() if value is not None}
    if len({*known.values()}) != 1 or not known.keys() <= {"shortest_edge", "height", "width"}:
        raise ModelRefused(
            Refusal.PREPROCESSING,
            f"{FILE}: {name} {stated} is not a square, and only squares can be served",
        )
    return next(iter(known.values())), "shortest_edge" not in known


def _divided(numbers: Colours, factor: float) -> Colours:
    """Convert to bytes, to six digits: as many as the version of the space shows."""
    first, second, third = (float(f"{number / factor:.6g}") for number in numbers)
    return first, second, third


def file_bytes(path: Path, most: int) -> bytes:
    """Return the content of a file. Raises ValueError if it is larger than `most` bytes."""
    if path.stat().st_size > most:
        raise ValueError(f"it is larger than {most // 2**20} MiB")
    return path.read_bytes()


def _read(path: Path) -> Any:
    try:
        return json.loads(file_bytes(path, MOST_BYTES))
    except (ValueError, RecursionError) as error:
        raise ModelRefused(Refusal.PREPROCESSING, f"{path.name} can't be read: {error}") from error


def _parsed(kind: type[Read], stated: Any, where: str) -> Read:
    try:
        return kind.model_validate(stated)
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise ModelRefused(Refusal.PREPROCESSING, f"{where}: {wrong}") from error
