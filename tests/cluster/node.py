"""A cluster of one node, started by CLUSTER_TOOLS, with what stands in for the missing parts."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.kube import Kube, ready, until
from tests.cluster.tools import ROOT, Tools

NODE = "node-1"
SUBNET = "10.244.0"
PORTS = 26440
"""First of the ports of the cluster's processes; the kubelet's is 10 above."""
BRIDGE = f"br-{NODE}"
START_SECONDS = 180
_FRESH = ("etcd", "kubectl", "kubelet", "podlogs", "cni", "log", "volumes", "pid")
"""Subfolders that are deleted before a cluster starts; images stay."""


class NotStarted(Exception):
    """Error of a cluster that does not start; the message is the script's."""


@dataclass(frozen=True, slots=True)
class Node:
    """The node's folder and its processes."""

    tools: Tools
    folder: Path

    @property
    def kube(self) -> Kube:
        return Kube(self.folder / "admin.kubeconfig")

    @property
    def volumes(self) -> Path:
        return self.folder / "volumes"

    def up(self) -> None:
        """Start an empty cluster. Raise NotStarted."""
        for each in _FRESH:
            shutil.rmtree(self.folder / each, ignore_errors=True)
        self._forget()
        for _ in range(2):
            # The stand-in for CoreDNS takes its address before the first pod would make it.
            for command in (
                f"ip link add {BRIDGE} type bridge",
                f"ip address add {SUBNET}.1/24 dev {BRIDGE}",
                f"ip link set {BRIDGE} up",
            ):
                subprocess.run(command.split(), check=True)
            done = self._script("up")
            if done.returncode:
                raise NotStarted((done.stderr or done.stdout).strip()[-900:])
            if self.ready():
                break
            # A kubelet ends if containerd has not read its images yet.
            self._script("down")
        else:
            log = (self.folder / "log/kubelet.log").read_text().strip()
            raise NotStarted(f"the node is not ready: {log[-600:]}")
        self.kube.ask("get", "--raw", "/readyz")
        until("a service account", self._admitted, START_SECONDS)

    def _forget(self) -> None:
        """Delete the containers of the cluster before, which a kubelet would wait for."""
        configuration = self.folder / "containerd.toml"
        if not configuration.exists():
            return
        (self.folder / "cni").mkdir(exist_ok=True)  # it watches it
        with subprocess.Popen(
            ["containerd", "--config", str(configuration)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as running:
            try:
                until(
                    "containerd answers",
                    lambda: running.poll() is not None or self._answers(),
                    START_SECONDS,
                )
                for each in self.ctr("containers", "list", "--quiet").split():
                    self.ctr("tasks", "delete", "--force", each, check=False)
                    self.ctr("containers", "delete", each, check=False)
            finally:
                running.terminate()

    def _answers(self) -> bool:
        return self._ctr("containers", "list").returncode == 0

    def ready(self) -> bool:
        """Return whether the node says that it is ready."""
        found = self.kube.call("get", "node", NODE, "--output=json")
        return found.returncode == 0 and ready(json.loads(found.stdout))

    def _admitted(self) -> bool:
        return (
            self.kube.call("--namespace=default", "get", "serviceaccount/default").returncode == 0
        )

    def down(self) -> None:
        """Stop the cluster with its pods."""
        self._script("down")

    def _script(self, *do: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "SUBNET": SUBNET, "NODE": NODE, "PORT_BASE": str(PORTS)}
        command = [str(self.tools.script), do[0], str(self.folder), *do[1:]]
        return subprocess.run(
            command,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=START_SECONDS,
        )

    def ctr(self, *arguments: str, check: bool = True) -> str:
        """Return the output of containerd's command."""
        return self._ctr(*arguments, check=check).stdout

    def _ctr(self, *arguments: str, check: bool = False) -> subprocess.CompletedProcess[str]:
        socket = str(self.folder / "containerd/sock")
        return subprocess.run(
            ["ctr", "--address", socket, "--namespace", "k8s.io", *arguments],
            capture_output=True,
            text=True,
            check=check,
        )

    def images(self) -> set[str]:
        """Return the names of the images that the node has."""
        return set(self.ctr("images", "list", "--quiet").split())

    def load(self, tar: Path) -> None:
        """Give the node the images in a tar, unless it has them from the same file."""
        facts = tar.stat()
        marks = self.folder / "loaded.json"
        known = json.loads(marks.read_text()) if marks.exists() else {}
        mark = [facts.st_size, facts.st_mtime_ns]
        if known.get(str(tar)) == mark:
            return
        self.ctr("images", "import", str(tar))
        for name in self.images():
            # Names of podman's own: what Kubernetes looks up is a name of Docker Hub.
            short = name.removeprefix("localhost/")
            if short != name and not short.startswith("pause"):
                self.ctr("images", "tag", "--force", name, hub(short))
        marks.write_text(json.dumps({**known, str(tar): mark}))

    def processes(self, container: str) -> list[int]:
        """Return the process ids of a container, its first process first."""
        lines = self.ctr("tasks", "ps", container).splitlines()[1:]
        return sorted(int(line.split()[0]) for line in lines)

    def usage(self) -> str:
        """Return the kubelet's metrics of containers."""
        keys = ["--cert", "pki/admin.crt", "--key", "pki/admin.key"]
        url = f"https://127.0.0.1:{PORTS + 10}/metrics/resource"
        return subprocess.run(
            ["curl", "--silent", "--fail", "--insecure", *keys, url],
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=True,
        ).stdout

    def kubelet(self, number: signal.Signals) -> None:
        """Send a signal to the kubelet."""
        os.kill(int((self.folder / "pid/kubelet").read_text()), number)

    @contextmanager
    def standins(self, *names: str) -> Iterator[None]:
        """Run programs of tests.cluster.standins during the block."""
        command = [sys.executable, "-m", "tests.cluster.standins", str(self.folder), *names]
        log = (self.folder / "log/standins.log").open("ab")
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=log) as running:
            assert running.stdout is not None
            if running.stdout.readline() != b"ready\n":
                raise NotStarted(
                    f"stand-ins: {(self.folder / 'log/standins.log').read_text()[-900:]}"
                )
            try:
                yield
            finally:
                running.terminate()


def hub(image: str) -> str:
    """Return the full name of an image of Docker Hub."""
    name = image if "/" in image.partition(":")[0] else f"library/{image}"
    return f"docker.io/{name}"


def tars(folders: Sequence[Path]) -> list[Path]:
    """Return the tars of images in folders."""
    return sorted(tar for folder in folders for tar in folder.glob("*.tar"))
