"""Services that are installed here, asked whether they would start."""

from pathlib import Path

import pytest

from tests.unit.client.command_line import call


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
        "gateway: settings and files are right (development)\n",
    )
    result = call("config", "check", "--service", "gate")
    assert result.exit_code == 2
    assert "no service" in result.stderr
