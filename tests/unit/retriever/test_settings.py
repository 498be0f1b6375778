"""The retriever's settings."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from retriever.settings import RetrieverSettings

ROOT = Path(__file__).parents[3]


def test_every_setting_is_documented() -> None:
    for name, field in RetrieverSettings.model_fields.items():
        assert field.description, name


def test_the_environment_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETRIEVER_CATALOGS", "default,other")
    monkeypatch.setenv("RETRIEVER_MILVUS_TOKEN", "user:secret")
    settings = RetrieverSettings()
    assert settings.catalogs == ("default", "other")
    assert settings.milvus_token.get_secret_value() == "user:secret"
    assert "secret" not in repr(settings)


@pytest.mark.parametrize(
    "bad",
    [
        {"spaces": ("colour",)},
        {"database_url": "sqlite://"},
        {"database_url": "nonsense"},
        {"milvus_uri": "file.db"},
        {"milvus_prefix": "1-a"},
        {"worker_poll_seconds": 0},
        {"decode_processes": 0},
        {"image_max_bytes": 2**30},
        {"blur_faces": ("unknown",)},
        {"blur_faces": ("default",), "refuse_faces": ("default",)},
        {"refuse_faces": ("*", "*")},
    ],
)
def test_nonsense_is_refused(bad: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        RetrieverSettings(**bad)  # type: ignore[arg-type]
