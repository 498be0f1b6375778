"""What is in an image: programs, owners, packages, size."""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

COMPILERS = re.compile(r"(gcc|g\+\+|cc|c\+\+|clang|cpp|ld|as|make|tcc|rustc|go)(-?\d.*)?$")
SHELLS = {"sh", "bash", "dash", "ash"}
FOLDERS = ("bin", "usr/bin", "usr/local/bin", "sbin", "usr/sbin", "app/bin")
OWN_USER = 65532
OWN = ("data", "run/sightline")
"""Folders that a service writes to: its stores, and the gateway's socket."""


def programs(root: Path) -> set[str]:
    """Return the names of the programs on the image's PATH."""
    return {
        name for folder in FOLDERS if (root / folder).is_dir() for name in os.listdir(root / folder)
    }


def compilers(root: Path) -> list[str]:
    """Return the compilers and linkers among the programs."""
    return sorted(name for name in programs(root) if COMPILERS.match(name))


def strangers(root: Path, base: Path) -> list[str]:
    """Return files that the base lacks and that belong neither to root nor, in a folder of OWN, to
    the service's user, and those that any user may change."""
    found = []
    for path in _walk(root):
        relative = path.relative_to(root)
        if os.path.lexists(base / relative):
            continue
        facts = path.lstat()
        own = relative.as_posix().startswith(OWN)
        allowed = {0, OWN_USER} if own else {0}
        writable = facts.st_mode & stat.S_IWOTH and not stat.S_ISLNK(facts.st_mode)
        if facts.st_uid not in allowed or writable:
            found.append(f"/{relative}")
    return found


def megabytes(root: Path, base: Path) -> float:
    """Return the unpacked size of the files that the base lacks."""
    sizes = (
        path.lstat().st_size
        for path in _walk(root)
        if not os.path.lexists(base / path.relative_to(root))
    )
    return sum(sizes) / 1e6


def _walk(root: Path) -> Iterator[Path]:
    for folder, names, files in os.walk(root):
        for name in (*names, *files):
            yield Path(folder) / name


def installed(root: Path) -> dict[str, str]:
    """Return name and version of each third-party package in the image's environment."""
    (packages,) = root.glob("app/lib/python3*/site-packages")
    found = importlib.metadata.distributions(path=[str(packages)])
    named = {_normal(each.metadata["Name"]): each.version for each in found}
    return {name: version for name, version in named.items() if not name.startswith("sightline")}


def listed(sbom: Path) -> dict[str, str]:
    """Return name and version of each third-party package of an SBOM."""
    components = json.loads(sbom.read_text())["components"]
    return {_normal(each["name"]): each["version"] for each in components if each.get("purl")}


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
