"""Settings."""

import pytest

from gateway.settings import GatewaySettings
from servicekit import config


def test_everything_has_a_default_that_fits_one_machine():
    settings = GatewaySettings()

    assert settings.port == 8600
    assert settings.ranker_target == "127.0.0.1:8603"
    assert settings.default_seconds == 2.0
    assert settings.catalogs == ("default",)


def test_the_environment_is_read_under_its_prefix(monkeypatch):
    monkeypatch.setenv("GATEWAY_RANKER_TARGET", "ranker:1")
    monkeypatch.setenv("GATEWAY_CATALOGS", "default,shop")

    settings = config.load(GatewaySettings)

    assert settings.ranker_target == "ranker:1"
    assert settings.catalogs == ("default", "shop")


def test_all_bad_settings_are_shown_at_once(monkeypatch, capsys):
    monkeypatch.setenv("GATEWAY_DEFAULT_SECONDS", "0")
    monkeypatch.setenv("GATEWAY_ANSWER_DAYS", "soon")

    with pytest.raises(SystemExit):
        config.load(GatewaySettings)
    printed = capsys.readouterr().err
    assert "GATEWAY_DEFAULT_SECONDS" in printed
    assert "GATEWAY_ANSWER_DAYS" in printed


@pytest.mark.parametrize("name", list(GatewaySettings.model_fields))
def test_every_setting_is_explained(name):
    assert GatewaySettings.model_fields[name].description
