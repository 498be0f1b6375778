"""How a process starts: with settings and files that are right, or with all that is wrong said."""

import re
import sys
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import NoReturn, TypeVar

from servicekit import config, telemetry
from servicekit.config import Settings
from servicekit.reloaded import Unreadable

S = TypeVar("S", bound=Settings)

CHECK = "--check"
"""The argument with which a process says whether it would start, and ends."""


def load(cls: type[S], *reading: Callable[[S], object]) -> S:
    """The settings of `cls` from the environment, with which each of `reading` can read its files.

    Those raise Unreadable. When anything is wrong, or unsafe in production, prints all of it and
    exits with status 2. With CHECK among the arguments of the process it exits in any case, with 0
    when all is right.
    """
    settings = config.load(cls)
    problems = [*_unreadable(settings, reading)]
    if settings.mode == "production":
        problems += settings.unsafe()
    if problems:
        _refuse(problems)
    if CHECK in sys.argv[1:]:
        print(f"settings and files are right ({settings.mode})")
        raise SystemExit(0)
    return settings


async def check_engine(
    settings: Settings, engine: str, version: Callable[[], Awaitable[str | None]], least: str
) -> None:
    """In production, exits with status 2 where an engine says of itself that it is older than
    `least`. One that does not answer yet (None) is no reason not to start."""
    if settings.mode != "production":
        return
    found = await version()
    if found is None:
        telemetry.get_logger().warning("version not checked: no answer", engine=engine)
    elif _numbers(found) < _numbers(least):
        _refuse([f"{engine} {found} has published vulnerabilities: run {least} or later"])


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
