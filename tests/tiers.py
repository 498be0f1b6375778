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
from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest

from tests.stores import POSTGRESQL, SQLITE

ROOT = Path(__file__).parents[1]

ON_BOTH = re.compile(r"/record/|wire/test_ranker_store")
"""Tests that run on both engines for each change: those of the records."""

LEAVES = {
    "tests/unit/agents/": ("agents", "client", "protos"),
    "tests/unit/client/": ("client", "protos", "docs"),
    "tests/unit/local/": ("deploy/local",),
    "tests/unit/triton/": ("deploy/triton", "services/embedder/src/embedder/adapters"),
}
"""Unit tests of packages that no service imports, and what they test. They run for each change of
that, of theirs and of the environment."""
ENVIRONMENT = ("uv.lock", "tests/conftest.py", "tests/fakes")


def leave_out(items: Sequence[pytest.Item], root: Path = ROOT) -> None:
    """Mark tests `full`."""
    _unless_changed(items, root)
    _all_but_first(items)
    _repeated(items)


def _unless_changed(items: Iterable[pytest.Item], root: Path) -> None:
    changed: Sequence[str] | None = None
    for item in items:
        if paths := [path for mark in item.iter_markers("when") for path in mark.args]:
            changed = files(root) if changed is None else changed
            _leave_out_unless(item, paths, changed)
        for folder, paths in LEAVES.items():
            if item.nodeid.startswith(folder):
                changed = files(root) if changed is None else changed
                _leave_out_unless(item, (*paths, folder[:-1], *ENVIRONMENT), changed)


def _leave_out_unless(item: pytest.Item, paths: Iterable[str], changed: Sequence[str]) -> None:
    below = tuple(f"{path}/" for path in paths)
    if not any(f"{file}/".startswith(below) for file in changed):
        item.add_marker(pytest.mark.full)


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
