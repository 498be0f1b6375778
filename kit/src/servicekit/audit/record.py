"""The audit log of one store: entries, chained by hash in each catalog, and seals.

An entry's hash covers the entry and the hash before it, so that a changed, missing, inserted or
moved entry shows (`sightline audit verify`). Entries are deleted only up to a seal, which records
the number and the hash of the last deleted one: the chain continues from it. The store itself
rejects all other changes. Needs the extra `sql`.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import Connection, MetaData, Table

from servicekit.clock import Clock, now_micros
from servicekit.errors import FailedPrecondition
from servicekit.sql.database import Database
from servicekit.sql.locks import lock
from servicekit.sql.retention import DAY_MICROS
from servicekit.sql.schema import keys, numbers, texts

TEXTS: Final = ("caller", "method", "catalog_id", "code", "reason", "request_id")
HASHED: Final = ("number", "id", "time", *TEXTS, "left_out")
"""Columns that an entry's hash covers, in this order."""
NO_HASH: Final = bytes(32)
"""The hash before the first entry."""
BATCH: Final = 1_000
"""Entries deleted by a transaction: other writes take turns with them."""
MOST_DROPPED: Final = 50_000
"""Entries deleted by a call."""
_CHAINS: Final = "sightline audit"
"""Name of the lock that lets one transaction at a time continue chains."""

Row = Mapping[str, Any]


class AuditSealMismatch(FailedPrecondition, reason="AUDIT_SEAL_MISMATCH"):
    """The store has no entry of this number and hash."""

    message = (
        "no entry of this chain has this number and hash: name the last entry of an archive of this"
        " store and catalog, and verify the chain with `sightline audit verify`"
    )


class AuditTerm(FailedPrecondition, reason="AUDIT_TERM"):
    """The entries are too young to be dropped."""

    def __init__(self, days: float) -> None:
        super().__init__(
            f"this entry is younger than {days:g} days (the setting audit_days): archive and drop"
            " up to an older one",
            metadata={"audit_days": f"{days:g}"},
        )


@dataclass(frozen=True, slots=True)
class Seal:
    """A position in a chain and the hash there."""

    number: int = 0
    hash: bytes = NO_HASH
    time: int = 0
    """Time of the entry; entries that are not chained and older were dropped with it."""
    dropped: int = 0
    """When the entries were dropped; 0: nothing was."""


@dataclass(frozen=True, slots=True)
class Drop:
    """Outcome of a drop."""

    count: int
    seal: Seal
    unfinished: bool
    """True if entries are left to delete."""


def audit_table(metadata: MetaData) -> Table:
    """Return the table `audit_entries` in `metadata`."""
    return Table(
        "audit_entries",
        metadata,
        *keys("id"),
        *numbers("time"),
        *texts(*TEXTS),
        sa.Column("left_out", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("number", sa.BigInteger),
        sa.Column("hash", sa.LargeBinary),
        sa.Index("audit_entries_catalog", "catalog_id", "id"),
        sa.Index("audit_entries_chain", "catalog_id", "number"),
    )


def seals_table(metadata: MetaData) -> Table:
    """Return the table `audit_seals` in `metadata`. The store rejects changes of both tables but
    the deletion of sealed entries."""
    sa.event.listen(metadata, "after_create", _reject_changes)
    return Table(
        "audit_seals",
        metadata,
        *keys("catalog_id"),
        *keys("number", kind=sa.BigInteger),
        *texts("hash", kind=sa.LargeBinary),
        *numbers("time", "dropped"),
    )


_APPEND_ONLY = "the audit log is append-only"
_SEALED = (
    "EXISTS (SELECT 1 FROM audit_seals s WHERE s.catalog_id = OLD.catalog_id AND "
    "(OLD.number <= s.number OR (OLD.number IS NULL AND OLD.time < s.time)))"
)


def _reject_changes(_: MetaData, connection: Connection, **_options: object) -> None:
    made = _ON_SQLITE if connection.dialect.name == "sqlite" else _ON_POSTGRESQL
    for statement in made:
        connection.exec_driver_sql(statement)


_ON_SQLITE = [
    f"CREATE TRIGGER {name} BEFORE {acts} BEGIN SELECT RAISE(ABORT, '{_APPEND_ONLY}'); END"
    for name, acts in (
        ("audit_no_update", "UPDATE ON audit_entries"),
        ("audit_no_delete", f"DELETE ON audit_entries WHEN NOT {_SEALED}"),
        ("audit_seals_no_update", "UPDATE ON audit_seals"),
        ("audit_seals_no_delete", "DELETE ON audit_seals"),
    )
]
_TRIGGERS = (
    ("audit_no_update", "UPDATE", "audit_entries", "ROW", "audit_append_only"),
    ("audit_no_delete", "DELETE", "audit_entries", "ROW", "audit_keep_unsealed"),
    ("audit_no_truncate", "TRUNCATE", "audit_entries", "STATEMENT", "audit_append_only"),
    ("audit_seals_no_delete", "UPDATE OR DELETE", "audit_seals", "ROW", "audit_append_only"),
    ("audit_seals_no_truncate", "TRUNCATE", "audit_seals", "STATEMENT", "audit_append_only"),
)
_ON_POSTGRESQL = [
    "CREATE FUNCTION audit_append_only() RETURNS trigger LANGUAGE plpgsql AS "
    f"$$ BEGIN RAISE EXCEPTION '{_APPEND_ONLY}'; END $$",
    "CREATE FUNCTION audit_keep_unsealed() RETURNS trigger LANGUAGE plpgsql AS "
    f"$$ BEGIN IF {_SEALED} THEN RETURN OLD; END IF; RAISE EXCEPTION '{_APPEND_ONLY}'; END $$",
    *(
        f"CREATE TRIGGER {name} BEFORE {acts} ON {table} FOR EACH {each} "
        f"EXECUTE FUNCTION {function}()"
        for name, acts, table, each, function in _TRIGGERS
    ),
]


def entry_hash(previous: bytes, entry: Row) -> bytes:
    """Return the hash of a chained entry after the hash `previous`; see AuditEntry.hash."""
    parts = [previous, *(str(entry[name]).encode() for name in HASHED)]
    return hashlib.sha256(b"".join(b"%d:%b," % (len(part), part) for part in parts)).digest()


_METADATA: Final = MetaData()
_ENTRIES, _SEALS = audit_table(_METADATA), seals_table(_METADATA)


def append_entries(connection: Connection, entries: Sequence[Row]) -> list[Row]:
    """Add entries (columns but number and hash) to their chains, within a transaction.

    Return them as they are stored; those whose id is stored already are left as they are.
    """
    lock(connection, _CHAINS)
    stored = _stored(connection, [entry["id"] for entry in entries])
    added = list(_chained(connection, entries, stored))
    if added:
        connection.execute(sa.insert(_ENTRIES), added)
    stored |= {row["id"]: row for row in added}
    return [stored[entry["id"]] for entry in entries]


def _stored(connection: Connection, ids: Sequence[str]) -> dict[str, Row]:
    query = sa.select(_ENTRIES).where(_ENTRIES.c.id.in_(ids))
    return {row["id"]: row for row in _rows(connection, query)}


def _chained(
    connection: Connection, entries: Iterable[Row], stored: Mapping[str, Row]
) -> Iterable[Row]:
    heads: dict[str, Seal] = {}
    new = {entry["id"]: entry for entry in entries if entry["id"] not in stored}
    for entry in new.values():
        catalog = entry["catalog_id"]
        head = heads.get(catalog) or _head(connection, catalog)
        row = {**entry, "number": head.number + 1}
        row["hash"] = entry_hash(head.hash, row)
        heads[catalog] = Seal(row["number"], row["hash"])
        yield row


def _head(connection: Connection, catalog: str) -> Seal:
    """Return the end of a chain."""
    t, seal = _ENTRIES.c, _seal(connection, catalog)
    query = sa.select(t.number, t.hash).where(
        t.catalog_id == catalog, t.number.is_not(None), t.number > seal.number
    )
    newest = connection.execute(query.order_by(t.number.desc()).limit(1)).first()
    return seal if newest is None else Seal(*newest)


def _seal(connection: Connection, catalog: str) -> Seal:
    """Return the newest seal of a catalog."""
    s = _SEALS.c
    query = sa.select(s.number, s.hash, s.time, s.dropped).where(s.catalog_id == catalog)
    newest = connection.execute(query.order_by(s.number.desc()).limit(1)).first()
    return Seal() if newest is None else Seal(*newest)


class AuditRecord:
    """The entries and seals of one store."""

    def __init__(self, db: Database, clock: Clock = now_micros) -> None:
        self._db, self._clock = db, clock

    async def append(self, entries: Sequence[Row]) -> list[Row]:
        """Add entries all at once; see append_entries."""
        return await self._db.write(lambda connection: append_entries(connection, entries))

    async def newest(
        self,
        catalog: str,
        size: int,
        *,
        caller: str = "",
        older_than: str = "",
        times: tuple[int | None, int | None] = (None, None),
    ) -> Sequence[Row]:
        """Return up to `size` entries, newest first. Each condition that is set has to hold:
        `older_than`: an id; `times`: the first, and the one after the last."""
        t = _ENTRIES.c
        chosen = [t.catalog_id == catalog]
        chosen += [t.id < older_than] if older_than else []
        chosen += [t.caller == caller] if caller else []
        chosen += [t.time >= times[0]] if times[0] is not None else []
        chosen += [t.time < times[1]] if times[1] is not None else []
        query = sa.select(_ENTRIES).where(*chosen).order_by(t.id.desc()).limit(size)
        return await self._db.read(lambda connection: _rows(connection, query))

    async def chain(
        self, catalog: str, size: int, after: tuple[int, str]
    ) -> tuple[list[Row], Seal]:
        """Return up to `size` entries after a number (0: not chained) and id, oldest first, and the
        seal before them. Entries that are not chained come first, by id."""
        t = _ENTRIES.c

        def read(connection: Connection) -> tuple[list[Row], Seal]:
            seal, found = _seal(connection, catalog), list[Row]()
            of = sa.select(_ENTRIES).where(t.catalog_id == catalog)
            if not after[0]:
                loose = of.where(t.number.is_(None), t.id > after[1], t.time >= seal.time)
                query = loose.order_by(t.id).limit(size)
                found += _rows(connection, query)
            if len(found) < size:
                chained = of.where(t.number > max(after[0], seal.number))
                query = chained.order_by(t.number).limit(size - len(found))
                found += _rows(connection, query)
            return found, seal

        return await self._db.read(read)

    async def drop(self, catalog: str, number: int, given: bytes, days: float) -> Drop:
        """Seal a chain at an entry that is older than `days`, and delete entries up to it.

        Raises AuditSealMismatch, AuditTerm.
        """
        latest = self._clock() - int(days * DAY_MICROS)

        def seal(connection: Connection) -> Seal:
            lock(connection, _CHAINS)
            known = _seal(connection, catalog)
            if (known.number, known.hash) == (number, given):
                return known  # a repeated call
            entry = self._numbered(connection, catalog, number)
            if number <= known.number or entry is None or entry.hash != given:
                raise AuditSealMismatch
            if entry.time > latest:
                raise AuditTerm(days)
            made = Seal(number, given, entry.time, self._clock())
            values = (catalog, made.number, made.hash, made.time, made.dropped)
            connection.execute(sa.insert(_SEALS).values(values))
            return made

        sealed = await self._db.write(seal)
        return await self._delete(catalog, sealed)

    def _numbered(self, connection: Connection, catalog: str, number: int) -> Any:
        t = _ENTRIES.c
        query = sa.select(t.hash, t.time).where(t.catalog_id == catalog, t.number == number)
        return connection.execute(query).first()

    async def _delete(self, catalog: str, seal: Seal) -> Drop:
        """Delete the entries up to a seal, batch by batch."""
        t, count = _ENTRIES.c, 0
        for kind in (t.number <= seal.number, t.number.is_(None) & (t.time < seal.time)):
            batch = sa.select(t.id).where(t.catalog_id == catalog, kind).limit(BATCH)
            gone = sa.delete(_ENTRIES).where(t.id.in_(batch))
            deleted = BATCH
            while deleted == BATCH:
                if count >= MOST_DROPPED:
                    return Drop(count, seal, unfinished=True)
                deleted = await self._db.write(partial(_count, gone))
                count += deleted
        return Drop(count, seal, unfinished=False)


def _rows(connection: Connection, query: sa.Select[Any]) -> list[Row]:
    return [dict(row) for row in connection.execute(query).mappings()]


def _count(statement: sa.Delete, connection: Connection) -> int:
    return connection.execute(statement).rowcount
