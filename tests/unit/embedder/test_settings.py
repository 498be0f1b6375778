"""The embedder's settings."""

import importlib.util
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from embedder.domain.photos import Camera
from embedder.settings import EmbedderSettings
from embedder.wiring import model_folders, photo_limits
from servicekit.config import load
from servicekit.watched_files import Unreadable


def test_without_any_variable_the_settings_are_those_of_one_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("EMBEDDER_PORT", raising=False)
    settings = EmbedderSettings()
    assert (settings.host, settings.port) == ("127.0.0.1", 8601)
    assert settings.triton_target == "127.0.0.1:8604"
    assert settings.catalogs == ("default",)


def test_variables_with_the_prefix_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMBEDDER_TRITON_TARGET", "triton.models:8001")
    monkeypatch.setenv("EMBEDDER_CATALOGS", "wine,beer")
    monkeypatch.setenv("TRITON_TARGET", "elsewhere:1")
    settings = EmbedderSettings()
    assert settings.triton_target == "triton.models:8001"
    assert settings.catalogs == ("wine", "beer")


def test_the_models_of_the_space_are_a_list_of_names_with_the_default_one_first(
    monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    assert EmbedderSettings().models == ("efficientnet_lite0",)
    monkeypatch.setenv("EMBEDDER_MODELS", "efficientnet_lite2, efficientnet_lite0")
    assert EmbedderSettings().models == ("efficientnet_lite2", "efficientnet_lite0")
    for bad in ("", "a,a", "a b", "../x", ",".join("abcdefghi")):
        monkeypatch.setenv("EMBEDDER_MODELS", bad)
        with pytest.raises(SystemExit):
            load(EmbedderSettings)
        assert "EMBEDDER_MODELS" in capsys.readouterr().err


def test_all_bad_ones_are_reported_at_once(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    bad = {"PLACES": "1", "BATCH": "0", "QUEUE": "-1", "INFER_TIMEOUT_SECONDS": "0", "PORT": "x"}
    for name, value in bad.items():
        monkeypatch.setenv(f"EMBEDDER_{name}", value)
    with pytest.raises(SystemExit) as caught:
        load(EmbedderSettings)
    assert caught.value.code == 2
    reported = capsys.readouterr().err
    assert [name for name in bad if f"EMBEDDER_{name}" not in reported] == []


def test_models_in_processes_of_the_service_need_their_folder_and_onnxruntime(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(ValidationError, match="engine=onnx needs backbones"):
        EmbedderSettings(engine="onnx")
    settings = EmbedderSettings(engine="onnx", backbones="/models", spaces="/spaces")
    assert model_folders(settings) == (Path("/models"), Path("/spaces/models"))
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(Unreadable, match=r"sightline-embedder\[onnxruntime\]"):
        model_folders(settings)
    assert model_folders(EmbedderSettings()) == ()


def test_every_setting_is_documented() -> None:
    fields = EmbedderSettings.model_fields
    assert [name for name, field in fields.items() if not field.description] == []


def test_photos_to_search_by_have_a_limit_of_their_own_and_never_a_larger_one() -> None:
    def most(**given: int) -> dict[Camera, tuple[int, str]]:
        limits = photo_limits(EmbedderSettings(**given))
        return {camera: (each.max_pixels, each.pixels_setting) for camera, each in limits.items()}

    of_all, of_queries = "EMBEDDER_MAX_PHOTO_PIXELS", "EMBEDDER_MAX_QUERY_PHOTO_PIXELS"
    assert most() == {
        Camera.CATALOGUE: (50_000_000, of_all),
        Camera.SHOPPER: (25_000_000, of_queries),
    }
    assert most(max_query_photo_pixels=7)[Camera.SHOPPER] == (7, of_queries)
    assert most(max_photo_pixels=7)[Camera.SHOPPER] == (7, of_all)
    for bad in (0, 10**9 + 1):
        with pytest.raises(ValidationError, match="max_query_photo_pixels"):
            EmbedderSettings(max_query_photo_pixels=bad)
