"""Facts that stand in two places agree."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MEMBERS = sorted(
    path
    for pattern in ("protos", "kit", "rules", "client", "services/*")
    for path in ROOT.glob(f"{pattern}/pyproject.toml")
)


def version(path: Path) -> str:
    return str(tomllib.loads(path.read_text())["project"]["version"])


def test_every_package_has_the_version_that_the_changelog_tells_of() -> None:
    newest = re.search(r"^## (\d+\.\d+\.\d+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert newest is not None
    assert len(MEMBERS) == 8
    assert {version(path) for path in [ROOT / "pyproject.toml", *MEMBERS]} == {newest[1]}


def test_every_make_target_that_a_text_names_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    texts = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("services/*/README.md")]
    named = {
        (path.name, target)
        for path in texts
        for target in re.findall(r"`make ([a-z-]+)", path.read_text())
    }
    assert named, "no text names a target"
    assert {(name, target) for name, target in named if target not in targets} == set()


@pytest.mark.parametrize("member", MEMBERS, ids=lambda path: path.parent.name)
def test_every_package_is_described_typed_and_licensed(member: Path) -> None:
    project = tomllib.loads(member.read_text())["project"]
    assert project["license"] == "Apache-2.0"
    assert project["description"]
    assert list(member.parent.rglob("py.typed"))


def test_ci_does_what_a_person_does() -> None:
    assert "make test" in (ROOT / ".ci/run").read_text()
