"""`make cluster-check`, with a kubectl that answers as a cluster would."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.contracts.k8s import OVERLAYS, ROOT, kubectl, overlay

CLUSTER = """#!{python}
import os, subprocess, sys
command = [each for each in sys.argv[1:] if not each.startswith("--request-timeout")]
given = "" if sys.stdin.isatty() or command[0] != "apply" else sys.stdin.read()
with open({log!r}, "a") as log:
    print(*command, file=log)
if command[0] == "kustomize":
    os.execv({kubectl!r}, [{kubectl!r}, *command])
elif command[0] == "version":
    print('{{"serverVersion": {{"gitVersion": "v1.99.0"}}}}')
elif command[:2] == ["get", "--raw"]:
    print({groups!r})
elif command[0] == "apply" and {refused!r} in given:
    sys.exit("Warning: " + {refused!r})
"""


def run(folder: Path, refused: str = "nothing of this") -> tuple[int, str, str]:
    """What it returns and prints, and the commands that kubectl got."""
    log, fake = folder / "log", folder / "kubectl"
    rendered = {each["apiVersion"] for name in OVERLAYS for each in overlay(name)}
    known = [each for each in rendered if "." not in each or ".k8s.io/" in each]
    groups = {"groups": [{"versions": [{"groupVersion": each}]} for each in known]}
    text = CLUSTER.format(
        python=sys.executable,
        log=str(log),
        kubectl=kubectl(),
        groups=json.dumps(groups),
        refused=refused,
    )
    fake.write_text(text)
    fake.chmod(0o755)
    environment = {**os.environ, "KUBECTL": str(fake), "KUBECONFIG": str(folder / "config")}
    done = subprocess.run(
        [sys.executable, "-m", "tests.cluster"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr, log.read_text()


@pytest.mark.slow
def test_each_overlay_is_applied_without_being_kept(tmp_path: Path) -> None:
    code, said, log = run(tmp_path)
    assert code == 0, said
    assert "Kubernetes v1.99.0" in said
    custom = {
        each["kind"]
        for name in OVERLAYS
        for each in overlay(name)
        if "." in each["apiVersion"] and ".k8s.io/" not in each["apiVersion"]
    }
    for name in OVERLAYS:
        assert f"\n{name}: " in said
    for kind in custom:
        assert f"NOT MEASURED {kind} " in said
    applied = [line for line in log.splitlines() if line.startswith("apply")]
    assert len(applied) == len(OVERLAYS)
    assert all("--dry-run=server --warnings-as-errors" in line for line in applied)
    assert "create --filename=-" in log
    assert "delete namespace sightline --wait=false" in log


@pytest.mark.slow
def test_what_the_cluster_refuses_fails(tmp_path: Path) -> None:
    code, said, log = run(tmp_path, refused="PodDisruptionBudget")
    assert code == 1
    assert "refused" in said
    assert "Warning: PodDisruptionBudget" in said
    assert "delete namespace sightline" in log


def test_without_a_cluster_it_says_so() -> None:
    environment = {key: value for key, value in os.environ.items() if key != "KUBECONFIG"}
    done = subprocess.run(
        [sys.executable, "-m", "tests.cluster"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith("NOT MEASURED: no cluster")
