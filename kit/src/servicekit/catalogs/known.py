"""The catalogs of an installation: those that settings declare, and those of the registry.

The registry is in the retriever's record (`sightline.common.v1.CatalogListService`). Each process
reads it every POLL_SECONDS, and at once when a call names a catalog that the process does not know.
So a new catalog can be used as soon as its creation was answered, and a change is known everywhere
within 5 seconds: a poll, a read that fails, the next poll. While the registry can't be read, the
last list stays in use, and a file keeps it for the next start. Declared catalogs need no registry.
"""

import asyncio
import contextvars
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final, Literal, Protocol

from prometheus_client import Gauge
from pydantic import TypeAdapter

from servicekit.config import CATALOG_ID
from servicekit.errors import (
    FailedPrecondition,
    FieldViolation,
    NotFound,
    ServiceError,
    Unavailable,
)
from servicekit.tasks.supervision import ended, supervised, until_tick
from servicekit.telemetry import get_logger
from servicekit.whole_files import write_whole

POLL_SECONDS: Final = 2.0
"""Seconds between two reads of the registry."""
READ_SECONDS: Final = 2.0
"""Timeout of a read."""
LOOK_UP_SECONDS: Final = 0.2
"""Minimum seconds between two reads because of unknown catalogs, which callers may invent."""
MOST_FILE_BYTES: Final = 16 * 2**20

STALE = Gauge(
    "sightline_catalogs_stale",
    "1 while the registry of catalogs can't be read and the list from before stays in use.",
    multiprocess_mode="livemax",
)


class CatalogState(StrEnum):
    """State of a catalog; see sightline.common.v1.CatalogState."""

    ACTIVE = "active"
    DELETED = "deleted"
    """It can be restored."""
    REMOVING = "removing"
    REMOVED = "removed"
    """Only its id is left."""
    COPYING = "copying"
    """A copy fills it."""


@dataclass(frozen=True, slots=True)
class ListedCatalog:
    """A catalog of the registry, as services need it."""

    catalog_id: str
    uid: str
    """Tells it from other catalogs that have, or had, the same id."""
    state: CatalogState
    language_code: str = ""
    """Language of answers to requests that name none. Empty: English."""
    quota_share: float = 1.0
    """Factor of the quotas of each caller."""
    scenes_revision: str = ""
    """Identifies its published scenes, which steer it. Empty: files steer it."""


@dataclass(frozen=True, slots=True)
class CatalogList:
    """The content of the registry."""

    revision: str
    """Identifies the content. Empty: nothing was read yet."""
    catalogs: tuple[ListedCatalog, ...] = ()
    aliases: tuple[tuple[str, str], ...] = ()
    """Aliases, each with the id of its catalog."""


@dataclass(frozen=True, slots=True)
class CatalogChange:
    """Catalogs that may be used since a read, or no longer."""

    added: frozenset[str] = frozenset()
    removed: frozenset[str] = frozenset()
    """Also those that were replaced by another one of the same id, which is in `added` too."""
    steered: frozenset[str] = frozenset()
    """Catalogs in use whose `scenes_revision` is another one."""


class CatalogRegistry(Protocol):
    """Reader of the registry."""

    async def read(self, known_revision: str) -> CatalogList | None:
        """Return the list; None: it still has that revision. Raises ServiceError."""


class CatalogNotFound(NotFound, reason="CATALOG_NOT_FOUND"):
    """The catalog is neither declared in the settings nor in the registry."""

    message = "catalog_id: there is no such catalog"
    violations = (FieldViolation("catalog_id", "there is no such catalog"),)


class CatalogDeleted(NotFound, reason="CATALOG_DELETED"):
    """The catalog was deleted."""

    message = (
        "catalog_id: this catalog was deleted: restore it (UndeleteCatalog) before its term ends,"
        " or use another one"
    )
    violations = (FieldViolation("catalog_id", "is a deleted catalog"),)


class CatalogCopying(FailedPrecondition, reason="CATALOG_COPYING"):
    """A copy fills the catalog, or ended before it was complete."""

    message = (
        "catalog_id: a copy fills this catalog: it can be used once the copy is complete; if the"
        " copy's job has ended, delete the catalog"
    )
    violations = (FieldViolation("catalog_id", "is being copied"),)


class CatalogsUnavailable(Unavailable, reason="CATALOGS_UNAVAILABLE"):
    """The catalog is unknown here, and the registry that may have it can't be read."""

    message = "catalog_id: is unknown here, and the list of catalogs can't be read"


class KnownCatalogs(Collection[str]):
    """The ids of the catalogs that may be used now: a live collection.

    Of several event loops, only one may use it.
    """

    def __init__(
        self,
        declared: Collection[str],
        registry: CatalogRegistry | None = None,
        *,
        file: Path | None = None,
        aliases: bool = False,
        poll_seconds: float = POLL_SECONDS,
    ) -> None:
        """Begin with the catalogs that settings declare, and those of `file`, which keeps the last
        list for the next start; None: no file. `registry`: None: there are no other catalogs.

        `aliases`: whether requests may name aliases. They may at the suite's edge alone, which
        replaces each alias by its catalog. `poll_seconds`: seconds between two reads of the
        registry.
        """
        self.declared: Final = tuple(declared)
        self._registry, self._file, self._resolves = registry, file, aliases
        self._poll_seconds = poll_seconds
        self._aliases: dict[str, str] = {}
        self._list = CatalogList("")
        self._listed: dict[str, ListedCatalog] = {}
        self._used = dict.fromkeys(self.declared, "")
        self._callbacks: list[Callable[[CatalogChange], None]] = []
        self._reading: asyncio.Task[None] | None = None
        self._next_read = -float("inf")
        self._read_once = self._stale = False
        self._following: asyncio.Task[None] | None = None
        if registry is not None and file is not None:
            self._take(_load(file))

    def __contains__(self, name: object) -> bool:
        return name in self._used

    def __iter__(self) -> Iterator[str]:
        """Yield the ids at this moment: an iteration outlasts changes."""
        return iter(tuple(self._used))

    def __len__(self) -> int:
        return len(self._used)

    def resolve(self, name: str) -> str:
        """Return the catalog that an alias stands for; a name that is no alias as it is. A catalog
        takes precedence over an alias of its id."""
        return name if name in self._used else self._aliases.get(name, name)

    def listed(self, name: str) -> ListedCatalog | None:
        """Return what the registry has about a catalog, in any state; None: nothing."""
        return self._listed.get(name)

    def removing(self) -> list[ListedCatalog]:
        """Return the catalogs whose removal has begun. Declared ones are not removed."""
        return [
            each
            for each in self._listed.values()
            if each.state is CatalogState.REMOVING and each.catalog_id not in self.declared
        ]

    def quota_share(self, name: str) -> float:
        """Return the factor of quotas in a catalog."""
        found = self._listed.get(name)
        return 1.0 if found is None else found.quota_share

    def scenes_revision(self, name: str) -> str:
        """Return what identifies the published scenes of a catalog; empty: files steer it."""
        found = self._listed.get(name) if name in self._used else None
        return "" if found is None else found.scenes_revision

    def language_code(self, name: str) -> str:
        """Return the language of a catalog; empty: English."""
        found = self._listed.get(name)
        return "" if found is None else found.language_code

    def on_change(self, callback: Callable[[CatalogChange], None]) -> Callable[[], None]:
        """Call `callback` after each later change. It must not raise or block. Return the function
        that ends this."""
        self._callbacks.append(callback)
        return lambda: self._callbacks.remove(callback)

    def refusal(self, name: str) -> ServiceError:
        """Return the error for a call that names a catalog that may not be used."""
        found = self._listed.get(name)
        if found is not None and found.state in (CatalogState.DELETED, CatalogState.REMOVING):
            return CatalogDeleted()
        if found is not None and found.state is CatalogState.COPYING:
            return CatalogCopying()
        return (
            CatalogsUnavailable()
            if self._stale and CATALOG_ID.fullmatch(name)
            else CatalogNotFound()
        )

    async def look_up(self, name: str) -> None:
        """Read the registry unless a catalog is known, with a read that begins after this call.

        Calls share reads. Errors are not raised: the call is rejected by `refusal`.
        """
        if self._knows(name) or self._registry is None or not CATALOG_ID.fullmatch(name):
            return
        if self._reading is not None:  # it may have begun before the catalog was created
            await asyncio.wait({self._reading})
            if self._knows(name):
                return
        await self._read_soon()

    def _knows(self, name: str) -> bool:
        return name in self._used or name in self._aliases

    async def refresh(self) -> bool:
        """Read the registry now; errors are logged. A change of this process is known after it.
        Return whether it was read: data may be deleted by a list from after it was stored alone."""
        if self._registry is None:
            return True
        if self._reading is not None:
            await asyncio.wait({self._reading})
        self._next_read = asyncio.get_running_loop().time()
        await self._read_soon()
        return not self._stale

    async def start(self) -> None:
        """Read the registry, then poll it until `stop`. Requires a running event loop."""
        if self._registry is not None and self._following is None:
            await self.refresh()
            self._following = asyncio.create_task(self._follow())

    async def stop(self) -> None:
        """End the polls."""
        await ended(self._following, self._reading)
        self._following = self._reading = None

    async def _follow(self) -> None:
        async def poll() -> None:
            await asyncio.sleep(until_tick(self._poll_seconds))
            if self._reading is None:
                await self._read_soon()

        await supervised("list of catalogs", poll)

    async def _read_soon(self) -> None:
        """Wait for a read that has not begun yet."""
        if self._reading is None:
            # A caller that leaves does not end the read that others wait for, and the read has
            # neither its deadline nor its trace.
            self._reading = asyncio.get_running_loop().create_task(
                self._read_in_turn(), context=contextvars.Context()
            )
            self._reading.add_done_callback(self._end_read)
        await asyncio.wait({self._reading})

    def _end_read(self, _: object) -> None:
        self._reading = None

    async def _read_in_turn(self) -> None:
        now = asyncio.get_running_loop().time
        if (seconds := self._next_read - now()) > 0:
            await asyncio.sleep(seconds)
        self._next_read = now() + LOOK_UP_SECONDS
        try:
            async with asyncio.timeout(READ_SECONDS):
                found = await self._read()
        except (ServiceError, TimeoutError) as error:
            self._fail(getattr(error, "reason", "TIMEOUT"))
        except Exception as error:  # no error may end the polls
            self._fail("INTERNAL", error)
        else:
            STALE.set(0)
            self._stale, self._read_once = False, True
            if found is not None:
                self._take(found)
                await self._save()

    async def _read(self) -> CatalogList | None:
        assert self._registry is not None  # noqa: S101 - checked by all callers
        return await self._registry.read(self._list.revision)

    def _fail(self, reason: str, error: Exception | None = None) -> None:
        STALE.set(1)
        # Services start in any order, so the first reads may fail.
        if error is not None or (self._read_once and not self._stale):
            get_logger().warning("list of catalogs not read", reason=reason, exc_info=error)
        self._stale = True

    def _take(self, found: CatalogList) -> None:
        before = self._used
        revisions = {name: self.scenes_revision(name) for name in before}
        self._list = found
        self._listed = {each.catalog_id: each for each in found.catalogs}
        self._aliases = dict(found.aliases) if self._resolves else {}
        self._used = dict.fromkeys(self.declared, "")
        for each in found.catalogs:
            if each.state is CatalogState.ACTIVE and each.catalog_id not in self._used:
                self._used[each.catalog_id] = each.uid
        change = CatalogChange(
            frozenset(name for name, uid in self._used.items() if before.get(name) != uid),
            frozenset(name for name, uid in before.items() if self._used.get(name) != uid),
            frozenset(
                name for name in self._used if self.scenes_revision(name) != revisions.get(name, "")
            ),
        )
        if change != CatalogChange():
            for callback in tuple(self._callbacks):
                callback(change)

    async def _save(self) -> None:
        if self._file is not None:
            await asyncio.to_thread(_save, self._file, self._list)


class AlsoNamed(Collection[str]):
    """A live collection of catalogs, and some other names; it contains deleted catalogs too."""

    def __init__(self, catalogs: Collection[str], *others: str) -> None:
        self._catalogs, self._others = catalogs, others

    def __contains__(self, name: object) -> bool:
        if name in self._catalogs or name in self._others:
            return True
        known = self._catalogs
        return isinstance(known, KnownCatalogs) and known.listed(str(name)) is not None

    def __iter__(self) -> Iterator[str]:
        yield from self._catalogs
        yield from self._others

    def __len__(self) -> int:
        return len(self._catalogs) + len(self._others)


@dataclass(frozen=True, slots=True)
class _ListFile(CatalogList):
    """A list as its file has it."""

    format: Literal[1] = 1
    """A list of another format, of another release, is not used."""


_FILE: Final = TypeAdapter(_ListFile)


def _load(file: Path) -> CatalogList:
    """Return the list of a file; an empty one if there is none, or it can't be used.

    It has no revision, so that it is read anew: another release may have written it without what
    only this one knows.
    """
    try:
        found = _FILE.validate_json(file.read_bytes()[:MOST_FILE_BYTES])
        if not all(CATALOG_ID.fullmatch(each.catalog_id) for each in found.catalogs):
            raise ValueError("it names an invalid catalog")  # noqa: TRY301 - handled as the others
    except FileNotFoundError:
        return CatalogList("")
    except (OSError, ValueError) as error:
        get_logger().warning("list of catalogs not used", file=str(file), problem=str(error))
        return CatalogList("")
    return CatalogList("", found.catalogs, found.aliases)


def _save(file: Path, found: CatalogList) -> None:
    """Replace the file; errors are logged."""
    content = _FILE.dump_json(_ListFile(found.revision, found.catalogs, found.aliases))
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_whole(file, content, durable=False)
    except OSError as error:
        get_logger().warning("list of catalogs not written", file=str(file), problem=str(error))
