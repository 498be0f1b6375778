"""docs/operate/disaster.md shows the drill's steps, and the commands accept its arguments."""

import argparse
import os
import re
import shlex
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from ranker import backups as record_backups
from retriever import backups

pytestmark = pytest.mark.when("deploy", "compose.yaml", "docs")

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "operate" / "disaster.md").read_text("utf-8")
PARSERS: Mapping[str, argparse.ArgumentParser] = {
    "ranker.backups": record_backups.parser(),
    "retriever.backups": backups.parser(),
}
TYPED = re.findall(r"(?:^ *\$ |`)(python -m (?:ranker|retriever)\S* [^`\n]+)", PAGE, re.M)
KEPT = re.findall(r"^ *\$ ((?:openssl|deploy/keep.sh) .*)$", PAGE, re.M)


@pytest.mark.parametrize("line", sorted(set(TYPED)))
def test_every_command_of_a_service_is_one_with_its_options(line: str) -> None:
    _, _, module, *words = shlex.split(line)
    PARSERS[module].parse_args(words)


def test_there_are_commands() -> None:
    assert {line.split()[2] for line in TYPED} == PARSERS.keys()
    assert len(KEPT) == 5


@pytest.mark.slow
def test_the_lines_that_keep_keys_bring_them_back(tmp_path: Path) -> None:
    """Run the page's lines unchanged, except for a passphrase, which a test can't type."""
    kept = tmp_path / ".data" / "ranker" / "pseudonym.key"
    for path in (kept, tmp_path / ".data" / "gateway" / "tokens.keys"):
        path.parent.mkdir(parents=True)
        path.write_text(path.name)
    kubectl = tmp_path / "bin" / "kubectl"
    kubectl.parent.mkdir()
    kubectl.write_text("#!/bin/sh\ncase \"$*\" in *secrets*) echo 'kind: Secret' ;; esac\n")
    kubectl.chmod(0o755)
    path = f"{kubectl.parent}:{os.environ['PATH']}"
    for line in sorted(KEPT, key=lambda line: "--namespace" in line):
        typed = line.replace("-x509", "-x509 -nodes").replace("deploy/", f"{ROOT}/deploy/")
        environment = {**os.environ, "PATH": path}
        subprocess.run(shlex.split(typed), cwd=tmp_path, env=environment, check=True)
        if " -C .data " in line:
            kept.unlink()
    assert kept.read_text() == kept.name
