"""The subset of tar that the photos need: plain files in sequence.

Python's tarfile also reads links, devices and headers of any size. A malicious backup could abuse
them, so this reader rejects them.
"""

import tarfile
from collections.abc import Iterator
from typing import Protocol

from servicekit.artefacts.backup_errors import BackupDamaged
from servicekit.artefacts.backup_files import Source
from servicekit.artefacts.store import CHUNK

BLOCK = 512


class Writable(Protocol):
    """A file opened for writing."""

    def write(self, data: bytes, /) -> int:
        """Write all of `data`."""


def write(out: Writable, name: str, data: bytes) -> None:
    """Add a member."""
    info = tarfile.TarInfo(name)
    info.size = len(data)
    for part in (info.tobuf(tarfile.GNU_FORMAT), data, bytes(-len(data) % BLOCK)):
        out.write(part)


def end(out: Writable) -> None:
    """Write the end of a tar file."""
    out.write(bytes(2 * BLOCK))


class Members:
    """The members of an archive, in order, each read to its end before the next."""

    def __init__(self, file: Source, archive: str) -> None:
        """`archive`: what errors call the file."""
        self._file = file
        self._archive = self._name = archive
        self._left = 0
        self._padding = 0
        self._ahead: tuple[str, int] | None = None

    def peek(self) -> str:
        """Return the next member's name; empty at the end. Raise BackupDamaged."""
        if self._ahead is None:
            self._ahead = self._header()
        return self._ahead[0]

    def open(self, name: str, most: int) -> int:
        """Go to the next member, which must be this one. Return its bytes. Raise BackupDamaged."""
        found = self.peek()
        size = self._ahead[1] if self._ahead else 0
        if found != name:
            shown = found[:100] if found.isprintable() else "another"
            raise BackupDamaged(self._archive, f"has {shown!r} where {name!r} belongs")
        if size > most:
            raise BackupDamaged(name, f"has {size:,} bytes; {most:,} belong there")
        self._ahead, self._name = None, name
        self._left, self._padding = size, -size % BLOCK
        return size

    def chunks(self) -> Iterator[bytes]:
        """Yield the member's bytes. Raises BackupDamaged if the file is truncated."""
        while self._left:
            chunk = self._file.read(min(CHUNK, self._left))
            if not chunk:
                raise BackupDamaged(self._name, "is truncated")
            self._left -= len(chunk)
            yield chunk
        if len(self._file.read(self._padding)) != self._padding:
            raise BackupDamaged(self._name, "is truncated")
        self._padding = 0

    def read(self) -> bytes:
        """Return all bytes of the member."""
        return b"".join(self.chunks())

    def _header(self) -> tuple[str, int]:
        block = self._file.read(BLOCK)
        if len(block) == BLOCK and not any(block):
            return "", 0
        try:
            info = tarfile.TarInfo.frombuf(block, "utf-8", "strict")
        except (tarfile.HeaderError, ValueError) as error:
            raise BackupDamaged(self._archive, "is no backup, or is cut off") from error
        if info.type != tarfile.REGTYPE or info.size < 0:
            raise BackupDamaged(self._archive, "holds an entry that is not a plain file")
        return info.name, info.size
