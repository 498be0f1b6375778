"""Scenes of catalogs in the record, and, as a document among them, a catalog's synonyms. Changes of
scenes queue up with those of the registry, whose list tells gateways of published ones."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby

import sqlalchemy as sa
from sqlalchemy import Connection

from retriever.domain.archive import Row
from retriever.domain.errors import SceneDocumentNotFound, SceneDocumentsFull, ScenesFromFiles
from retriever.domain.registry import SteeredBy
from retriever.domain.scenes import (
    DRAFT,
    KEPT,
    MOST_SCENES,
    NO_DOCUMENT,
    SceneDocument,
    ScenePublication,
    SceneText,
)
from retriever.domain.synonyms import StoredSynonyms
from retriever.record.registry import CATALOGS, REGISTRY, save_entry
from retriever.record.session import Session
from retriever.record.synonyms import SYNONYMS, read_synonyms, use_rules, with_stored_rules
from retriever.record.tables import scene_texts, synonym_texts
from servicekit.sql.resources import Rows, put
from sightline_rules.ids import SYNONYMS_DOCUMENT
from sightline_rules.synonyms import SynonymRule, rules_text

TEXTS, SYNONYM_TEXTS = Rows(scene_texts, SceneText), Rows(synonym_texts, SceneText)
_C = scene_texts.c


def read_scene(connection: Connection, now: int, catalog_id: str, scene: str) -> SceneDocument:
    """Return a scene with its texts. Raises SceneDocumentNotFound."""
    found = _find(connection, now, catalog_id, scene)
    if found.etag == NO_DOCUMENT:
        raise SceneDocumentNotFound
    return found


def read_scenes(
    connection: Connection, now: int, catalog_id: str, *, texts: bool
) -> list[SceneDocument]:
    """Return the scenes of a catalog by name, each with its draft, its newest version and the
    planned one. `texts`: whether newest versions have theirs."""
    due = sa.func.coalesce(_C.planned_time, _C.create_time)
    published = sa.case((due <= now, _C.number), else_=DRAFT)
    newest = (
        sa.select(_C.scene, sa.func.max(published).label("number"))
        .where(_C.catalog_id == catalog_id)
        .group_by(_C.scene)
        .subquery()
    )
    toml = sa.case((_C.number > DRAFT, _C.toml), else_="") if texts else sa.literal("")
    others = [each for each in scene_texts.c if each is not _C.toml]
    query = (
        sa.select(*others, toml.label("toml"))
        .join(newest, _C.scene == newest.c.scene)
        .where(
            _C.catalog_id == catalog_id,
            (_C.number == DRAFT) | (_C.number >= newest.c.number),
        )
        .order_by(_C.scene, _C.number.desc())
    )
    return list(_documents(TEXTS.read(connection, query), now))


def write_draft(
    connection: Connection, now: int, catalog_id: str, draft: SceneText, etag: str
) -> SceneDocument:
    """Store a draft; one with the text and comment of the stored one is left. `etag`: required
    version of the document; empty: any. Raises EtagMismatch, SceneDocumentsFull."""
    session = _session(connection, now, catalog_id, draft.scene)
    found = _find(connection, now, catalog_id, draft.scene)
    before = found.draft
    if before is not None and (before.toml, before.comment) == (draft.toml, draft.comment):
        return found
    found.check_etag(etag)
    if found.etag == NO_DOCUMENT and not draft.is_synonyms:
        _check_room(connection, catalog_id)
    after = replace(found, draft=replace(draft, create_micros=now))
    return _save(session, catalog_id, found, after)


def publish_scene(
    connection: Connection, now: int, catalog_id: str, wanted: ScenePublication, keep: int
) -> SceneDocument:
    """Store the draft, or a version, as the newest version, of which `keep` are kept, or as the
    planned one. Nothing changes if it is that already. Raises ScenesFromFiles,
    SceneDocumentNotFound, EtagMismatch."""
    session = _session(connection, now, catalog_id, wanted.scene)
    free = wanted.in_advance or wanted.scene == SYNONYMS_DOCUMENT
    if not (free or _is_steered(connection, catalog_id)):
        raise ScenesFromFiles
    found = _find(connection, now, catalog_id, wanted.scene)
    return _save(session, catalog_id, found, found.publish(wanted, now, keep))


def cancel_planned(
    connection: Connection, now: int, catalog_id: str, scene: str, etag: str
) -> SceneDocument:
    """Delete the planned version of a scene; nothing changes without one. Raises EtagMismatch."""
    session = _session(connection, now, catalog_id, scene)
    found = _find(connection, now, catalog_id, scene)
    if found.planned is not None:
        found.check_etag(etag)
    return _save(session, catalog_id, found, replace(found, planned=None))


def delete_scene(
    connection: Connection, now: int, catalog_id: str, scene: str, *, draft_only: bool, etag: str
) -> bool:
    """Delete a scene, or its draft alone. Return whether it existed. Raises EtagMismatch."""
    session = _session(connection, now, catalog_id, scene)
    found = _find(connection, now, catalog_id, scene)
    after = replace(found, draft=None) if draft_only else SceneDocument(scene)
    if after == found:
        return False
    found.check_etag(etag)
    _save(session, catalog_id, found, after)
    return True


def set_synonyms(
    connection: Connection,
    now: int,
    catalog_id: str,
    rules: tuple[SynonymRule, ...],
    etag: str,
    *,
    author: str = "",
    keep: int = KEPT,
) -> StoredSynonyms:
    """Publish rules as the synonyms of a catalog; equal ones are returned, and a draft stays.
    `etag`: the required version of the rules; empty: any. Raises EtagMismatch."""
    session = _session(connection, now, catalog_id, SYNONYMS_DOCUMENT)
    stored = read_synonyms(connection, catalog_id)
    if not SYNONYMS.to_replace(stored, StoredSynonyms(rules), etag):
        return stored
    found = _find(connection, now, catalog_id, SYNONYMS_DOCUMENT)
    text = SceneText.of(SYNONYMS_DOCUMENT, rules_text(rules), author, "")
    made = found.with_version(replace(text, create_micros=now), now, keep)
    _save(session, catalog_id, found, made)
    return read_synonyms(connection, catalog_id)


def restore_scene(connection: Connection, now: int, catalog_id: str, rows: Sequence[Row]) -> None:
    """Store the texts of a scene from an archive, unless the catalog has the scene. Raises
    SceneDocumentsFull."""
    scene = rows[0]["scene"]
    session = _session(connection, now, catalog_id, scene)
    if not _texts_of(connection, catalog_id, scene):
        if scene != SYNONYMS_DOCUMENT:
            _check_room(connection, catalog_id)
            _note(session, catalog_id)
        table = _rows(scene).table
        put(connection, table, [{**row, "catalog_id": catalog_id} for row in rows])


def _session(connection: Connection, now: int, catalog_id: str, scene: str) -> Session:
    """Wait for other writers: of scenes with those of the registry, of synonyms with those of the
    catalog."""
    return Session(connection, catalog_id if scene == SYNONYMS_DOCUMENT else REGISTRY, now)


def _rows(scene: str) -> Rows[SceneText]:
    return SYNONYM_TEXTS if scene == SYNONYMS_DOCUMENT else TEXTS


def _texts_of(connection: Connection, catalog_id: str, scene: str) -> list[SceneText]:
    """Return the stored texts of a scene, newest first."""
    rows = _rows(scene)
    c = rows.table.c
    mine = sa.select(rows.table).where(c.catalog_id == catalog_id, c.scene == scene)
    return [*rows.read(connection, mine.order_by(c.number.desc()))]


def _find(connection: Connection, now: int, catalog_id: str, scene: str) -> SceneDocument:
    """Return a scene with its texts; one without any if the record does not have it."""
    texts = _texts_of(connection, catalog_id, scene)
    found = next(_documents(iter(texts), now), SceneDocument(scene))
    return with_stored_rules(connection, catalog_id, found) if found.is_synonyms else found


def _save(
    session: Session, catalog_id: str, before: SceneDocument, after: SceneDocument
) -> SceneDocument:
    """Store a document in place of the one that was found, and let those know who use what is
    published. Return it."""
    connection, rows = session.connection, _rows(after.scene)
    c = rows.table.c
    mine = c.catalog_id == catalog_id, c.scene == after.scene
    if after == before:
        return after
    stored = {*connection.execute(sa.select(c.number).where(*mine)).scalars()}
    gone = stored.difference(each.number for each in after.texts)
    connection.execute(sa.delete(rows.table).where(*mine, c.number.in_(gone)))
    new = [each for each in after.texts if each not in before.texts or each.number not in stored]
    rows.put(connection, new, catalog_id=catalog_id)
    if after.published != before.published:
        if after.is_synonyms:
            use_rules(session, after.newest)
        else:
            _note(session, catalog_id)
    return after


def _documents(texts: Iterator[SceneText], now: int) -> Iterator[SceneDocument]:
    """Yield the documents of texts, which are by scene, newest first, with the draft last. A
    version whose time is to come is planned."""
    for scene, some in groupby(texts, lambda text: text.scene):
        *versions, last = some
        draft = last if last.number == DRAFT else None
        if draft is None:
            versions.append(last)
        planned = versions.pop(0) if versions and versions[0].is_planned(now) else None
        yield SceneDocument(scene, draft, tuple(versions), planned)


def _is_steered(connection: Connection, catalog_id: str) -> bool:
    """Return whether a catalog is steered by the record."""
    entry = CATALOGS.find(connection, catalog_id)
    return entry is not None and entry.values.steered_by is SteeredBy.RECORD


def _note(session: Session, catalog_id: str) -> None:
    """Let the list of catalogs tell that published scenes have changed. Only a catalog with an
    entry can be steered by the record."""
    entry = CATALOGS.find(session.connection, catalog_id)
    if entry is not None:
        save_entry(session, replace(entry, scenes_commit=session.head + 1))


def _check_room(connection: Connection, catalog_id: str) -> None:
    number = sa.select(sa.func.count(_C.scene.distinct())).where(_C.catalog_id == catalog_id)
    if connection.execute(number).scalar_one() >= MOST_SCENES:
        raise SceneDocumentsFull(MOST_SCENES)
