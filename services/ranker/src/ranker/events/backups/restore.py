"""Restore of a backup: first the files of models, which never change; then the record in one
transaction, so that a damaged backup leaves the existing data; then the purges since."""

from sqlalchemy import Connection

from ranker.adapters.backup_files import BackupFiles
from ranker.adapters.model_store import ModelStore
from ranker.domain.errors import BackupRefused
from ranker.domain.pseudonyms import Pseudonyms
from ranker.events.backups.manifest import BackupManifest, TableFile
from ranker.events.record import dumps
from servicekit.sql import Database


def check(manifest: BackupManifest, database: Database, key: Pseudonyms, *, force: bool) -> None:
    """Raise BackupRefused if the backup does not fit this installation."""
    if not dumps.is_known(manifest.revision):
        why = f"its tables have revision {manifest.revision} of a newer release"
        raise BackupRefused("BACKUP_VERSION_UNSUPPORTED", why)
    if manifest.key_fingerprint not in ("", key.fingerprint):
        why = (
            f"its pseudonyms were made with the key {manifest.key_id}, and RANKER_KEY_FILE is"
            f" {key.key_id}: no shopper's history would be found. Restore the keys first"
        )
        raise BackupRefused("BACKUP_KEY_MISMATCH", why)
    with dumps.snapshot(database) as connection:
        if not force and not dumps.is_empty(connection):
            why = "the record has events, answers or models: --force replaces all of them"
            raise BackupRefused("RECORD_NOT_EMPTY", why)


def restore_models(
    manifest: BackupManifest, backup_id: str, store: ModelStore, files: BackupFiles
) -> None:
    """Restore the files of models; BackupRefused, OSError."""
    for one in manifest.models:
        store.put(one.catalog_id, one.version, one.name, files.get(backup_id, one.file, dict(one)))


def restore_record(
    manifest: BackupManifest, backup_id: str, database: Database, files: BackupFiles
) -> None:
    """Restore the record in one transaction and migrate it to this release; BackupRefused,
    OSError."""
    with database.engine.begin() as connection:
        dumps.begin_anew(connection, manifest.revision)
        if {table.name for table in manifest.tables} != set(dumps.tables(connection)):
            why = f"it does not hold the tables of revision {manifest.revision}"
            raise BackupRefused("BACKUP_DAMAGED", why)
        with dumps.unindexed(connection):
            for table in manifest.tables:
                _load(connection, table, backup_id, files)
        dumps.set_sequences(connection, manifest.sequences)
    database.migrate()


def _load(connection: Connection, table: TableFile, backup_id: str, files: BackupFiles) -> None:
    with files.unpacked(backup_id, table.file, dict(table)) as rows:
        try:
            count = dumps.load(connection, table.name, table.columns, rows)
        except ValueError as error:
            why = f"{table.file} does not hold what its table does"
            raise BackupRefused("BACKUP_DAMAGED", why) from error
    if count != table.rows:
        why = f"{table.name} has {count} rows, not {table.rows}"
        raise BackupRefused("BACKUP_DAMAGED", why)
