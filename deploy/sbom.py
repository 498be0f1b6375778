"""Removes packages that no platform's image installs from a CycloneDX file.

`python deploy/sbom.py FILE UV WORDS…`, with WORDS as for `uv sync`. uv's plan of an installation
decides which packages the lock's markers exclude.
"""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

PLATFORMS = ("x86_64-manylinux_2_36", "aarch64-manylinux_2_36")
"""Version of glibc in our images: Debian 12's."""


def installed(uv: str, words: Sequence[str], platform: str) -> set[tuple[str, str]]:
    """Return name and version of each package that an installation has.

    Our packages have no version.
    """
    asked = ("sync", "--dry-run", "--quiet", "--locked", "--no-dev", "--output-format", "json")
    plan = subprocess.run(
        [uv, *asked, "--python-platform", platform, *words],
        # An environment without packages, so that the plan contains all of them.
        env={**os.environ, "UV_PROJECT_ENVIRONMENT": "/nonexistent"},
        stdout=subprocess.PIPE,
        check=True,
    ).stdout
    changes = json.loads(plan)["sync"]["changes"]
    return {(each["name"], each.get("version", "")) for each in changes}


def left(bom: Any, there: set[tuple[str, str]]) -> Any:
    """Return the list without third-party packages that are not installed."""
    held = [
        each
        for each in bom["components"]
        if (each["name"], each["version"]) in there or not each.get("purl")
    ]
    known = {each["bom-ref"] for each in (*held, bom["metadata"]["component"])}
    needs = [
        {**each, "dependsOn": [ref for ref in each.get("dependsOn", ()) if ref in known]}
        for each in bom["dependencies"]
        if each["ref"] in known
    ]
    return bom | {"components": held, "dependencies": needs}


def main(file: Path, uv: str, words: Sequence[str]) -> None:
    """Rewrite the file without packages that are not installed."""
    there = set().union(*(installed(uv, words, each) for each in PLATFORMS))
    file.write_text(json.dumps(left(json.loads(file.read_text()), there), indent=2) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3:])
