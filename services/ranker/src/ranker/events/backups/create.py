"""Creation of a backup: a snapshot of the record, and the files of the models that it names."""

import gzip
from typing import IO, Any, cast

import sqlalchemy as sa
from sqlalchemy import Connection

from ranker.adapters.model_store import ModelStore
from ranker.domain.errors import BackupRefused, ModelCorrupt
from ranker.events.backups.content import MODELS, RecordContent, table_file
from ranker.record import dumps, tables
from servicekit.artefacts.backup_files import BackupWriter
from servicekit.artefacts.backups import Backups, new_id
from servicekit.artefacts.manifest import Manifest
from servicekit.clock import now_micros
from servicekit.sql.database import Database


def create(
    database: Database, store: ModelStore, backups: Backups, service_version: str
) -> tuple[str, Manifest]:
    """Make a backup and return its id. Events and trainings may continue meanwhile. Raise
    BackupRefused, BackupsUnavailable, BackupsFull.
    """
    with dumps.snapshot(database) as connection:
        if not dumps.revision(connection):
            raise BackupRefused("RECORD_EMPTY", "the record has no tables yet")
        now = now_micros()
        writer = backups.begin("", backup_id := new_id(now))
        content = _content(connection, store, writer)
    manifest = Manifest(
        service=backups.service,
        service_version=service_version,
        catalog_id="",
        create_micros=now,
        files=writer.files,
        content=content.model_dump(),
    )
    writer.finish(manifest)
    return backup_id, manifest


def _content(connection: Connection, store: ModelStore, writer: BackupWriter) -> RecordContent:
    """Write all files."""
    key = connection.execute(sa.select(tables.KEYS.c.key_id, tables.KEYS.c.fingerprint)).first()
    return RecordContent(
        revision=dumps.revision(connection),
        key_id=key.key_id if key else "",
        key_fingerprint=key.fingerprint if key else "",
        columns={name: _table(connection, name, writer) for name in dumps.tables(connection)},
        sequences=dumps.sequences(connection),
        lost=_models(connection, store, writer),
    )


def _table(connection: Connection, name: str, writer: BackupWriter) -> list[str]:
    """Write a table. Return its columns."""
    columns = dumps.columns_of(connection, name)
    with writer.file(table_file(name)) as file:
        to = cast(Any, file)
        with gzip.GzipFile(filename="", mode="wb", compresslevel=1, fileobj=to, mtime=0) as out:
            file.rows = dumps.dump(connection, name, columns, cast(IO[bytes], out))
    return columns


def _models(connection: Connection, store: ModelStore, writer: BackupWriter) -> list[str]:
    """Write the files of models. Return those whose files are missing or damaged."""
    t, lost = tables.MODELS.c, []
    kept = sa.select(t.catalog_id, t.version, t.manifest_sha256).where(t.pruned_micros.is_(None))
    for catalog_id, version, sha256 in connection.execute(kept):
        try:
            for name, content in store.files(catalog_id, version, sha256):
                with writer.file(f"{MODELS}{catalog_id}/{version}/{name}") as file:
                    file.write(content)
        except ModelCorrupt:  # or pruned meanwhile
            lost.append(f"{catalog_id}/{version}")
    return lost
