"""Description of a model, read from its Triton configuration (deploy/triton/README.md)."""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

import numpy as np

from embedder.domain.errors import ModelFailed, ModelNotReady
from embedder.domain.models import CHECKSUM, MAP, Description, Inferred, Tensors
from embedder.domain.photos import MAX_VIEWS
from embedder.domain.recipes import (
    SECOND,
    LineRecipe,
    PairRecipe,
    PhotoRecipe,
    Recipe,
    Sentences,
    StepsInvalidError,
    TextRecipe,
    parse_steps,
)

STEPS: Final = ("texts", "lines")
"""Names of outputs with a row for each pixel or step, whose number varies: the probabilities of
texts, and the characters of lines of text."""
BOXES: Final = "boxes"
"""Name of the output with the boxes of objects."""
OUTPUTS: Final = ("embedding", "features", "faces", "objects", BOXES, *STEPS)
"""Names of the output with the vectors, with maps of faces, objects or texts, with boxes, or with
characters; a model has one of them."""
CATEGORY: Final = "category"
"""The second output of a model with a head."""
ANY: Final = -1
"""A variable dimension."""
_VERSION_HASH: Final = re.compile(r"version_(\d+)_sha256")


def described(response: Any) -> Description:
    """Return the description in a ModelConfigResponse. Raises ModelNotReady unless the model
    conforms to deploy/triton/README.md.
    """
    config = response.config
    parameters = {key: value.string_value for key, value in config.parameters.items()}
    versions = {key: _VERSION_HASH.fullmatch(key) for key in parameters}
    taken = {tensor.name: list(tensor.dims) for tensor in config.input}
    given = {tensor.name: list(tensor.dims) for tensor in config.output}
    try:
        recipe = _recipe(taken, parameters)
        (dimension,) = [
            _width(given[name], steps=name in STEPS) for name in OUTPUTS if name in given
        ]
        (category,) = given.get(CATEGORY, [1])
        found = Description(
            model=config.name,
            space=parameters["space"],
            dimension=dimension,
            recipe=recipe,
            precision=parameters["precision"],
            licence=parameters.get("licence", ""),
            hashes={match[1]: parameters[key] for key, match in versions.items() if match},
            max_batch=config.max_batch_size,
            instances=max(1, sum(group.count for group in config.instance_group)),
            catalog=parameters.get("catalog", ""),
            cameras="kind" in taken,
            categories=category - 1,
            shopper_views=int(parameters.get("shopper_views", "1")),
            catalog_views=int(parameters.get("catalogue_views", "1")),
            create_time=float(parameters.get("create_time", "0")),
            blocks={name: int(size) for name, _, size in _pairs(parameters.get("blocks", ""))},
            checksums=CHECKSUM in given,
            boxes=BOXES in given,
        )
    except StepsInvalidError as error:
        raise ModelNotReady(f"the parameter preprocessing of {config.name}: {error}") from error
    except (KeyError, ValueError) as error:
        raise _foreign(config.name) from error
    if not _usable(found):
        raise _foreign(config.name)
    return found


def inferred(outputs: Tensors, version: str) -> Inferred:
    """Return a model's answer by its outputs. Raises ModelFailed without one with vectors."""
    vectors = next((outputs[name] for name in OUTPUTS if name in outputs), None)
    if vectors is None:
        raise ModelFailed(f"the model's answer has no output {' or '.join(OUTPUTS)}")
    maps = {
        name.removesuffix(MAP): values for name, values in outputs.items() if name.endswith(MAP)
    }
    return Inferred(np.asarray(vectors, np.float32), version, outputs.get(CATEGORY), maps)


def _width(dims: list[int], *, steps: bool) -> int:
    """Return the components of an output's row, of a step if it has `steps`. Raises ValueError."""
    (*before, width) = dims
    if before != [ANY] * steps:
        raise ValueError("not one row of numbers")
    return width


def _pairs(text: str) -> Iterable[tuple[str, str, str]]:
    return (pair.partition("=") for pair in text.split())


def _recipe(taken: Mapping[str, list[int]], parameters: Mapping[str, str]) -> Recipe:
    """Return the model's input. Raises KeyError or ValueError for unsupported inputs."""
    match sorted(taken):
        case ["image"] if taken["image"] == [ANY, ANY, 3]:
            done = parse_steps(parameters.get("preprocessing", ""))
            side, crop = int(parameters["input_size"]), float(parameters["crop"])
            return PhotoRecipe(side, crop, parameters["normalisation"], done)
        case ["image"] if taken["image"][1:] == [ANY, 3]:
            return LineRecipe(taken["image"][0], parameters["normalisation"])
        case ["image"] | ["image", "kind"]:
            side, width, channels = taken["image"]
            if (width, channels) != (side, 3) or taken.get("kind", [1]) != [1]:
                raise ValueError("not one square RGB photo per row")
            done = parse_steps(parameters.get("preprocessing", ""))
            return PhotoRecipe(side, float(parameters["crop"]), parameters["normalisation"], done)
        case ["attention_mask", "input_ids"]:
            return _text(parameters)
        case ["attention_mask", "input_ids", "second_attention_mask", "second_input_ids"]:
            first, second = map(int, parameters["dimensions"].split())
            return PairRecipe(_text(parameters), _text(parameters, SECOND), (first, second))
        case ["sentence"]:
            (dimension,) = taken["sentence"]
            return Sentences(dimension, parameters.get("text_version", ""))
        case _:
            raise ValueError("neither photos nor texts")


def _text(parameters: Mapping[str, str], prefix: str = "") -> TextRecipe:
    return TextRecipe(int(parameters[f"{prefix}tokens"]), parameters[f"{prefix}tokenizer_sha256"])


def _usable(found: Description) -> bool:
    match found.recipe:
        case PhotoRecipe(side, crop):
            fits = side > 0 and 0 < crop <= 1
        case TextRecipe(most):
            fits = most > 0
        case PairRecipe(first, second, dimensions):
            fits = min(first.most, second.most, *dimensions) > 0
            fits = fits and sum(dimensions) == found.dimension
        case Sentences(dimension):
            fits = dimension > 0
        case LineRecipe(height):
            fits = height > 0
    views = {found.shopper_views, found.catalog_views}
    sizes = min(found.dimension, found.max_batch, found.categories + 1)
    return fits and sizes > 0 and views <= set(range(1, MAX_VIEWS + 1)) and bool(found.hashes)


def _foreign(model: str) -> ModelNotReady:
    return ModelNotReady(f"this service does not understand the configuration of {model}")
