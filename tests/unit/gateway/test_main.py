"""The gateway's start."""

import sys

import pytest

from gateway import __main__ as main
from servicekit import startup
from tests.fakes.kit_logs import json_logs

CONTROL = """
scenes = ["default"]
start = 2026-01-01T00:00:00Z
metric = "click_rate"
[[arms]]
name = "control"
share = 0.5
[[arms]]
name = "b"
share = 0.5
"""


def test_bad_scenes_and_experiments_do_not_stop_the_start(monkeypatch, tmp_path):
    for folder, text in (("scenes", "colour = 1"), ("experiments", 'metric = "joy"')):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "home.toml").write_text(text)
        monkeypatch.setenv(f"GATEWAY_{folder.upper()}_FOLDER", str(tmp_path / folder))
    monkeypatch.setattr(sys, "argv", ["gateway", startup.CHECK])

    with json_logs(), pytest.raises(SystemExit) as caught:
        main.start()
    assert caught.value.code == 0


def test_experiments_that_contradict_each_other_stop_the_start(monkeypatch, tmp_path, capsys):
    for name in ("one", "two"):
        (tmp_path / f"{name}.toml").write_text(CONTROL)
    monkeypatch.setenv("GATEWAY_EXPERIMENTS_FOLDER", str(tmp_path))

    with json_logs(), pytest.raises(SystemExit) as caught:
        main.start()
    assert caught.value.code == 2
    (_, said) = capsys.readouterr().err.splitlines()
    assert "one.toml: layer_part: overlaps" in said


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
