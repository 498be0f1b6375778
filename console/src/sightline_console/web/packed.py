"""Contents that are kept on the disk, in one file without a name: it ends with its process."""

import os
from collections.abc import Iterator
from tempfile import TemporaryFile
from typing import IO, Self


class Packed:
    """Contents by name."""

    def __init__(self, file: IO[bytes] | None = None) -> None:
        """`file`: None makes an empty one."""
        self._file = file or TemporaryFile(prefix="sightline-console-")  # noqa: SIM115
        self._places: dict[str, tuple[int, int]] = {}
        """Name → offset and bytes."""
        self.size = 0
        """Bytes of all contents."""

    def __len__(self) -> int:
        """Return the number of contents."""
        return len(self._places)

    def __iter__(self) -> Iterator[str]:
        """Yield the names."""
        return iter(self._places)

    def __contains__(self, name: object) -> bool:
        """Return whether there is a content of this name."""
        return name in self._places

    def add(self, name: str, content: bytes) -> None:
        """Add a content, in place of one of the same name."""
        self._file.write(content)
        self._places[name] = self.size, len(content)
        self.size += len(content)

    def bytes_of(self, name: str) -> int:
        """Return the size of a content. Raises KeyError."""
        return self._places[name][1]

    def read(self, name: str) -> bytes:
        """Return a content. Threads may read at once. Raises KeyError, and OSError from a full or
        lost disk."""
        offset, size = self._places[name]
        self._file.flush()
        content = os.pread(self._file.fileno(), size, offset)
        if len(content) < size:
            raise OSError(f"{name} is not whole")
        return content

    def again(self) -> Self:
        """Return the same contents, which stay when these are closed. OSError without a file
        descriptor."""
        self._file.flush()
        made = type(self)(os.fdopen(os.dup(self._file.fileno()), "rb"))
        made._places, made.size = self._places, self.size
        return made

    def close(self) -> None:
        """Give the place on the disk back, unless others have the same contents."""
        self._file.close()
