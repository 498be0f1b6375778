"""The inputs that the pages of docs/integrate/clients compile by protoc are complete, on any
machine.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from sightline.protos import bundle, write
from tests.waiting import SECONDS

ROOT = Path(__file__).parents[2]
CLIENTS = ROOT / "docs" / "integrate" / "clients"
PROTOC = f"""#!/bin/bash
kept=()
for each in "$@"; do
  case "$each" in --plugin=* | --*_out=* | --*_opt=*) ;; *) kept+=("$each") ;; esac
done
exec {sys.executable} -m grpc_tools.protoc "${{kept[@]}}" --descriptor_set_out="$PWD/made"
"""
"""protoc without a language's plugin: it reads every file and its imports."""


@pytest.mark.when("protos")
@pytest.mark.parametrize("language", ["go", "java"])
def test_plain_protoc_compiles_what_the_page_names(language: str, tmp_path: Path) -> None:
    page = (CLIENTS / language / "README.md").read_text("utf-8")
    typed = "".join(re.findall(r"^```sh\n(.*?)^```$", page, re.MULTILINE | re.DOTALL))
    generating = re.sub(r"^(go|javac?) .*\n", "", typed, flags=re.MULTILINE)
    assert "protoc -I ../../../../dist/protos" in generating
    folder = tmp_path / "docs" / "integrate" / "clients" / language
    folder.mkdir(parents=True)
    write(tmp_path / "dist" / "protos")
    (tmp_path / "protoc").write_text(PROTOC)
    (tmp_path / "protoc").chmod(0o755)
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", generating],
        cwd=folder,
        env=os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    made = (folder / "made").read_bytes()
    ours = [name for name in bundle() if name.startswith("sightline/")]
    assert all(name.encode() in made for name in ours)


def test_the_make_target_writes_the_folder_that_the_pages_name() -> None:
    shown = subprocess.run(
        ["make", "--dry-run", "protos-bundle"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert ".venv/bin/python -m sightline.protos dist/protos" in shown
