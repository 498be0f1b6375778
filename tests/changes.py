"""Tests of what changes seldom: pages that are typed, installations of locked packages.

`pytest.mark.when("docs", "client")` leaves a test to `make full`, unless a file below one of these
paths differs from the commit that the work began at: that of `SINCE=`, else the last one that the
branch has in common with origin/main, on main itself the one before the last.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def leave_out(items: Iterable[pytest.Item], root: Path = ROOT) -> None:
    """Mark tests `full` whose paths have not changed."""
    changed: Sequence[str] | None = None
    for item in items:
        if marks := list(item.iter_markers("when")):
            changed = files(root) if changed is None else changed
            paths = tuple(f"{path}/" for mark in marks for path in mark.args)
            if not any(f"{file}/".startswith(paths) for file in changed):
                item.add_marker(pytest.mark.full)


def files(root: Path) -> Sequence[str]:
    """Return the files that have changed; none where the history is not known."""
    since = os.environ.get("SINCE") or _beginning(root)
    if not since:
        return ()
    new = _git(root, "ls-files", "--others", "--exclude-standard")
    return (*_git(root, "diff", "--name-only", since).splitlines(), *new.splitlines())


def _beginning(root: Path) -> str:
    head = _git(root, "rev-parse", "HEAD")
    common = _git(root, "merge-base", "HEAD", "origin/main")
    return common if common not in {"", head} else _git(root, "rev-parse", "--verify", "HEAD~1")


def _git(root: Path, *command: str) -> str:
    done = subprocess.run(["git", *command], cwd=root, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""
