"""Services that are installed beside the command line, asked whether they would start."""

import importlib.util
import subprocess
import sys

PROCESSES = {
    "gateway": "gateway",
    "embedder": "embedder",
    "retriever": "retriever",
    "retriever-worker": "retriever.worker",
    "ranker": "ranker",
    "ranker-worker": "ranker.worker",
}
"""What each is run as."""


def check(name: str) -> tuple[str, bool]:
    """Return a process's own report on the environment, and whether it would start, without
    starting it."""
    module = PROCESSES[name]
    if importlib.util.find_spec(module.partition(".")[0]) is None:
        return "is not installed here: type this where it is", False
    done = subprocess.run(
        [sys.executable, "-m", module, "--check"], capture_output=True, text=True, check=False
    )
    return (done.stdout or done.stderr).strip(), done.returncode == 0
