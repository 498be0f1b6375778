"""Run the images as Compose and Kubernetes do, and print a verdict for each promise.

    python -m tests.images [--write-docs] [NAME...]

It runs what `make images CONTAINER=podman` (or LOCAL_BASES=1) built. Without podman, or without an
image, it prints NOT MEASURED. Exits with 1 if a promise is broken.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.cluster.results import WORDS, Row
from tests.fuzz.model import Verdict
from tests.images import content
from tests.images.containers import ROOT, Run, missing, mounted, podman, volume

PAGE = ROOT / "lab/research/cluster.md"
GOAL_MEGABYTES = 250
"""Unpacked size of a Python service beyond its base."""
TRIES = 120
PYTHON = {
    "gateway": "gateway",
    "embedder": "embedder",
    "retriever": "retriever",
    "ranker": "ranker",
    "ranker-train": "ranker-worker",
    "vision": "vision",
    "all": "gateway",
    "agents": "agents",
    "console": "console",
}
"""Images with Python, and the service of Compose that runs each, or that runs in it."""
MEMORY = {"all": "4g"}
"""Where it is not that of Compose, which runs the services apart."""
RETRIEVER = {
    "RETRIEVER_DATABASE_URL": "sqlite:////tmp/retriever.db",
    "RETRIEVER_PHOTOS_URL": "/tmp/photos",  # noqa: S108 # in the container
}
RANKER = {
    "RANKER_DATABASE_URL": "sqlite:////tmp/ranker.db",
    "RANKER_MODEL_STORE": "/tmp/models",  # noqa: S108 # in the container
    "RANKER_KEY_FILE": "/tmp/key",  # noqa: S108 # in the container
    "RANKER_CREATE_KEY": "true",
    "RANKER_WORKER_METRICS_PORT": "9090",
}
AGENTS = {"SIGHTLINE_AGENTS_NAMES": "agents"}
VISION = {
    "VISION_DATABASE_URL": "sqlite:////tmp/vision.db",
    "VISION_PHOTOS_URL": "/tmp/photos",  # noqa: S108 # in the container
}
CONSOLE = {"SIGHTLINE_CONSOLE_NAMES": "console"}
ENVIRONMENT = {
    "retriever": RETRIEVER,
    "ranker": RANKER,
    "vision": VISION,
    "all": RETRIEVER | RANKER,
    "agents": AGENTS,
    "console": CONSOLE,
}
WATCH = """
import os, grpc
from grpc_health.v1 import health_pb2 as m, health_pb2_grpc as s
channel = grpc.insecure_channel(os.environ["PROBE"].split("/")[0])
for each in s.HealthStub(channel).Watch(m.HealthCheckRequest()):
    print("watching", flush=True)
"""


@dataclass(slots=True)
class Report:
    """Verdicts in their order."""

    rows: list[Row] = field(default_factory=list)

    def say(self, promise: str, held: bool | None, measured: str) -> None:
        """Keep and print a verdict; None: not measured."""
        verdict = (
            Verdict.NOT_MEASURED if held is None else (Verdict.HELD if held else Verdict.VIOLATED)
        )
        row = Row(promise, WORDS[verdict], " ".join(measured.split())[:200])
        self.rows.append(row)
        print(f"{row.verdict:13} {row.promise}: {row.measured}", flush=True)

    def attempt(self, promise: str, test: Callable[[], tuple[bool, str]]) -> None:
        """Keep the verdict of a test; a command that fails breaks the promise."""
        try:
            held, measured = test()
        except (subprocess.SubprocessError, OSError) as error:
            held, measured = False, f"{error} {getattr(error, 'stderr', '') or ''}"
        self.say(promise, held, measured)


def compose() -> dict[str, Any]:
    """Return the services of the files of Compose."""
    found: dict[str, Any] = {}
    # The first one last: another names some of its services again, to add to them.
    for part in ("agents.", "console.", "vision.", ""):
        name = f"compose.{part}yaml"
        found |= yaml.safe_load((ROOT / name).read_text())["services"]
    return found


def tagged(name: str) -> str:
    """Return the full name of one of our images."""
    version = subprocess.run(
        [ROOT / "deploy/version.sh"], capture_output=True, text=True, check=True
    ).stdout.strip()
    return f"docker.io/sightline/{name}:{version}"


def of_service(name: str) -> Run:
    """Return how an image with Python runs."""
    service = compose()[PYTHON[name]]
    own = ENVIRONMENT.get(name.partition("-")[0], {})
    probe = {"PROBE": service["environment"]["PROBE"]} if "PROBE" in service["environment"] else {}
    return Run(tagged(name), MEMORY.get(name, service["mem_limit"]), own | probe)


def ready(container: str, test: Sequence[str]) -> bool:
    """Wait for Compose's health check of a container; False if it never passes."""
    for _ in range(TRIES):
        if podman("inspect", "--format={{.State.Running}}", container) != "true":
            raise subprocess.SubprocessError(podman("logs", "--tail=5", container, check=False))
        try:
            podman("exec", container, *test[1:])
        except subprocess.CalledProcessError:
            time.sleep(1)
        else:
            return True
    return False


def stopped(container: str, grace: int) -> tuple[bool, str]:
    """Send SIGTERM; return whether it ended by itself, with 0, before the grace period was over."""
    began = time.monotonic()
    podman("stop", f"--time={grace}", container, seconds=grace + 60)
    took = time.monotonic() - began
    code = podman("inspect", "--format={{.State.ExitCode}}", container)
    return code == "0" and took < grace, f"exit status {code} after {took:.1f} of {grace} s"


def runs(report: Report, name: str, run: Run, service: dict[str, Any], *, watch: bool) -> None:
    """Start a container, probe it, and end it with a call under way."""
    grace = int(service["stop_grace_period"].removesuffix("s"))
    with run.started() as container:
        report.attempt(
            f"{name}: starts read-only, as its user, without capabilities, and answers its probe",
            lambda: (
                ready(container, service["healthcheck"]["test"]),
                f"user {podman('exec', container, 'id', '-u')}, of {run.memory} "
                + podman("stats", "--no-stream", "--format={{.MemUsage}}", container).split("/")[0],
            ),
        )
        if watch:
            podman("exec", "--detach", container, "python", "-c", WATCH)
            time.sleep(1)
        under = " with a call under way" if watch else ""
        report.attempt(f"{name}: ends on SIGTERM{under}", lambda: stopped(container, grace))


def checks(report: Report, name: str, run: Run) -> None:
    """Ask a service to check its settings."""

    def test() -> tuple[bool, str]:
        settings = run.environment
        if "RANKER_KEY_FILE" in settings:  # a key that exists, as --check makes none
            settings = {**settings, "RANKER_KEY_FILE": "/etc/hostname"}
        code, said = Run(run.image, run.memory, settings).once("--check")
        return code == 0 and "valid" in said, said

    report.attempt(f"{name}: --check says that its settings are valid", test)


def holds(report: Report, name: str, sboms: Path) -> None:
    """Look into an image with Python."""
    with mounted(tagged(name)) as root, mounted(base_of()) as base:
        found = content.compilers(root)
        report.say(f"{name}: has no compiler", not found, ", ".join(found) or "none")
        shells = sorted(content.SHELLS & (content.programs(root) - content.programs(base)))
        report.say(f"{name}: adds no shell to its base's", not shells, ", ".join(shells) or "none")
        others = content.strangers(root, base)
        report.say(
            f"{name}: files are root's, and none can be changed by any user",
            not others,
            ", ".join(others[:3]) or "all",
        )
        there, listed = content.installed(root), content.listed(sboms / f"{name}.cdx.json")
        apart = sorted(set(there.items()) ^ set(listed.items()))
        report.say(f"{name}: its SBOM is its content", not apart, f"{len(there)} packages {apart}")
        size = content.megabytes(root, base)
        report.say(
            f"{name}: at most {GOAL_MEGABYTES} MB beyond its base",
            size <= GOAL_MEGABYTES,
            f"{size:.0f} MB",
        )


def base_of() -> str:
    """Return the image that those with Python are built on."""
    local = "localhost/sightline-base/python"
    if podman("image", "exists", local, check=False) == "" and _exists(local):
        return local
    text = (ROOT / "Dockerfile").read_text()
    (named,) = re.findall(r"^ARG PYTHON_IMAGE=(\S+)$", text, re.MULTILINE)
    return f"docker.io/library/{named}"


def _exists(image: str) -> bool:
    try:
        podman("image", "exists", image)
    except subprocess.CalledProcessError:
        return False
    return True


def service(report: Report, name: str, sboms: Path) -> None:
    """Test an image with Python."""
    run = of_service(name)
    if name not in ("agents", "console"):  # commands, whose options are checked when it starts
        checks(report, name, run)
    runs(report, name, run, compose()[PYTHON[name]], watch="PROBE" in run.environment)
    holds(report, name, sboms)


@contextmanager
def model_repository(report: Report) -> Iterator[tuple[str, ...]]:
    """Yield options that mount the volumes that a container of the image `models` filled."""
    one = compose()["models"]
    with volume() as repository, volume() as spaces, volume() as control:
        given = {"/repository": repository, "/spaces": spaces, "/control": control}
        options = [f"--volume={name}:{path}" for path, name in given.items()]
        command = [word.replace("$$", "$") for word in one["command"]]
        run = Run(tagged("models"), one["mem_limit"], {}, options, command)
        report.attempt(
            "models: fills the model repository read-only, as its user, without capabilities",
            lambda: filled(run),
        )
        yield (
            f"--volume={repository}:/models:ro",
            f"--volume={spaces}:/spaces:ro",
            f"--volume={control}:/control:ro",
        )


def filled(run: Run) -> tuple[bool, str]:
    """Run the image `models` to its end."""
    code, said = run.once()
    return code == 0, said or f"exit status {code}"


def triton(report: Report) -> None:
    """Test the images of models and of Triton together."""
    one = compose()["triton"]
    with model_repository(report) as options:
        run = Run(
            tagged("triton"),
            one["mem_limit"],
            one["environment"],
            [*options, f"--user={one['user']}", f"--shm-size={one['shm_size']}"],
            one["command"],
        )
        runs(report, "triton", run, one, watch=False)


def write_page(rows: Sequence[Row]) -> None:
    """Write the table into lab/research/cluster.md."""
    lines = ["| promise | verdict | measured |", "| --- | --- | --- |"]
    lines += [f"| {row.promise} | {row.verdict} | {row.measured} |" for row in rows]
    made = "\n".join(lines).replace("\\", "") + "\n"
    pattern = re.compile(
        r"(<!-- make images-check -->\n).*?(<!-- end of make images-check -->)", re.DOTALL
    )
    PAGE.write_text(pattern.sub(lambda m: f"{m[1]}{made}{m[2]}", PAGE.read_text("utf-8")), "utf-8")


def main() -> int:
    """Test the named images, or all."""
    parser = argparse.ArgumentParser(prog="python -m tests.images", description=__doc__)
    parser.add_argument("--write-docs", action="store_true", help=f"write {PAGE.name}")
    parser.add_argument("names", nargs="*", choices=[*PYTHON, "triton", []], metavar="NAME")
    given = parser.parse_args()
    names = given.names or [*PYTHON, "triton"]
    report = Report()
    if why := missing():
        report.say("images", None, f"{why}: `make images-tools images LOCAL_BASES=1`")
        return 0
    with tempfile.TemporaryDirectory() as folder:
        environment = {"OUT": folder, "PATH": "/usr/bin:/bin", "HOME": str(Path.home())}
        subprocess.run([ROOT / "deploy/sbom.sh"], env=environment, check=True, capture_output=True)
        for name in names:
            if not _exists(tagged(name)):
                report.say(name, None, "there is no such image: `make images CONTAINER=podman`")
            elif name == "triton":
                triton(report)
            else:
                service(report, name, Path(folder))
    if given.write_docs:
        write_page(report.rows)
    return int(any(row.verdict == "MISSED" for row in report.rows))


if __name__ == "__main__":
    sys.exit(main())
