"""Which tests run for each change, and which `make full` runs alone: those with the mark `full`.

Other marks become it:

- `when("docs", "client")`, on tests of what changes seldom, such as pages that are typed: unless a
  file below one of these paths differs from the commit that the work began at. That is `SINCE=`,
  else the last one that the branch has in common with origin/main, on main itself the one before
  the last.
  So are the unit tests of packages that no service imports (LEAVES).
- `first(2)`, on tests whose cases take long: for all but the first two of its cases on each engine.

So does what a test repeats on PostgreSQL, but for the tests of the records themselves.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path

import pytest

from tests.stores import POSTGRESQL, SQLITE

ROOT = Path(__file__).parents[1]

ON_BOTH = re.compile(r"/record/|wire/test_ranker_store")
"""Tests that run on both engines for each change: those of the records."""

LEAVES = {
    "tests/unit/agents/": ("agents", "client", "protos"),
    "tests/unit/console/": ("console", "client", "protos"),
    "tests/unit/client/": ("client", "protos", "docs"),
    "tests/unit/local/": ("deploy/local",),
    "tests/unit/triton/": ("deploy/triton", "services/embedder/src/embedder/adapters"),
}
"""Unit tests of packages that no service imports, and what they test. They run for each change of
that, of theirs and of the environment; those that compare it with a service run for each change."""
ENVIRONMENT = ("uv.lock", "tests/conftest.py", "tests/fakes")
SERVICES = re.compile(
    r"^\s*(from|import) (servicekit|sightline_(rules|core)|embedder|gateway|ranker|retriever)\b",
    re.MULTILINE,
)


def leave_out(items: Sequence[pytest.Item], root: Path = ROOT) -> None:
    """Mark tests `full`."""
    _unless_changed(items, root)
    _all_but_first(items)
    _repeated(items)


def _unless_changed(items: Iterable[pytest.Item], root: Path) -> None:
    wanted = [(item, paths) for item in items for paths in _whens(item, root)]
    changed = files(root) if wanted else ()
    for item, paths in wanted:
        below = tuple(f"{path}/" for path in paths)
        if not any(f"{file}/".startswith(below) for file in changed):
            item.add_marker(pytest.mark.full)


def _whens(item: pytest.Item, root: Path) -> Iterator[Sequence[str]]:
    """Yield groups of paths: the test runs if something below a path of each has changed."""
    if paths := [path for mark in item.iter_markers("when") for path in mark.args]:
        yield paths
    for folder, tested in LEAVES.items():
        file = item.nodeid.partition("::")[0]
        if file.startswith(folder) and not _imports_services(root / file):
            yield (*tested, folder[:-1], *ENVIRONMENT)


@cache
def _imports_services(path: Path) -> bool:
    return path.exists() and SERVICES.search(path.read_text("utf-8")) is not None


def _all_but_first(items: Iterable[pytest.Item]) -> None:
    cases = Counter[tuple[str, bool]]()
    for item in items:
        for mark in item.iter_markers("first"):
            engine = POSTGRESQL in item.nodeid
            test = item.nodeid.partition("[")[0]
            cases[test, engine] += 1
            if cases[test, engine] > mark.args[0]:
                item.add_marker(pytest.mark.full)


def _repeated(items: Sequence[pytest.Item]) -> None:
    names = {item.nodeid for item in items}
    for item in items:
        twin = item.nodeid.replace(POSTGRESQL, SQLITE)
        if twin != item.nodeid and twin in names and not ON_BOTH.search(item.nodeid):
            item.add_marker(pytest.mark.full)


def files(root: Path) -> Sequence[str]:
    """Return the files that have changed; none where the history is not known."""
    since = os.environ.get("SINCE") or _beginning(root)
    if not since:
        return ()
    new = _git(root, "ls-files", "--others", "--exclude-standard")
    old = _git(root, "diff", "--name-only", "--no-renames", since)
    return (*old.splitlines(), *new.splitlines())


def _beginning(root: Path) -> str:
    head = _git(root, "rev-parse", "HEAD")
    common = _git(root, "merge-base", "HEAD", "origin/main")
    return common if common not in {"", head} else _git(root, "rev-parse", "--verify", "HEAD~1")


def _git(root: Path, *command: str) -> str:
    done = subprocess.run(["git", *command], cwd=root, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""
