"""Configuration checks of services installed beside the command line."""

import importlib.util
import subprocess
import sys

from sightline_client.cli.language import _

PROCESSES = {
    "gateway": "gateway",
    "embedder": "embedder",
    "retriever": "retriever",
    "retriever-worker": "retriever.worker",
    "ranker": "ranker",
    "ranker-worker": "ranker.worker",
}
"""Module of each service."""


def check(name: str) -> tuple[str, bool]:
    """Return a process's own report on the environment, and whether it would start, without
    starting it."""
    module = PROCESSES[name]
    if importlib.util.find_spec(module.partition(".")[0]) is None:
        return _("is not installed here: run the command where it is installed"), False
    done = subprocess.run(
        [sys.executable, "-m", module, "--check"], capture_output=True, text=True, check=False
    )
    return (done.stdout or done.stderr).strip(), done.returncode == 0
