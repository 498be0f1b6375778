"""Find a cluster, or the tools that start one, and keep the run apart from the machine.

A cluster started here lives in namespaces of its own: network, mounts, processes. When the run
ends, however it ends, its bridges, rules, mounts and processes end with it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

ROOT = Path(__file__).parents[2]
INSTALLS = ROOT / "deploy/local/cluster-tools.sh"
INSIDE = "SIGHTLINE_CLUSTER_INSIDE"
"""Set in the process that has namespaces of its own."""
MEMORY_GIB = 3.0
PATIENCE_SECONDS = 15.0
"""Seconds after Ctrl-C for the cluster to stop by itself."""
LIMIT_GROUPS = Path("/sys/fs/cgroup")


class NoCluster(Exception):
    """Error of a machine that has no cluster and cannot start one; the message says what to do."""


class Busy(Exception):
    """Error of a second run at the same time."""


@dataclass(frozen=True, slots=True)
class Given:
    """A cluster that runs already, by KUBECONFIG."""

    config: Path


@dataclass(frozen=True, slots=True)
class Tools:
    """A folder with cluster.sh."""

    folder: Path

    @property
    def script(self) -> Path:
        return self.folder / "cluster.sh"


def find(environment: Mapping[str, str]) -> Given | Tools:
    """Return KUBECONFIG's cluster, else the tools. Raise NoCluster."""
    if config := environment.get("KUBECONFIG"):
        if not Path(config).is_file():
            raise NoCluster(f"KUBECONFIG names {config}, which is no file")
        return Given(Path(config))
    named = environment.get("CLUSTER_TOOLS")
    folder = Path(named) if named else _beside()
    if folder is None or not (folder / "cluster.sh").is_file():
        where = f"CLUSTER_TOOLS names {folder}, which has no cluster.sh" if named else "no cluster"
        raise NoCluster(
            f"{where}: set KUBECONFIG to a cluster's kubeconfig, or CLUSTER_TOOLS to a folder with"
            " a cluster.sh that starts one"
        )
    return Tools(folder.resolve())


def _beside() -> Path | None:
    """Return ../shared/cluster beside the repository, also for a worktree of it."""
    places = [ROOT.parent, ROOT.resolve().parent]
    return next((p / "shared/cluster" for p in places if (p / "shared/cluster").is_dir()), None)


def packages() -> dict[str, str]:
    """Return each command that a cluster needs, with Debian's package."""
    (named,) = re.findall(r'^tools="(.+?)"', INSTALLS.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    return dict(each.split("=") for each in named.split())


def check_machine() -> None:
    """Raise NoCluster if this machine cannot run a cluster."""
    if os.geteuid() != 0:
        raise NoCluster("a cluster is started as root: run make cluster as root, or set KUBECONFIG")
    missing = sorted(each for command, each in packages().items() if not shutil.which(command))
    if missing:
        raise NoCluster(
            f"missing tools: make cluster-tools, or apt-get install {' '.join(missing)}"
        )
    free = psutil.virtual_memory().available / 2**30
    if free < MEMORY_GIB:
        raise NoCluster(f"{free:.1f} GiB of memory are available; a cluster takes {MEMORY_GIB:.0f}")


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Hold the machine's lock for clusters. Raise Busy."""
    path = Path(tempfile.gettempdir()) / f"sightline-cluster-{os.geteuid()}.lock"
    with path.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise Busy(
                f"a cluster of process {file.read().strip() or '?'} runs on this machine:"
                " wait for its end, or stop that process"
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def run_inside(module: str, arguments: Sequence[str], tools: Tools) -> int:
    """Run a module again in namespaces of its own. Return its exit code.

    The kernel ends all of it when this process ends, also by SIGKILL.
    """
    command = [
        *("setpriv", "--pdeathsig", "KILL"),
        *("unshare", "--net", "--mount", "--pid", "--ipc", "--fork", "--kill-child"),
        *("--mount-proc", sys.executable, "-m", module, *arguments),
    ]
    environment = {**os.environ, INSIDE: "1", "CLUSTER_TOOLS": str(tools.folder)}
    # Its own session: Ctrl-C reaches this process alone, which passes it on once.
    # It takes SIGINT when it can say what was interrupted (`interruptible`).
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        inside = subprocess.Popen(command, env=environment, start_new_session=True)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
    with inside:
        old = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)}

        asked: list[float] = []

        def pass_on(number: int, _: object) -> None:
            asked.append(time.monotonic())
            # unshare ignores SIGINT and SIGTERM while its child runs.
            for child in psutil.Process(inside.pid).children():
                child.send_signal(signal.SIGINT)

        try:
            for each in old:
                signal.signal(each, pass_on)
            while (code := inside.poll()) is None:
                if asked and time.monotonic() - asked[0] > PATIENCE_SECONDS:
                    inside.kill()  # the kernel ends everything that it started
                    print("Interrupted; the cluster is killed, and nothing is left of it.")
                    return 130
                time.sleep(0.1)
            return code
        finally:
            for each, handler in old.items():
                signal.signal(each, handler)
            inside.wait()
            remove_groups()


def interruptible() -> None:
    """Take SIGINT from now on, and one that came while this process started."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def remove_groups() -> None:
    """Remove the empty control groups that a kubelet leaves."""
    found = [each for top in (LIMIT_GROUPS, *LIMIT_GROUPS.glob("*")) for each in _groups(top)]
    for each in found:
        with contextlib.suppress(OSError):
            each.rmdir()


def _groups(top: Path) -> list[Path]:
    folder = top / "kubepods"
    if not folder.is_dir():
        return []
    below = sorted(
        (each for each in folder.rglob("*") if each.is_dir()), key=lambda p: len(p.parts)
    )
    return [*reversed(below), folder]


def isolate() -> None:
    """Prepare the new namespaces: an address by which the node is known, and private copies of the
    files that a node writes outside its folder."""
    for command in (
        "mount --make-rprivate /",
        "mkdir -p /run/netns /var/lib/cni",
        "mount -t tmpfs tmpfs /run/netns",
        "mount -t tmpfs tmpfs /var/lib/cni",
        "ip link set lo up",
        # There is no dummy device in some kernels; a bridge without ports is one.
        "ip link add uplink type bridge",
        "ip address add 192.0.2.10/24 dev uplink",
        "ip link set uplink up",
        "ip route add default via 192.0.2.1",
    ):
        subprocess.run(command.split(), check=True)
    hosts = Path(tempfile.mkdtemp()) / "hosts"
    shutil.copyfile("/etc/hosts", hosts)
    subprocess.run(["mount", "--bind", str(hosts), "/etc/hosts"], check=True)
    shutil.rmtree(hosts.parent, ignore_errors=True)
