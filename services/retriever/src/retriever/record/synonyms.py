"""Synonyms of catalogs in the record."""

from collections.abc import Sequence
from dataclasses import replace

import sqlalchemy as sa
from sqlalchemy import Connection

from retriever.domain.archive import Row
from retriever.domain.errors import EtagMismatch
from retriever.domain.scenes import SceneDocument, SceneText
from retriever.domain.synonyms import StoredSynonyms, dumped, loaded, rules_of
from retriever.record.session import Session
from retriever.record.tables import synonyms
from servicekit.sql.resources import Form, Resource, ResourceErrors, Rows
from sightline_rules.synonyms import rules_text

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


def with_stored_rules(
    connection: Connection, catalog_id: str, found: SceneDocument
) -> SceneDocument:
    """Return the document of synonyms with the rules in use as its newest version, also where a
    release without versions, or a restore, has stored them."""
    stored = SYNONYMS.find(connection, catalog_id)
    if stored is None or (found.newest and rules_of(found.newest.toml) == stored.rules):
        return found
    text = SceneText.of(found.scene, rules_text(stored.rules), "", "")
    made = replace(
        text,
        number=1 if found.newest is None else found.newest.number + 1,
        create_micros=stored.update_micros,
    )
    return replace(found, versions=(made, *found.versions))


def use_rules(session: Session, newest: SceneText | None) -> None:
    """Let searches use the rules of the newest version; None: they are deleted."""
    connection, catalog_id = session.connection, session.catalog_id
    if newest is None:
        SYNONYMS.delete(connection, catalog_id)
        return
    stored, wanted = SYNONYMS.find(connection, catalog_id), rules_of(newest.toml)
    if stored is None or stored.rules != wanted:
        made = StoredSynonyms(wanted, session.now)
        SYNONYMS.put(connection, made, catalog_id, seq=session.take()[0])


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
