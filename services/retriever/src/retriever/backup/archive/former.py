"""Reads the backups of 0.15: one tar file with the manifest first, then tables, photos, and a
member that says how many photos there are. Each of the two JSON members may have its signature
behind it; the second covers the first."""

from typing import IO, Any, Final, Literal, TypeVar

from pydantic import Field, ValidationError

from retriever.backup.archive import tar
from servicekit.artefacts.backup_errors import (
    BackupDamaged,
    BackupUnsigned,
    BackupVersionUnsupported,
)
from servicekit.artefacts.backup_files import BackupReader, CheckedFile
from servicekit.artefacts.manifest import MANIFEST, BackupFile, BackupJson, Count, Manifest
from servicekit.keys.keyring import KeyRing, SignatureInvalid

FORMAT: Final = "sightline.catalogue"
FORMAT_VERSION = 1
COMPLETE, SIGNATURE = "complete.json", ".hmac"
MOST_JSON_BYTES = 4 * 2**20
MOST_SIGNATURE_BYTES = 200


class FormerManifest(BackupJson):
    """The manifest of 0.15."""

    format: Literal["sightline.catalogue"]
    format_version: int
    service_version: str = Field(max_length=100)
    catalog_id: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")
    create_time: Count
    commit: Count
    photo_bytes: Count
    members: list[BackupFile] = Field(max_length=100)
    generations: list[dict[str, Any]]

    def manifest(self) -> Manifest:
        """Return it as one of today's format."""
        return Manifest(
            service="retriever",
            service_version=self.service_version,
            catalog_id=self.catalog_id,
            create_micros=self.create_time,
            files=self.members,
            content={"commit": self.commit, "generations": self.generations},
        )


class Complete(BackupJson):
    """The end of a backup of 0.15: counts of its photos."""

    photos: Count
    lost: Count


J = TypeVar("J", FormerManifest, Complete)


class FormerBackup(BackupReader):
    """A backup of 0.15. Its files are opened in the manifest's order, then its photos."""

    def __init__(self, file: IO[bytes], keys: KeyRing | None) -> None:
        """`keys`: one of them must have signed it. `None`: no signature is needed.

        Raises BackupDamaged, BackupUnsigned, BackupVersionUnsupported.
        """
        self._file, self._keys, self._signature = file, keys, ""
        self._members = tar.Members(file, "the file")
        found = self._json(self._members, MANIFEST, FormerManifest)
        if found.format_version != FORMAT_VERSION:
            raise BackupVersionUnsupported(f"its format is version {found.format_version}")
        super().__init__(found.manifest(), lambda _: file)

    def open(self, name: str) -> CheckedFile:
        entry = self.manifest.file(name)
        if self._members.open(name, entry.size) != entry.size:
            raise BackupDamaged(name, f"must have {entry.size:,} bytes")
        return CheckedFile(tar.MemberFile(self._members), entry)

    def photos(self) -> IO[bytes]:
        """Return the file, at the first photo; after the tables."""
        return self._file

    def close(self) -> None:
        self._file.close()

    def check_end(self, members: tar.Members, found: int, lost: int) -> None:
        """Check the end of the archive. `found`, `lost`: number of photos read and missing."""
        complete = self._json(members, COMPLETE, Complete)
        if (complete.photos, complete.lost) != (found, lost):
            raise BackupDamaged(COMPLETE, "does not match the photos in the archive")

    def _json(self, members: tar.Members, name: str, kind: type[J]) -> J:
        """Return the content of a member, whose signature covers the former one's."""
        members.open(name, MOST_JSON_BYTES)
        data, before, self._signature = members.read(), self._signature, ""
        if members.peek() == name + SIGNATURE:
            members.open(name + SIGNATURE, MOST_SIGNATURE_BYTES)
            self._signature = members.read().decode("ascii", "replace")
        try:
            if self._keys is not None:
                self._keys.check(("backup", name, before), data, self._signature)
            return kind.model_validate_json(data)
        except SignatureInvalid as error:
            raise BackupUnsigned from error
        except ValidationError as error:
            where = ".".join(str(part) for part in error.errors()[0]["loc"]) or "the text"
            raise BackupDamaged(name, f"{where} is missing, unknown or of another type") from error
