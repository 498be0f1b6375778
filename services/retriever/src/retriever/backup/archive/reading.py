"""Reader of a catalog's backup. Everything in it is checked before it is used."""

import hashlib
from collections.abc import Iterator, Sequence

from retriever.backup.archive import tar
from retriever.backup.archive.writing import Spool
from retriever.domain.archive import FORMER, PHOTOS, ArchiveTable, Row, content_of
from servicekit.artefacts.backup_errors import BackupDamaged, BackupVersionUnsupported
from servicekit.artefacts.backup_files import BackupReader, CheckedFile, meaning
from servicekit.artefacts.manifest import MANIFEST
from servicekit.jobs.reporting import Progress
from sightline_rules.photos import MEDIA_TYPES, PhotoRejectedError, sniff

MOST_PHOTO_BYTES = 32 * 2**20
"""Maximum of RETRIEVER_IMAGE_MAX_BYTES."""


class PhotoReader:
    """A file of photos, read once and in order. All calls block."""

    def __init__(self, name: str, file: CheckedFile) -> None:
        self._name, self._file = name, file
        self.members = tar.Members(file, name)
        self.found = self.lost = 0
        """Photos."""

    def photos(self, images: Sequence[Row]) -> list[tuple[str, bytes]]:
        """Return those of these photos that are in the backup, each checked, with their ids, in its
        order."""
        found = []
        for image in images:
            name = f"photos/{image['image_id']}"
            if self.members.peek() == name:
                found.append(self._photo(name, image))
                self.found += 1
            else:
                self.lost += 1
        return found

    def _photo(self, name: str, image: Row) -> tuple[str, bytes]:
        wanted = image["size"]
        size = self.members.open(name, wanted) if 0 < wanted <= MOST_PHOTO_BYTES else 0
        if size == 0 or wanted != size:
            raise BackupDamaged(name, "does not have the size that the record names")
        data = self.members.read()
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
        """Check the end of the file, after all photos."""
        if self.members.peek():
            raise BackupDamaged(self._name, "has data after its end")
        self._file.check()


class ArchiveReader:
    """A catalog's backup, read once and in order. All calls block."""

    def __init__(self, backup: BackupReader, spool: Spool, tables: Sequence[ArchiveTable]) -> None:
        """Prepare to read. Raise BackupDamaged, BackupVersionUnsupported."""
        self.manifest, self.content = backup.manifest, content_of(backup.manifest)
        self._backup, self._spool = backup, spool
        self._tables = {table.name: table for table in tables}
        self._check_names()

    def _check_names(self) -> None:
        known = {table.member: table for table in self._tables.values()}
        names = [file.name for file in self.manifest.files if file.name not in (PHOTOS, *FORMER)]
        if set(names) - set(known):
            raise BackupVersionUnsupported("it holds tables of a newer version")
        wanted = [name for name, table in known.items() if name in names or not table.optional]
        if names != wanted:
            raise BackupDamaged(MANIFEST, f"must name {', '.join(wanted)}")
        self._held = [known[name] for name in names]

    def take_tables(self, progress: Progress) -> None:
        """Copy the tables into the spool, each checked against its hash."""
        for table in self._held:
            with self._backup.open(table.member) as file:
                self._copy(table.name, file, progress)

    def _copy(self, name: str, file: CheckedFile, progress: Progress) -> None:
        try:
            copy = self._spool.add(name)
            while chunk := file.read():
                progress.add(0)
                copy.write(chunk)
        except OSError as error:
            raise meaning(error) from error

    def photos(self, name: str = PHOTOS) -> PhotoReader:
        """Open a file of photos; after `take_tables`. Raise BackupDamaged."""
        file = self._backup.open(name)
        self._spool.callback(file.close)
        return PhotoReader(name, file)

    def check_end(self, photos: PhotoReader) -> None:
        """Check the end of the catalog's photos, after all of them."""
        photos.end()
        if self.content.lost not in (None, photos.lost):
            raise BackupDamaged(MANIFEST, "does not match the photos in the archive")

    def rows(self, name: str) -> Iterator[list[Row]]:
        """Yield the rows of a table, in batches; after `take_tables`."""
        table = self._tables[name]
        if table not in self._held:
            return iter(())
        return self._spool.rows(table, self.manifest.rows(table.member))
