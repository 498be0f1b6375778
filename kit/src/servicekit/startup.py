"""How a process starts: with settings and files that are right, or with all that is wrong said."""

import asyncio
import re
import sys
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import NoReturn, TypeVar

from servicekit import config, processes, telemetry
from servicekit.config import ServiceSettings, TraceSettings
from servicekit.reloaded import Unreadable

S = TypeVar("S", bound=ServiceSettings)

CHECK = "--check"
"""The argument with which a process says whether it would start, and ends."""
AGAIN_SECONDS = 5.0
"""After which an engine that did not say its version is asked again."""

_ASKING: set[asyncio.Task[None]] = set()


def load(cls: type[S], *reading: Callable[[S], object]) -> S:
    """As `checked`; with CHECK among the arguments of the process it exits in any case, with 0 when
    all is right."""
    settings = checked(cls, *reading)
    if CHECK in sys.argv[1:]:
        print(f"settings and files are right ({settings.mode})")
        raise SystemExit(0)
    return settings


def checked(cls: type[S], *reading: Callable[[S], object]) -> S:
    """The settings of `cls` from the environment, with which each of `reading` can read its files.

    Those raise Unreadable. When anything is wrong, or unsafe in production, prints all of it and
    exits with status 2.
    """
    settings = config.load(cls)
    problems = [*_unreadable(settings, reading)]
    if settings.mode == "production":
        problems += settings.unsafe()
    if problems:
        _refuse(problems)
    return settings


def observe(service: str, settings: TraceSettings, level: str) -> None:
    """Have logs written from `level` up, and traces sent where `settings` say so."""
    telemetry.configure_logging(service, level)
    keeps = getattr(settings, "processes", 1) > 1 and processes.number() is None
    if settings.traces_endpoint and not keeps:  # who looks after processes does nothing else
        from servicekit import trace_export

        trace_export.start(service, settings)


async def check_engine(
    settings: ServiceSettings, engine: str, version: Callable[[], Awaitable[str | None]], least: str
) -> None:
    """In production, exits with status 2 where an engine says of itself that it is older than
    `least`. One that does not answer (None) is no reason not to start: it is asked again, beside
    the work, until it does."""

    async def answers(after: float = 0.0) -> bool:
        await asyncio.sleep(after)
        if (found := await version()) and _numbers(found) < _numbers(least):
            _refuse([f"{engine} {found} has published vulnerabilities: run {least} or later"])
        return found is not None

    async def ask_again() -> None:
        while not await answers(after=AGAIN_SECONDS):
            pass

    if settings.mode == "production" and not await answers():
        telemetry.get_logger().warning("version not checked yet: no answer", engine=engine)
        asking = asyncio.create_task(ask_again())
        _ASKING.add(asking)
        asking.add_done_callback(_ASKING.discard)


def _numbers(version: str) -> tuple[int, ...]:
    """Of `v2.6.19-dev`, (2, 6, 19); none of a version that does not begin with them."""
    found = re.match(r"v?(\d+)\.(\d+)\.(\d+)", version)
    return tuple(map(int, found.groups())) if found else ()


def _unreadable(settings: S, reading: Sequence[Callable[[S], object]]) -> Iterator[str]:
    for read in reading:
        try:
            read(settings)
        except Unreadable as error:
            yield str(error)


def _refuse(problems: Sequence[str]) -> NoReturn:
    print(f"{len(problems)} problem(s):", file=sys.stderr)
    for problem in problems:
        print(f"  {problem}", file=sys.stderr)
    raise SystemExit(2)
