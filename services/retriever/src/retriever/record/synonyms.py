"""Synonyms of catalogs in the record."""

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy import Connection

from retriever.domain.archive import Row
from retriever.domain.synonyms import StoredSynonyms, dumped, loaded
from retriever.record import statements
from retriever.record.etags import to_replace
from retriever.record.session import Session
from retriever.record.tables import synonyms
from sightline_rules.synonyms import SynonymRule

_STORED = sa.select(synonyms).where(synonyms.c.catalog_id == sa.bindparam("catalog_id"))
_COMMIT = _STORED.with_only_columns(synonyms.c.seq, synonyms.c.update_time)


def read_synonyms(connection: Connection, catalog_id: str) -> StoredSynonyms:
    """Return a catalog's rules; none if they were never set."""
    row = connection.execute(_STORED, {"catalog_id": catalog_id}).first()
    return StoredSynonyms() if row is None else StoredSynonyms(loaded(row.rules), row.update_time)


def read_synonyms_since(
    connection: Connection, catalog_id: str, known: str | None
) -> tuple[str, StoredSynonyms] | None:
    """Return a catalog's rules and their revision; None if it is the known one. Empty: they were
    never set."""
    row = connection.execute(_COMMIT, {"catalog_id": catalog_id}).first()
    # The time tells rules from those of an earlier catalog of the id, whose commits were others.
    revision = "" if row is None else f"{row.seq}-{row.update_time}"
    return None if revision == known else (revision, read_synonyms(connection, catalog_id))


def set_synonyms(
    connection: Connection, now: int, catalog_id: str, rules: tuple[SynonymRule, ...], etag: str
) -> StoredSynonyms:
    """Replace a catalog's rules; equal ones are returned. `etag`: the required version; empty: any.

    Raises EtagMismatch.
    """
    session = Session(connection, catalog_id, now)
    stored = read_synonyms(connection, catalog_id)
    if not to_replace(stored.rules, rules, stored.etag, etag):
        return stored
    _save(session, dumped(rules), now)
    return StoredSynonyms(rules, now)


def restore_synonyms(
    connection: Connection, now: int, catalog_id: str, before: int, rows: Sequence[Row]
) -> None:
    """Store the rules of an archive, unless a caller has set some since commit `before`."""
    session = Session(connection, catalog_id, now)
    commit = connection.execute(_COMMIT, {"catalog_id": catalog_id}).scalar() or 0
    for row in rows:
        if commit <= before:
            _save(session, row["rules"], row["update_time"])


def _save(session: Session, rules: str, time: int) -> None:
    row = {
        "catalog_id": session.catalog_id,
        "rules": rules,
        "update_time": time,
        "seq": session.take()[0],
    }
    statements.put(session.connection, synonyms, [row])
