"""What is known of a fitted space: ``manifest.json`` in its folder."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import Field, TypeAdapter, ValidationError

from embedder.fitting.model import Evaluation

MANIFEST: Final = "manifest.json"
CATEGORIES: Final = "categories.json"
"""The head's full category paths in the order of its output: a list of lists of names."""
TEXT_SUFFIX: Final = "_text"
"""What the name of a space's text map ends with."""
MAX_BYTES: Final = 2**20

Name = Annotated[str, Field(pattern=r"^visual_[0-9a-f]{12}$")]
Version = Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
Hash = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class SpaceDamaged(Exception):
    """Files of a space are missing, or not those that were written; the text says which."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """A fitted space. Its folder is a model of Triton's; the text map is one of its own."""

    name: Name
    """The model's in Triton: `visual_` and 12 hexadecimal digits of the graph's SHA-256."""
    version: Version
    """The space's version, as its vectors carry it."""
    catalog_id: str
    backbone: str
    """The features model that it stands on."""
    dimension: Annotated[int, Field(ge=1, le=256)]
    create_time: datetime
    """When it was fitted (UTC)."""
    preprocessing: str
    """What is done to a photo before the model, in words."""
    licence: str
    """Of the backbone's weights (SPDX)."""
    shopper_views: Annotated[int, Field(ge=1, le=4)]
    catalogue_views: Annotated[int, Field(ge=1, le=4)]
    """Views of a photo of either kind that are averaged when nobody says how many."""
    categories: Annotated[int, Field(ge=0)]
    """That its head knows; 0 = it has none."""
    takes_texts: bool
    """Whether there is a text map."""
    evaluation: Evaluation
    files: dict[str, Hash]
    """SHA-256 of the files of its folder, by their paths in it; all but this one."""
    text_files: dict[str, Hash] = field(default_factory=dict)
    """The same of the text map's folder."""
    forced: bool = False
    """Whether its promotion was forced past its evaluation."""
    format: Literal[1] = 1

    @property
    def text_name(self) -> str:
        """The text map's name in Triton."""
        return self.name + TEXT_SUFFIX

    def written(self) -> bytes:
        """Return the file's bytes."""
        return _ADAPTER.dump_json(self, indent=1)


_ADAPTER: Final = TypeAdapter(Manifest)


def read(folder: Path) -> Manifest:
    """Return the manifest in a folder. Raises SpaceDamaged."""
    path = folder / MANIFEST
    try:
        if path.stat().st_size > MAX_BYTES:
            raise SpaceDamaged(f"{path.name} of {folder.name} is too large")
        found = _ADAPTER.validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise SpaceDamaged(f"{folder.name} has no sound {path.name}") from error
    if found.name != folder.name:
        raise SpaceDamaged(f"{folder.name} holds the manifest of another space")
    return found


def hashes(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of a folder's files by their paths in it, without its manifest's."""
    found = {path.relative_to(folder).as_posix(): sha256(path) for path in _files(folder)}
    found.pop(MANIFEST, None)
    return found


def check(folder: Path, wanted: dict[str, str]) -> None:
    """Raise SpaceDamaged unless a folder holds these files, byte by byte, and no other."""
    found = hashes(folder)
    if wrong := sorted(name for name, _ in found.items() ^ wanted.items()):
        raise SpaceDamaged(
            f"{folder.name}: not as it was written: {', '.join(dict.fromkeys(wrong))}"
        )


def sha256_of(data: bytes) -> str:
    """Return the SHA-256 of bytes in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def sha256(path: Path) -> str:
    """Return a file's SHA-256 in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        if path.is_symlink():
            raise SpaceDamaged(f"{folder.name} holds a link: {path.name}")
        if path.is_file():
            yield path
