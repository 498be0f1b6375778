"""What files hold now: read again when one of them changes, without a restart."""

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Generic, TypeVar

from pydantic import ValidationError

from servicekit.telemetry import get_logger

T = TypeVar("T")

LOOK_SECONDS = 1.0
"""How often the files are looked at, at most."""


class Unreadable(Exception):
    """Files can't be used; the message names the one and what is wrong, and no secret of it."""


def problems(error: ValidationError) -> str:
    """What is wrong with a file's content, each with its place; no value of it."""
    return "; ".join(
        f"{'.'.join(map(str, each['loc'])) or 'together'}: {each['msg']}"
        for each in error.errors(include_url=False, include_input=False)
    )


class Reloaded(Generic[T]):
    """What `read` makes of some files. Where it can't, the former content stays in force."""

    def __init__(
        self,
        paths: Callable[[], Iterable[Path]],
        read: Callable[[], T],
        *,
        stale: Callable[[bool], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Reads them; raises Unreadable. `stale`: is called with whether the files are bad, each
        time that they were read again."""
        self._paths, self._read, self._stale, self._clock = paths, read, stale, clock
        self._seen = self._marks()
        self._content = read()
        self._looked = clock()

    def get(self) -> T:
        """The content, as new as `LOOK_SECONDS`."""
        now = self._clock()
        if now - self._looked < LOOK_SECONDS:
            return self._content
        self._looked = now
        marks = self._marks()
        if marks != self._seen:
            self._seen = marks
            self._again(sorted(marks))
        return self._content

    def _again(self, names: list[str]) -> None:
        try:
            self._content = self._read()
        except Unreadable as error:
            self._stale(True)
            get_logger().error("files refused; the former ones go on", problem=str(error))
        else:
            self._stale(False)
            get_logger().info("files read again", files=names)

    def _marks(self) -> dict[str, tuple[int, int]]:
        """Modification time (ns) and size of each file."""
        marks = {}
        for path in self._paths():
            try:
                stat = path.stat()
            except OSError:
                continue
            marks[str(path)] = (stat.st_mtime_ns, stat.st_size)
        return marks
