"""Environments of peers with their own dependencies."""

import subprocess
from pathlib import Path

from bench.harness.machine import ROOT


def made(folder: Path) -> str:
    """Create the environment of a folder's pyproject.toml. Return the error; empty = success."""
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
