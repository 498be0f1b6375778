"""Contents that are kept on the disk, in one file without a name: it ends with its process."""

import os
import weakref
from collections.abc import Iterator
from tempfile import TemporaryFile
from typing import Self


def _file() -> int:
    """Return the descriptor of a new file without a name."""
    with TemporaryFile(prefix="sightline-console-") as made:
        return os.dup(made.fileno())


class Packed:
    """Contents by name."""

    def __init__(self, descriptor: int | None = None) -> None:
        """`descriptor`: of the file; None makes an empty one."""
        self._descriptor = _file() if descriptor is None else descriptor
        self._end = weakref.finalize(self, os.close, self._descriptor)
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

    @property
    def is_open(self) -> bool:
        """False: these are closed."""
        return self._end.alive

    def add(self, name: str, content: bytes) -> None:
        """Add a content under a new name. Raises OSError if the disk is full."""
        left, at = memoryview(content), self.size
        while left:
            written = os.pwrite(self._descriptor, left, at)
            left, at = left[written:], at + written
        self._places[name] = self.size, len(content)
        self.size = at

    def bytes_of(self, name: str) -> int:
        """Return the size of a content. Raises KeyError."""
        return self._places[name][1]

    def read(self, name: str) -> bytes:
        """Return a content. Threads may read at once. Raises KeyError, and OSError from a file that
        is not whole."""
        offset, size = self._places[name]
        content = os.pread(self._descriptor, size, offset)
        if len(content) < size:
            raise OSError(f"{name} is not whole")
        return content

    def again(self) -> Self:
        """Return the same contents, which stay when these are closed. Raises OSError if too many
        files are open."""
        made = type(self)(os.dup(self._descriptor))
        made._places, made.size = self._places, self.size
        return made

    def close(self) -> None:
        """Give the place on the disk back, unless others have the same contents."""
        self._end()
