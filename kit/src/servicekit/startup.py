"""Start of a process: settings and files are checked, and all problems are reported at once."""

import asyncio
import contextlib
import re
import sys
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import NoReturn, TypeVar

from servicekit import config, telemetry
from servicekit.config import ServiceSettings, TraceSettings
from servicekit.processes import process_group
from servicekit.tasks.supervision import LoopEnded, supervised
from servicekit.watched_files import Unreadable

S = TypeVar("S", bound=ServiceSettings)

CHECK = "--check"
"""Argument that makes a process check its settings and exit."""
AGAIN_SECONDS = 5.0
"""Seconds between two requests for the version of an engine that did not answer."""

_ASKING: set[asyncio.Task[None]] = set()


def load(cls: type[S], *reading: Callable[[S], object]) -> S:
    """Return settings as `checked` does; with CHECK among the arguments of the process, exit with 0
    when all is valid."""
    settings = checked(cls, *reading)
    if CHECK in sys.argv[1:]:
        print(f"settings and files are valid ({settings.mode})")
        raise SystemExit(0)
    return settings


def checked(cls: type[S], *reading: Callable[[S], object]) -> S:
    """Return the settings of `cls` from the environment, after each of `reading` has read its
    files.

    `reading` raises Unreadable. If anything is invalid, or unsafe in production, prints all
    problems and exits with status 2.
    """
    settings = config.load(cls)
    problems = [*_unreadable(settings, reading)]
    if settings.mode == "production":
        problems += settings.unsafe()
    if problems:
        refuse(problems)
    return settings


def observe(service: str, settings: TraceSettings, level: str) -> None:
    """Configure logs from `level` up, and traces if `settings` name a collector."""
    telemetry.configure_logging(service, level)
    keeps = getattr(settings, "processes", 1) > 1 and process_group.number() is None
    if settings.traces_endpoint and not keeps:  # the supervisor of processes records no traces
        from servicekit import trace_export

        trace_export.start(service, settings)


async def check_engine(
    settings: ServiceSettings, engine: str, version: Callable[[], Awaitable[str | None]], least: str
) -> None:
    """Exit with status 2 if an engine is older than `least`, in production.

    An engine that does not answer (None) does not prevent the start: it is asked again in the
    background until it does.
    """

    async def answers(after: float = 0.0) -> bool:
        await asyncio.sleep(after)
        if (found := await version()) and numbers(found) < numbers(least):
            refuse([f"{engine} {found} has published vulnerabilities: run {least} or later"])
        return found is not None

    async def again() -> None:
        if await answers(after=AGAIN_SECONDS):
            raise LoopEnded

    async def ask_again() -> None:
        with contextlib.suppress(LoopEnded):
            await supervised("versions of engines", again)

    if settings.mode == "production" and not await answers():
        telemetry.get_logger().warning("version not checked yet: no answer", engine=engine)
        asking = asyncio.create_task(ask_again())
        _ASKING.add(asking)
        asking.add_done_callback(_ASKING.discard)


def numbers(version: str) -> tuple[int, ...]:
    """Return (2, 6, 19) of `v2.6.19-dev`; () of a version of another form."""
    found = re.match(r"v?(\d+)\.(\d+)\.(\d+)", version)
    return tuple(map(int, found.groups())) if found else ()


def _unreadable(settings: S, reading: Sequence[Callable[[S], object]]) -> Iterator[str]:
    for read in reading:
        try:
            read(settings)
        except Unreadable as error:
            if error.stops_start:
                yield str(error)


def refuse(problems: Sequence[str]) -> NoReturn:
    """Print problems and exit with status 2."""
    print(f"{len(problems)} problem(s):", file=sys.stderr)
    for problem in problems:
        print(f"  {problem}", file=sys.stderr)
    raise SystemExit(2)
