"""Synonyms of catalogs in the record."""

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy import Connection

from retriever.domain.archive import Row
from retriever.domain.errors import EtagMismatch
from retriever.domain.synonyms import StoredSynonyms, dumped, loaded
from retriever.record.session import Session
from retriever.record.tables import synonyms
from servicekit.sql.resources import Form, Resource, ResourceErrors, Rows
from sightline_rules.synonyms import SynonymRule

SYNONYMS = Resource(
    Rows(synonyms, StoredSynonyms, forms={"rules": Form(dumped, loaded)}),
    ResourceErrors(changed=EtagMismatch),
    contents=lambda stored: stored.rules,
)
_COMMIT = sa.select(synonyms.c.seq, synonyms.c.update_time).where(
    synonyms.c.catalog_id == sa.bindparam("catalog_id")
)


def read_synonyms(connection: Connection, catalog_id: str) -> StoredSynonyms:
    """Return a catalog's rules; none if they were never set."""
    return SYNONYMS.find(connection, catalog_id) or StoredSynonyms()


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
    stored, wanted = read_synonyms(connection, catalog_id), StoredSynonyms(rules, now)
    if not SYNONYMS.to_replace(stored, wanted, etag):
        return stored
    SYNONYMS.put(connection, wanted, catalog_id, seq=session.take()[0])
    return wanted


def restore_synonyms(
    connection: Connection, now: int, catalog_id: str, before: int, rows: Sequence[Row]
) -> None:
    """Store the rules of an archive, unless a caller has set some since commit `before`."""
    session = Session(connection, catalog_id, now)
    commit = connection.execute(_COMMIT, {"catalog_id": catalog_id}).scalar() or 0
    for row in rows:
        if commit <= before:
            stored = StoredSynonyms(loaded(row["rules"]), row["update_time"])
            SYNONYMS.put(connection, stored, catalog_id, seq=session.take()[0])
