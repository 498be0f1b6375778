"""Reads an archive and believes none of it before it has been checked."""

import hashlib
from collections.abc import Iterator, Sequence
from typing import IO, TypeVar

from pydantic import ValidationError

from retriever.backup.archive import tar
from retriever.backup.archive.writing import Spool
from retriever.domain import archive
from retriever.domain.errors import BackupDamaged, BackupUnsigned, BackupVersionUnsupported
from retriever.domain.jobs import Progress
from servicekit.keyring import KeyRing, SignatureInvalid
from sightline_rules.photos import MEDIA_TYPES, PhotoRejectedError, sniff

MOST_PHOTO_BYTES = 32 * 2**20
"""The most that RETRIEVER_IMAGE_MAX_BYTES can be."""

MOST_SIGNATURE_BYTES = 200

J = TypeVar("J", archive.Manifest, archive.Complete)


def manifest_of(members: tar.Members, keys: KeyRing | None) -> archive.Manifest:
    """Return the manifest, the first member. `keys`: one of them must have signed it; None = no
    signature is needed.

    Raises BackupDamaged, BackupUnsigned, BackupVersionUnsupported.
    """
    return _manifest(members, keys)[0]


def _manifest(members: tar.Members, keys: KeyRing | None) -> tuple[archive.Manifest, str]:
    """Return the manifest and its signature."""
    found, signature = _json(members, archive.MANIFEST, archive.Manifest, keys)
    if found.format_version != archive.FORMAT_VERSION:
        raise BackupVersionUnsupported(f"its format is version {found.format_version}")
    return found, signature


def _json(
    members: tar.Members, name: str, kind: type[J], keys: KeyRing | None, before: str = ""
) -> tuple[J, str]:
    """Return a member's content and its signature; `before`: the preceding one."""
    members.open(name, archive.MOST_JSON_BYTES)
    data, signature = members.read(), ""
    if members.peek() == name + archive.SIGNATURE:
        members.open(name + archive.SIGNATURE, MOST_SIGNATURE_BYTES)
        signature = members.read().decode("ascii", "replace")
    try:
        if keys is not None:
            keys.check(archive.signed(name, before), data, signature)
        return kind.model_validate_json(data), signature
    except SignatureInvalid as error:
        raise BackupUnsigned from error
    except ValidationError as error:
        where = ".".join(str(part) for part in error.errors()[0]["loc"]) or "the text"
        raise BackupDamaged(name, f"{where} is not what it must be") from error


class ArchiveReader:
    """An archive, read from its beginning to its end, once. Every call blocks."""

    def __init__(
        self,
        file: IO[bytes],
        spool: Spool,
        tables: Sequence[archive.ArchiveTable],
        keys: KeyRing | None,
    ) -> None:
        """Prepare to read an archive. `keys`: see manifest_of."""
        self._members = tar.Members(file)
        self._spool = spool
        self._tables = {table.name: table for table in tables}
        self._keys = keys
        self.manifest, self._signature = _manifest(self._members, keys)
        self._check_names()
        self._photos = 0
        self._lost = 0

    def _check_names(self) -> None:
        names = [member.name for member in self.manifest.members]
        known = [table.member for table in self._tables.values()]
        if set(names) - set(known):
            raise BackupVersionUnsupported("it holds tables of a newer version")
        if names != known:
            raise BackupDamaged(archive.MANIFEST, f"must name {', '.join(known)}")

    def take_tables(self, progress: Progress) -> None:
        """Copy the tables into the spool, each checked against its hash."""
        for table, member in zip(self._tables.values(), self.manifest.members, strict=True):
            if self._members.open(member.name, member.size) != member.size:
                raise BackupDamaged(member.name, f"must have {member.size:,} bytes")
            file = self._spool.add(table.name)
            digest = hashlib.sha256()
            for chunk in self._members.chunks():
                progress.add(0)
                digest.update(chunk)
                file.write(chunk)
            if digest.hexdigest() != member.sha256:
                raise BackupDamaged(member.name, "does not have the hash that the manifest names")

    def rows(self, name: str) -> Iterator[list[archive.Row]]:
        """Yield the rows of a table, in batches; after `take_tables`."""
        return self._spool.rows(self._tables[name], self.manifest)

    def photos(self, images: Sequence[archive.Row]) -> list[tuple[str, bytes]]:
        """Yield those of these photos that are in the archive, each checked, with their ids, in its
        order."""
        found = []
        for image in images:
            name = f"photos/{image['image_id']}"
            if self._members.peek() == name:
                found.append(self._photo(name, image))
                self._photos += 1
            else:
                self._lost += 1
        return found

    def _photo(self, name: str, image: archive.Row) -> tuple[str, bytes]:
        size = image["size"]
        if not 0 < size <= MOST_PHOTO_BYTES or self._members.open(name, size) != size:
            raise BackupDamaged(name, "does not have the size that the record names")
        data = self._members.read()
        if hashlib.sha256(data).hexdigest() != image["image_id"]:
            raise BackupDamaged(name, "does not have the hash that is its name")
        try:
            media_type = MEDIA_TYPES[sniff(data)]
        except PhotoRejectedError as error:
            raise BackupDamaged(name, "is no photo") from error
        if media_type != image["media_type"]:
            raise BackupDamaged(name, f"is not of type {image['media_type']}")
        return image["image_id"], data

    def end(self) -> archive.Complete:
        """Check the archive's end against what was read. Call it after all photos."""
        complete, _ = _json(
            self._members, archive.COMPLETE, archive.Complete, self._keys, self._signature
        )
        if (complete.photos, complete.lost) != (self._photos, self._lost):
            raise BackupDamaged(archive.COMPLETE, "does not agree with the photos that are there")
        if self._members.peek():
            raise BackupDamaged(tar.ARCHIVE, "goes on after its end")
        return complete
