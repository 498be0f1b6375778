"""Content of files, reloaded without a restart when one of them changes."""

import math
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import ClassVar, Generic, TypeVar, cast

from prometheus_client import Gauge
from pydantic import ValidationError

from servicekit.telemetry import get_logger

T = TypeVar("T")

LOOK_SECONDS = 1.0
"""Minimum seconds between two checks of the files."""
AGAIN_SECONDS = 30.0
"""Seconds until files that could not be used are read again, even if none of them changed: what
failed may have been too many open files."""


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

    optional: ClassVar[bool] = False
    """True if a process starts with the files that can be used."""

    def __init__(self, problem: str, usable: object = None) -> None:
        """`usable`: the content in which only the files that can't be used are as before; None: the
        content as a whole stays as it was."""
        super().__init__(problem)
        self.usable = usable

    @property
    def stops_start(self) -> bool:
        """Return whether no process starts with these files."""
        return self.usable is None or not self.optional


def problems(error: ValidationError) -> str:
    """Describe validation errors of a file's content by their places, without its values."""
    return "; ".join(
        f"{'.'.join(map(str, each['loc'])) or 'together'}: {each['msg']}"
        for each in error.errors(include_url=False, include_input=False)
    )


def read_each(
    paths: Iterable[Path], read: Callable[[Path], T], former: Mapping[Path, T]
) -> tuple[Mapping[Path, T], Mapping[Path, str]]:
    """Return the content of each file, and the problems of those that can't be read. These keep the
    content that they have in `former`, if any."""
    found, wrong = dict[Path, T](), dict[Path, str]()
    for path in paths:
        try:
            found[path] = read(path)
        except Exception as error:  # of any kind: the other files are not the cause
            known = isinstance(error, Unreadable)
            wrong[path] = str(error) if known else f"{path}: {error!r}"
            if path in former:
                found[path] = former[path]
    return found, wrong


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
        """Read the files; raises Unreadable if its `stops_start` is true.

        `stale` is called after each failed read and each reload, with whether it failed.
        """
        self._paths, self._read, self._stale, self._clock = paths, read, stale, clock
        self._seen = self._marks()
        self._looked = clock()
        self._again = math.inf
        """Time at which the files are read again, unless they change before."""
        self._problem = ""
        """Problem that was logged, once for all looks that find it."""
        try:
            self._content = read()
        except Unreadable as error:
            if error.stops_start:
                raise
            self._content = cast(T, error.usable)
            self._fail(error)

    def get(self) -> T:
        """Return the content, at most LOOK_SECONDS old."""
        now = self._clock()
        if now - self._looked < LOOK_SECONDS:
            return self._content
        self._looked = now
        try:
            marks = self._marks()
            if marks != self._seen or now >= self._again:
                self._seen = marks
                self._content = self._read()
                self._succeed()
        except Exception as error:  # of any kind: the request that looks is not the cause
            self._fail(error)
        return self._content

    def _succeed(self) -> None:
        self._again, self._problem = math.inf, ""
        self._stale(False)
        get_logger().info("files read again", files=sorted(self._seen))

    def _fail(self, error: Exception) -> None:
        self._again = self._looked + AGAIN_SECONDS
        self._stale(True)
        known = isinstance(error, Unreadable)
        usable = error.usable if isinstance(error, Unreadable) else None
        if usable is not None and usable != self._content:
            self._content = cast(T, usable)
        if self._problem != (problem := f"{type(error).__name__}: {error}"):
            self._problem = problem
            get_logger().error(
                "files rejected; the former content stays in force",
                problem=str(error),
                exc_info=None if known else error,
            )

    def _marks(self) -> Mapping[str, tuple[int, ...]]:
        """Return what differs if a file is another, or was changed."""
        marks = {}
        for path in self._paths():
            try:
                stat = path.stat()
            except OSError:
                continue
            # Rights change the inode's time alone; a copy may have the size and time of before.
            marks[str(path)] = (stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)
        return marks
