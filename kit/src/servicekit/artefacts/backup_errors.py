"""The errors of backups; each has its reason on the wire."""

from datetime import timedelta

from servicekit import errors


class BackupNotFound(errors.NotFound, reason="BACKUP_NOT_FOUND"):
    message = "there is no such backup of this catalog"
    violations = (
        errors.FieldViolation("backup_id", "is not the id of a backup: list the backups"),
    )


class BackupDamaged(errors.DataLoss, reason="BACKUP_DAMAGED"):
    """A file differs from its entry in the manifest, or is not a backup. Nothing was restored."""

    def __init__(self, member: str, description: str) -> None:
        super().__init__(
            f"{member}: {description}; nothing was restored: take another backup",
            metadata={"member": member[:200]},
        )


class BackupUnsigned(errors.FailedPrecondition, reason="BACKUP_UNSIGNED"):
    message = (
        "no key of RETRIEVER_BACKUP_KEYS_FILE (of the ranker: RANKER_BACKUP_KEYS_FILE) signed the "
        "backup: add the key that it was made with, or set accept_unsigned if you know who wrote "
        "the file"
    )


class BackupVersionUnsupported(errors.FailedPrecondition, reason="BACKUP_VERSION_UNSUPPORTED"):
    """The backup is of a format that this version can't read."""

    def __init__(
        self,
        description: str,
        remedy: str = "restore it with the version that wrote it, or a newer one",
    ) -> None:
        super().__init__(f"{description}: {remedy}")


class BackupCatalogMismatch(errors.FailedPrecondition, reason="BACKUP_CATALOG_MISMATCH"):
    """The backup is of another catalog than the caller named."""

    def __init__(self, named: str, held: str) -> None:
        super().__init__(
            f"source_catalog_id: the backup is of catalog {held!r}, not of {named!r}",
            violations=(errors.FieldViolation("source_catalog_id", f"is not {held!r}"),),
        )


class BackupsUnset(errors.FailedPrecondition, reason="BACKUPS_UNSET"):
    message = "no folder or bucket of backups is set; see RETRIEVER_BACKUPS and RANKER_BACKUPS"


class BackupsUnavailable(errors.Unavailable, reason="BACKUP_STORE_UNAVAILABLE"):
    message = "the backup store can't be reached; see RETRIEVER_BACKUPS and RANKER_BACKUPS"
    retry_after = timedelta(seconds=5)


class BackupsFull(errors.ResourceExhausted, reason="BACKUP_STORE_FULL"):
    """The backup store is full. The partial backup was deleted."""

    message = "the backup store is full; see RETRIEVER_BACKUPS and RANKER_BACKUPS"
