"""The last release: its commit, and its services in a folder of its own."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from local_suite.programs import ROOT
from tests.chaos.model import NotMeasured

RELEASES: Final = ROOT / ".cache" / "releases"
MADE: Final = ".venv/.synced"
"""The target of `make setup` that services need; engines are this release's."""
CHANGELOG: Final = "CHANGELOG.md"


@dataclass(frozen=True, slots=True)
class Release:
    """A commit and the version that it is."""

    version: str
    commit: str

    def __str__(self) -> str:
        return f"{self.version} ({self.commit[:8]})"


def last(root: Path = ROOT, named: str = "") -> Release:
    """Return the last release before this checkout, whose changelog may begin with "Unreleased":
    its tag, or the newest commit that changed a changelog which begins with it. `named`: use that
    commit instead. Raise NotMeasured if this clone does not have it."""
    if not (root / ".git").exists():
        raise NotMeasured(f"{root} is no clone of the repository: it has no history")
    if named:
        return _of(root, named)
    _, before, *_ = [*_versions((root / CHANGELOG).read_text()), "", ""]
    try:
        return _of(root, f"v{before}")
    except NotMeasured:
        touched = _git(root, "rev-list", "--first-parent", "HEAD", "--", CHANGELOG).split()
    for commit in touched:
        if (release := _of(root, commit)).version == before:
            return release
    raise NotMeasured(f"no commit of {before} in this clone; is it shallow? --release names one")


def _of(root: Path, name: str) -> Release:
    commit = _git(root, "rev-parse", "--verify", "--quiet", f"{name}^{{commit}}").strip()
    versions = _versions(_git(root, "show", f"{commit}:{CHANGELOG}"))
    return Release(versions[0] if versions else "", commit)


def _versions(changelog: str) -> list[str]:
    return re.findall(r"^## (\d+\.\d+\.\d+|Unreleased)", changelog, re.MULTILINE)


def _git(root: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", *arguments], cwd=root, capture_output=True, text=True, check=False
    )
    if done.returncode:
        what = " ".join(arguments)
        raise NotMeasured(
            f"git {what}: {done.stderr.strip() or 'not in this clone: is it shallow?'}"
        )
    return done.stdout


def made(
    release: Release, root: Path = ROOT, releases: Path = RELEASES, target: str = MADE
) -> Path:
    """Return the folder of a release in which `make TARGET` was run; it stays for the next time.

    Raise NotMeasured when that fails.
    """
    folder = releases / f"{release.version}-{release.commit[:8]}"
    if not (folder / "Makefile").exists():
        folder.mkdir(parents=True)
        archive = subprocess.run(
            ["git", "archive", release.commit], cwd=root, capture_output=True, check=True
        )
        subprocess.run(["tar", "x"], cwd=folder, input=archive.stdout, check=True)
    done = subprocess.run(
        ["make", target], cwd=folder, env=_clean(os.environ), capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    if done.returncode:
        raise NotMeasured(f"make {target} of {release}: {done.stderr[-400:]}")
    return folder


def _clean(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment without folders and targets of this release."""
    ours = ("PYTHONPATH", "VIRTUAL_ENV", "MAKEFLAGS", "MFLAGS", "MAKELEVEL", "DATA", "PORT_BASE")
    return {name: value for name, value in environment.items() if name not in ours}
