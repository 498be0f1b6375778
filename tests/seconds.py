"""Processor seconds of a run of tests, by file and by shared fixture, of all processes started.

What a fixture of a module or more starts, such as an engine, counts for the fixture until it is
ready, and then for the tests that use it. Each run writes a file of its own into
`.cache/test-seconds`; `python -m tests.seconds` prints the sum of all of them by group.
"""

from __future__ import annotations

import json
import resource
import time
from collections import Counter
from collections.abc import Generator, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parents[1] / ".cache/test-seconds"
SHOWN = 10
TICKS = 100
"""Clock ticks a second in /proc, on every Linux."""


def spent() -> float:
    """Return the processor seconds of this process and of all that it started, ended or not."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    living = sum(_of(process) for process in _descendants("self"))
    return time.process_time() + ended.ru_utime + ended.ru_stime + living


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
        stat = Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return 0.0
    user, system, children_user, children_system = stat.rpartition(")")[2].split()[11:15]
    return (int(user) + int(system) + int(children_user) + int(children_system)) / TICKS


class Seconds:
    """Seconds by name of one process that runs tests."""

    def __init__(self) -> None:
        self.by_name: Counter[str] = Counter()
        self._last = 0.0

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
    """Print the seconds of all runs since the folder was emptied, as JSON."""
    by_name: Counter[str] = Counter()
    for path in sorted(FOLDER.glob("*.json")):
        by_name.update(json.loads(path.read_text()))
    found = groups(by_name)
    rows = {name: round(each, 1) for name, each in found.most_common()}
    print(json.dumps({"all": round(found.total(), 1), **rows}, indent=1))


if __name__ == "__main__":
    main()
