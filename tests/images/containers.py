"""Containers of podman, with the rights that Compose and Kubernetes leave them."""

from __future__ import annotations

import subprocess
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PODMAN = ROOT / "deploy/podman.sh"
LIMITED = ("--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges", "--network=none")
PREFIX = "sightline-images-check"


def podman(*words: str, check: bool = True, seconds: float = 180) -> str:
    """Run podman and return its output; CalledProcessError carries what it said."""
    done = subprocess.run(
        [PODMAN, *words], capture_output=True, text=True, check=False, timeout=seconds
    )
    if check and done.returncode:
        raise subprocess.CalledProcessError(
            done.returncode, words[0], done.stdout, done.stderr + done.stdout
        )
    return done.stdout.strip()


def missing() -> str:
    """Return why no image can be run here; empty if it can."""
    done = subprocess.run([PODMAN, "info"], capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else (done.stderr.strip().splitlines() or ["no podman"])[-1]


@dataclass(frozen=True, slots=True)
class Run:
    """What a container is started with."""

    image: str
    memory: str
    environment: Mapping[str, str]
    options: Sequence[str] = ()
    command: Sequence[str] = ()

    def words(self, *options: str) -> list[str]:
        """Return the words after `podman run`."""
        variables = [f"--env={key}={value}" for key, value in self.environment.items()]
        limits = [*LIMITED, f"--memory={self.memory}", "--tmpfs=/tmp:size=1g,mode=1777"]
        return [*options, *limits, *variables, *self.options, self.image, *self.command]

    def once(self, *arguments: str) -> tuple[int, str]:
        """Run it with other arguments to its end; return its exit status and output."""
        command = [str(PODMAN), "run", *self.words("--rm"), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=180)
        return done.returncode, (done.stdout + done.stderr).strip()

    @contextmanager
    def started(self) -> Iterator[str]:
        """Start it and yield its name; it is removed at the end."""
        name = f"{PREFIX}-{uuid.uuid4().hex[:8]}"
        try:
            podman("run", *self.words("--detach", f"--name={name}"))
            yield name
        finally:
            podman("rm", "--force", "--time=0", "--volumes", "--ignore", name, check=False)


@contextmanager
def mounted(image: str) -> Iterator[Path]:
    """Yield the root folder of an image's files."""
    try:
        yield Path(podman("image", "mount", image).split()[-1])
    finally:
        podman("image", "unmount", image, check=False)


@contextmanager
def volume() -> Iterator[str]:
    """Yield the name of a new volume, which is removed at the end."""
    name = f"{PREFIX}-{uuid.uuid4().hex[:8]}"
    podman("volume", "create", name)
    try:
        yield name
    finally:
        podman("volume", "rm", "--force", name, check=False)
