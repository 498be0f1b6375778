"""kubectl, as the parts of `make cluster` use it."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.contracts.k8s import Document, kubectl

NAMESPACE = "sightline"
REQUEST_SECONDS = 60


class Refused(Exception):
    """Error of a command that the cluster refused; the message is kubectl's."""


class TooLate(Exception):
    """Error of a condition that did not hold in time; the message names it."""


def until(what: str, holds: Callable[[], object], seconds: float, pause: float = 0.5) -> float:
    """Wait until a condition holds. Return the seconds it took. Raise TooLate."""
    began = time.monotonic()
    while not holds():
        if time.monotonic() - began > seconds:
            raise TooLate(f"not within {seconds:.0f} s: {what}")
        time.sleep(pause)
    return time.monotonic() - began


@dataclass(frozen=True, slots=True)
class Kube:
    """A cluster by its kubeconfig."""

    config: Path

    def call(
        self, *arguments: str, given: str = "", seconds: float = 180.0
    ) -> subprocess.CompletedProcess[str]:
        """Run kubectl, whatever its result."""
        # Its own cache: another cluster at the same address may have known other kinds.
        cache = f"--cache-dir={self.config.with_name('kubectl')}"
        command = [kubectl(), f"--kubeconfig={self.config}", cache, *arguments]
        return subprocess.run(
            command, input=given, capture_output=True, text=True, check=False, timeout=seconds
        )

    def ask(self, *arguments: str, given: str = "", seconds: float = 180.0) -> str:
        """Return the output of kubectl. Raise Refused."""
        done = self.call(*arguments, given=given, seconds=seconds)
        if done.returncode:
            raise Refused(f"kubectl {' '.join(arguments)}: {done.stderr.strip()[-900:]}")
        return done.stdout

    def here(self, *arguments: str, given: str = "", seconds: float = 180.0) -> str:
        """Return the output of kubectl in the installation's namespace. Raise Refused."""
        return self.ask("--namespace", NAMESPACE, *arguments, given=given, seconds=seconds)

    def raw(self, path: str) -> str:
        """Return the answer to a GET of the API server."""
        return self.ask("get", "--raw", path)

    def items(self, kind: str, selector: str = "", namespace: str = NAMESPACE) -> list[Document]:
        """Return the objects of a kind, in one namespace or in all ("")."""
        where = ["--namespace", namespace] if namespace else ["--all-namespaces"]
        chosen = ["--selector", selector] if selector else []
        found: list[Document] = json.loads(self.ask("get", kind, *where, *chosen, "--output=json"))[
            "items"
        ]
        return found

    def one(self, kind: str, name: str, namespace: str = NAMESPACE) -> Document:
        """Return an object. Raise Refused if it does not exist."""
        found: Document = json.loads(
            self.ask("--namespace", namespace, "get", kind, name, "--output=json")
        )
        return found

    def apply(self, documents: Sequence[Document]) -> str:
        """Apply documents as they are."""
        if not documents:
            return ""
        items = {"apiVersion": "v1", "kind": "List", "items": list(documents)}
        return self.ask("apply", "--filename=-", given=json.dumps(items))

    def pods(self, name: str, namespace: str = NAMESPACE) -> list[Document]:
        """Return the pods of a workload that are not being deleted."""
        found = self.items("pods", f"app.kubernetes.io/name={name}", namespace)
        return [each for each in found if "deletionTimestamp" not in each["metadata"]]

    def rolled_out(self, workload: str, seconds: float) -> None:
        """Wait for a roll-out, such as of deployment/gateway. Raise Refused."""
        how = ("rollout", "status", workload, f"--timeout={seconds:.0f}s")
        self.here(*how, seconds=seconds + REQUEST_SECONDS)

    def available(self, seconds: float) -> str:
        """Wait until every Deployment is Available, and return kubectl's output. Raise Refused,
        with what its pods say."""
        how = ("wait", "--for=condition=Available", "deployment", "--all")
        try:
            return self.here(*how, f"--timeout={seconds:.0f}s", seconds=seconds + REQUEST_SECONDS)
        except Refused as error:
            raise Refused(f"{error}\n{self.unready()}") from error

    def unready(self) -> str:
        """Return the containers that are not ready, each with the cluster's reason."""
        said = []
        for pod in self.items("pods"):
            status = pod.get("status", {})
            for each in [
                *status.get("initContainerStatuses", []),
                *status.get("containerStatuses", []),
            ]:
                state = each.get("state", {})
                ended = state.get("terminated", {}).get("reason") == "Completed"
                if not each.get("ready") and not ended:
                    said.append(f"{pod['metadata']['name']} {each['name']}: {json.dumps(state)}")
            said += [
                f"{pod['metadata']['name']}: {each.get('message', each['type'])}"
                for each in status.get("conditions", [])
                if each["type"] == "PodScheduled" and each["status"] != "True"
            ]
        return "\n".join(said)


def ready(pod: Document) -> bool:
    """Return whether a pod is ready."""
    conditions: list[dict[str, Any]] = pod.get("status", {}).get("conditions", [])
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


def restarts(pod: Document) -> int:
    """Return the number of restarts of a pod's containers."""
    statuses = pod.get("status", {}).get("containerStatuses", [])
    return sum(each["restartCount"] for each in statuses)
