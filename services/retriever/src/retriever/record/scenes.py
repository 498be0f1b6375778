"""Scenes of catalogs in the record. Their changes queue up with those of the registry, whose list
tells gateways of published ones."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby

import sqlalchemy as sa
from sqlalchemy import Connection

from retriever.domain.archive import Row
from retriever.domain.errors import (
    EtagMismatch,
    SceneDocumentNotFound,
    SceneDocumentsFull,
    ScenesFromFiles,
)
from retriever.domain.registry import SteeredBy
from retriever.domain.scenes import (
    DRAFT,
    MOST_SCENES,
    NO_DOCUMENT,
    SceneDocument,
    ScenePublication,
    SceneText,
)
from retriever.record.queueing import queue_up
from retriever.record.registry import CATALOGS, REGISTRY, save_entry
from retriever.record.session import Session
from retriever.record.tables import scene_texts
from servicekit.sql.resources import Rows, put

TEXTS = Rows(scene_texts, SceneText)
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
    published = sa.case((_C.create_time <= now, _C.number), else_=DRAFT)
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
            _C.number.in_([DRAFT, newest.c.number]) | (_C.create_time > now),
        )
        .order_by(_C.scene, _C.number.desc())
    )
    return list(_documents(TEXTS.read(connection, query), now))


def write_draft(
    connection: Connection, now: int, catalog_id: str, draft: SceneText, etag: str
) -> SceneDocument:
    """Store a draft; one with the text and comment of the stored one is left. `etag`: required
    version of the document; empty: any. Raises EtagMismatch, SceneDocumentsFull."""
    queue_up(connection, REGISTRY)
    found = _find(connection, now, catalog_id, draft.scene)
    before = found.draft
    if before is not None and (before.toml, before.comment) == (draft.toml, draft.comment):
        return found
    _check_etag(found, etag)
    if found.etag == NO_DOCUMENT:
        _check_room(connection, catalog_id)
    stored = replace(draft, create_micros=now)
    TEXTS.put(connection, [stored], catalog_id=catalog_id)
    return replace(found, draft=stored)


def publish_scene(
    connection: Connection, now: int, catalog_id: str, wanted: ScenePublication, keep: int
) -> SceneDocument:
    """Store the draft, or a version, as the newest version, of which `keep` are kept, or as the
    planned one. Nothing changes if it is that already. Raises ScenesFromFiles,
    SceneDocumentNotFound, EtagMismatch."""
    session = Session(connection, REGISTRY, now)
    if not (wanted.in_advance or _is_steered(connection, catalog_id)):
        raise ScenesFromFiles
    found = _find(connection, now, catalog_id, wanted.scene)
    text = found.text(wanted.number)
    if text is None and wanted.number == DRAFT and found.newest is not None:
        if not found.has_published(wanted.etag):
            _check_etag(found, wanted.etag)
        return found  # a repeated call, or nothing to publish
    if text is None:
        raise SceneDocumentNotFound
    time = max(now, wanted.publish_micros)
    made = replace(
        text,
        author=wanted.author,
        comment=wanted.comment or text.comment,
        number=1 if found.newest is None else found.newest.number + 1,
        create_micros=time,
    )
    if _put_version(session, catalog_id, found, made, wanted.etag):
        newest = _find(connection, now, catalog_id, wanted.scene).newest
        last = 0 if newest is None else newest.number - keep
        _delete(connection, catalog_id, wanted.scene, _C.number.between(1, last))
        _note(session, catalog_id)
    if wanted.number == DRAFT and time == now:
        _delete(connection, catalog_id, wanted.scene, _C.number == DRAFT)
    return _find(connection, now, catalog_id, wanted.scene)


def _put_version(
    session: Session, catalog_id: str, found: SceneDocument, made: SceneText, etag: str
) -> bool:
    """Store a text as the next version, in place of the planned one. Return whether anything
    changes. `etag`: required version of the document. Raises EtagMismatch."""
    planned, newest, connection = found.planned, found.newest, session.connection
    if made.create_micros > session.now:
        if planned and (planned.version, planned.create_micros) == (
            made.version,
            made.create_micros,
        ):
            return False
    elif newest and newest.version == made.version:
        made = newest
        if planned is None:
            return False
    _check_etag(found, etag)
    if planned is not None:
        _delete(connection, catalog_id, found.scene, _C.number == planned.number)
    TEXTS.put(connection, [made], catalog_id=catalog_id)
    return True


def delete_scene(
    connection: Connection, now: int, catalog_id: str, scene: str, *, draft_only: bool, etag: str
) -> bool:
    """Delete a scene, or its draft alone. Return whether it existed. Raises EtagMismatch."""
    session = Session(connection, REGISTRY, now)
    found = _find(connection, now, catalog_id, scene)
    published = bool(found.versions or found.planned)
    if found.draft is None and (draft_only or not published):
        return False
    _check_etag(found, etag)
    _delete(connection, catalog_id, scene, _C.number == DRAFT if draft_only else sa.true())
    if published and not draft_only:
        _note(session, catalog_id)
    return True


def restore_scene(connection: Connection, now: int, catalog_id: str, rows: Sequence[Row]) -> None:
    """Store the texts of a scene from an archive, unless the catalog has the scene. Raises
    SceneDocumentsFull."""
    session = Session(connection, REGISTRY, now)
    if _find(connection, now, catalog_id, rows[0]["scene"]).etag == NO_DOCUMENT:
        _check_room(connection, catalog_id)
        put(connection, scene_texts, [{**row, "catalog_id": catalog_id} for row in rows])
        _note(session, catalog_id)


def _find(connection: Connection, now: int, catalog_id: str, scene: str) -> SceneDocument:
    """Return a scene with its texts; one without any if the record does not have it."""
    mine = sa.select(scene_texts).where(_C.catalog_id == catalog_id, _C.scene == scene)
    texts = TEXTS.read(connection, mine.order_by(_C.number.desc()))
    return next(_documents(texts, now), SceneDocument(scene))


def _documents(texts: Iterator[SceneText], now: int) -> Iterator[SceneDocument]:
    """Yield the documents of texts, which are by scene, newest first, with the draft last. A
    version whose time is to come is planned."""
    for scene, some in groupby(texts, lambda text: text.scene):
        *versions, last = some
        draft = last if last.number == DRAFT else None
        if draft is None:
            versions.append(last)
        planned = versions.pop(0) if versions and versions[0].create_micros > now else None
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


def _check_etag(found: SceneDocument, required: str) -> None:
    if required and required != found.etag:
        raise EtagMismatch


def _check_room(connection: Connection, catalog_id: str) -> None:
    number = sa.select(sa.func.count(_C.scene.distinct())).where(_C.catalog_id == catalog_id)
    if connection.execute(number).scalar_one() >= MOST_SCENES:
        raise SceneDocumentsFull(MOST_SCENES)


def _delete(
    connection: Connection, catalog_id: str, scene: str, which: sa.ColumnElement[bool]
) -> None:
    mine = _C.catalog_id == catalog_id, _C.scene == scene
    connection.execute(sa.delete(scene_texts).where(*mine, which))
