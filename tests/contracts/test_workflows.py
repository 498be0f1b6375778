"""Hosted workflows: existing scripts and targets, pinned actions, minimal permissions. Each check
has a change that it rejects.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
FILES = {path.name: path.read_text("utf-8") for path in (ROOT / ".github/workflows").iterdir()}
RELEASE = (ROOT / "deploy/release.sh").read_text("utf-8")
RIGHTS = {
    ("release.yaml", "packages"): {"id-token", "attestations"},
    ("release.yaml", "build"): {"packages"},
    ("release.yaml", "publish"): {"packages", "id-token", "attestations"},
    ("release.yaml", "pypi"): {"id-token"},
    ("release.yaml", "page"): {"contents"},
}
"""Write permissions by job; other jobs have none."""
STEPS = ["join", "scan", "sign", "actions/attest", "verify", "tag"]
"""Required steps of an image in this order: an image with the version's name has been scanned,
signed and verified."""
Job = dict[str, Any]


def jobs(files: Mapping[str, str]) -> Iterator[tuple[str, str, Job]]:
    for name, text in files.items():
        for job, held in yaml.safe_load(text)["jobs"].items():
            yield name, job, held


def runs(job: Job) -> list[str]:
    """Return the commands of a job, with each target of its matrix."""
    targets = job.get("strategy", {}).get("matrix", {}).get("target", [""])
    found = [step["run"] for step in job.get("steps", ()) if "run" in step]
    return [run.replace('"$TARGET"', target) for run in found for target in targets]


def faults(files: Mapping[str, str]) -> list[str]:
    """Return all faults in workflows."""
    found = [fault for name, text in files.items() for fault in _of_file(name, text)]
    for name, job, held in jobs(files):
        place = f"{name} {job}: "
        found += [place + fault for fault in (*_of_job(held), *_of_rights(name, job, held))]
        found += [place + fault for run in runs(held) for fault in _of_command(run)]
    return [*found, *_of_release(yaml.safe_load(files["release.yaml"])["jobs"])]


def _of_file(name: str, text: str) -> Iterator[str]:
    held = yaml.safe_load(text)
    if held.get("permissions") != {}:
        yield f"{name}: takes rights for all jobs"
    if "group" not in held.get("concurrency", {}):
        yield f"{name}: may run beside itself"
    if re.search(r"\bsecrets\b", text):
        yield f"{name}: needs a secret, which somebody has to keep"
    for used in re.findall(r"uses: (.*)", text):
        if not re.match(r"\./|[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$", used):
            yield f"{name}: {used} is not pinned by commit, with its version beside"


def _of_job(job: Job) -> Iterator[str]:
    if "uses" not in job and not 0 < job.get("timeout-minutes", 0) <= 90:
        yield "has no timeout"
    for step in job.get("steps", ()):
        kept = step.get("with", {}).get("persist-credentials", True)
        if step.get("uses", "").startswith("actions/checkout@") and kept:
            yield "leaves a token in the clone"
        if "${{" in step.get("run", ""):
            yield "a command holds an expression, which others may fill"


def _of_rights(name: str, job: str, held: Job) -> Iterator[str]:
    taken = {right for right, kind in held.get("permissions", {}).items() if kind != "read"}
    if "permissions" not in held:
        yield "names no rights"
    if taken != RIGHTS.get((name, job), set()):
        yield f"may write {sorted(taken)}"


def _of_command(run: str) -> Iterator[str]:
    targets = set(
        " ".join(
            re.findall(r"^([a-z ./-]+[a-z]):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
        ).split()
    )
    for words in re.findall(r"^make (.*)$", run, re.MULTILINE):
        for target in set(words.split()) - targets:
            yield f"make has no {target}"
    for script, step in re.findall(r"(deploy/\S+\.sh) ?([a-z]*)", run):
        path = ROOT / script
        if not (path.exists() and path.stat().st_mode & 0o100):
            yield f"{script} is no script"
        elif script == "deploy/release.sh" and f"  {step})" not in RELEASE:
            yield f"a release has no step {step}"


def _of_release(held: dict[str, Job]) -> Iterator[str]:
    script = (ROOT / "deploy/images.sh").read_text("utf-8")
    images = re.findall(r"^image (\S+)", script, re.MULTILINE)
    for job in ("build", "publish"):
        if held[job]["strategy"]["matrix"]["image"] != images:
            yield f"release.yaml {job}: not the images of deploy/images.sh"
    if f'platforms="{" ".join(held["build"]["strategy"]["matrix"]["platform"])}"' not in RELEASE:
        yield "release.yaml build: not the platforms of deploy/release.sh"
    text = [step.get("run", step.get("uses", "")) for step in held["publish"]["steps"]]
    order = [step for each in text for step in STEPS if re.search(rf"(sh |^){step}\b", each)]
    if order != STEPS:
        yield f"release.yaml publish: {order}"
    needs = {
        job: {*([n] if isinstance(n := each.get("needs", []), str) else n)}
        for job, each in held.items()
    }
    for job, waits in needs.items():
        if waits - set(held):
            yield f"release.yaml {job}: waits for {sorted(waits - set(held))}, which there is not"
    for job, first in {
        "publish": {"test", "packages", "build"},
        "pypi": {"publish"},
        "build": {"check"},
    }.items():
        if not first <= needs[job]:
            yield f"release.yaml {job}: does not wait for {sorted(first - needs[job])}"


def test_the_workflows_are_right() -> None:
    assert set(FILES) == {"test.yaml", "demo.yaml", "release.yaml"}
    assert faults(FILES) == []


@pytest.mark.when(".github")
@pytest.mark.parametrize(
    ("name", "old", "new", "fault"),
    [
        ("test.yaml", "run: make test", "run: make tests", "make has no tests"),
        (
            "demo.yaml",
            "run: make demo-kind",
            "run: make demo-kind demo-k3s",
            "make has no demo-k3s",
        ),
        ("demo.yaml", "release.sh room", "release.sh rom", "no step rom"),
        ("release.yaml", "deploy/images.sh", "deploy/image.sh", "deploy/image.sh is no script"),
        ("release.yaml", "ranker-train, models", "models", "not the images of"),
        ("release.yaml", "[amd64, arm64]", "[amd64]", "not the platforms of"),
        ("release.yaml", "needs: [test, packages, build]", "needs: [packages, build]", "['test']"),
        ("release.yaml", "needs: publish", "needs: [publish, images]", "waits for ['images']"),
        ("release.yaml", 'scan "$IMAGE"', 'notes "$IMAGE"', "publish: ['join', 'sign'"),
        ("release.yaml", "contents: read", "contents: write", "may write ['contents']"),
        ("release.yaml", "id-token: write", "id-token: read", "packages: may write"),
        ("test.yaml", "permissions: {}", "permissions: write-all", "rights for all jobs"),
        ("test.yaml", "    permissions:\n      contents: read\n", "", "names no rights"),
        ("test.yaml", "timeout-minutes: 60", "timeout-minutes: 360", "has no timeout"),
        ("test.yaml", "persist-credentials: false", "fetch-depth: 1", "token in the clone"),
        ("test.yaml", "concurrency:\n  group", "concurrency:\n  grope", "beside itself"),
        (
            "demo.yaml",
            "setup-python@5fda3b95a4ea91299a34e894583c3862153e4b97",
            "setup-python@v7",
            "pinned",
        ),
        ("release.yaml", '"$GITHUB_REF_NAME"', "${{ github.ref_name }}", "holds an expression"),
        ("release.yaml", "${{ github.token }}", "${{ secrets.TOKEN }}", "needs a secret"),
    ],
)
def test_a_workflow_that_is_not_is_refused(name: str, old: str, new: str, fault: str) -> None:
    changed = FILES[name].replace(old, new, 1)
    assert changed != FILES[name]
    assert fault in "\n".join(faults({**FILES, name: changed}))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("run: make test", "run: echo ${{ github.head_ref }}", "template-injection"),
        ("pull_request:", "pull_request_target:", "dangerous-triggers"),
        ("@3d3c42e5aac5ba805825da76410c181273ba90b1 # v7.0.1", "@v7", "unpinned-uses"),
    ],
)
def test_make_lint_refuses_what_is_dangerous(old: str, new: str, said: str, tmp_path: Path) -> None:
    folder = tmp_path / ".github/workflows"
    folder.mkdir(parents=True)
    (folder / "test.yaml").write_text(FILES["test.yaml"].replace(old, new, 1), "utf-8")
    zizmor = Path(sys.executable).with_name("zizmor")
    options = re.search(r"zizmor (--quiet .*) \.github", (ROOT / "Makefile").read_text("utf-8"))
    assert options
    done = subprocess.run(
        [zizmor, *options[1].split(), folder], capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert said in done.stdout


def test_make_tools_has_the_python_that_it_runs() -> None:
    """Plan it as if nothing had been installed: Helm is unpacked by that Python."""
    asked = ["make", "--dry-run", "--assume-new=deploy/tools.txt", "tools"]
    planned = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert "-m venv .tools" in planned.partition("tools.sh")[0]
