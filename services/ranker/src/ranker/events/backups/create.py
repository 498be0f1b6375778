"""Creation of a backup: a snapshot of the record, and the files of its models."""

import sqlalchemy as sa
from sqlalchemy import Connection

from ranker.adapters.backup_files import MANIFEST, BackupFiles
from ranker.adapters.model_store import ModelStore
from ranker.domain.errors import BackupRefused, ModelCorrupt
from ranker.events.backups.manifest import BackupManifest, ModelFile, TableFile
from ranker.events.backups.purges import forget_before, stamp
from ranker.events.record import dumps
from ranker.events.record.tables import KEYS, MODELS
from servicekit.clock import now_micros
from servicekit.sql import Database

STALE_MICROS = 86_400 * 10**6
"""Age in microseconds after which a backup without a manifest counts as aborted."""


def create(
    database: Database, store: ModelStore, files: BackupFiles, service_version: str
) -> tuple[str, BackupManifest]:
    """Make one; its id. Events and trainings may go on meanwhile. Raises BackupRefused, OSError."""
    with dumps.snapshot(database) as connection:
        revision = dumps.revision(connection)
        if not revision:
            raise BackupRefused("RECORD_EMPTY", "the record has no tables yet")
        now = now_micros()
        backup_id = f"{stamp(now)}-{now % 10**6:06d}"
        key = connection.execute(sa.select(KEYS.c.key_id, KEYS.c.fingerprint)).first()
        tables = [_table(connection, name, backup_id, files) for name in dumps.tables(connection)]
        models, lost = _models(connection, backup_id, store, files)
        manifest = BackupManifest(
            service_version=service_version,
            create_micros=now,
            revision=revision,
            key_id=key.key_id if key else "",
            key_fingerprint=key.fingerprint if key else "",
            tables=tables,
            sequences=dumps.sequences(connection),
            models=models,
            lost=lost,
        )
    files.put_signed(backup_id, MANIFEST, manifest.model_dump())
    return backup_id, manifest


def _table(connection: Connection, name: str, backup_id: str, files: BackupFiles) -> TableFile:
    columns = dumps.columns_of(connection, name)
    with files.packed(backup_id, f"tables/{name}.copy.gz") as (out, hashed):
        rows = dumps.dump(connection, name, columns, out)
    return TableFile(name=name, columns=columns, rows=rows, **hashed.facts)


def _models(
    connection: Connection, backup_id: str, store: ModelStore, files: BackupFiles
) -> tuple[list[ModelFile], list[str]]:
    t = MODELS.c
    kept = sa.select(t.catalog_id, t.version, t.manifest_sha256).where(t.pruned_micros.is_(None))
    found, lost = [], []
    for catalog_id, version, sha256 in connection.execute(kept):
        try:
            for name, content in store.files(catalog_id, version, sha256):
                facts = files.put(backup_id, f"models/{catalog_id}/{version}/{name}", content)
                one = ModelFile(catalog_id=catalog_id, version=version, name=name, **facts)
                found.append(one)
        except ModelCorrupt:  # or pruned meanwhile
            lost.append(f"{catalog_id}/{version}")
    return found, lost


def keep_newest(files: BackupFiles, keep: int) -> list[str]:
    """Delete all backups but the newest, what was cut short a day ago, and notes of purges that no
    backup is older than; which were deleted."""
    whole = files.ids()
    stale = stamp(now_micros() - STALE_MICROS)
    cut_short = [one for one in files.begun() if one not in whole and one < stale]
    for gone in (old := [*whole[keep:], *cut_short]):
        files.delete(gone)
    if left := whole[:keep]:
        forget_before(files, left[-1])
    return old
