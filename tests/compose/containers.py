"""The containers of a Compose project, by Docker or podman."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PROJECT = "sightline"


@dataclass(frozen=True, slots=True)
class Engine:
    """Docker, or podman with podman-compose."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]

    def compose(self, *words: str, seconds: float = 600) -> str:
        """Run a command of Compose and return its output."""
        return self._run([str(ROOT / "deploy/compose.sh"), *words], seconds)

    def __call__(self, *words: str, seconds: float = 60) -> str:
        """Run a command of the engine and return its output."""
        return self._run([*self.command, *words], seconds)

    def containers(self) -> dict[str, dict[str, Any]]:
        """Return the project's containers as the engine inspects them, by service."""
        ids = self("ps", "--all", "--quiet", f"--filter=name=^{PROJECT}[_-]").split()
        found = json.loads(self("inspect", *ids)) if ids else []
        return {each["Name"].strip("/").split(SEPARATORS[self.name])[1]: each for each in found}

    def left(self) -> list[str]:
        """Return the names of containers, volumes and networks of the project."""
        mine = f"--filter=name=^{PROJECT}[_-]"
        name = "--format={{.Name}}"
        found = self("ps", "--all", mine, "--format={{.Names}}").split()
        return [*found, *self("volume", "ls", mine, name).split(),
                *self("network", "ls", mine, name).split()]  # fmt: skip

    def clean(self) -> list[str]:
        """Stop the project, delete its volumes and networks, and return what is left."""
        self.compose("down", "--volumes")
        mine = f"--filter=name=^{PROJECT}[_-]"
        for container in self("ps", "--all", "--quiet", mine).split():
            self("rm", "--force", "--volumes", container)
        for network in self("network", "ls", mine, "--format={{.Name}}").split():
            self("network", "rm", "--force", network)
        for volume in self("volume", "ls", mine, "--format={{.Name}}").split():
            self("volume", "rm", "--force", volume)
        return self.left()

    def _run(self, words: Sequence[str], seconds: float) -> str:
        done = subprocess.run(
            words,
            cwd=ROOT,
            env={**os.environ, **self.environment},
            capture_output=True,
            text=True,
            check=False,
            timeout=seconds,
        )
        if done.returncode:
            said = (done.stderr + done.stdout).strip().splitlines()[-6:]
            raise subprocess.CalledProcessError(
                done.returncode, " ".join(words[:4]), stderr=" | ".join(said)
            )
        return done.stdout.strip()


SEPARATORS = {"docker": "-", "podman": "_"}
"""Between project, service and number in the name of a container."""


def find() -> Engine | str:
    """Return the engine that CONTAINER names, else Docker where it answers, else podman; or why
    there is none."""
    named = os.environ.get("CONTAINER", "")
    docker = Engine("docker", ("docker",), {"CONTAINER": "docker"})
    podman = Engine("podman", (str(ROOT / "deploy/podman.sh"),), {"CONTAINER": "podman"})
    for engine in (docker, podman):
        if named in ("", engine.name) and shutil.which(engine.name) and _answers(engine):
            return engine
    return f"{named or 'neither Docker nor podman'} does not answer here: `make images-tools`"


def _answers(engine: Engine) -> bool:
    try:
        engine("info")
    except (subprocess.SubprocessError, OSError):
        return False
    return True
