"""Syntax trees of modules, parsed once for all tests that look at code."""

from __future__ import annotations

import ast
import gc
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path


@cache
def tree(path: Path) -> ast.Module:
    """Return the syntax tree of a module."""
    found = ast.parse(path.read_text("utf-8"))
    gc.freeze()  # millions of nodes stay: each collection would look at all of them again
    return found


@cache
def nodes(path: Path) -> Sequence[ast.AST]:
    """Return all nodes of a module."""
    return tuple(ast.walk(tree(path)))


@cache
def nodes_in_functions(path: Path) -> Sequence[tuple[str, ast.AST]]:
    """Return all nodes of a module, each with the name of the innermost function around it."""
    return tuple(_within(tree(path), ""))


def _within(node: ast.AST, function: str) -> Iterator[tuple[str, ast.AST]]:
    for child in ast.iter_child_nodes(node):
        inner = (
            child.name if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef) else function
        )
        yield inner, child
        yield from _within(child, inner)
