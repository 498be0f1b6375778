"""The part of `python -m vision.move` that moves references of an embedder of up to 0.43."""

import hashlib
import json
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
MOVED_BEFORE = "moved before"
OWN = "it has references here already"
UNKNOWN = "VISION_CATALOGS lacks its catalog"
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
    """Keys that signed the versions."""
    without_damaged: bool = False
    """True: also move catalogs of which something is damaged, or not signed."""
    clock: Clock = now_micros

    async def catalog(self, catalog_id: str, key: str) -> Mapping[str, Any] | None:
        """Move the references of a catalog. Return what was done; None: it has none."""
        former = FormerReferences(folder_of(self.root, catalog_id), self.keys)
        if not former.folder.is_dir():
            return None
        about = {"catalog": catalog_id, "of": FOLDER}
        if await self._is_moved(key):
            return {**about, "outcome": MOVED_BEFORE}
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
        if not done:  # by another run of the command, or there are some of its own
            outcome = MOVED_BEFORE if await self._is_moved(key) else f"{REFUSED}: {OWN}"
            return {**about, "outcome": outcome}
        counts = {"versions": len(moved.versions), "photos": len(moved.photos)}
        return {**about, "outcome": "moved", **counts, "left_out": former.damaged}

    async def _is_moved(self, key: str) -> bool:
        return await self.target.read(lambda c: moving.has_moved_references(c, key))

    def strangers(self, known: Collection[str]) -> list[str]:
        """Return the folders of catalogs that are not known."""
        of_known = {folder_of(self.root, each).name for each in known}
        return sorted(
            each.name for each in (self.root / FOLDER).glob("*") if each.name not in of_known
        )


async def move_references(
    moved: ReferenceMove, keys: Mapping[str, str | None], say: Callable[[str], object] = print
) -> bool:
    """Move the references of all catalogs. Return whether none was refused. `keys`: of the catalogs
    by id, None of a removed one."""
    good = True
    for catalog_id, key in sorted(keys.items()):
        done = None if key is None else await moved.catalog(catalog_id, key)
        if done is not None:
            good = good and not done["outcome"].startswith(REFUSED)
            say(json.dumps(done))
    for folder in moved.strangers(keys):
        good = False
        say(json.dumps({"folder": folder, "outcome": f"{REFUSED}: {UNKNOWN}"}))
    return good
