"""References in the record: photos of drafts, and fitted versions, which name their files."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

import sqlalchemy as sa
from sqlalchemy import Connection

from servicekit.sql.conditions import chunks, on
from servicekit.tasks.supervision import confined
from vision.domain import errors
from vision.domain.inspection import MOST_PHOTOS
from vision.domain.references import (
    KEPT_SECONDS,
    MANIFESTS,
    MOST_DRAFTS,
    MOST_REFERENCES,
    MOST_VERSIONS,
    DraftPhoto,
    ListedReference,
    ReferenceManifest,
    ReferenceState,
)
from vision.record.queueing import queue_up
from vision.record.tables import reference_photos, reference_versions

_T: Final = reference_versions
_P, _V = reference_photos.c, reference_versions.c


def renew_photo(
    connection: Connection, now: int, catalog_id: str, reference_id: str, photo: str
) -> bool:
    """Note that a photo of a draft was sent again. Return False if the draft lacks it."""
    queue_up(connection, catalog_id)
    mine = on(reference_photos, catalog_id=catalog_id, reference_id=reference_id, photo=photo)
    done = connection.execute(sa.update(reference_photos).where(mine).values(add_time=now))
    return bool(done.rowcount)


def check_room(connection: Connection, catalog_id: str, reference_id: str) -> None:
    """Raise ReferencesFull or ReferenceFull if no photo can be added to the draft."""
    drafts = _ids(connection, reference_photos, catalog_id)
    if reference_id in drafts:
        if len(read_draft(connection, catalog_id, reference_id)) >= MOST_PHOTOS:
            raise errors.ReferenceFull(MOST_PHOTOS)
        return
    known = drafts | _ids(connection, reference_versions, catalog_id)
    full = reference_id not in known and len(known) >= MOST_REFERENCES
    if len(drafts) >= MOST_DRAFTS or full:
        raise errors.ReferencesFull(MOST_REFERENCES, MOST_DRAFTS)


def add_photo(
    connection: Connection, now: int, catalog_id: str, reference_id: str, added: DraftPhoto
) -> None:
    """Add a photo, whose file is stored, to a draft, unless it is there. Raises as `check_room`."""
    if not renew_photo(connection, now, catalog_id, reference_id, added.photo):
        check_room(connection, catalog_id, reference_id)
        row = {"photo": added.photo, "file": added.file, "add_time": now}
        mine = {"catalog_id": catalog_id, "reference_id": reference_id}
        connection.execute(sa.insert(reference_photos), mine | row)


def read_draft(connection: Connection, catalog_id: str, reference_id: str) -> dict[str, str]:
    """Return the files of a draft by photo, in order; empty: there is no draft."""
    mine = on(reference_photos, catalog_id=catalog_id, reference_id=reference_id)
    rows = connection.execute(sa.select(_P.photo, _P.file).where(mine).order_by(_P.photo))
    return {row.photo: row.file for row in rows}


def drop_photos(
    connection: Connection, catalog_id: str, reference_id: str, photos: Sequence[str]
) -> None:
    """Delete photos of a draft."""
    queue_up(connection, catalog_id)
    mine = on(reference_photos, catalog_id=catalog_id, reference_id=reference_id)
    for part in chunks(photos):
        connection.execute(sa.delete(reference_photos).where(mine, _P.photo.in_(part)))


def keep_version(
    connection: Connection, catalog_id: str, made: ReferenceManifest, photos: Sequence[str]
) -> ListedReference:
    """Store a fitted version, whose file is stored; delete its photos from the draft, and versions
    in excess. Of a version that is known, the former stays."""
    drop_photos(connection, catalog_id, made.reference_id, photos)
    versions = _versions(connection, catalog_id, made.reference_id)
    known = next((each for each in versions if _version_of(each) == made.version), None)
    if known is not None:
        return known
    insert_version(connection, catalog_id, made, ReferenceState.CANDIDATE, 0)
    kept = _versions(connection, catalog_id, made.reference_id)
    spare = [each for each in kept if each.state is not ReferenceState.SERVING]
    for each in spare[MOST_VERSIONS - (len(kept) > len(spare)) :]:
        _drop(connection, _T, **_key(catalog_id, made.reference_id), version=_version_of(each))
    return ListedReference.of(made, ReferenceState.CANDIDATE)


def insert_version(
    connection: Connection,
    catalog_id: str,
    made: ReferenceManifest,
    state: ReferenceState,
    promoted: int,
) -> None:
    """Store a version as it is. `promoted`: time of its last promotion."""
    row = {
        "catalog_id": catalog_id,
        "reference_id": made.reference_id,
        "version": made.version,
        "product_id": made.product_id,
        "state": state,
        "file": made.file,
        "body": MANIFESTS.dump_json(made, exclude_none=True).decode(),
        "create_time": int(made.create_time.timestamp() * 1e6),
        "promote_time": promoted,
    }
    connection.execute(sa.insert(reference_versions), row)


def read_references(
    connection: Connection, catalog_id: str, reference_id: str = ""
) -> list[ListedReference]:
    """Return the drafts and versions of a catalog's references, drafts first, then the newest; of
    one reference if named."""
    mine = _mine(reference_photos, catalog_id, reference_id)
    newest = sa.func.max(_P.add_time)
    query = sa.select(_P.reference_id, sa.func.count().label("photos"), newest.label("time"))
    drafts = connection.execute(
        query.where(mine).group_by(_P.reference_id).order_by(newest.desc(), _P.reference_id)
    )
    draft = ReferenceState.DRAFT
    found = [
        ListedReference(row.reference_id, draft, row.photos, _time(row.time)) for row in drafts
    ]
    return [*found, *_versions(connection, catalog_id, reference_id)]


def promote(
    connection: Connection, now: int, catalog_id: str, reference_id: str, version: str
) -> ListedReference:
    """Make a version serve; the one that served is retired. Raises ReferenceNotFound."""
    queue_up(connection, catalog_id)
    found = _found(connection, on(_T, **_key(catalog_id, reference_id), version=version))
    if found is None:
        raise errors.ReferenceNotFound
    serving = on(_T, **_key(catalog_id, reference_id), state=ReferenceState.SERVING)
    former = sa.update(_T).where(serving, _V.version != version)
    connection.execute(former.values(state=ReferenceState.RETIRED))
    mine = on(_T, **_key(catalog_id, reference_id), version=version)
    anew = sa.update(_T).where(mine, _V.state != ReferenceState.SERVING)
    connection.execute(anew.values(state=ReferenceState.SERVING, promote_time=now))
    return ListedReference.of(found, ReferenceState.SERVING)


def delete_reference(
    connection: Connection, catalog_id: str, reference_id: str, version: str
) -> int:
    """Delete a version, or a reference. Return the number of versions and drafts deleted."""
    queue_up(connection, catalog_id)
    key = _key(catalog_id, reference_id)
    if version:
        return _drop(connection, _T, **key, version=version)
    return bool(_drop(connection, reference_photos, **key)) + _drop(connection, _T, **key)


def find_version(
    connection: Connection, catalog_id: str, reference_id: str, product_id: str, version: str
) -> ReferenceManifest | None:
    """Return a version by the name of its reference, or the one that serves a product and was
    promoted last. `version` empty: the one that serves."""
    serving = {"catalog_id": catalog_id, "state": ReferenceState.SERVING}
    if not reference_id:
        found = _found(connection, on(_T, **serving, product_id=product_id))
        if found is None or version in {"", found.version}:
            return found
        reference_id = found.reference_id
    key = _key(catalog_id, reference_id)
    return _found(
        connection, on(_T, **key, version=version) if version else on(_T, **serving | key)
    )


def expire_drafts(connection: Connection, now: int, catalog_id: str) -> None:
    """Delete the drafts that no photo was added to for a day."""
    queue_up(connection, catalog_id)
    before = now - int(KEPT_SECONDS * 1e6)
    old = (
        sa.select(_P.reference_id)
        .where(_P.catalog_id == catalog_id)
        .group_by(_P.reference_id)
        .having(sa.func.max(_P.add_time) < before)
    )
    for reference_id in connection.execute(old).scalars().all():
        _drop(connection, reference_photos, **_key(catalog_id, reference_id))


def _drop(connection: Connection, table: sa.Table, **columns: str) -> int:
    """Delete rows. Return their number."""
    return connection.execute(sa.delete(table).where(on(table, **columns))).rowcount


def _ids(connection: Connection, table: sa.Table, catalog_id: str) -> set[str]:
    query = sa.select(table.c.reference_id).where(table.c.catalog_id == catalog_id).distinct()
    return set(connection.execute(query).scalars())


def _key(catalog_id: str, reference_id: str) -> dict[str, str]:
    return {"catalog_id": catalog_id, "reference_id": reference_id}


def _mine(table: sa.Table, catalog_id: str, reference_id: str) -> sa.ColumnElement[bool]:
    named = {"reference_id": reference_id} if reference_id else {}
    return on(table, catalog_id=catalog_id, **named)


def _versions(connection: Connection, catalog_id: str, reference_id: str) -> list[ListedReference]:
    """Return versions, the newest first. Those that this release can't read are told and left
    out."""
    mine = sa.select(_T).where(_mine(_T, catalog_id, reference_id))
    order = _V.create_time.desc(), _V.reference_id, _V.version
    found = list[ListedReference]()
    for row in connection.execute(mine.order_by(*order)).all():
        with confined("references", catalog=catalog_id, version=row.version):
            manifest = MANIFESTS.validate_json(row.body)
            found.append(ListedReference.of(manifest, ReferenceState(row.state)))
    return found


def _found(connection: Connection, which: sa.ColumnElement[bool]) -> ReferenceManifest | None:
    query = sa.select(_V.body).where(which).order_by(_V.promote_time.desc()).limit(1)
    body = connection.execute(query).scalar()
    return None if body is None else MANIFESTS.validate_json(body)


def _version_of(listed: ListedReference) -> str:
    return "" if listed.manifest is None else listed.manifest.version


def _time(micros: int) -> datetime:
    return datetime.fromtimestamp(micros / 1e6, UTC)
