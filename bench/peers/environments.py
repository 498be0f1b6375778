"""Environments of those who have dependencies of their own."""

import subprocess
from pathlib import Path

from bench.harness.machine import ROOT


def made(folder: Path) -> str:
    """Have the environment of a folder's pyproject.toml; what is wrong when that fails."""
    command = [".tools/bin/uv", "sync", "--locked", "--project", str(folder)]
    try:
        done = subprocess.run(
            [*command, "--python", "python3.11"],
            cwd=ROOT,
            capture_output=True,
            timeout=600,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return done.stderr.decode()[-300:] if done.returncode else ""
