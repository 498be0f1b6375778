"""The part of `python -m vision.move` that moves references of an embedder of up to 0.43."""

import hashlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from servicekit.artefacts.content_store import ContentStore
from servicekit.clock import Clock, now_micros
from servicekit.keys.keyring import SigningKeys, open_keys
from servicekit.sql.database import Database
from vision.adapters.former_references import FOLDER, FormerReferences, folder_of
from vision.record import moving
from vision.record.moving import MovedReferences

REFUSED = "refused"
DAMAGED = (
    "parts of its references are damaged, or --space-keys did not sign them: name the right file,"
    " or, if they are lost for good, repeat with --without-damaged"
)


@dataclass(frozen=True, slots=True)
class ReferenceMove:
    """References that are moved, and whereto."""

    root: Path
    """EMBEDDER_SPACES."""
    target: Database
    files: ContentStore
    after: Callable[[str], None]
    """Called after each step that is durable, with its name."""
    keys: SigningKeys = open_keys
    """Those that signed the versions."""
    without_damaged: bool = False
    """True: also move catalogs of which something is damaged, or not signed."""
    clock: Clock = now_micros

    async def catalog(self, catalog_id: str, key: str) -> Mapping[str, Any] | None:
        """Move the references of a catalog. Return what was done; None: it has none."""
        former = FormerReferences(folder_of(self.root, catalog_id), self.keys)
        if not former.folder.is_dir():
            return None
        about = {"catalog": catalog_id, "of": FOLDER}
        if stands := await self._standing(key):
            return {**about, "outcome": stands}
        moved = MovedReferences()
        for each in former.versions():
            await self.files.put(key, each.manifest.file, each.memory)
            moved.versions.append((each.manifest, each.state, each.promoted))
            self.after("memory")
        for photo in former.photos():
            name = hashlib.sha256(photo.data).hexdigest()
            await self.files.put(key, name, photo.data)
            moved.photos.append((photo.reference_id, photo.photo, name, photo.added))
            self.after("photo of a draft")

        if (lost := former.damaged) and not self.without_damaged:
            return {**about, "outcome": f"{REFUSED}: {DAMAGED}", "left_out": lost}

        def rows(connection: sa.Connection) -> bool:
            return moving.move_references(connection, key, moved, self.clock())

        done = await self.target.write(rows)
        self.after("references")
        if not done:
            return {**about, "outcome": await self._standing(key)}
        counts = {"versions": len(moved.versions), "photos": len(moved.photos)}
        return {**about, "outcome": "moved", **counts, "left_out": former.damaged}

    async def _standing(self, key: str) -> str:
        """Return why the references of a catalog are not moved; empty: they are."""
        if await self.target.read(lambda c: moving.has_moved_references(c, key)):
            return "moved before"
        own = await self.target.read(lambda c: moving.has_references(c, key))
        return f"{REFUSED}: it has references here already" if own else ""

    def strangers(self, known: Collection[str]) -> list[str]:
        """Return the folders of catalogs that are not known."""
        of_known = {folder_of(self.root, each).name for each in known}
        return sorted(
            each.name for each in (self.root / FOLDER).glob("*") if each.name not in of_known
        )
