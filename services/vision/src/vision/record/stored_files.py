"""Names of stored files in the record. A file is stored first and named by a row afterwards; one
that no row names is deleted (watching/expiry.py)."""

from collections.abc import Collection
from typing import Final

import sqlalchemy as sa
from sqlalchemy import Connection

from servicekit.sql import conditions
from vision.record.tables import reference_photos, reference_versions, watch_photos

NAMING: Final = (watch_photos.c.image_id, reference_photos.c.file, reference_versions.c.file)
"""Columns that name a stored file, each indexed by its catalog."""
_NAMED: Final = [
    sa.select(each.label("file")).where(conditions.among(each.table, each.name)) for each in NAMING
]


def read_unnamed_files(
    connection: Connection, catalog_id: str, files: Collection[str]
) -> list[str]:
    """Return those of the stored files that no row names."""
    named = {
        row.file
        for statement in _NAMED
        for row in conditions.look_up(connection, statement, files, {"catalog_id": catalog_id})
    }
    return [each for each in files if each not in named]
