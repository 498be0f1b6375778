"""`make cluster-check`, with a kubectl that answers like a cluster."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.cluster.check import main
from tests.contracts.k8s import OVERLAYS, ROOT, overlay
from tests.contracts.k8s_schemas import VERSIONS
from tests.contracts.test_k8s_policies import RULES

pytestmark = pytest.mark.when("deploy", "compose.yaml", "docs")

REFUSED = "StatefulSet"
"""A kind that the cluster warns of."""
CLUSTER = """#!{python}
import sys
command = [each for each in sys.argv[1:] if not each.startswith("--request-timeout")]
given = "" if sys.stdin.isatty() or command[0] != "apply" else sys.stdin.read()
with open({log!r}, "a") as log:
    print(*command, file=log)
if command[0] == "version":
    print('{{"serverVersion": {{"gitVersion": "v1.99.0"}}}}')
elif command[:2] == ["get", "--raw"]:
    print({groups!r})
elif command[0] == "apply" and {refused!r} in given:
    sys.exit("Warning: " + {refused!r})
"""


@pytest.fixture
def kubeconfig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    rendered = {each["apiVersion"] for name in OVERLAYS for each in overlay(name)}
    known = [{"groupVersion": each} for each in rendered if not custom(each)]
    fake = tmp_path / "kubectl"
    text = CLUSTER.format(
        python=sys.executable,
        log=str(tmp_path / "log"),
        groups=json.dumps({"groups": [{"versions": known}]}),
        refused=REFUSED,
    )
    fake.write_text(text)
    fake.chmod(0o755)
    monkeypatch.setenv("KUBECTL", str(fake))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
    return tmp_path


def custom(api: str) -> bool:
    return "." in api and ".k8s.io/" not in api


@pytest.mark.slow
def test_each_overlay_is_applied_without_being_kept_and_what_is_refused_fails(
    kubeconfig: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main() == 1
    said, log = capsys.readouterr().out, (kubeconfig / "log").read_text().splitlines()
    assert "Kubernetes v1.99.0" in said
    kinds = set()
    for name in OVERLAYS:
        refused = REFUSED in json.dumps(overlay(name))
        assert f"\n{name}: {'refused' if refused else ''}" in said
        assert f"\n{name}: refused" in said or not refused
        kinds |= {each["kind"] for each in overlay(name) if custom(each["apiVersion"])}
    assert f"Warning: {REFUSED}" in said
    assert " accepted" in said
    assert all(f"NOT MEASURED {kind} " in said for kind in kinds)
    applied = [line for line in log if line.startswith("apply")]
    assert applied == ["apply --dry-run=server --warnings-as-errors --filename=-"] * len(OVERLAYS)
    assert "create --filename=-" in log
    assert "delete namespace sightline --wait=false" in log

    monkeypatch.setattr("tests.cluster.check.OVERLAYS", ["gateway"])
    assert main() == 0


def test_without_a_cluster_it_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("KUBECONFIG", raising=False)
    assert main() == 0
    assert capsys.readouterr().out.startswith("NOT MEASURED: no cluster")


def test_its_page_has_every_policy_and_version_and_commands_that_there_are() -> None:
    page = (ROOT / "docs/operate/manifests.md").read_text("utf-8")
    checked = (ROOT / "tests/contracts/policies/README.md").read_text("utf-8")
    for rule in RULES:
        assert f"`{rule.__name__}`" in checked
    first, last = (each.rpartition(".")[0] for each in (VERSIONS[0], VERSIONS[-1]))
    assert f"{first} to {last}" in page
    for name in ("cert-manager", "KEDA", "Prometheus Operator"):
        package = f"cloudcoil-models-{name.lower().replace(' ', '-')}"
        assert f"{name} {'.'.join(version(package).split('.')[:2])}" in " ".join(checked.split())
    render, tests, check = re.findall(r"```sh\n(.*?)```", page, re.DOTALL)[0].splitlines()
    assert (ROOT / render.split()[-1] / "kustomization.yaml").exists()
    assert all((ROOT / each).exists() for each in tests.split()[4:])
    done = subprocess.run(
        ["make", "--dry-run", *check.split()[1:]],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "-m tests.cluster.check" in done.stdout
