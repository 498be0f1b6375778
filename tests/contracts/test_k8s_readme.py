"""Every command of deploy/k8s/README.md, of the page of the first install and of the handbook runs.
Commands that need a cluster, a container engine or kind are not run: their arguments are checked,
by kubectl itself where possible.
"""

from __future__ import annotations

import base64
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.contracts.k8s import K8S, OVERLAYS, OWN, ROOT, kubectl, of, overlay
from tests.contracts.test_k8s import images
from tests.peers import PAIRS

pytestmark = pytest.mark.when("deploy", "compose.yaml", "docs")

README, FIRST, HANDBOOK = (
    re.findall(r"```sh\n(.*?)```", page.read_text(), re.DOTALL)
    for page in (
        K8S / "README.md",
        ROOT / "docs/operate/first-install.md",
        ROOT / "docs/operations.md",
    )
)
KUBECTL = """#!/bin/sh
# The real one, as far as it gets without a cluster; prints what it was asked.
echo "kubectl $*" >>"$ASKED"
real() { "$REAL" "$@"; }
case "$1 $2" in
  "kustomize "*) real "$@" ;;
  "apply -k" | "diff -k") real kustomize "$3" ;;
  "apply -f" | "create -f") tee -a "$ASKED" | real label --local -o name -f - read=yes ;;
  "create namespace" | "label namespace")
    real --server=http://127.0.0.1:9 "$@" 2>&1 | grep -q "127.0.0.1:9 was refused" ;;
  "-n sightline")
    case "$3 $4" in
      "create secret") real "$@" --dry-run=client -o yaml ;;
      "get secret") printf old | base64 ;; # one made by hand: without an end of the line
      # Refused is the connection: kubectl has read the rest, and finds nothing wrong with it.
      *) real --server=http://127.0.0.1:9 "$@" 2>&1 | grep -q "127.0.0.1:9 was refused" ;;
    esac ;;
  *) exit 1 ;;
esac
"""
OTHERS = {
    "kind": 'echo "kind $*" >>"$ASKED"',
    "helm": 'echo "helm $*" >>"$ASKED"; test -e values.example.yaml',
    "tar": 'case "$1" in --*) touch values.example.yaml ;; *) exit 1 ;; esac',  # as on macOS
    "psql": 'echo "psql $*" >>"$ASKED"',
    "sudo": "cat",
    "sleep": "exit 0",
    "make": 'exec "$MAKE" --dry-run --directory "$ROOT" "$@"',
}


@pytest.fixture
def typed(tmp_path: Path) -> dict[str, str]:
    """Return an environment in which the commands are the stubs above."""
    make = shutil.which("make")
    assert make is not None
    for name, script in {"kubectl": KUBECTL, **OTHERS}.items():
        (tmp_path / name).write_text(
            script if script.startswith("#!") else f"#!/bin/sh\n{script}\n"
        )
        (tmp_path / name).chmod(0o755)
    for name in ("keys.toml", "credentials", "database-ca.crt"):
        (tmp_path / name).write_text("its content\n")
    return {
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "REAL": kubectl(),
        "MAKE": make,
        "ROOT": str(ROOT),
        "ASKED": str(tmp_path / "asked"),
        "EDITOR": "true",
    }


@pytest.mark.slow
@pytest.mark.parametrize("block", [*README, *FIRST, *HANDBOOK])
def test_commands_do_what_the_page_says(block: str, typed: dict[str, str], tmp_path: Path) -> None:
    for name in ("k8s", "monitoring"):
        shutil.copytree(ROOT / "deploy" / name, tmp_path / "deploy" / name, dirs_exist_ok=True)
    if "cp -r" not in block:
        overlays = tmp_path / "deploy/k8s/overlays"
        shutil.copytree(overlays / OWN, overlays / "yours")
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", block],
        cwd=tmp_path, env=typed, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    asked = (tmp_path / "asked").read_text()
    if "roles.sh" in block:
        assert asked.count("--set password=password") == 2
    if "generic peer-keys" in block:
        for one, other in PAIRS:
            name = f"{one}-{other}.key"
            found = re.findall(rf" {re.escape(name)}: (.+)", asked)
            keys = [base64.b64decode(each).split() for each in found]
            old, new = keys[0]
            assert keys == [[b"old", new], [new, b"old"], [new]]
            assert (old, len(new)) == (b"old", 64)
    if "kind load" in block:
        medium = images(overlay("medium"))
        (loaded,) = re.findall(r"kind load docker-image (.+)", asked)
        assert sorted(loaded.split()) == sorted(f"{name}:{tag}" for name, tag in medium.items())


def test_the_page_names_every_overlay_and_component() -> None:
    text = (K8S / "README.md").read_text()
    for name in [*OVERLAYS, *(each.name for each in (K8S / "components").iterdir())]:
        assert f"`{name}`" in text, name


def test_commands_name_what_is_there() -> None:
    typed, apart = " ".join([*README, *FIRST, *HANDBOOK]), overlay("medium")
    for path in re.findall(r"deploy/k8s/[\w./-]+", typed):
        assert (ROOT / path.replace("/yours", f"/{OWN}")).exists(), path
    kinds = {
        "deployment": "Deployment",
        "statefulset": "StatefulSet",
        "pvc": "PersistentVolumeClaim",
    }
    named = re.findall(rf"\b({'|'.join(kinds)})[/ ]([a-z][a-z-]*)", typed)
    assert {kind for kind, _ in named} == set(kinds)
    for kind, name in named:
        assert name in of(apart, kinds[kind]), name
    labels = {each["metadata"].get("labels", {}).get("app.kubernetes.io/name") for each in apart}
    for names in re.findall(r"app\.kubernetes\.io/name(?:=| in \()([\w, -]+)", typed):
        assert set(names.split(", ")) <= labels, names
