"""The steps of a release and the demo in a cluster, with programs that only record their calls: the
order of calls, and the effect of each failure.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from tests.waiting import SECONDS

ROOT = Path(__file__).parents[2]
DIGEST = "sha256:" + "0123456789abcdef" * 4
IMAGE = "ghcr.io/you/sightline/gateway"
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
STANDS_IN = """#!/bin/sh
echo "$(basename "$0") $*" >>"$CALLS"
case "$(basename "$0") $*" in
  $FAILS) exit 1 ;;
  *"imagetools inspect"*) echo "$DIGEST" ;;
  "kubectl "*" get deployment "*) echo deployment.apps/gateway ;;
  "gh "*) cat >>"$CALLS" ;;
esac
"""


class Machine:
    """Folder with the scripts, and stand-ins for the programs that they call."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.calls = folder, folder / "calls"
        for path in (ROOT / "CHANGELOG.md", *(ROOT / "deploy").glob("*.sh")):
            (folder / path.relative_to(ROOT)).parent.mkdir(exist_ok=True)
            shutil.copy(path, folder / path.relative_to(ROOT))
        for name in ("docker", "grype", "cosign", "gh", "kind", "kubectl", "sightline", "jq"):
            self.stand_in(f"bin/{name}")
        self.stand_in(".venv/bin/python")
        self.stand_in("deploy/k8s/secrets.sh")

    def stand_in(self, name: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(STANDS_IN)
        path.chmod(0o755)

    def run(
        self, script: str, *arguments: str, fails: str = "-", **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a script. `fails`: a shell pattern of the commands that fail."""
        self.calls.write_text("")
        return subprocess.run(
            [self.folder / script, *arguments],
            env={
                "PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}",
                "CALLS": str(self.calls),
                "FAILS": fails,
                "DIGEST": DIGEST,
                "REGISTRY": "ghcr.io/You/sightline",
                "REPOSITORY": "https://github.com/You/sightline",
                **environment,
            },
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )

    def step(self, *arguments: str, fails: str = "-") -> subprocess.CompletedProcess[str]:
        return self.run("deploy/release.sh", *arguments, fails=fails)

    def called(self) -> list[str]:
        return self.calls.read_text().splitlines()


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.mark.parametrize(
    ("tag", "said"),
    [(f"v{VERSION}", ""), (VERSION, "the tag is"), ("v98.7.6", "the tag is"), ("main", "the tag")],
)
def test_a_tag_is_that_of_the_version(tag: str, said: str) -> None:
    done = subprocess.run(
        [ROOT / "deploy/release.sh", "check", tag], capture_output=True, text=True, check=False
    )
    assert done.returncode == bool(said), done.stderr
    assert said in done.stderr


def test_the_notes_are_what_the_changelog_says_of_the_version(machine: Machine) -> None:
    changes = "# Changelog\n\n## 1.2.0 (2026-01-01)\n\n- New\n\n## 1.1.0\n\n- Old\n"
    (machine.folder / "CHANGELOG.md").write_text(changes)
    assert machine.step("notes").stdout.strip() == "- New"
    assert machine.step("github", "v1.2.0").returncode != 0, "no image was published"
    assert machine.step("tag", "gateway", DIGEST).returncode == 0
    assert machine.step("github", "v1.2.0").returncode == 0
    assert machine.called()[0].startswith("gh release create v1.2.0 --verify-tag")
    listed = (machine.folder / "dist/images.txt").read_text()
    assert listed == f"{IMAGE}:1.2.0@{DIGEST}\n"
    assert "- New" in machine.called()
    assert "- Old" not in machine.called()


def test_an_image_of_both_platforms_is_scanned_on_both_signed_and_tagged(machine: Machine) -> None:
    assert machine.step("join", "gateway", "build-1").stdout.strip() == DIGEST
    assert machine.called()[0] == (
        f"docker buildx imagetools create --tag {IMAGE}:build-1 "
        f"{IMAGE}:build-1-amd64 {IMAGE}:build-1-arm64"
    )
    assert machine.step("scan", "gateway", DIGEST).returncode == 0
    assert machine.called() == [
        f"grype registry:{IMAGE}@{DIGEST} --platform linux/{each} --only-fixed --fail-on critical"
        for each in ("amd64", "arm64")
    ]
    assert machine.step("sign", "gateway", DIGEST).returncode == 0
    assert machine.called() == [f"cosign sign --yes --recursive {IMAGE}@{DIGEST}"]
    assert machine.step("tag", "gateway", DIGEST).returncode == 0
    made = f"docker buildx imagetools create --tag {IMAGE}:{VERSION} {IMAGE}@{DIGEST}"
    assert machine.called()[0] == made
    kept = (machine.folder / "dist/images/gateway.txt").read_text()
    assert kept == f"{IMAGE}:{VERSION}@{DIGEST}\n"


def test_what_is_in_an_image_is_signed_with_it(machine: Machine) -> None:
    (machine.folder / "dist/sbom").mkdir(parents=True)
    (machine.folder / "dist/sbom/gateway.cdx.json").write_text("{}")
    assert machine.step("sign", "gateway", DIGEST).returncode == 0
    assert machine.called()[1] == (
        "cosign attest --yes --type cyclonedx --predicate dist/sbom/gateway.cdx.json "
        f"{IMAGE}@{DIGEST}"
    )


@pytest.mark.parametrize(
    ("step", "fails"),
    [
        ("scan", "grype*linux/amd64*"),
        ("scan", "grype*linux/arm64*"),
        ("sign", "cosign sign*"),
        ("verify", "cosign verify*"),
        ("tag", "docker*create*"),
        ("tag", "docker*inspect*"),
    ],
)
def test_a_step_that_fails_ends_the_release(machine: Machine, step: str, fails: str) -> None:
    assert machine.step(step, "gateway", DIGEST, fails=fails).returncode != 0
    assert not (machine.folder / "dist/images").exists() or "inspect" in fails


def test_a_registry_without_the_digest_ends_the_release(machine: Machine) -> None:
    assert machine.step("join", "gateway", "build-1", fails="docker*inspect*").returncode != 0
    assert machine.step("tag", "gateway", "sha256:other").returncode != 0


def test_the_page_verifies_as_the_workflow_does(machine: Machine) -> None:
    assert machine.step("verify", "gateway", DIGEST).returncode == 0
    page = (ROOT / "docs/operate/releases.md").read_text("utf-8")
    shown = page.replace("\\\n  ", "").replace("github.com/OWNER", "github.com/You")
    shown = shown.replace("ghcr.io/OWNER", "ghcr.io/you").replace("sha256:DIGEST", DIGEST)
    (asked,) = (call for call in machine.called() if "verify" in call)
    assert shown.count(asked) == 1, asked


def test_every_make_of_the_page_is_one_that_does_what_it_says(machine: Machine) -> None:
    page = (ROOT / "docs/operate/releases.md").read_text("utf-8")
    make = (ROOT / "Makefile").read_text("utf-8")
    shown = re.findall(r"(?:^|`)make ([a-z-]+) ?([^`\n&]*)", page, re.MULTILINE)
    assert len(shown) >= 10
    for target, _ in shown:
        assert f"\n{target}: " in make, target
    for _, settings in (each for each in shown if each[0] == "images"):
        given = dict(word.split("=", 1) for word in settings.split())
        done = machine.run("deploy/images.sh", **{"REGISTRY": "", **given})
        assert done.returncode == 0, done.stderr
        registry = given.get("REGISTRY", "sightline")
        assert f"--tag {registry}/gateway:{VERSION}" in machine.calls.read_text()
        assert ("--platform linux/amd64,linux/arm64" in machine.calls.read_text()) == bool(given)


def test_the_demo_in_a_cluster_builds_applies_loads_asks_and_leaves_nothing(
    machine: Machine,
) -> None:
    done = machine.run("deploy/kind.sh")
    assert done.returncode == 0, done.stderr
    calls = "\n".join(machine.called())
    order = [
        "kind create cluster --name sightline",
        f"docker buildx build --file Dockerfile --tag localhost:5001/sightline/gateway:{VERSION}",
        "docker buildx build --file deploy/triton/server/Dockerfile",
        "apply --kustomize deploy/k8s/overlays/small",
        "create --filename -",
        "rollout status deployment.apps/gateway",
        "-m examples.wines.load --target 127.0.0.1:8601",
        "sightline recommend --target 127.0.0.1:8600",
        "sightline status --target 127.0.0.1:8601",
        "kind delete cluster --name sightline",
        "docker rm --force sightline-registry",
    ]
    places = [calls.find(each) for each in order]
    assert -1 not in places, (order[places.index(-1)], calls)
    assert places == sorted(places)
    assert "port-forward service/gateway 8600:8600" in calls
    assert "port-forward service/gateway-admin 8601:8609" in calls
    assert "logs" not in calls


@pytest.mark.parametrize("fails", ["kubectl*rollout*", "python*wines*", "sightline*recommend*"])
def test_a_demo_that_fails_shows_the_logs_and_leaves_nothing(machine: Machine, fails: str) -> None:
    # In a pipeline the last one counts, and jq fails where it is given nothing.
    fails = "jq*" if "recommend" in fails else fails
    assert machine.run("deploy/kind.sh", fails=fails).returncode == 1
    calls = "\n".join(machine.called())
    for each in ("get pods", "get events", "logs --selector", "kind delete cluster"):
        assert each in calls, calls


def test_a_demo_that_cannot_begin_says_why_and_touches_nothing(machine: Machine) -> None:
    (machine.folder / "bin/kind").write_text("#!/bin/sh\necho other\necho sightline\n")
    done = machine.run("deploy/kind.sh")
    assert (done.returncode, machine.called()) == (1, [])
    assert 'the cluster "sightline" exists' in done.stderr
    (machine.folder / "bin/kind").unlink()
    done = machine.run("deploy/kind.sh")
    assert (done.returncode, machine.called()) == (1, [])
    assert "needs kind" in done.stderr


def test_the_demo_applies_an_overlay_that_there_is() -> None:
    script = (ROOT / "deploy/kind.sh").read_text("utf-8")
    (overlay,) = re.findall(r"^overlay=(\S+)$", script, re.MULTILINE)
    assert (ROOT / overlay / "kustomization.yaml").exists()
    assert (ROOT / "deploy/k8s/secrets.sh").exists()
