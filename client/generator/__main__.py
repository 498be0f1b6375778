"""Writes the modules of the client that follow from the contract, and the synchronous client.

    .venv/bin/python -m client.generator

A test compares them with what this writes.
"""

import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from client.generator.calls import call_modules
from client.generator.fields import products
from client.generator.sync import sync_modules
from client.generator.table import PACKAGE
from client.generator.values import exports, readers, value_modules


def generate() -> Mapping[Path, str]:
    """Return the text of each file by its path."""
    texts = {f"values/{name}.py": text for name, text in value_modules().items()}
    texts |= {"values/products.py": products(), "values/exports.py": exports()}
    texts["convert/from_wire.py"] = readers()
    texts |= {f"api/_generated/{name}.py": text for name, text in call_modules().items()}
    made = {PACKAGE / name: text for name, text in texts.items()}
    made |= {PACKAGE / f"_generated/{name}.py": text for name, text in sync_modules(made).items()}
    with ThreadPoolExecutor(2) as threads:
        return dict(zip(made, threads.map(formatted, made.values(), made), strict=True))


def left_over(made: Mapping[Path, str]) -> list[Path]:
    """Return files of folders of made files that are made no longer."""
    folders = (PACKAGE / "_generated", PACKAGE / "api/_generated")
    return [path for each in folders for path in each.glob("[a-z]*.py") if path not in made]


def formatted(text: str, path: Path) -> str:
    """Return a module with sorted imports, as ``make format`` leaves it."""
    ruff = str(Path(sys.executable).with_name("ruff"))
    for command in (["check", "--fix", "--quiet", "--select", "I,F401"], ["format", "--quiet"]):
        line = [ruff, *command, "--stdin-filename", str(path), "-"]
        done = subprocess.run(line, input=text, capture_output=True, text=True, check=True)
        text = done.stdout
    return text


if __name__ == "__main__":
    made = generate()
    for path in left_over(made):
        path.unlink()
    for path, text in made.items():
        path.write_text(text)
