"""The gateway's start."""

import pytest

from gateway import __main__ as main
from tests.fakes.kit_logs import json_logs


def test_bad_scenes_stop_the_start_with_the_file_named(monkeypatch, tmp_path, capsys):
    (tmp_path / "home.toml").write_text("colour = 1")
    monkeypatch.setenv("GATEWAY_SCENES_FOLDER", str(tmp_path))

    with json_logs(), pytest.raises(SystemExit) as caught:
        main.start()
    assert caught.value.code == 2
    assert "home.toml" in capsys.readouterr().err


def test_bad_experiments_stop_the_start_with_file_and_field_named(monkeypatch, tmp_path, capsys):
    (tmp_path / "order.toml").write_text('metric = "joy"')
    monkeypatch.setenv("GATEWAY_EXPERIMENTS_FOLDER", str(tmp_path))

    with json_logs(), pytest.raises(SystemExit):
        main.start()
    (_, said) = capsys.readouterr().err.splitlines()
    assert "order.toml: " in said
    assert "metric: Input should be" in said


@pytest.mark.parametrize(
    ("text", "problem"),
    [(None, "No such file"), ("keys = [", "Invalid value"), ("[[keys]]", "keys.0.")],
)
@pytest.mark.parametrize("processes", ["1", "2"])
def test_bad_keys_stop_the_start_with_one_line_that_names_the_file(
    monkeypatch, tmp_path, capsys, text, problem, processes
):
    path = tmp_path / "keys.toml"
    if text is not None:
        path.write_text(text)
    monkeypatch.setenv("GATEWAY_KEYS_FILE", str(path))
    monkeypatch.setenv("GATEWAY_PROCESSES", processes)

    with json_logs(), pytest.raises(SystemExit) as caught:
        main.start()
    assert caught.value.code == 2
    (_, said) = capsys.readouterr().err.splitlines()
    assert said.startswith(f"  {path}: ")
    assert problem in said


def test_a_bad_file_of_token_keys_stops_the_start(monkeypatch, tmp_path, capsys):
    path = tmp_path / "tokens.keys"
    path.write_text("short")
    monkeypatch.setenv("GATEWAY_TOKEN_KEYS_FILE", str(path))

    with pytest.raises(SystemExit):
        main.start()
    (_, said) = capsys.readouterr().err.splitlines()
    assert said.startswith(f"  {path}: needs a line of 64")
