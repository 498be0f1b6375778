"""The page of platforms, from locks and Dockerfiles.

What each image needs on each platform: which packages have a wheel that fits, which are compiled
while the image is built, and which stop it.
"""

from __future__ import annotations

import os
import re
import subprocess
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

from packaging.markers import Marker
from packaging.tags import Tag, compatible_tags, cpython_tags
from packaging.utils import parse_wheel_filename

ROOT: Final = Path(__file__).resolve().parents[1]
MACHINES: Final = {"linux/amd64": "x86_64", "linux/arm64": "aarch64"}
GLIBC: Final = {"bookworm": 36}
"""The minor version that a Debian release has, which says whether a manylinux wheel runs."""
ENGINES: Final = ("triton", "milvus", "milvus-server")


@dataclass(frozen=True, slots=True)
class Environment:
    """What is installed from one lock."""

    name: str
    base: str
    """The image that it ends in."""
    folder: str
    """The lock's."""
    words: tuple[str, ...]
    """What `uv sync` is given; empty = nothing of ours is installed."""
    compiles: bool
    """Whether it is made where a compiler is."""


def images(script: str, root: Path = ROOT) -> Iterator[Environment]:
    """Yield the environments of the images that deploy/images.sh builds, as their Dockerfiles make
    them.
    """
    for name, file, target in re.findall(
        r"^image (\S+) (\S+)(?: --target (\S+))?$", script, re.MULTILINE
    ):
        text = (root / file).read_text("utf-8").replace("\\\n", " ")
        for argument, value in re.findall(r"^ARG (\w+_IMAGE)=(\S+)$", text, re.MULTILINE):
            text = text.replace(f"${{{argument}}}", value)
        each = re.split(r"^FROM ", text, flags=re.MULTILINE)[1:]
        stages = {stage.splitlines()[0].partition(" AS ")[2]: stage for stage in each}
        last = stages[target] if target else each[-1]
        builder = re.search(r"^COPY --from=(\S+)", last, re.MULTILINE)
        made = stages[builder[1]] if builder else ""
        base = last.split()[0].partition("@")[0]
        while base in stages:
            base = stages[base].split()[0].partition("@")[0]
        syncs = re.findall(r"uv sync (.*)$", made, re.MULTILINE)
        words = tuple(syncs[-1].split()) if syncs else ()
        folder = str(Path(file).parent) if "--package" not in words and words else "."
        yield Environment(name, base, folder, words, " gcc" in made)


def workshops() -> Iterator[Environment]:
    """Yield the environments that `make setup` makes on one machine, to run and to test."""
    everything = ("--locked", "--all-packages", "--all-extras", "--all-groups")
    yield Environment("workspace", "", ".", everything, compiles=True)
    for engine in ENGINES:
        yield Environment(f"deploy/{engine}", "", f"deploy/{engine}", ("--locked",), compiles=True)


def required(environment: Environment) -> list[tuple[str, str, str]]:
    """Return name, version and marker of each third-party package that the environment installs."""
    words = [word.replace("--no-install-pa", "--no-emit-pa") for word in environment.words]
    words = [word for word in words if word != "--no-install-project"]
    listed = subprocess.run(
        [
            *(os.environ.get("UV", str(ROOT / ".tools/bin/uv")), "export", "--quiet", *words),
            *("--no-hashes", "--no-header", "--no-annotate", "--project", environment.folder),
            *("--no-emit-local",),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return re.findall(r"^(\S+)==(\S+)(?: ; (.*))?$", listed, re.MULTILINE)


def packages(lock: str) -> dict[tuple[str, str], Mapping[str, Any]]:
    """Return the entry of each package of a lock, by name and version."""
    held = tomllib.loads(lock)["package"]
    return {(each["name"], each["version"]): each for each in held}


def fitting(machine: str, glibc: int) -> frozenset[Tag]:
    """Return the tags of wheels for Python 3.11 that install on this kind of Linux."""
    platforms = [f"manylinux_2_{minor}_{machine}" for minor in range(glibc, 4, -1)]
    platforms += [f"manylinux{year}_{machine}" for year in ("2014", "2010", "1")]
    each = [*platforms, f"linux_{machine}"]
    version = (3, 11)
    return frozenset(
        [*cpython_tags(version, ["cp311"], each), *compatible_tags(version, "cp311", each)]
    )


def wheel_fits(package: Mapping[str, Any], tags: frozenset[Tag]) -> bool:
    """Return whether any of the package's wheels installs there."""
    # As in an address: an epoch's "!" is "%21" there.
    names = (unquote(each["url"].rpartition("/")[2]) for each in package.get("wheels", ()))
    return any(parse_wheel_filename(name)[3] & tags for name in names)


def judged(
    needed: Sequence[tuple[str, str, str]],
    known: Mapping[tuple[str, str], Mapping[str, Any]],
    machine: str,
    *,
    compiles: bool,
) -> str:
    """Return a cell: how many wheels, what is compiled, what is left out, and what prevents it."""
    tags = fitting(machine, GLIBC["bookworm"])
    here = {"platform_machine": machine, "sys_platform": "linux", "python_version": "3.11"}
    wheels, source, stopped, left_out = 0, [], [], []
    for name, version, marker in needed:
        if marker and not Marker(marker).evaluate(here):
            if Marker(marker).evaluate(here | {"platform_machine": "x86_64"}):
                left_out.append(f"{name} {version}")
        elif wheel_fits(known[name, version], tags):
            wheels += 1
        elif compiles and "sdist" in known[name, version]:
            source.append(f"{name} {version}")
        else:
            stopped.append(f"{name} {version}")
    said = {"compiled": source, "without": left_out, "**stopped** by": stopped}
    return "; ".join(
        [f"{wheels} wheels", *(f"{how} {', '.join(which)}" for how, which in said.items() if which)]
    )


def rows(environments: Iterator[Environment]) -> Iterator[list[str]]:
    """Yield for each environment its name, its product, and a cell for each platform."""
    for each in environments:
        cells = ["as its base"] * len(MACHINES)
        if each.words:
            needed = required(each)
            known = packages((ROOT / each.folder / "uv.lock").read_text("utf-8"))
            cells = [
                judged(needed, known, machine, compiles=each.compiles)
                for machine in MACHINES.values()
            ]
        yield [f"`{each.name}`", *([f"`{each.base}`"] if each.base else []), *cells]


def page() -> str:
    """Return the page's text."""
    script = (ROOT / "deploy" / "images.sh").read_text("utf-8")
    return "\n\n".join(
        [
            "# Platforms",
            "<!-- Generated by `make reference`; edit the code that it names. -->",
            "Packages of each image by platform, computed from the lock files: how many "
            "third-party packages have a wheel for Python 3.11 and Debian 12, which are compiled "
            "while the image is built, and which are missing. Lock files do not cover other "
            "parts, such as base images: see [Releases](../operate/releases.md#platforms).",
            table("image", "ends in", of=images(script)),
            "The environments of `make setup`, which run and test the suite on one machine:",
            table("environment", of=workshops()),
        ]
    )


def table(*headers: str, of: Iterator[Environment]) -> str:
    """Markdown."""
    lines = [[*headers, *MACHINES], ["---"] * (len(headers) + len(MACHINES)), *rows(of)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
