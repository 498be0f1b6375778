"""`deploy/keep.sh`: only the key's owner reads its output, and changed files are rejected."""

import base64
import json
import os
import subprocess
from pathlib import Path

import pytest
import yaml

KEEP = Path(__file__).parents[3] / "deploy" / "keep.sh"
NEW_KEY = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=keys"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Return a folder with a certificate, its key, and the files to back up."""
    made = [*NEW_KEY.split(), "-keyout", "keep.key", "-out", "keep.crt"]
    subprocess.run(made, cwd=tmp_path, check=True, capture_output=True)
    (tmp_path / "gateway").mkdir()
    (tmp_path / "gateway" / "tokens.keys").write_text("secret words\n")
    (tmp_path / "gateway" / "tokens.keys").chmod(0o600)
    return tmp_path


def keep(place: Path, *words: str, code: int = 0, **more: str) -> str:
    done = subprocess.run(
        [KEEP, *words],
        cwd=place,
        env={**os.environ, **more},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stderr
    return done.stderr


@pytest.mark.slow
def test_files_come_back_as_they_were(place: Path) -> None:
    keep(place, "save", "kept", "keep.crt", "gateway")
    assert b"secret" not in (place / "kept").read_bytes()
    keep(place, "restore", "kept", "keep.key", "back")
    found = place / "back" / "gateway" / "tokens.keys"
    assert (found.read_text(), found.stat().st_mode & 0o777) == ("secret words\n", 0o600)


@pytest.mark.full
@pytest.mark.slow
def test_what_was_changed_or_is_for_another_key_brings_nothing(place: Path) -> None:
    keep(place, "save", "kept", "keep.crt", "gateway")
    whole = (place / "kept").read_bytes()
    for at in range(600, len(whole), 1_500):
        (place / "kept").write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        keep(place, "restore", "kept", "keep.key", "back", code=4)
    (place / "kept").write_bytes(whole)
    other = [*NEW_KEY.split(), "-keyout", "other.key", "-out", "other.crt"]
    subprocess.run(other, cwd=place, check=True, capture_output=True)
    keep(place, "restore", "kept", "other.key", "back", code=4)
    assert not (place / "back").exists()
    keep(place, "save", "kept", code=2)


KUBECTL = """#!/bin/sh
case "$*" in
  *"get secrets"*Opaque*) printf -- '---\\nkind: Secret\\ndata: { key: "%s" }\\n' "$VALUE" ;;
  *"get configmaps"*) printf -- '---\\nkind: ConfigMap\\ndata: { "home.toml": "a = 1" }\\n' ;;
  *create*) for last; do :; done; cp "$last" created.yaml ;;
esac
echo "$*" >>said
"""


@pytest.mark.slow
def test_a_namespace_is_kept_and_made_again(place: Path) -> None:
    (place / "bin").mkdir()
    (place / "bin" / "kubectl").write_text(KUBECTL)
    (place / "bin" / "kubectl").chmod(0o755)
    path = f"{place / 'bin'}:{os.environ['PATH']}"
    value = base64.b64encode(b"secret").decode()
    keep(place, "save", "kept", "keep.crt", "--namespace", "shop", PATH=path, VALUE=value)
    keep(place, "restore", "kept", "keep.key", "--namespace", "shop", PATH=path)
    secret, scenes = yaml.safe_load_all((place / "created.yaml").read_text())
    assert (secret["data"], scenes["data"]) == ({"key": value}, {"home.toml": "a = 1"})
    said = (place / "said").read_text()
    assert "-n shop get secrets --field-selector type=Opaque" in said
    assert "-n shop create -f " in said
    assert json.dumps(value) not in said
