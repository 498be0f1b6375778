"""Triton configurations of a fitted space, derived from its features model, so that both run on the
same devices and runtimes. Uses only the schema of tritonclient.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2 as pb

from embedder.adapters.onnx import CATEGORY, EMBEDDING, FEATURES, KIND, SENTENCE
from embedder.adapters.triton.config_file import NAME as CONFIG
from embedder.adapters.triton.config_file import parsed
from embedder.domain.models import CHECKSUM, VISUAL

GRAPH_HASH: Final = "version_1_sha256"
TEXT_BATCH: Final = 64
FEATURES_ONLY: Final = frozenset({"blocks"})
"""Parameters of a features model that do not apply to a fitted space."""


def paths(folder: Path) -> Iterator[str]:
    """Yield the configurations in a model's folder, with their paths in it."""
    yield CONFIG
    for path in sorted((folder / "configs").glob("*.pbtxt")):
        yield path.relative_to(folder).as_posix()


def of_space(
    text: str, name: str, graph_sha256: str, sizes: tuple[int, int], parameters: Mapping[str, str]
) -> str:
    """Return the configuration of a fitted space.

    `text`: configuration of the features model; `sizes`: numbers of components of a vector and of
    `category` (0: no head). Raises ValueError if `text` is not of a features model.
    """
    config = parsed(text)
    if [each.name for each in config.output if each.name != CHECKSUM] != [FEATURES]:
        raise ValueError(f"{config.name} is not a features model: its output is not {FEATURES}")
    config.input.append(_tensor(pb.ModelInput, KIND, 1))
    _give(config, *zip((EMBEDDING, CATEGORY), sizes, strict=True))
    return _written(config, name, {"space": VISUAL, GRAPH_HASH: graph_sha256, **parameters})


def of_text_map(
    text: str, name: str, graph_sha256: str, sizes: tuple[int, int], parameters: Mapping[str, str]
) -> str:
    """Return the configuration of a text map. `sizes`: numbers of components of its input and
    output."""
    config = parsed(text)
    config.ClearField("input")
    # A small matrix product: batching, compilation and several instances would not pay off.
    for field in ("dynamic_batching", "optimization"):
        config.ClearField(field)
    for group in config.instance_group:
        group.count = 1
    config.max_batch_size = TEXT_BATCH
    config.input.append(_tensor(pb.ModelInput, SENTENCE, sizes[0]))
    _give(config, (EMBEDDING, sizes[1]))
    return _written(config, name, {"space": VISUAL, GRAPH_HASH: graph_sha256, **parameters})


def _give(config: Any, *outputs: tuple[str, int]) -> None:
    """Replace the model's outputs by outputs of these widths; keep those of the backend."""
    kept = [each for each in config.output if each.name == CHECKSUM]
    config.ClearField("output")
    config.output.extend(_tensor(pb.ModelOutput, name, width) for name, width in outputs if width)
    config.output.extend(kept)


def _tensor(kind: Any, name: str, width: int) -> Any:
    return kind(name=name, data_type=pb.TYPE_FP32, dims=[width])


def _written(config: Any, name: str, parameters: Mapping[str, str]) -> str:
    made_from, config.name = config.name, name
    for key in FEATURES_ONLY & set(config.parameters):
        del config.parameters[key]
    for key, value in parameters.items():
        config.parameters[key].string_value = value
    text: str = text_format.MessageToString(config)
    return f"# Written by the embedder from {made_from}, with a fitted map behind it.\n{text}"
