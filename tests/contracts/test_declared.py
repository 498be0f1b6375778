"""A package declares each package of the workspace that it imports, and its image holds it."""

import ast
import re
import tomllib
from itertools import chain
from pathlib import Path

import pytest

from tests import dockerfiles
from tests.code import nodes

ROOT = Path(__file__).parents[2]
MEMBERS = {
    "sightline": "protos",
    "servicekit": "kit",
    "sightline_rules": "rules",
    "sightline_core": "core",
    "sightline_client": "client",
    "sightline_agents": "agents",
    "sightline_console": "console",
    **{
        name: f"services/{name}"
        for name in ("gateway", "embedder", "retriever", "ranker", "vision")
    },
    "sightline_all": "services/all",
}
"""Folder of each package of the workspace."""
NAMES = {
    package: tomllib.loads((ROOT / folder / "pyproject.toml").read_text())["project"]["name"]
    for package, folder in MEMBERS.items()
}
STAGES = {stage.name: stage for stage in dockerfiles.read(ROOT / "Dockerfile")}


def stage_of(package: str) -> str:
    """Return the stage of the Dockerfile that installs a package for its image."""
    return f"build-{MEMBERS[package].rpartition('/')[2]}"


def imported(package: str) -> set[str]:
    """Return the other packages of the workspace that a package imports when it is imported."""
    folder, found = ROOT / MEMBERS[package], set[str]()
    for path in (folder / "src" / package).rglob("*.py"):
        for node in nodes(path):
            if isinstance(node, ast.Import):
                found |= {each.name.partition(".")[0] for each in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.add(node.module.partition(".")[0])
    return found & MEMBERS.keys() - {package}


def declared(package: str) -> set[str]:
    """Return the packages of the workspace that it declares, also as extras."""
    project = tomllib.loads((ROOT / MEMBERS[package] / "pyproject.toml").read_text())["project"]
    extras = chain.from_iterable(project.get("optional-dependencies", {}).values())
    lines = [*project.get("dependencies", ()), *extras]
    names = {re.split(r"[\[<>=~ ]", line, maxsplit=1)[0] for line in lines}
    return {each for each, name in NAMES.items() if name in names}


@pytest.mark.parametrize("package", sorted(MEMBERS.keys() - {"sightline"}))
def test_a_package_declares_what_it_imports(package: str) -> None:
    assert imported(package) - declared(package) == set()


@pytest.mark.parametrize("package", [each for each in MEMBERS if stage_of(each) in STAGES])
def test_an_image_has_the_sources_of_what_its_package_declares(package: str) -> None:
    wanted, known = {package}, set[str]()
    while wanted - known:
        known |= wanted
        wanted |= {each for one in known for each in declared(one)}
    copies = STAGES[stage_of(package)].all("COPY")
    copied = {copy.split()[0].removesuffix("/src") for copy in copies}
    assert {MEMBERS[each] for each in known} - copied - {"protos"} == set()
