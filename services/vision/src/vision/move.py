"""`python -m vision.move`: moves watches, the photos of their alerts and targets, alerts, webhooks
and deliveries out of the record of a retriever of 0.30 to 0.42 (`--photos`), and references out of
the folder of an embedder of up to 0.43 (`--references`).

Upgrade or stop retriever and embedder first, so that nothing is written there meanwhile; they keep
what was moved. The command can be repeated: catalogs that were moved are left as they are.
"""

import argparse
import asyncio
import json
import sys
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from servicekit.artefacts.content_store import ContentDamaged, ContentStore
from servicekit.clock import Clock, now_micros
from servicekit.errors import ServiceError
from servicekit.keys.keyring import signing_keys
from servicekit.sql.database import Database
from servicekit.startup import checked
from servicekit.watched_files import Unreadable
from vision.move_references import REFUSED, ReferenceMove, move_references
from vision.record import moving
from vision.record.moving import FormerCatalog
from vision.settings import VisionSettings
from vision.wiring import MIGRATIONS, database

OWN = "it has watches or webhooks here already"
LOST = (
    "of its photos are not in --photos, or damaged: name the retriever's store, or, if they are"
    " lost for good, repeat with --without-lost-photos"
)


def nothing(_: str) -> None:
    """Do nothing after a step."""


@dataclass(frozen=True, slots=True)
class Move:
    """What is moved, and whereto."""

    source: Database
    """Of the retriever."""
    photos: ContentStore
    """Of the retriever."""
    target: Database
    frames: ContentStore
    """Of vision."""
    clock: Clock = now_micros
    after: Callable[[str], None] = nothing
    """Called after each step that is durable, with its name."""
    without_lost_photos: bool = False
    """True: also move catalogs of which photos are lost."""

    async def catalog(self, former: FormerCatalog) -> Mapping[str, Any]:
        """Move a catalog. Return what was done."""
        about = {"catalog": former.catalog_id}
        if stands := await self._standing(former):
            return {**about, "outcome": stands}
        lost = 0
        for image_id in former.image_ids:  # before the rows that name them
            lost += not await self._photo(former, image_id)
            self.after("photo")
        if lost and not self.without_lost_photos:
            return {**about, "outcome": f"{REFUSED}: {lost} {LOST}", "lost_photos": lost}

        def rows(connection: sa.Connection) -> Mapping[str, int] | None:
            with self.source.engine.connect() as source:
                return moving.move_rows(connection, source, former, self.clock())

        counts = await self.target.write(rows)
        self.after("rows")
        if counts is None:
            return {**about, "outcome": await self._standing(former)}
        return {**about, "outcome": "moved", **counts, "lost_photos": lost}

    async def _standing(self, former: FormerCatalog) -> str:
        """Return why a catalog is not moved; empty: it is."""
        if await self.target.read(lambda c: moving.is_moved(c, former.key)):
            return "moved before"
        own = await self.target.read(lambda c: moving.has_own(c, former.key))
        return f"{REFUSED}: {OWN}" if own else ""

    async def _photo(self, former: FormerCatalog, image_id: str) -> bool:
        """Copy a photo. Return whether there was one."""
        try:
            data = await self.photos.get(former.catalog_id, image_id)
        except (FileNotFoundError, ContentDamaged):
            return False
        await self.frames.put(former.key, image_id, data)
        return True


async def move(
    moved: Move, declared: tuple[str, ...], say: Callable[[str], object] = print
) -> bool:
    """Move all catalogs. Return whether none was refused."""
    with moved.source.engine.connect() as source:
        found = moving.former_catalogs(source, declared, moved.clock())
    good = True
    for former in found:
        done = await moved.catalog(former)
        good = good and not done["outcome"].startswith(REFUSED)
        say(json.dumps(done))
    return good


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    made = argparse.ArgumentParser(prog="python -m vision.move", description=__doc__)
    source = made.add_mutually_exclusive_group(required=True)
    source.add_argument("--from", dest="url", help="RETRIEVER_DATABASE_URL")
    source.add_argument("--from-file", dest="file", type=Path, help="a file with it")
    made.add_argument("--photos", help="RETRIEVER_PHOTOS_URL: move watches and webhooks")
    made.add_argument(
        "--without-lost-photos", action="store_true", help="move catalogs that have lost photos too"
    )
    made.add_argument("--references", type=Path, help="EMBEDDER_SPACES: move references")
    made.add_argument(
        "--space-keys", type=Path, help="EMBEDDER_SPACE_KEYS_FILE: move only what its keys signed"
    )
    made.add_argument(
        "--without-damaged", action="store_true", help="move catalogs with damaged references too"
    )
    return made


def main() -> int:
    """Run the command. Return its exit status: 1 if a catalog was refused, 2 if a store failed."""
    commands = parser()
    given = commands.parse_args()
    if given.photos is None and given.references is None:
        commands.error("give --photos, --references or both")
    settings = checked(VisionSettings)
    try:
        url = given.url or given.file.read_text("utf-8").strip()
        with (
            closing(database(settings)) as target,
            closing(Database(url, migrations=MIGRATIONS)) as source,
            closing(ContentStore(settings.photos_url)) as frames,
        ):
            good = asyncio.run(_moved(given, settings.catalogs, source, target, frames))
    except (ServiceError, OSError, ValueError, Unreadable, sa.exc.SQLAlchemyError) as error:
        # The text of an error of SQL may have rows.
        text = type(error).__name__ if isinstance(error, sa.exc.SQLAlchemyError) else str(error)
        print(f"error: {text}; nothing is lost: repeat the command", file=sys.stderr)
        return 2
    return 0 if good else 1


async def _moved(
    given: argparse.Namespace,
    declared: tuple[str, ...],
    source: Database,
    target: Database,
    frames: ContentStore,
) -> bool:
    good = True
    if given.photos is not None:
        with closing(ContentStore(given.photos)) as photos:
            moved = Move(
                *(source, photos, target, frames), without_lost_photos=given.without_lost_photos
            )
            good = await move(moved, declared)
    if given.references is not None:
        with source.engine.connect() as connection:
            keys = moving.catalog_keys(connection, declared)
        signed = signing_keys(given.space_keys)
        references = ReferenceMove(
            *(given.references, target, frames, nothing, signed),
            without_damaged=given.without_damaged,
        )
        good = await move_references(references, keys) and good
    return good


if __name__ == "__main__":
    sys.exit(main())
