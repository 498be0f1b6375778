"""Published scenes of the record, for catalogs that it steers: followed without a restart.

The list of catalogs tells when they have changed. A scene that this release can't read is rejected
alone: its former content stays in use. While the record can't be read, all scenes from before stay
in use; after a restart these are read from copies, if there is a folder for them.
"""

import asyncio
import contextvars
from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Protocol

from gateway.model.errors import SceneInvalid, SceneNotFound
from gateway.model.scene import PublishedScene, PublishedScenes, Scene, SceneInUse
from gateway.state.scenes import DEFAULT, FILE_REJECTED, STALE, SceneFiles
from gateway.state.scenes.copies import SceneCopies, SceneCopy
from gateway.state.scenes.texts import ParseToml, read
from servicekit.catalogs.known import CatalogChange
from servicekit.clock import Clock, now_micros
from servicekit.errors import ServiceError
from servicekit.tasks.supervision import confined, ended, rest, supervised, tell

READING = "scenes"
"""Name for servicekit.tasks.supervision."""
AGAIN_SECONDS = 1.0
"""Seconds until scenes that could not be read are read again."""
INVALID_SECONDS = 30.0
"""Seconds until invalid scenes are read again: the reason may have been a busy machine."""
START_SECONDS = 2.0
"""Seconds that a start waits for the scenes."""

ReadScenes = Callable[[str], Awaitable[PublishedScenes]]
"""Returns the published scenes of a catalog. Raises ServiceError."""


class SteeredCatalogs(Collection[str], Protocol):
    """A live collection of catalogs, which tells the revisions of published scenes."""

    def scenes_revision(self, name: str) -> str:
        """Return what identifies the published scenes of a catalog; empty: files steer it."""


@dataclass(frozen=True, slots=True)
class _CatalogScenes:
    """The published scenes of a catalog."""

    revision: str
    scenes: Mapping[str, SceneInUse] = field(default_factory=dict)
    problems: Mapping[str, str] = field(default_factory=dict)
    planned_micros: int = 0
    """When the next planned version is published; 0: none is planned."""


class SteeredScenes:
    """The current scenes: of files, and in catalogs that the record steers, published ones in place
    of the catalogs' own files."""

    def __init__(
        self,
        files: SceneFiles,
        catalogs: SteeredCatalogs,
        published: ReadScenes,
        parse: ParseToml,
        copies: SceneCopies | None = None,
        *,
        clock: Clock = now_micros,
    ) -> None:
        """Begin with files alone. `copies`: None: scenes are kept in memory only."""
        self._clock = clock
        self._files, self._catalogs, self._copies = files, catalogs, copies
        self._published, self._parse = published, parse
        self._held: dict[str, _CatalogScenes] = {}
        self._changed = asyncio.Event()
        self._reading = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        STALE.labels("record")

    def get(self, name: str, catalog_id: str = "") -> Scene:
        """Return the current scene of a catalog; an empty name is "default".

        Raises SceneNotFound.
        """
        if not self._held:  # as most gateways
            return self._files.get(name, catalog_id)
        return self.in_use(name, catalog_id).scene

    def in_use(self, name: str, catalog_id: str = "") -> SceneInUse:
        """Return the current scene of a catalog with its text; an empty name is "default".

        Raises SceneNotFound.
        """
        if (held := self._held.get(catalog_id)) is None:
            return self._files.in_use(name, catalog_id)
        if (found := held.scenes.get(name or DEFAULT)) is not None:
            return found
        try:
            return self._files.in_use(name)
        except SceneNotFound:
            if any(each.startswith(f"{name} (") for each in held.problems):
                raise SceneNotFound(FILE_REJECTED) from None
            raise SceneNotFound.among(name, self.names(catalog_id)) from None

    def names(self, catalog_id: str = "") -> tuple[str, ...]:
        """Return the scenes' names, sorted."""
        if (held := self._held.get(catalog_id)) is None:
            return self._files.names(catalog_id)
        return tuple(sorted({*self._files.names(), *held.scenes}))

    def problems(self, catalog_id: str = "") -> Mapping[str, str]:
        """Return what is rejected of a catalog, and of all catalogs, each with its problem."""
        if (held := self._held.get(catalog_id)) is None:
            return self._files.problems(catalog_id)
        return {**self._files.problems(), **held.problems}

    def is_recorded(self, catalog_id: str) -> bool:
        """Return whether the record steers a catalog."""
        return bool(self._catalogs.scenes_revision(catalog_id))

    async def start(self) -> None:
        """Read the published scenes, or their copies, then follow them. Requires a running event
        loop."""
        if self._copies is not None:
            for catalog_id in self._catalogs:
                await self._load(catalog_id, self._copies)
        with suppress(TimeoutError):
            async with asyncio.timeout(START_SECONDS):
                await self.refresh()
        loop = asyncio.get_running_loop()
        follow = supervised(READING, self._turn)
        self._task = loop.create_task(follow, context=contextvars.Context())

    async def close(self) -> None:
        """End the reads."""
        await ended(self._task)

    def follow(self, change: CatalogChange) -> None:
        """Drop the scenes of catalogs that the record no longer steers, and read those that have
        changed."""
        for catalog_id in change.removed | change.steered:
            if catalog_id in change.removed or not self.is_recorded(catalog_id):
                self._held.pop(catalog_id, None)
                if self._copies is not None:
                    self._copies.delete(catalog_id)
        self._changed.set()

    async def refresh(self) -> None:
        """Read the published scenes that have changed. Errors are logged."""
        async with self._reading:
            for catalog_id in self._catalogs:
                if self._is_behind(catalog_id) or self._problems(catalog_id):
                    with confined(READING, catalog=catalog_id):
                        await self._read(catalog_id)
            STALE.labels("record").set(any(map(self._problems, self._held)))

    async def _turn(self) -> None:
        seconds = None
        if any(map(self._is_behind, self._catalogs)):
            seconds = AGAIN_SECONDS
        else:
            seconds = self._until_planned()
            if any(map(self._problems, self._held)):
                seconds = min(INVALID_SECONDS, seconds or INVALID_SECONDS)
        await rest(seconds, self._changed)
        self._changed.clear()
        await self.refresh()

    def _is_behind(self, catalog_id: str) -> bool:
        held = self._held.get(catalog_id)
        if held is not None and 0 < held.planned_micros <= self._clock():
            return True
        return self._catalogs.scenes_revision(catalog_id) != ("" if held is None else held.revision)

    def _until_planned(self) -> float | None:
        """Return the seconds until the next planned version; None: none is planned."""
        planned = [each.planned_micros for each in self._held.values() if each.planned_micros]
        return max(min(planned) - self._clock(), 0) / 10**6 if planned else None

    def _problems(self, catalog_id: str) -> Mapping[str, str]:
        held = self._held.get(catalog_id)
        return {} if held is None else held.problems

    async def _read(self, catalog_id: str) -> None:
        """Read the scenes of a catalog. Raises ServiceError."""
        revision = self._catalogs.scenes_revision(catalog_id)
        if not revision:
            self._held.pop(catalog_id, None)
            return
        found = await self._published(catalog_id)
        if await self._take(catalog_id, revision, found) and self._copies is not None:
            copy = SceneCopy(revision, found.scenes, found.planned_micros)
            await asyncio.to_thread(self._copies.save, catalog_id, copy)

    async def _load(self, catalog_id: str, copies: SceneCopies) -> None:
        """Use the copies of a catalog's scenes, also of a former revision: these are read again."""
        if (found := copies.load(catalog_id)) is not None:
            with confined(READING, catalog=catalog_id):
                kept = PublishedScenes(found.scenes, found.planned_micros)
                await self._take(catalog_id, found.revision, kept, copied=True)

    async def _take(
        self,
        catalog_id: str,
        revision: str,
        published: PublishedScenes,
        *,
        copied: bool = False,
    ) -> bool:
        """Use scenes. Those that are invalid have their former content. Return False if others were
        published meanwhile, unless these are `copied` ones of the same catalog.

        Raises ServiceError if texts can't be parsed now.
        """
        before = self._held.get(catalog_id)
        former = {} if before is None else before.scenes
        scenes, problems = dict[str, SceneInUse](), dict[str, str]()
        for one in published.scenes:
            try:
                scenes[one.name] = await self._made(one, former.get(one.name))
                continue
            except SceneInvalid as error:
                problem = error.message
            except ServiceError:
                raise
            except Exception as error:  # no document may stop the others
                tell(READING, error, catalog=catalog_id, scene=one.name)
                problem = f"can't be read: {error}"
            problems[f"{one.name} (version {one.number})"] = problem
            if one.name in former:
                scenes[one.name] = former[one.name]
        now = self._catalogs.scenes_revision(catalog_id)
        if now != revision and not (copied and now and _uid(now) == _uid(revision)):
            return False
        self._held[catalog_id] = _CatalogScenes(
            revision, scenes, problems, published.planned_micros
        )
        return True

    async def _made(self, one: PublishedScene, former: SceneInUse | None) -> SceneInUse:
        """Return a scene; one of the same text is kept, with what follows from it. Raises
        SceneInvalid."""
        version = sha256(one.toml.encode()).hexdigest()[:16]
        if former is not None and former.scene.version == version:
            return replace(former, number=one.number)
        return SceneInUse(await read(one.name, one.toml, self._parse), one.toml, one.number)


def _uid(revision: str) -> str:
    """Return the uid of the catalog whose scenes have a revision; empty: files steer it."""
    return revision.rpartition("-")[0]
