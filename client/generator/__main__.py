"""Writes the modules of the client that follow from the contract.

    .venv/bin/python -m client.generator

A test compares them with what this writes.
"""

import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from client.generator.calls import call_modules
from client.generator.table import PACKAGE
from client.generator.values import exports, readers, value_modules


def generate() -> Mapping[Path, str]:
    """Return the text of each file by its path."""
    made = {PACKAGE / f"values/{name}.py": text for name, text in value_modules().items()}
    made |= {PACKAGE / f"api/_generated/{name}.py": text for name, text in call_modules().items()}
    made[PACKAGE / "values/exports.py"] = exports()
    made[PACKAGE / "convert/from_wire.py"] = readers()
    with ThreadPoolExecutor(2) as threads:
        return dict(zip(made, threads.map(formatted, made.values(), made), strict=True))


def formatted(text: str, path: Path) -> str:
    """Return a module with sorted imports, as ``make format`` leaves it."""
    ruff = str(Path(sys.executable).with_name("ruff"))
    for command in (["check", "--fix", "--quiet", "--select", "I,F401"], ["format", "--quiet"]):
        line = [ruff, *command, "--stdin-filename", str(path), "-"]
        done = subprocess.run(line, input=text, capture_output=True, text=True, check=True)
        text = done.stdout
    return text


if __name__ == "__main__":
    for path, text in generate().items():
        path.write_text(text)
