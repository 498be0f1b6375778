"""The product stands without its laboratory: nothing imports it, and no environment installs it."""

from __future__ import annotations

import ast
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.__main__ import BENCHES, SET

ROOT = Path(__file__).parents[2]
MOST_BENCHES, MOST_LINES = 10, 300


def project(folder: str) -> Any:
    return tomllib.loads((ROOT / folder / "pyproject.toml").read_text("utf-8"))


def versions(lock: str) -> dict[str, str]:
    """Return the version of each package in a lock; the last of several."""
    packages = tomllib.loads((ROOT / lock).read_text("utf-8"))["package"]
    return {each["name"]: each["version"] for each in packages}


def its_own() -> set[str]:
    """Return the names of the packages that the laboratory alone needs."""
    names = {re.split(r"[^\w.-]", each)[0] for each in project("lab")["project"]["dependencies"]}
    return {name for name in names if not name.startswith("sightline")}


def python_files(*places: str) -> list[str]:
    """Return the Python files that Git knows, without the laboratory's."""
    command = ["git", "ls-files", "-co", "--exclude-standard", "--", *places]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    names = [name for name in done.stdout.split() if (ROOT / name).is_file()]
    return [name for name in names if name.endswith(".py") and not name.startswith("lab/")]


def imported(text: str) -> Iterator[str]:
    """Yield the top-level packages that a module imports."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (each.name.partition(".")[0] for each in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


def test_nothing_outside_of_the_laboratory_imports_it() -> None:
    files = python_files()
    assert len(files) > 1_000
    for name in files:
        text = (ROOT / name).read_text("utf-8")
        if re.search(r"\b(import|from) lab\b", text):
            assert "lab" not in set(imported(text)), name


def test_the_products_lock_has_nothing_that_the_laboratory_alone_needs() -> None:
    own = its_own()
    assert "simpy" in own
    assert not {*own, "lab"} & set(versions("uv.lock"))


def test_lint_checks_the_types_of_the_laboratory_without_its_environment() -> None:
    found = project("")["tool"]["mypy"]
    assert "lab" in found["files"]
    left_out = [each for each in found["exclude"] if each.startswith("^lab/")]
    assert left_out == ["^lab/peers/servers/", "^lab/tests/"]


def test_the_laboratory_has_the_versions_of_the_product() -> None:
    """Check that a measurement is one of what is installed."""
    ours, theirs = versions("uv.lock"), versions("lab/uv.lock")
    both = ours.keys() & theirs.keys()
    assert {name: theirs[name] for name in both} == {name: ours[name] for name in both}


def test_there_are_at_most_ten_benches_and_all_of_them_run_by_default() -> None:
    assert len(BENCHES) <= MOST_BENCHES
    assert list(SET.usual) == list(BENCHES)


@pytest.mark.parametrize("name", python_files("bench"))
def test_a_file_of_a_bench_is_short(name: str) -> None:
    assert len((ROOT / name).read_text("utf-8").splitlines()) <= MOST_LINES


@pytest.mark.parametrize(
    "text", ["import lab", "from lab.cases import watch", "def f():\n    import lab.places"]
)
def test_an_import_of_the_laboratory_is_found(text: str) -> None:
    assert "lab" in set(imported(text))
