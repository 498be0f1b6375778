"""Restore of a backup: first the files of models, which never change; then the record in one
transaction, so that a damaged backup leaves the record unchanged."""

import gzip
import zlib
from typing import IO, Any, cast

from sqlalchemy import Connection

from ranker.adapters.model_store import ModelStore
from ranker.domain.errors import BackupRefused
from ranker.domain.pseudonyms import Pseudonyms
from ranker.events.backups.content import MODELS, RecordContent, content_of, tables_of
from ranker.record import dumps
from ranker.record.tables import MIGRATIONS
from servicekit.artefacts.backup_errors import BackupDamaged, BackupVersionUnsupported
from servicekit.artefacts.backup_files import BackupReader
from servicekit.artefacts.manifest import MANIFEST, BackupFile
from servicekit.artefacts.store import CHUNK
from servicekit.sql import revisions
from servicekit.sql.database import Database


def check(content: RecordContent, database: Database, key: Pseudonyms, *, force: bool) -> None:
    """Raise BackupRefused or BackupVersionUnsupported if the backup cannot be restored into this
    record."""
    if not revisions.is_known(MIGRATIONS, content.revision):
        raise BackupVersionUnsupported(f"its tables are of revision {content.revision}")
    if content.key_fingerprint and key.since(content.key_fingerprint) is None:
        why = (
            f"its pseudonyms were made with key {content.key_id}, and RANKER_KEY_FILE is"
            f" {key.key_id}: no shopper's history would be found. Restore the keys first"
        )
        raise BackupRefused("BACKUP_KEY_MISMATCH", why)
    with dumps.snapshot(database) as connection:
        if not force and not dumps.is_empty(connection):
            why = "the record has events, answers or models: --force replaces all of them"
            raise BackupRefused("RECORD_NOT_EMPTY", why)


def restore_models(backup: BackupReader, store: ModelStore) -> None:
    """Restore the files of models. Raise BackupDamaged, OSError."""
    for file in backup.manifest.files:
        if file.name.startswith(MODELS):
            catalog_id, version, name = file.name.removeprefix(MODELS).split("/")
            store.put(catalog_id, version, name, backup.read(file.name))


def restore_record(backup: BackupReader, database: Database) -> None:
    """Replace the record in one transaction and migrate it to this release. Raise BackupDamaged."""
    content, tables = content_of(backup.manifest), tables_of(backup.manifest)
    with database.engine.begin() as connection:
        dumps.begin_anew(connection, content.revision)
        if not set(tables) == set(content.columns) == set(dumps.tables(connection)):
            why = f"does not name the tables of revision {content.revision}"
            raise BackupDamaged(MANIFEST, why)
        with dumps.unindexed(connection):
            for name, file in tables.items():
                _load(connection, name, content.columns[name], file, backup)
        dumps.set_sequences(connection, content.sequences)
    database.migrate()


def _load(
    connection: Connection, name: str, columns: list[str], table: BackupFile, backup: BackupReader
) -> None:
    with backup.open(table.name) as file:
        try:
            with gzip.GzipFile(fileobj=cast(Any, file), mode="rb") as rows:
                count = dumps.load(connection, name, columns, cast(IO[bytes], rows))
                while rows.read(CHUNK):
                    pass
        except ValueError as error:
            raise BackupDamaged(table.name, "does not hold what its table does") from error
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise BackupDamaged(table.name, "is cut off") from error
    if count != table.rows:
        raise BackupDamaged(table.name, f"has {count} rows, not {table.rows}")
