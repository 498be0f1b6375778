"""Verification of a chain of audit entries: gaps, changes, insertions and moves."""

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from types import MappingProxyType

from sightline_client.values.operations import AuditEntry, AuditSeal

NO_HASH = bytes(32)
"""Hash before the first entry of a chain."""
START = AuditSeal(0, NO_HASH)
"""Begin of a chain from which nothing was dropped."""
LATE = timedelta(minutes=2)
"""Maximum age of the call that the first chained entry describes: entries of rejected calls wait a
minute."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class ChainBroken(Exception):
    """Audit entries that are not as they were stored. The message names the first one."""


def entry_hash(previous: bytes, entry: AuditEntry) -> bytes:
    """Return the hash of an entry after the hash ``previous``, as AuditEntry.hash of the proto
    describes it."""
    texts = (
        str(entry.number),
        entry.entry_id,
        str(0 if entry.time is None else (entry.time - _EPOCH) // timedelta(microseconds=1)),
        *(entry.caller, entry.method, entry.catalog, entry.code, entry.reason, entry.request_id),
        str(entry.left_out),
    )
    parts = [previous, *(text.encode() for text in texts)]
    return hashlib.sha256(b"".join(b"%d:%b," % (len(part), part) for part in parts)).digest()


class ChainCheck:
    """Check of one chain, entry by entry."""

    def __init__(
        self, begin: AuditSeal = START, heads: Mapping[int, bytes] = MappingProxyType({})
    ) -> None:
        """``begin``: what the chain continues from. ``heads``: hashes that are known from before,
        by number."""
        self.begin = begin
        self.number, self.hash = begin.number, begin.hash
        """Number and hash of the last entry."""
        self.count = 0
        """Number of chained entries."""
        self.unchained = 0
        """Number of entries that are not chained."""
        self._heads = heads
        self._loose: AuditEntry | None = None
        """The newest entry that is not chained."""
        if begin.number in heads and heads[begin.number] != begin.hash:
            raise ChainBroken(f"the seal at entry {begin.number} has another hash than --head")

    def add(self, entry: AuditEntry) -> None:
        """Check the next entry. Raise ChainBroken."""
        if not entry.number:
            self._add_loose(entry)
            return
        if not self.count:
            self._check_loose(entry)
        expected = self.number + 1
        if entry.number < expected:
            raise ChainBroken(f"{_name(entry)} is in the place of entry {expected}")
        if entry.number > expected:
            raise ChainBroken(f"entry {expected} is missing: {_name(entry)} follows")
        if entry.hash != entry_hash(self.hash, entry):
            raise ChainBroken(f"{_name(entry)} was changed, or the one before it")
        if self._heads.get(entry.number, entry.hash) != entry.hash:
            raise ChainBroken(f"{_name(entry)} has another hash than --head")
        self.number, self.hash, self.count = entry.number, entry.hash, self.count + 1

    def finish(self) -> None:
        """Check what only shows at the end. Raise ChainBroken."""
        if self._heads and (last := max(self._heads)) > self.number:
            raise ChainBroken(f"entries {self.number + 1} to {last} are missing at the end")
        if self._loose is not None and self.begin.number and not self.count:
            raise _inserted(self._loose)

    def _add_loose(self, entry: AuditEntry) -> None:
        if self.count:
            raise _inserted(entry)
        self.unchained += 1
        if self._loose is None or _time(entry) >= _time(self._loose):
            self._loose = entry

    def _check_loose(self, first: AuditEntry) -> None:
        """Raise ChainBroken for an entry without a number that is newer than the chain."""
        loose = self._loose
        if loose is not None and (self.begin.number or _time(loose) > _time(first) + LATE):
            raise _inserted(loose)


def _time(entry: AuditEntry) -> datetime:
    return entry.time or _EPOCH


def _name(entry: AuditEntry) -> str:
    return f"entry {entry.number} ({entry.entry_id})"


def _inserted(entry: AuditEntry) -> ChainBroken:
    return ChainBroken(
        f"entry {entry.entry_id} of {_time(entry):%Y-%m-%d %H:%M:%SZ} is not chained, but newer"
        " than the chain: it was inserted, or stored by release 0.16 or earlier during an upgrade"
    )
