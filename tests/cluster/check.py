"""Every overlay checked by a real API server: `make cluster-check KUBECONFIG=...`.

`kubectl apply --dry-run=server` has the server do all that it does but keep it: schemas, defaults,
admission, and warnings, which count as errors. Kinds that the cluster does not know are left out
and named. A namespace has to be there for that; one that is not is made, and removed at the end.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence

from tests.contracts.k8s import OVERLAYS, Document, kubectl, overlay

SECONDS = "60s"


def call(*arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
    command = [kubectl(), f"--request-timeout={SECONDS}", *arguments]
    return subprocess.run(command, input=given, capture_output=True, text=True, check=False)


def asked(*arguments: str) -> str:
    done = call(*arguments)
    if done.returncode:
        raise SystemExit(done.stderr)
    return done.stdout


def served() -> set[str]:
    """Return the versions of API groups that the cluster serves, such as apps/v1."""
    groups = json.loads(asked("get", "--raw", "/apis"))["groups"]
    return {"v1"} | {each["groupVersion"] for group in groups for each in group["versions"]}


def missing(documents: Sequence[Document]) -> list[Document]:
    """Return the namespaces of these documents that do not exist yet."""
    there = set(asked("get", "namespaces", "--output=name").split())
    wanted = [each for each in documents if each["kind"] == "Namespace"]
    return [each for each in wanted if f"namespace/{each['metadata']['name']}" not in there]


def listed(documents: Sequence[Document]) -> str:
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": documents})


def check(name: str, known: set[str], made: list[str]) -> bool:
    """Return whether the server would accept an overlay; namespaces created for it are added to
    `made`."""
    documents = overlay(name)
    for each in documents:
        if each["apiVersion"] not in known:
            print(f"{name}: NOT MEASURED {each['kind']} {each['metadata']['name']}: unknown there")
    documents = [each for each in documents if each["apiVersion"] in known]
    spaces = missing(documents)
    if spaces:
        made += [each["metadata"]["name"] for each in spaces]
        done = call("create", "--filename=-", given=listed(spaces))
        if done.returncode:
            print(f"{name}: no namespace: {done.stderr}")
            return False
    how = ("apply", "--dry-run=server", "--warnings-as-errors", "--filename=-")
    done = call(*how, given=listed(documents))
    print(f"{name}: {'refused' if done.returncode else f'{len(documents)} documents accepted'}")
    print(done.stderr, end="")
    return done.returncode == 0


def main() -> int:
    if not os.environ.get("KUBECONFIG"):
        print("NOT MEASURED: no cluster; name one by KUBECONFIG=/path/of/its/kubeconfig")
        return 0
    version = json.loads(asked("version", "--output=json"))["serverVersion"]["gitVersion"]
    print(f"Kubernetes {version}")
    made: list[str] = []
    try:
        known = served()
        passed = [check(name, known, made) for name in OVERLAYS]
        return 0 if all(passed) else 1
    finally:
        for name in made:
            print(call("delete", "namespace", name, "--wait=false").stdout, end="")


if __name__ == "__main__":
    sys.exit(main())
