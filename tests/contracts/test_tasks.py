"""Rules for tasks of services: futures are made by the kit, loops are supervised, and shared work
runs in no caller's context."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from itertools import chain
from pathlib import Path

import pytest

from tests.code import tree

ROOT = Path(__file__).parents[2]
SOURCES = (
    *("kit/src", "rules/src", "core/src", "services/*/src", "agents/src", "client/src"),
    "console/src",
)
FUTURES = {
    "kit/src/servicekit/tasks/promise.py",
    "kit/src/servicekit/rpc/equal_calls.py",
    "kit/src/servicekit/admission/fair_permits.py",
    "kit/src/servicekit/rpc/local_channel.py",
    "kit/src/servicekit/admission/memory_budget.py",
    "kit/src/servicekit/deadlines.py",
}
"""Modules that make futures by hand. Others use servicekit.tasks.promise, or the permits of
these."""
LOOPS = {
    "kit/src/servicekit/liveness.py: _heartbeat": "two steps that can't fail",
}
"""Loops without an end of their own outside servicekit.tasks.supervision, each with the reason."""
OF_CALLERS = {
    "services/embedder/src/embedder/embedding/photos.py: create_task(seeing)": "of one call",
    "services/gateway/src/gateway/http/calls.py: "
    "ensure_future(self._read(admitted))": "of one call",
    "kit/src/servicekit/rpc/interceptors.py: ensure_future(_follow(begun, span))": "of one call",
}
"""Tasks that are kept in an attribute though they run in the context that started them, each with
the reason."""
STARTED_APART = {"start", "run", "serve", "__aenter__", "_follow", "main"}
"""Functions that no request calls: tasks that they start have no caller."""


@cache
def modules() -> tuple[tuple[str, ast.Module], ...]:
    """Return the modules of our code that start tasks, make futures or wait."""
    paths = chain.from_iterable(
        folder.rglob("*.py") for pattern in SOURCES for folder in ROOT.glob(pattern)
    )
    texts = {path: path.read_text("utf-8") for path in paths if "_generated" not in path.parts}
    return tuple(
        (str(path.relative_to(ROOT)), tree(path))
        for path, text in sorted(texts.items())
        if "await " in text or "uture" in text or "create_task" in text
    )


def test_futures_are_made_by_hand_in_the_kit_alone() -> None:
    assert {name for name, tree in modules() if any(map(_makes_future, ast.walk(tree)))} == FUTURES


def test_loops_without_an_end_are_supervised() -> None:
    found = {
        f"{name}: {function.name}"
        for name, tree in modules()
        if not name.startswith(("client/", "agents/", "console/"))
        for function in ast.walk(tree)
        if isinstance(function, ast.AsyncFunctionDef) and any(map(_is_endless, _own(function)))
    }
    assert found == {*LOOPS}


@pytest.mark.when(
    "agents", "client", "console", "core", "kit", "rules", "services", "tests/contracts"
)
def test_tasks_that_callers_share_run_in_a_context_of_their_own() -> None:
    found = {
        f"{name}: {text}"
        for name, tree in modules()
        if not name.startswith(("client/", "agents/", "console/"))
        for text in _kept_tasks(tree)
    }
    assert found == {*OF_CALLERS}


@pytest.mark.parametrize(
    "broken",
    [
        "async def run():\n    while True:\n        await look()\n",
        "async def run():\n    while not stop.is_set():\n        await look()\n",
    ],
)
def test_the_rule_of_loops_finds_one(broken: str) -> None:
    (function,) = ast.parse(broken).body
    assert isinstance(function, ast.AsyncFunctionDef)
    assert any(map(_is_endless, _own(function)))


def test_the_rule_of_tasks_finds_one() -> None:
    assert [*_kept_tasks(ast.parse("def f(self):\n    self._a[0] = asyncio.create_task(g())\n"))]
    given = "def f(self):\n    self.a = asyncio.create_task(g(), context=Context())\n"
    assert not [*_kept_tasks(ast.parse(given))]


def _makes_future(node: ast.AST) -> bool:
    if not isinstance(node, ast.Call):
        return False
    name = node.func.attr if isinstance(node.func, ast.Attribute) else ""
    return name == "create_future" or ast.unparse(node.func) in {"asyncio.Future", "Future"}


def _own(function: ast.AsyncFunctionDef) -> Iterator[ast.AST]:
    """Yield the nodes of a function without those of functions in it."""
    waiting: list[ast.AST] = [*function.body]
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            waiting += ast.iter_child_nodes(node)


def _is_endless(node: ast.AST) -> bool:
    """Return whether a loop ends by an error, or by a request to stop, alone."""
    if not isinstance(node, ast.While):
        return False
    test = ast.unparse(node.test)
    asked = re.fullmatch(r"True|not [\w.]+(\.is_set\(\)|stopping|closing)", test) is not None
    inside = [each for part in node.body for each in ast.walk(part)]
    return asked and not any(isinstance(each, ast.Return | ast.Break) for each in inside)


def _kept_tasks(tree: ast.Module) -> Iterator[str]:
    """Yield the tasks that are kept in an attribute, and so outlast the call that starts them,
    without a context of their own."""
    for function in ast.walk(tree):
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if function.name in STARTED_APART:
            continue
        for node in ast.walk(function):
            if isinstance(node, ast.Assign):
                kept = any(isinstance(each, ast.Attribute | ast.Subscript) for each in node.targets)
            else:  # self._tasks.add(task := …)
                kept = isinstance(node, ast.Call) and ast.unparse(node.func).endswith(".add")
            if kept:
                yield from filter(None, map(_task, ast.walk(node)))


def _task(node: ast.AST) -> str:
    if not isinstance(node, ast.Call) or any(each.arg == "context" for each in node.keywords):
        return ""
    name = ast.unparse(node.func).rpartition(".")[2]
    return ast.unparse(node).partition(".")[2] if name in {"create_task", "ensure_future"} else ""
