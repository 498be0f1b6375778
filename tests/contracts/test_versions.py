"""The version is in many places; one script writes and compares them all."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OF_ANOTHER_TIME = re.compile(
    r"CHANGELOG(-archive)?\.md|protos/image\.binpb|protos/sightline/.*admin_service.*|(bench|lab)/results/.*"
    r"|lab/research/.*"
    r"|tests/contracts/released\.toml|tests/unit/.*backup.*|docs/(?!(?:zh/)?tutorials/a-day|operate/releases).*\.md"
)
"""Files that name past releases: records of a release, pages and tests of its backups, and an
example in the contract."""

IMAGES = next(
    str(path.relative_to(ROOT))
    for path in sorted((ROOT / "deploy/k8s/base").rglob("kustomization.yaml"))
    if "sightline/ranker-train, newTag: " in path.read_text("utf-8")
)
"""The file in which the Kubernetes base names the images."""


def version(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [root / "deploy/version.sh", *arguments], capture_output=True, text=True, check=False
    )


def holding(text: str) -> set[str]:
    """Return the files of the repository that contain a text, binary ones included."""
    listed = ("git", "grep", "--untracked", "-lF", "-e", text)
    done = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=False)
    return set(done.stdout.split())


OF_OTHERS = re.compile(
    r'"(?!sightline)[\w-]+(?:\[[\w,-]+\])?==[^"]+"|name = "(?!sightline)[\w-]+", version = "[^"]+"'
)
"""Requirements of other packages, and their metadata."""


def says(old: str, name: str, text: str) -> bool:
    """Return whether a file contains our version: another package that a lock or a requirement
    names may have the same, and an address, such as 10.20.0.0, its digits."""
    if name.endswith("go.mod"):
        text = "\n".join(line for line in text.splitlines() if "sightline" in line)
    if name.endswith("pyproject.toml"):
        text = OF_OTHERS.sub("", text)
    if not name.endswith(".lock"):
        return re.search(rf"(?<![\d.]){re.escape(old)}(?!\.?\d)", text) is not None
    ours = rf'^name = "sightline[\w-]*"\nversion = "{re.escape(old)}"'
    return re.search(ours, text, re.MULTILINE) is not None


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Return a copy of the files that contain the version."""
    said = version(ROOT).stdout.strip()
    held = holding(said) | holding(said.replace(".", "-"))  # the names of Jobs have no dots
    for name in held | {"deploy/version.sh", "CHANGELOG.md"}:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def test_every_place_says_the_version_of_the_changelog() -> None:
    done = version(ROOT, "check")
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_a_new_version_reaches_every_place_that_says_one(copy: Path) -> None:
    """Check that no file with the old version is left: the script has to know each place."""
    old = version(copy).stdout.strip()
    assert version(copy, "write", "98.7.6").returncode == 0
    left = {
        name
        for name in holding(old)
        if not OF_ANOTHER_TIME.fullmatch(name) and says(old, name, (copy / name).read_text("utf-8"))
    }
    assert left == set()
    assert version(copy, "check", "98.7.6").returncode == 0
    assert version(copy).stdout.strip() == "98.7.6"
    written = (copy / "CHANGELOG.md").read_text("utf-8")
    assert version(copy, "write", "98.7.6").returncode == 0
    assert (copy / "CHANGELOG.md").read_text("utf-8") == written


@pytest.mark.first(1)
@pytest.mark.parametrize(
    ("name", "where"),
    [
        ("kit/pyproject.toml", 'version = "'),
        ("client/pyproject.toml", '"sightline-protos=='),
        ("agents/pyproject.toml", '"sightline-client=='),
        ("console/pyproject.toml", '"sightline-client=='),
        ("uv.lock", 'name = "sightline-rules"\nversion = "'),
        ("compose.yaml", "sightline/triton:${SIGHTLINE_TAG:-"),
        (IMAGES, "sightline/ranker-train, newTag: "),
        ("CHANGELOG.md", "## "),
    ],
)
def test_a_place_that_says_another_version_is_named(copy: Path, name: str, where: str) -> None:
    old, path = version(copy).stdout.strip(), copy / name
    text = path.read_text("utf-8")
    changed = re.sub(rf"({re.escape(where)}){re.escape(old)}", r"\g<1>98.7.6", text, count=1)
    assert changed != text
    path.write_text(changed, "utf-8")
    done = version(copy, "check", old)
    assert done.returncode == 1
    assert f"{name}: " in done.stderr
    assert "98.7.6" in done.stderr


@pytest.mark.first(1)
@pytest.mark.parametrize("bad", ["1.2", "v1.2.3", "1.2.3-rc1", "$(id)"])
def test_what_is_no_version_is_refused_and_nothing_is_written(copy: Path, bad: str) -> None:
    before = {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()}
    done = version(copy, "write", bad)
    assert done.returncode == 2
    assert "three numbers" in done.stderr
    assert {path: path.read_bytes() for path in before} == before
