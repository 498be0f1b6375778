"""A backup of the catalog, its loss and its restore, by the commands of the pages."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

from tests.chaos.model import Report
from tests.cluster.parts.small import install, open_for_business
from tests.cluster.parts.stage import Stage

SECONDS: Final = 300


def restore(stage: Stage, report: Report) -> None:
    """Back the catalog up, purge it, and restore it."""
    install(stage, report)
    open_for_business(stage)
    before = count(stage)
    answer = sightline(stage, "recommend", "--product", "111478", "--top", "5")
    sightline(stage, "backup", "create")
    (newest, *_) = json.loads(sightline(stage, "backup", "list", "--json"))["backups"]
    sightline(stage, "products", "purge", "--filter", "price >= 0 EUR", "--force")
    lost = count(stage)
    began = time.monotonic()
    sightline(stage, "backup", "restore", newest["backupId"], "--force")
    after = until_full(stage, before)
    same = sightline(stage, "recommend", "--product", "111478", "--top", "5") == answer
    report.add(
        "the catalog purged and restored by `sightline backup restore`: the same answer",
        after == before and lost < before and same,
        f"{before} products, {lost} after the purge, {after} again after"
        f" {time.monotonic() - began:.0f} s",
    )


def until_full(stage: Stage, wanted: int) -> int:
    """Wait until the index has all products again, and return their number."""
    end = time.monotonic() + SECONDS
    while (found := count(stage)) < wanted and time.monotonic() < end:
        time.sleep(1)
    sightline(stage, "products", "status", "--wait")
    return found


def count(stage: Stage) -> int:
    """Return the number of products."""
    return len(json.loads(sightline(stage, "products", "list", "--top", "0", "--json"))["products"])


def sightline(stage: Stage, *words: str) -> str:
    """Run the command line on the administrative port. CalledProcessError if it fails."""
    command = [str(Path(sys.executable).parent / "sightline"), *words]
    target = stage.address("gateway-admin", 8609)
    done = subprocess.run(
        [*command, "--target", target],
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
        env={**os.environ},
    )
    if done.returncode:
        said = (done.stderr + done.stdout).strip()[-600:]
        raise ValueError(f"sightline {' '.join(words)}: {said}")
    return done.stdout
