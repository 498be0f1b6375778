"""The gateway's start."""

import pytest

from gateway import __main__ as main
from tests.fakes.kit_logs import json_logs


def test_bad_scenes_stop_the_start_with_the_file_named(monkeypatch, tmp_path):
    (tmp_path / "home.toml").write_text("colour = 1")
    monkeypatch.setenv("GATEWAY_SCENES_FOLDER", str(tmp_path))

    with json_logs(), pytest.raises(SystemExit) as caught:
        main.start()
    assert "home.toml" in str(caught.value.code)
