"""References in the folder of fitted spaces of an embedder of up to 0.43.

Below ``<root>/references/<catalog's hash>/<reference>/``:

    draft/<sha256>.png        photos, until they are fitted
    state.json                which version serves
    <version>/manifest.json
    <version>/memory.npz
"""

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter, ValidationError
from pydantic_core import to_json

from servicekit.keys.keyring import SigningKeys, open_keys
from vision.domain.references import MANIFESTS, ReferenceManifest, ReferenceState

FOLDER: Final = "references"
_HASH: Final = re.compile(r"[0-9a-f]{64}")
_ABOUT: Final = ("reference",)
"""Purpose of a manifest's signature (servicekit.keys.keyring)."""


@dataclass(frozen=True, slots=True)
class ServedReferences:
    """Versions of a reference that serve and that did: ``state.json``."""

    serving: str = ""
    promote_time: float = 0.0
    """Time of the last promotion, in seconds since 1970."""
    retired: tuple[str, ...] = ()

    def state(self, version: str) -> ReferenceState:
        """Return the state of a version."""
        if version == self.serving:
            return ReferenceState.SERVING
        retired = version in self.retired
        return ReferenceState.RETIRED if retired else ReferenceState.CANDIDATE


_SERVED: Final = TypeAdapter(ServedReferences)


@dataclass(frozen=True, slots=True)
class FormerVersion:
    """A fitted version."""

    manifest: ReferenceManifest
    state: ReferenceState
    promoted: int
    """Time of its last promotion, in microseconds since 1970; 0: none."""
    memory: bytes


@dataclass(frozen=True, slots=True)
class FormerPhoto:
    """A photo of a draft."""

    reference_id: str
    photo: str
    """SHA-256 of the file that a caller sent."""
    added: int
    """Time of the draft's last photo, in microseconds since 1970."""
    data: bytes


@dataclass(slots=True)
class FormerReferences:
    """The references of a catalog. Methods block and raise OSError."""

    folder: Path
    keys: SigningKeys = open_keys
    """Keys that sign versions. If they have a secret, other versions are left out."""
    damaged: list[str] = field(default_factory=list)
    """Names of what was left out so far, because it can't be read."""

    def versions(self) -> Iterator[FormerVersion]:
        """Yield the versions."""
        for path in sorted(self.folder.glob("*/*/manifest.json")):
            try:
                yield self._version(path)
            except (FileNotFoundError, ValueError):
                self.damaged.append(f"{path.parts[-3]}/{path.parts[-2]}")

    def photos(self) -> Iterator[FormerPhoto]:
        """Yield the photos of drafts."""
        for draft in sorted(self.folder.glob("*/draft")):
            added = int(draft.stat().st_mtime * 1e6)
            for path in sorted(draft.glob("*.png")):
                if _HASH.fullmatch(path.stem):
                    yield FormerPhoto(draft.parent.name, path.stem, added, path.read_bytes())

    def _version(self, path: Path) -> FormerVersion:
        data = path.read_bytes()
        manifest, keys = MANIFESTS.validate_json(data), self.keys()
        if keys.secret:
            told = json.loads(data)
            # As it was signed: an older manifest lacks fields of a newer one.
            keys.check(_ABOUT, to_json({**told, "signature": ""}), told.get("signature", ""))
        memory = (path.parent / "memory.npz").read_bytes()
        named = manifest.reference_id, manifest.version, manifest.file
        if named != (*path.parts[-3:-1], hashlib.sha256(memory).hexdigest()):
            raise ValueError("the files are not those of the manifest")
        served = self._served(path.parent.parent)
        promoted = int(served.promote_time * 1e6) if served.serving == manifest.version else 0
        return FormerVersion(manifest, served.state(manifest.version), promoted, memory)

    def _served(self, folder: Path) -> ServedReferences:
        try:
            return _SERVED.validate_json((folder / "state.json").read_bytes())
        except FileNotFoundError:
            return ServedReferences()
        except ValidationError:
            if (lost := f"{folder.name}/state.json") not in self.damaged:
                self.damaged.append(lost)
            return ServedReferences()


def folder_of(root: Path, catalog_id: str) -> Path:
    """Return the folder of a catalog. `root`: EMBEDDER_SPACES."""
    return root / FOLDER / hashlib.sha256(catalog_id.encode()).hexdigest()[:32]
