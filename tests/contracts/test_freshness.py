"""Facts that are in two places agree."""

import re
import tomllib
from pathlib import Path

import pytest

from docs.errors import fixes
from gateway.model.causes import Peer

ROOT = Path(__file__).parents[2]
MEMBERS = sorted(
    path
    for pattern in ("protos", "kit", "rules", "core", "client", "services/*")
    for path in ROOT.glob(f"{pattern}/pyproject.toml")
)


def test_every_make_target_that_a_text_names_exists() -> None:
    rules = re.findall(r"^([a-z -]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    targets = {target for rule in rules for target in rule.split()}
    places = ("*.md", "docs/*/*.md", "lab/*/*.md", "services/*/README.md")
    paths = [page for place in places for page in ROOT.glob(place)]
    texts = {str(path.relative_to(ROOT)): path.read_text() for path in paths}
    # Entries of past releases name targets as they were.
    del texts["CHANGELOG-archive.md"]
    texts["CHANGELOG.md"] = "".join(re.split(r"^(?=## )", texts["CHANGELOG.md"], flags=re.M)[:2])
    named = {
        (name, target)
        for name, text in texts.items()
        for target in re.findall(r"`make ([a-z-]+)", text)
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


NOT_PUBLISHED = {"JOB_CLAIM_LOST", "UNIMPLEMENTED", "UNKNOWN"}
"""Reasons that reach no caller of a service, or are a gRPC code's own name."""


def test_every_reason_that_a_caller_can_meet_is_explained_and_no_other() -> None:
    sources = [*ROOT.glob("services/*/src/**/*.py"), *ROOT.glob("kit/src/**/*.py")]
    raised = {
        reason
        for path in sources
        for reason in re.findall(r'\breason="([A-Z_]+)"', path.read_text())
    }
    lines = (ROOT / "docs/integrate/errors.md").read_text().splitlines()
    rows = [line.split("|")[1] for line in lines if line.startswith("| ")]
    explained = {
        reason for cell in rows for reason in re.findall(r"[A-Z]+(?:_[A-Z]+)+|INTERNAL", cell)
    }
    assert raised - NOT_PUBLISHED - explained == set()
    assert raised - NOT_PUBLISHED - set(fixes()) == set()
    unreachable = [f'"{peer.upper()}_UNAVAILABLE"' for peer in Peer]
    everywhere = "".join([*(path.read_text() for path in sources), *unreachable])
    assert {reason for reason in explained if f'"{reason}"' not in everywhere} == set()
