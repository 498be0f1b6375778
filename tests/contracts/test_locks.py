"""What is decided by rows that may not exist, or in two transactions, is decided again where it is
written."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.code import nodes

ROOT = Path(__file__).parents[2]
FILES = [*ROOT.glob("kit/src/**/*.py"), *ROOT.glob("services/*/src/**/*.py")]

ROWS_LOCKED = {
    "commit_order.py": "the row of a catalog is inserted first",
    "queue.py": "a job that is claimed exists",
    "popularity.py": "rows of products without one are inserted first",
}
"""Modules with SELECT … FOR UPDATE, which locks no row that does not exist, and why it suffices."""

TWICE = {
    "backups.create": "find: a repeated request needs no store; `create` looks again",
    "backups.ask_restore": "find: a repeated request needs no backup; `create` looks again",
}
"""Functions that look for jobs and create one, and why the second decides alone."""


def _functions(path: Path) -> Iterator[tuple[str, str]]:
    for node in nodes(path):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield f"{path.stem}.{node.name}", ast.unparse(node)


def test_rows_that_may_not_exist_are_not_locked_by_reading_them() -> None:
    found = {path.name for path in FILES if "with_for_update(" in path.read_text()}
    assert found == ROWS_LOCKED.keys()


@pytest.mark.parametrize("looks", [("jobs.list(", "open_jobs("), ("jobs.find(",)])
def test_no_job_is_created_by_what_was_listed_before(looks: tuple[str, ...]) -> None:
    """Jobs.create decides by the open jobs in its own transaction: `decide`."""
    found = {
        name
        for path in FILES
        if "jobs.create(" in path.read_text()
        for name, text in _functions(path)
        if "jobs.create(" in text and any(each in text for each in looks)
    }
    assert found <= (TWICE.keys() if looks == ("jobs.find(",) else set())
    if looks == ("jobs.find(",):
        assert found == TWICE.keys()


def test_locks_are_taken_by_the_kit_alone() -> None:
    """Only its locks are noted, so that tests can refuse a write before them."""
    found = {path.name for path in FILES if "advisory_xact_lock" in path.read_text()}
    assert found == {"locks.py", "database.py"}, "database.py: of migrations"
