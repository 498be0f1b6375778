"""Every file that a process or a command reads: one that is broken costs nothing but itself.

A module that reads files fails here until it has a row in `files_read`: which file, what a broken
one does, and the test that shows it.
"""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

from tests.code import nodes
from tests.contracts.files_read import NO_FILES, ROWS

ROOT = Path(__file__).parents[2]
FOLDERS = (
    *sorted(ROOT.glob("services/*/src")),
    *(ROOT / each / "src" for each in ("kit", "client", "agents", "console", "rules", "core")),
)
READS = {
    *("read_text", "read_bytes", "cat_file", "load_cert_chain", "load_verify_locations"),
    *("open_memmap", "memmap", "fromfile", "file_digest", "copytree", "copyfile"),
    *("ParquetFile", "read_table", "ZipFile", "TarFile", "iterparse", "from_file"),
}
"""Names of functions that read files, of any module."""
LOADS = {"np", "json", "tomllib", "onnx", "pickle", "yaml", "marshal"}
"""Modules whose `load` reads a file."""


def _reads(node: ast.AST) -> bool:
    match node:
        case ast.Attribute(attr=name) if name in READS:
            return True
        case ast.Call(func=ast.Name("open" | "ZipFile") | ast.Attribute(attr="open" | "fdopen")):
            # What is opened to be written to alone, and folders whose names are made durable.
            said = [each.value for each in ast.walk(node) if isinstance(each, ast.Constant)]
            flags = {each.attr for each in ast.walk(node) if isinstance(each, ast.Attribute)}
            writes = any(str(each).strip("bt") in {"w", "a", "x"} for each in said)
            return not writes and flags.isdisjoint({"O_WRONLY", "O_DIRECTORY", "devnull"})
        case ast.Call(func=ast.Attribute(value=ast.Name(module), attr="load")):
            return module in LOADS
        case ast.Call(func=ast.Attribute(value=ast.Name("sqlite3"), attr="connect")):
            return True
    return False


def readers() -> set[str]:
    """Return the modules that read files."""
    found = set()
    for folder in FOLDERS:
        for path in folder.rglob("*.py"):
            if any(map(_reads, nodes(path))):
                parts = path.relative_to(folder).with_suffix("").parts
                found.add(".".join(each for each in parts if each != "__init__"))
    return found


@cache
def _tests(file: str) -> frozenset[str]:
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    found = nodes(ROOT / "tests" / file)
    return frozenset(each.name for each in found if isinstance(each, functions))


@pytest.mark.when(
    "agents", "client", "console", "core", "kit", "rules", "services", "tests/contracts"
)
def test_every_module_that_reads_files_is_listed() -> None:
    found = readers()
    assert found - ROWS.keys() - NO_FILES.keys() == set(), "say what a broken file does"
    assert ROWS.keys() | NO_FILES.keys() == found, "these read nothing any more"
    assert not ROWS.keys() & NO_FILES.keys()


@pytest.mark.parametrize("module", ROWS)
def test_a_test_shows_what_a_broken_file_does(module: str) -> None:
    file, _, name = ROWS[module].test.partition("::")
    assert name.startswith("test_")
    assert name in _tests(file)
