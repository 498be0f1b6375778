"""Dockerfiles as values, and their build stages executed without an engine.

Reads what our Dockerfiles use and fails on the rest: instructions on their own or with continued
lines, comments, and the exec form of ENTRYPOINT and CMD.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).resolve().parent.parent
KNOWN = {"ADD", "ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "LABEL", "RUN"}
KNOWN |= {"STOPSIGNAL", "USER", "VOLUME", "WORKDIR"}


@dataclass(frozen=True, slots=True)
class Stage:
    """From one FROM to the next."""

    base: str
    """An image, or the name of an earlier stage."""
    name: str
    steps: tuple[tuple[str, str], ...]
    """Instruction and its arguments, continued lines joined."""

    def all(self, instruction: str) -> list[str]:
        """Return the arguments of each such instruction."""
        return [arguments for each, arguments in self.steps if each == instruction]

    def runs(self) -> list[str]:
        """Return the shell commands without their mounts."""
        return [re.sub(r"--mount=\S+\s+", "", command) for command in self.all("RUN")]

    def pairs(self, instruction: str) -> dict[str, str]:
        """Return the values that ENV or LABEL sets."""
        words = [word for line in self.all(instruction) for word in shlex.split(line)]
        return dict(word.split("=", 1) for word in words)


def read(path: Path) -> list[Stage]:
    """Return the stages of a Dockerfile, on the images that its arguments name by default."""
    text = re.sub(r"^\s*#.*\n", "", path.read_text(), flags=re.MULTILINE)
    text = with_defaults(text)
    stages: list[Stage] = []
    for line in re.sub(r"\\\n\s*", "", text).splitlines():
        if not line.strip():
            continue
        instruction, arguments = line.split(None, 1)
        if instruction == "FROM":
            base, *name = re.split(r"\s+AS\s+", arguments)
            stages.append(Stage(base, name[0] if name else "", ()))
            continue
        assert instruction in KNOWN, f"{path}: {instruction} is not understood here"
        last = stages[-1]
        stages[-1] = Stage(last.base, last.name, (*last.steps, (instruction, arguments)))
    return stages


def with_defaults(text: str) -> str:
    """Return a Dockerfile without the arguments above its first FROM, whose defaults replace
    them."""
    head, first, rest = text.partition("FROM ")
    for name, value in re.findall(r"^ARG (\w+)=(\S+)$", head, re.MULTILINE):
        rest = re.sub(rf"\$\{{{name}\}}", value, rest)
    return first + rest


def lineage(stages: Sequence[Stage], target: Stage) -> list[Stage]:
    """Return the stages that a target is built on, the lowest first, itself last."""
    below = [stage for stage in stages if stage.name and stage.name == target.base]
    return [*(lineage(stages, below[0]) if below else []), target]


def exec_form(stage: Stage, instruction: str) -> list[str]:
    """Return the last ENTRYPOINT or CMD."""
    words = json.loads(stage.all(instruction)[-1])
    assert isinstance(words, list)
    return words


def ignored(path: str) -> bool:
    """Return whether .dockerignore excludes a path of the repository from the context."""
    out = False
    parts = PurePosixPath(path).parts
    prefixes = ["/".join(parts[: n + 1]) for n in range(len(parts))]
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        pattern = line.strip()
        if not pattern or pattern.startswith("#"):
            continue
        keep = pattern.startswith("!")
        if any(_matches(prefix, pattern.removeprefix("!")) for prefix in prefixes):
            out = not keep
    return out


def _matches(path: str, pattern: str) -> bool:
    """Match a pattern of Docker: * stays within a folder, a leading **/ means any folder."""
    if pattern.startswith("**/"):
        return fnmatchcase(path.rsplit("/", 1)[-1], pattern[3:])
    mine, theirs = path.split("/"), pattern.split("/")
    return len(mine) == len(theirs) and all(map(fnmatchcase, mine, theirs))


def build(stage: Stage, at: Path, uv: str, environment: Mapping[str, str]) -> Path:
    """Execute a build stage: its COPYs from the context into `at`/src, and its RUNs of uv, find
    and the environment's Python, in `environment`. Packages that it installs by apt must already
    be installed here. Return the environment that it creates, `at`/app."""
    src, app = at / "src", at / "app"
    folder = src
    for instruction, arguments in stage.steps:
        if instruction == "WORKDIR":
            folder = at / arguments.lstrip("/")
            folder.mkdir(parents=True, exist_ok=True)
        elif instruction == "COPY" and not arguments.startswith("--from="):
            *sources, target = arguments.split()
            for source in sources:
                _copy(source, folder / target, many=len(sources) > 1 or target.endswith("/"))
        elif instruction == "RUN":
            command = re.sub(r"--mount=\S+\s+", "", arguments)
            words = shlex.split(command)
            if words[0] == "apt-get":
                continue
            assert words[0] in ("uv", "find", "/app/bin/python"), f"can't be done here: {command}"
            words[0] = uv if words[0] == "uv" else words[0].replace("/app", str(app))
            words[1:] = [word.replace("/app", str(app)) for word in words[1:]]
            subprocess.run(
                words,
                cwd=folder,
                check=True,
                capture_output=True,
                env={
                    **{k: v for k, v in os.environ.items() if k in ("PATH", "HOME", "LANG")},
                    **{k: v for k, v in os.environ.items() if k.startswith(("UV_", "SSL_"))},
                    **environment,
                    "UV_PROJECT_ENVIRONMENT": str(app),
                },
            )
    return app


def _copy(source: str, target: Path, *, many: bool) -> None:
    origin = ROOT / source
    if origin.is_dir():
        listed = subprocess.run(
            ["git", "ls-files", "-co", "--exclude-standard", source],
            cwd=ROOT,
            check=True,
            capture_output=True,
            text=True,
        ).stdout.split()
        for name in listed:
            if (ROOT / name).exists() and not ignored(name):
                place = target / Path(name).relative_to(source)
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(ROOT / name, place)
        return
    assert not ignored(source), f"{source} is not in the context"
    place = target / origin.name if many else target
    place.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(origin, place)
