"""The subset of tar that an archive needs: plain files in sequence.

Python's tarfile writes and reads more: links, devices, headers of any size. What a reader does not
know it cannot be led astray by.
"""

import tarfile
from collections.abc import Iterable, Iterator
from typing import IO

from retriever.domain.errors import BackupDamaged

BLOCK = 512
CHUNK = 2**20
ARCHIVE = "the file"


def write(out: IO[bytes], name: str, size: int, time: int, chunks: Iterable[bytes]) -> None:
    """Add a member of `size` bytes. `time`: seconds since 1970."""
    info = tarfile.TarInfo(name)
    info.size, info.mtime = size, time
    out.write(info.tobuf(tarfile.GNU_FORMAT))
    written = 0
    for chunk in chunks:
        out.write(chunk)
        written += len(chunk)
    if written != size:
        raise ValueError(f"{name} has {written} bytes, not {size}")
    out.write(bytes(-size % BLOCK))


def end(out: IO[bytes]) -> None:
    """Write the end of a tar file."""
    out.write(bytes(2 * BLOCK))


class Members:
    """The members of an archive, in order, each read to its end before the next."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._left = 0
        self._padding = 0
        self._name = ARCHIVE
        self._ahead: tuple[str, int] | None = None

    def peek(self) -> str:
        """Return the next member's name; empty = there is none. Raises BackupDamaged."""
        if self._ahead is None:
            self._ahead = self._header()
        return self._ahead[0]

    def open(self, name: str, most: int) -> int:
        """Go to the next member, which must be this one; its bytes. Raises BackupDamaged."""
        found = self.peek()
        size = self._ahead[1] if self._ahead else 0
        if found != name:
            shown = found[:100] if found.isprintable() else "another"
            raise BackupDamaged(ARCHIVE, f"has {shown!r} where {name!r} belongs")
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
                raise BackupDamaged(self._name, "ends too early")
            self._left -= len(chunk)
            yield chunk
        if len(self._file.read(self._padding)) != self._padding:
            raise BackupDamaged(self._name, "ends too early")
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
            raise BackupDamaged(ARCHIVE, "is no backup, or is cut off") from error
        if info.type != tarfile.REGTYPE or info.size < 0:
            raise BackupDamaged(ARCHIVE, "holds something that is no plain file")
        return info.name, info.size
