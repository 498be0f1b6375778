"""Each `kubectl` command of the operators' pages, run as it stands there."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.chaos.model import Report
from tests.cluster.parts.faults import kill
from tests.cluster.parts.medium import install
from tests.cluster.parts.stage import Stage
from tests.cluster.tools import ROOT
from tests.contracts.k8s import kubectl

PAGES: Final = (
    *sorted(str(each.relative_to(ROOT)) for each in (ROOT / "docs/operate").glob("*.md")),
    "docs/operations.md",
)
"""The handbook last: it makes a volume larger than the overlay says."""
BLOCK_SECONDS: Final = 600
DRY: Final = "--dry-run=server"
REPLACED: Final = {
    # Overlays of clusters with another node, or of the reader: the server judges them.
    r"kubectl apply -k": f"kubectl apply {DRY} -k",
    r"apply (.*)overlays/(yours|example)": r"apply \1overlays/medium",
    r"(kubectl .*port-forward .*)": r"timeout 5 \1 || [ $? = 124 ]",
    r"secrets.sh \| kubectl create -f -": "secrets.sh | kubectl create -f - || true # they exist",
    r"sleep 90": "sleep 1",
}
"""Replacements, by regular expression, that let a command run on this cluster."""
LEFT_OUT: Final = {
    "describe hpa": "there is an HPA only with components/autoscaling and KEDA",
    "kubectl kustomize deploy/k8s/overlays/example": "",
}
"""Commands that need what this cluster has not; "": run by tests/contracts."""
ELSEWHERE: Final = (
    *("job copy-", "job restore-"),
    *("installation.yaml", "gateway-keys", "sightline-ca", "namespace web", "kind create"),
)
"""Blocks that another part runs, and those that need what this cluster has not."""


def pages(stage: Stage, report: Report) -> None:
    """Run every block of a page that has a kubectl command."""
    install(stage, report)
    kill(stage, "retriever")  # for logs --previous
    stage.kube.call("create", "namespace", "milvus")  # --dry-run does not create it for the others
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bin"
        path.mkdir()
        (path / "kubectl").symlink_to(kubectl())
        for page in PAGES:
            run_page(stage, report, page, path)


def run_page(stage: Stage, report: Report, page: str, path: Path) -> None:
    """Run the blocks of a page."""
    failed: list[str] = []
    ran = 0
    for block in blocks((ROOT / page).read_text("utf-8")):
        script, number = prepared(block)
        if not number or any(each in block for each in ELSEWHERE):
            continue
        for name in ("postgres", "milvus"):
            stage.kube.rolled_out(f"statefulset/{name}", BLOCK_SECONDS)
        ran += number
        failed += run(stage, script, path)
    if ran:
        report.add(
            f"{page}: kubectl commands run", not failed, f"{ran}; failed: {failed or 'none'}"
        )


def blocks(text: str) -> Iterator[str]:
    """Return the code blocks that have a kubectl command."""
    block: list[str] | None = None
    language = ""
    for line in text.splitlines():
        if not line.lstrip().startswith("```"):
            if block is not None:
                block.append(line)
        elif block is None:
            block, language = [], line.strip().removeprefix("```")
        else:
            body = textwrap.dedent("\n".join(block))
            if language in {"", "sh"} and "kubectl " in body:
                yield body
            block = None


def prepared(block: str) -> tuple[str, int]:
    """Return the script of a block and the number of its kubectl commands."""
    lines = [each for each in block.splitlines() if not any(out in each for out in LEFT_OUT)]
    script = "\n".join(each for each in lines if not each.startswith((".venv", "make ", "export ")))
    for old, new in REPLACED.items():
        script = re.sub(old, new, script)
    return script, script.count("kubectl ")


def run(stage: Stage, script: str, path: Path) -> list[str]:
    """Run a block. Return the commands that failed."""
    wrapped = f"trap 'echo \"FAILED $BASH_COMMAND\" >&2' ERR\nset -E\n{script}\n"
    environment = {
        **os.environ,
        "PATH": f"{path}:{ROOT / '.venv/bin'}:{os.environ['PATH']}",
        "KUBECONFIG": str(stage.kube.config),
        "KUBE_EDITOR": "true",
    }
    done = subprocess.run(
        ["bash", "-c", wrapped],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=BLOCK_SECONDS,
    )
    said = done.stderr.splitlines()
    return [
        f"{line.removeprefix('FAILED ')}: {' '.join(said[max(0, place - 2) : place])}"[:300]
        for place, line in enumerate(said)
        if line.startswith("FAILED ")
    ]
