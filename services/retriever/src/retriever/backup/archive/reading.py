"""Reader of a catalog's backup. Everything in it is checked before it is used."""

import hashlib
from collections.abc import Iterator, Sequence
from typing import IO

from retriever.backup.archive import tar
from retriever.backup.archive.former import FormerBackup
from retriever.backup.archive.writing import Spool
from retriever.domain.archive import PHOTOS, ArchiveTable, Row, content_of
from retriever.domain.jobs import Progress
from servicekit.backups.errors import BackupDamaged, BackupVersionUnsupported
from servicekit.backups.files import BackupReader, CheckedFile, meaning
from servicekit.backups.manifest import MANIFEST
from sightline_rules.photos import MEDIA_TYPES, PhotoRejectedError, sniff

MOST_PHOTO_BYTES = 32 * 2**20
"""Maximum of RETRIEVER_IMAGE_MAX_BYTES."""


class ArchiveReader:
    """A catalog's backup, read once and in order. All calls block."""

    def __init__(self, backup: BackupReader, spool: Spool, tables: Sequence[ArchiveTable]) -> None:
        """Prepare to read. Raise BackupDamaged, BackupVersionUnsupported."""
        self.manifest, self.content = backup.manifest, content_of(backup.manifest)
        self.found = self.lost = 0
        """Photos."""
        self._backup, self._spool = backup, spool
        self._tables = {table.name: table for table in tables}
        self._check_names()

    def _check_names(self) -> None:
        names = [file.name for file in self.manifest.files if file.name != PHOTOS]
        known = [table.member for table in self._tables.values()]
        there = [table.member for table in self._tables.values() if self._there(table)]
        if set(names) - set(known):
            raise BackupVersionUnsupported("it holds tables of a newer version")
        if names != there:
            raise BackupDamaged(MANIFEST, f"must name {', '.join(there)}")

    def _there(self, table: ArchiveTable) -> bool:
        """Return whether the backup has a table, or has to have it."""
        return not table.added or any(f.name == table.member for f in self.manifest.files)

    def take_tables(self, progress: Progress) -> None:
        """Copy the tables into the spool, each checked against its hash; then open the photos."""
        for table in filter(self._there, self._tables.values()):
            with self._backup.open(table.member) as file:
                self._copy(table.name, file, progress)
        self._file = self._open_photos()
        self._spool.callback(self._file.close)
        self._members = tar.Members(self._file, PHOTOS)

    def _copy(self, name: str, file: CheckedFile, progress: Progress) -> None:
        try:
            copy = self._spool.add(name)
            while chunk := file.read():
                progress.add(0)
                copy.write(chunk)
        except OSError as error:
            raise meaning(error) from error

    def _open_photos(self) -> CheckedFile | IO[bytes]:
        if isinstance(self._backup, FormerBackup):
            return self._backup.photos()
        return self._backup.open(PHOTOS)

    def rows(self, name: str) -> Iterator[list[Row]]:
        """Yield the rows of a table, in batches; after `take_tables`. None if it is absent."""
        table = self._tables[name]
        if not self._there(table):
            return iter(())
        return self._spool.rows(table, self.manifest.rows(table.member))

    def photos(self, images: Sequence[Row]) -> list[tuple[str, bytes]]:
        """Return those of these photos that are in the backup, each checked, with their ids, in its
        order."""
        found = []
        for image in images:
            name = f"photos/{image['image_id']}"
            if self._members.peek() == name:
                found.append(self._photo(name, image))
                self.found += 1
            else:
                self.lost += 1
        return found

    def _photo(self, name: str, image: Row) -> tuple[str, bytes]:
        size = image["size"]
        if not 0 < size <= MOST_PHOTO_BYTES or self._members.open(name, size) != size:
            raise BackupDamaged(name, "does not have the size that the record names")
        data = self._members.read()
        if hashlib.sha256(data).hexdigest() != image["image_id"]:
            raise BackupDamaged(name, "does not match the hash in its name")
        try:
            media_type = MEDIA_TYPES[sniff(data)]
        except PhotoRejectedError as error:
            raise BackupDamaged(name, "is no photo") from error
        if media_type != image["media_type"]:
            raise BackupDamaged(name, f"is not of type {image['media_type']}")
        return image["image_id"], data

    def end(self) -> None:
        """Check the end of the photos, after all of them."""
        if isinstance(self._backup, FormerBackup):
            self._backup.check_end(self._members, self.found, self.lost)
        if self._members.peek():
            raise BackupDamaged(PHOTOS, "has data after its end")
        if isinstance(self._file, CheckedFile):
            self._file.check()
        if self.content.lost not in (None, self.lost):
            raise BackupDamaged(MANIFEST, "does not match the photos in the archive")
