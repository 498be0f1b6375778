"""A scene in use, its draft in the record, and what the draft would change."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from sightline_client import FilterSyntaxError, SightlineClient, parse_filter
from sightline_client.cli.language import _
from sightline_client.errors import Conflict, NotFound
from sightline_client.values.catalogs import SteeredBy
from sightline_client.values.controls import Control, ControlKind
from sightline_client.values.scenes import SceneFile, SceneList
from sightline_console.screens import drafts, scene_text
from sightline_console.screens.drafts import Drafted
from sightline_console.screens.scene_text import Entries, TextUnreadable, is_over

USUAL = "default"
TRIES = 3
"""Tries to write a change, if others write at the same time."""
_UNSHOWN = ("when", "least_share", "by_merit")
"""Entries of controls that a request can't have."""


_MOST = 2**31 - 1
"""Largest number of a control that a request can have."""


class SteeredByFiles(Exception):
    """The scenes of the catalog are files."""


@dataclass(frozen=True, slots=True)
class Steered(Drafted):
    """A scene, and what steers it."""

    listed: SceneList
    live: SceneFile | None
    """The scene in use; None: the suite has none of that name yet."""

    @property
    def by_record(self) -> bool:
        """True if the record steers the catalog."""
        return self.listed.steered_by is SteeredBy.RECORD

    @property
    def in_use(self) -> int:
        """Number of the version in use; 0: none."""
        return self.live.number if self.live and self.by_record else 0

    @property
    def names(self) -> list[str]:
        """Names of scenes that can be chosen."""
        return sorted({self.scene, *(each.scene for each in self.listed.scenes)})

    @property
    def live_text(self) -> str:
        """The text in use; empty: none."""
        return self.live.toml if self.live else ""


async def steered(client: SightlineClient, scene: str) -> Steered:
    """Return what steers a scene. Raises SightlineError."""
    listed, live, document = await asyncio.gather(
        client.list_scenes(), _live(client, scene), drafts.document(client, scene)
    )
    return Steered(scene, document, listed, live)


async def _live(client: SightlineClient, scene: str) -> SceneFile | None:
    try:
        return await client.get_scene(scene)
    except NotFound:
        return None


async def write(client: SightlineClient, scene: str, change: Callable[[str], str]) -> None:
    """Change the draft, whoever wrote it last. Raises TextUnreadable, SteeredByFiles,
    SightlineError."""
    for tries in range(1, TRIES + 1):
        held = await steered(client, scene)
        if not held.by_record:
            raise SteeredByFiles
        text = await asyncio.to_thread(change, held.text)
        try:
            await client.write_scene_draft(scene, text, comment=held.comment, etag=held.etag)
        except Conflict:
            if tries == TRIES:
                raise
        else:
            return


@dataclass(frozen=True, slots=True)
class Preview:
    """The part of a draft that a request can have in advance."""

    controls: tuple[Control, ...]
    unseen: tuple[str, ...]
    """Names of controls, and other changes, that it can't have."""

    def __bool__(self) -> bool:
        return bool(self.controls)


def preview(live: str, draft: str) -> Preview:
    """Return what a draft would change, as if all its dates were now. Raises TextUnreadable."""
    old, new = scene_text.entries(live), scene_text.entries(draft)
    before = {str(each.get("name")): each for each in scene_text.controls(live)}
    after = {str(each.get("name")): each for each in scene_text.controls(draft)}
    made: list[Control] = []
    unseen = [name for name, each in before.items() if name not in after and not is_over(each)]
    for name, entries in after.items():
        if before.get(name) == entries or is_over(entries):
            continue
        is_pin = entries.get("kind") == ControlKind.PIN.lower()
        unshown = any(each in entries for each in _UNSHOWN) or (name in before and not is_pin)
        control = None if unshown else _control(name, entries)
        if control is None:
            unseen.append(name)
        else:
            made.append(control)
    if any(old.get(key) != new.get(key) for key in {*old, *new} - {"controls"}):
        unseen.append(_("entries that are no controls"))
    return Preview(tuple(made), tuple(unseen))


def _control(name: str, entries: Entries) -> Control | None:
    """Return a control of a text as that of a request, without its dates; None: it is invalid."""
    held = entries.get("filter")
    try:
        place, boost = int(entries.get("place", 0)), float(entries.get("boost", 0))
        if abs(place) > _MOST or not abs(boost) <= _MOST:
            return None
        return Control(
            name,
            ControlKind[str(entries.get("kind")).upper()],
            tuple(map(str, entries.get("product_ids", ()))),
            parse_filter(held) if isinstance(held, str) else None,
            place=place,
            boost=boost,
        )
    except (FilterSyntaxError, KeyError, TypeError, ValueError, OverflowError):
        return None


def effect(held: Steered) -> Preview:
    """Return what the draft of a scene would change; nothing if there is none to be seen."""
    if not (held.has_draft and held.live):
        return Preview((), ())
    try:
        return preview(held.live_text, held.text)
    except TextUnreadable:
        return Preview((), (_("the draft, whose text can't be read"),))
