"""Every command of deploy/k8s/README.md, typed. What needs a cluster, a container engine or kind
is not run: its arguments are checked, by kubectl itself where it can."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.contracts.k8s import K8S, OVERLAYS, ROOT, kubectl, overlay
from tests.contracts.test_k8s import images

BLOCKS = re.findall(r"```sh\n(.*?)```", (K8S / "README.md").read_text(), re.DOTALL)
KUBECTL = """#!/bin/sh
# The real one, as far as it gets without a cluster; prints what it was asked.
echo "kubectl $*" >>"$ASKED"
real() { "$REAL" "$@"; }
case "$1 $2" in
  "kustomize "*) real "$@" ;;
  "apply -k" | "diff -k") real kustomize "$3" ;;
  "create -f") real label --local -o name -f - read=yes ;;
  "-n sightline") shift 2
    case "$1" in
      create) real "$@" --dry-run=client -o yaml ;;
      wait) [ "$2 $3 $4" = "--for=condition=Available deployment --all" ] ;;
      port-forward) [ "$2 $3" = "deployment/gateway 8600" ] ;;
      *) exit 1 ;;
    esac ;;
  *) exit 1 ;;
esac
"""
OTHERS = {
    "kind": 'echo "kind $*" >>"$ASKED"',
    "make": 'exec "$MAKE" --dry-run --directory "$ROOT" "$@"',
}


@pytest.fixture
def typed(tmp_path: Path) -> dict[str, str]:
    """An environment in which the commands are those above."""
    make = shutil.which("make")
    assert make is not None
    for name, script in {"kubectl": KUBECTL, **OTHERS}.items():
        (tmp_path / name).write_text(
            script if script.startswith("#!") else f"#!/bin/sh\n{script}\n"
        )
        (tmp_path / name).chmod(0o755)
    for name in ("keys.toml", "credentials"):
        (tmp_path / name).write_text("its content\n")
    return {
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "REAL": kubectl(),
        "MAKE": make,
        "ROOT": str(ROOT),
        "ASKED": str(tmp_path / "asked"),
    }


@pytest.mark.parametrize("block", BLOCKS)
def test_commands_do_what_the_page_says(block: str, typed: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "deploy").symlink_to(ROOT / "deploy")
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", block],
        cwd=tmp_path, env=typed, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    if "kind load" in block:
        asked = (tmp_path / "asked").read_text()
        small = images(overlay("small"))
        (loaded,) = re.findall(r"kind load docker-image (.+)", asked)
        assert sorted(loaded.split()) == sorted(f"{name}:{tag}" for name, tag in small.items())


def test_the_page_names_every_overlay_and_component() -> None:
    text = (K8S / "README.md").read_text()
    for name in [*OVERLAYS, *(each.name for each in (K8S / "components").iterdir())]:
        assert f"`{name}`" in text, name
    for path in re.findall(r"deploy/k8s/[\w./-]+", " ".join(BLOCKS)):
        assert (ROOT / path).exists(), path
