"""Merge the lists of several owners into one, newest first, page by page.

Each owner pages its own list. A page of the merged list may end within an owner's page, so the
token stores, for each owner, its page token and the last entry returned. Entries created while a
caller pages are newer than all returned ones and are omitted.
"""

import asyncio
import hashlib
import json
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from servicekit.rpc.requests import PageTokenInvalid, pack_token, unpack_token

VERSION = 1


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a list."""

    id: str
    """Within one owner, newer entries have greater ids."""
    created: int
    """Microseconds since 1970 (UTC)."""
    body: Any


Place = tuple[str, str] | None
"""Page token of an owner and the last entry returned (empty if none); `None` if the owner's list
has ended."""


Fetch = Callable[[str, int], Awaitable[tuple[Sequence[Entry], str]]]
"""Fetch an owner's page, newest first, and its next page token, by page token and size."""


@dataclass(slots=True)
class _Owner:
    """Read position in one owner's list."""

    fetch: Fetch
    size: int
    bound: int | None
    """Entries newer than this one are omitted; `None` on the first page."""
    token: str
    """Token of the page being read."""
    last: str
    """The last entry returned; empty if none."""
    ended: bool
    """True if no page follows the one being read."""
    read: bool = False
    following: str = ""
    waiting: deque[Entry] = field(default_factory=deque)

    async def peek(self) -> Entry | None:
        """Return the newest entry not returned yet; None if there is none."""
        while not self.waiting:
            if self.read and self.following:
                # `last` stays: if the list has grown, a page begins with entries that were returned
                # before.
                self.token, self.read = self.following, False
            if self.read or self.ended:
                self.ended = True
                return None
            entries, self.following = await self.fetch(self.token, self.size)
            self.read = True
            self.waiting.extend(entry for entry in entries if self._is_left(entry))
        return self.waiting[0]

    def _is_left(self, entry: Entry) -> bool:
        fresh = self.bound is not None and entry.created > self.bound
        return not fresh and (not self.last or entry.id < self.last)

    def take(self) -> Entry:
        """Return the entry that `peek` returned and count it as shown."""
        entry = self.waiting.popleft()
        self.last = entry.id
        return entry

    def place(self) -> Place:
        """Return the place where the next page continues."""
        return None if self.ended else (self.token, self.last)


async def merged(
    owners: Mapping[str, Fetch], *, about: Sequence[str], size: int, token: str
) -> tuple[list[Entry], str]:
    """Return a page of all owners' entries and the token of the next page; empty for the last page.

    `about`: the list's name and filters; a token is valid for the same list only. Raises
    PageTokenInvalid.
    """
    context = hashlib.sha256(json.dumps([*about]).encode()).hexdigest()[:16]
    bound: int | None = None
    places: dict[str, Place] = dict.fromkeys(owners, ("", ""))
    if token:
        bound, places = _read(token, context, owners)
    reading = {
        name: _Owner(fetch, size, bound, *(places[name] or ("", "")), places[name] is None)
        for name, fetch in owners.items()
    }
    shown: list[Entry] = []
    while True:
        heads = await asyncio.gather(*(owner.peek() for owner in reading.values()))
        newest = max(
            ((head.created, name) for name, head in zip(reading, heads, strict=True) if head),
            default=None,
        )
        if newest is None:
            return shown, ""
        if len(shown) == size:
            break
        shown.append(reading[newest[1]].take())
    left = {name: owner.place() for name, owner in reading.items()}
    return shown, pack_token(VERSION, context, shown[-1].created, left)


def _read(token: str, context: str, owners: Mapping[str, Fetch]) -> tuple[int, dict[str, Place]]:
    """Decode a token of `merged`."""
    match unpack_token(token):
        case [int(version), str(given), int(bound), dict(places)] if (
            (version, given) == (VERSION, context)
            and places.keys() == owners.keys()
            and all(_is_place(place) for place in places.values())
        ):
            return bound, places
    raise PageTokenInvalid


def _is_place(place: object) -> bool:
    match place:
        case None | [str(), str()]:
            return True
    return False
