from typing import Literal

import pytest
from pydantic import Field, ValidationError
from pydantic_settings import SettingsConfigDict

from servicekit.config import ServerSettings, ServiceSettings, load


class Shop(ServerSettings):
    model_config = SettingsConfigDict(env_prefix="SHOP_")

    colour: Literal["red", "white"] = "red"
    """Name of the wine."""

    limits: dict[str, int] = Field(default_factory=dict)
    """Most bottles per customer, by colour."""

    key: str = Field(default="0123456789", min_length=10)
    """Secret of the till."""


def test_settings_come_from_the_environment_with_the_prefix(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SHOP_COLOUR", "white")
    monkeypatch.setenv("SHOP_PORT", "8600")
    monkeypatch.setenv("SHOP_LIMITS", '{"red": 6}')
    monkeypatch.setenv("COLOUR", "red")
    got = load(Shop)
    assert (got.colour, got.port, got.limits) == ("white", 8600, {"red": 6})


@pytest.mark.parametrize("text", ["default,wines", "default, wines ,", '["default", "wines"]'])
def test_a_list_may_be_written_with_commas_or_as_json(
    monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv("SHOP_CATALOGS", text)
    assert load(Shop).catalogs == ("default", "wines")


def test_every_bad_setting_is_reported_at_once_with_its_purpose_but_not_its_value(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SHOP_COLOUR", "blue-ish")
    monkeypatch.setenv("SHOP_PORT", "99999")
    monkeypatch.setenv("SHOP_KEY", "s3cr3t")
    monkeypatch.setenv("SHOP_LIMITS", "{not json")
    monkeypatch.setenv("SHOP_CATALOGS", "default,../etc")
    with pytest.raises(SystemExit) as caught:
        load(Shop)
    assert caught.value.code == 2
    printed = capsys.readouterr().err
    assert printed.startswith("5 invalid setting(s):")
    for name in ("SHOP_COLOUR", "SHOP_PORT", "SHOP_KEY", "SHOP_LIMITS", "SHOP_CATALOGS"):
        assert f"{name}:" in printed
    assert "Secret of the till." in printed
    assert "s3cr3t" not in printed


@pytest.mark.parametrize("names", ["", "a,a", "UPPER", "a/b", "..", "a" * 64, "ü"])
def test_catalogs_that_could_not_be_a_folder_or_a_label_are_refused(
    monkeypatch: pytest.MonkeyPatch, names: str
) -> None:
    monkeypatch.setenv("SHOP_CATALOGS", names)
    with pytest.raises(SystemExit):
        load(Shop)


def test_settings_can_not_change() -> None:
    with pytest.raises(ValidationError):
        setattr(Shop(), "port", 1)  # noqa: B010 - mypy would forbid the plain way too


def test_an_unknown_variable_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_NEW_IN_A_LATER_RELEASE", "1")
    load(Shop)


def test_each_setting_of_a_server_says_what_it_is_for() -> None:
    assert issubclass(ServerSettings, ServiceSettings)
    assert all(field.description for field in ServerSettings.model_fields.values())
