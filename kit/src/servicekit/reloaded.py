"""Content of files, reloaded without a restart when one of them changes."""

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Generic, TypeVar

from prometheus_client import Gauge
from pydantic import ValidationError

from servicekit.telemetry import get_logger

T = TypeVar("T")

LOOK_SECONDS = 1.0
"""Minimum seconds between two checks of the files."""


STALE = Gauge(
    "sightline_key_file_stale",
    "1 while a key file, or the address of keys, can't be read again, so that the keys from before"
    " stay in force: of callers, jwks, peers, signing (tokens, backups, spaces) or tls.",
    ("keys",),
    multiprocess_mode="livemax",
)


def stale_keys(kind: str) -> Callable[[bool], None]:
    """Return the `stale` of Reloaded that sets STALE for a kind of keys."""
    gauge = STALE.labels(kind)
    gauge.set(0)
    return gauge.set


class Unreadable(Exception):
    """Files can't be used; the message names the file and the problem, and no secret of it."""


def problems(error: ValidationError) -> str:
    """Describe validation errors of a file's content by their places, without its values."""
    return "; ".join(
        f"{'.'.join(map(str, each['loc'])) or 'together'}: {each['msg']}"
        for each in error.errors(include_url=False, include_input=False)
    )


class Reloaded(Generic[T]):
    """Parsed content of some files. If a reload fails, the former content stays in use."""

    def __init__(
        self,
        paths: Callable[[], Iterable[Path]],
        read: Callable[[], T],
        *,
        stale: Callable[[bool], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Read the files; raises Unreadable.

        `stale` is called after each reload, with whether it failed.
        """
        self._paths, self._read, self._stale, self._clock = paths, read, stale, clock
        self._seen = self._marks()
        self._content = read()
        self._looked = clock()

    def get(self) -> T:
        """Return the content, at most LOOK_SECONDS old."""
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
        except Exception as error:  # of any kind: the request that looks is not the cause
            self._stale(True)
            known = isinstance(error, Unreadable)
            get_logger().error(
                "files rejected; the former content stays in force",
                problem=str(error),
                exc_info=None if known else error,
            )
        else:
            self._stale(False)
            get_logger().info("files read again", files=names)

    def _marks(self) -> dict[str, tuple[int, int]]:
        """Return modification time (ns) and size of each file."""
        marks = {}
        for path in self._paths():
            try:
                stat = path.stat()
            except OSError:
                continue
            marks[str(path)] = (stat.st_mtime_ns, stat.st_size)
        return marks
