"""How a process starts: with settings and files that are right, or with all that is wrong said."""

import sys
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from servicekit import config
from servicekit.config import Settings
from servicekit.reloaded import Unreadable

S = TypeVar("S", bound=Settings)

CHECK = "--check"
"""The argument with which a process says whether it would start, and ends."""


def load(cls: type[S], *reading: Callable[[S], object]) -> S:
    """The settings of `cls` from the environment, with which each of `reading` can read its files.

    Those raise Unreadable. When anything is wrong, prints all of it and exits with status 2. With
    CHECK among the arguments of the process it exits in any case, with 0 when all is right.
    """
    settings = config.load(cls)
    if problems := list(_unreadable(settings, reading)):
        print(f"{len(problems)} problem(s):", file=sys.stderr)
        for problem in problems:
            print(f"  {problem}", file=sys.stderr)
        raise SystemExit(2)
    if CHECK in sys.argv[1:]:
        print("settings and files are right")
        raise SystemExit(0)
    return settings


def _unreadable(settings: S, reading: Sequence[Callable[[S], object]]) -> Iterator[str]:
    for read in reading:
        try:
            read(settings)
        except Unreadable as error:
            yield str(error)
