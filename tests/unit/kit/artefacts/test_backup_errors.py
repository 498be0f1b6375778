"""The errors of backups as they cross the wire."""

import inspect

import pytest

from servicekit.artefacts import backup_errors
from servicekit.errors import ServiceError
from servicekit.status import from_status, to_status

MADE: list[ServiceError] = [
    backup_errors.BackupNotFound(),
    backup_errors.BackupDamaged("manifest.json", "is damaged"),
    backup_errors.BackupVersionUnsupported("it is newer"),
    backup_errors.BackupCatalogMismatch("shop", "other"),
    backup_errors.BackupsUnset(),
    backup_errors.BackupsUnavailable(),
    backup_errors.BackupsFull(),
    backup_errors.BackupUnsigned(),
]


def test_every_error_is_tried_here() -> None:
    classes = {
        member
        for _, member in inspect.getmembers(backup_errors, inspect.isclass)
        if issubclass(member, ServiceError) and member.__module__ == backup_errors.__name__
    }
    assert {type(error) for error in MADE} == classes


@pytest.mark.parametrize("error", MADE, ids=lambda error: type(error).__name__)
def test_an_error_keeps_reason_and_fields_on_the_wire(error: ServiceError) -> None:
    reported = from_status(to_status(error))
    assert (reported.code, reported.reason) == (error.code, error.reason)
    assert reported.violations == error.violations
    assert reported.retry_after == error.retry_after
