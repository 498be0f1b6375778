"""Installed services check whether they would start."""

import hashlib
from pathlib import Path

import pytest

from sightline_client.cli.work.services import PROCESSES
from tests.unit.client.command_line import call

FILES = {
    "gateway": "GATEWAY_TOKEN_KEYS_FILE",
    "embedder": "EMBEDDER_SPACE_KEYS_FILE",
    "retriever": "RETRIEVER_BACKUP_KEYS_FILE",
    "retriever-worker": "RETRIEVER_BACKUP_KEYS_FILE",
    "ranker": "RANKER_KEY_FILE",
    "ranker-worker": "RANKER_PEER_KEYS_FOLDER",
}
"""A file or folder that each process reads when it starts."""


@pytest.mark.full
@pytest.mark.slow
@pytest.mark.parametrize("process", PROCESSES)
def test_every_process_says_whether_it_would_start(
    process: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def checked(**environment: str) -> tuple[int, str]:
        with monkeypatch.context() as context:
            for name, value in environment.items():
                context.setenv(name, value)
            result = call("config", "check", "--service", process)
        return result.exit_code, result.stdout

    prefix, name = process.partition("-")[0].upper(), FILES[process]
    (key := tmp_path / "key").write_text(hashlib.sha256(b"one of ours").hexdigest())
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys/retriever.key").write_text(key.read_text())
    right = tmp_path / "keys" if name.endswith("_FOLDER") else key
    fine = f"{process}: settings and files are valid (development)\n"
    assert checked(**{"RANKER_KEY_FILE": str(key), name: str(right)}) == (0, fine)

    missing = {f"{prefix}_MODE": "production", name: str(tmp_path / "none")}
    code, said = checked(**{"RANKER_KEY_FILE": str(key)} | missing)
    assert (code, said.partition(":")[0]) == (1, process)
    assert str(tmp_path / "none") in said
    assert (f"{prefix}_PEER_KEYS_FOLDER" in said) == (name != f"{prefix}_PEER_KEYS_FOLDER")


@pytest.mark.full
@pytest.mark.slow
def test_a_service_says_what_is_wrong_with_its_settings(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("GATEWAY_KEYS_FILE", str(tmp_path / "none.toml"))
    result = call("config", "check", "--service", "gateway")
    assert result.exit_code == 1
    assert result.stdout.startswith("gateway: 1 problem(s):")
    assert "none.toml: [Errno 2] No such file" in result.stdout
    monkeypatch.setenv("GATEWAY_KEYS_FILE", str(tmp_path / "keys.toml"))
    (tmp_path / "keys.toml").write_text("keys = []")
    result = call("config", "check", "--service", "gateway")
    assert (result.exit_code, result.stdout) == (
        0,
        "gateway: settings and files are valid (development)\n",
    )
    result = call("config", "check", "--service", "gate")
    assert result.exit_code == 2
    assert "unknown service" in result.stderr
