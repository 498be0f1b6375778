"""Processor seconds of a run of tests, by file and by shared fixture, of all processes started.

What a fixture of a module or more starts, such as an engine, counts for the fixture until it is
ready, and then for the tests that use it. A suite that runs detached counts, but for its last
second. Each run writes a file of its own into `.cache/test-seconds`; `python -m tests.seconds`
sums them by group.
"""

from __future__ import annotations

import json
import os
import resource
import time
from collections import Counter
from collections.abc import Generator, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / ".cache/test-seconds"
SUMS = ROOT / ".cache/test-seconds.json"
SHOWN = 10
TICKS = 100
"""Clock ticks a second in /proc, on every Linux."""


def spent() -> float:
    """Return the processor seconds of this process and of all that it started, ended or not."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    living = sum(_of(process) for process in _descendants("self"))
    return time.process_time() + ended.ru_utime + ended.ru_stime + living + DETACHED.spent()


class Detached:
    """Processes that left the tree of this one, such as a suite's supervisor, and all below them.

    They are known by a variable of the environment that all processes of the tests inherit.
    """

    MARK = "SIGHTLINE_TESTS_OF"
    PAUSE = 1.0
    """Seconds between two looks at all processes."""

    def __init__(self) -> None:
        self._marked = f"{self.MARK}={os.getpid()}".encode()
        self._seconds: dict[tuple[str, str], float] = {}
        """By number and start, since numbers are used again."""
        self._next = 0.0

    def mark(self) -> None:
        """Have the processes recognized that are started from now on."""
        os.environ[self.MARK] = str(os.getpid())

    def spent(self) -> float:
        """Return the seconds of all that were seen."""
        if time.monotonic() >= self._next:
            self._look()
            self._next = time.monotonic() + self.PAUSE
        return sum(self._seconds.values())

    def _look(self) -> None:
        for folder in Path("/proc").iterdir():
            if not folder.name.isdigit():
                continue
            try:
                parent, started = _fields(folder.name, 1, 19)
                if parent == "1" and self._marked in (folder / "environ").read_bytes().split(b"\0"):
                    each = folder.name, started
                    self._seconds[each] = sum(map(_of, (folder.name, *_descendants(folder.name))))
            except OSError:
                continue  # it has ended, or is somebody else's


DETACHED = Detached()


def _fields(process: str, *places: int) -> list[str]:
    """Return fields of proc(5)'s stat, from the state on."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return [fields[place] for place in places]


def _descendants(process: str) -> Iterator[str]:
    try:
        for thread in Path(f"/proc/{process}/task").iterdir():
            for child in (thread / "children").read_text().split():
                yield child
                yield from _descendants(child)
    except OSError:
        return  # it has ended


def _of(process: str) -> float:
    """Return the seconds of a process, and of those it waited for."""
    try:
        return sum(map(int, _fields(process, 11, 12, 13, 14))) / TICKS
    except OSError:
        return 0.0


class Seconds:
    """Seconds by name of one process that runs tests."""

    def __init__(self) -> None:
        self.by_name: Counter[str] = Counter()
        self._last = 0.0
        DETACHED.mark()

    def count(self, name: str) -> None:
        """Count what was spent since the last call for `name`."""
        now = spent()
        self.by_name[name] += max(0.0, now - self._last)
        self._last = now

    def pytest_collection_finish(self) -> None:
        self.count("collection")

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_fixture_setup(
        self, fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest
    ) -> Generator[None, object, object]:
        if fixturedef.scope == "function":
            return (yield)
        self.count(_file(request.node.nodeid))
        try:
            return (yield)
        finally:
            self.count(f"{fixturedef.argname} of {fixturedef.baseid or 'tests'}")

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        try:
            return (yield)
        finally:
            self.count(_file(item.nodeid))

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self) -> None:
        self.count("end")

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        FOLDER.mkdir(parents=True, exist_ok=True)
        name = "-".join(str(each).replace("/", ".") for each in terminalreporter.config.args)
        kept = {name: round(seconds, 1) for name, seconds in self.by_name.most_common()}
        (FOLDER / f"{name[:100]}.json").write_text(json.dumps(kept, indent=1))
        terminalreporter.section(f"processor seconds: {self.by_name.total():.0f}")
        for group, seconds in groups(self.by_name).most_common(SHOWN):
            terminalreporter.line(f"{seconds:7.1f}  {group}")


def groups(seconds: Mapping[str, float]) -> Counter[str]:
    """Sum seconds by folder; fixtures and the collection stay as they are."""
    found: Counter[str] = Counter()
    for name, each in seconds.items():
        found[name.rpartition("/")[0] if name.endswith(".py") else name] += each
    return found


def _file(test: str) -> str:
    return test.partition("::")[0]


def main() -> None:
    """Print the slowest groups of all runs since the folder was emptied; write all to SUMS."""
    by_name: Counter[str] = Counter()
    for path in sorted(FOLDER.glob("*.json")):
        by_name.update(json.loads(path.read_text()))
    found = groups(by_name)
    rows = {name: round(each, 1) for name, each in found.most_common()}
    SUMS.write_text(json.dumps({"all": round(found.total(), 1), **rows}, indent=1) + "\n")
    print(f"{found.total():.0f} processor seconds of tests ({SUMS.relative_to(ROOT)}); most for:")
    for group, seconds in found.most_common(SHOWN):
        print(f"{seconds:7.1f}  {group}")


if __name__ == "__main__":
    main()
