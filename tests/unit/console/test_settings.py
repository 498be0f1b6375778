"""Options of the command for signing in at an identity provider."""

from pathlib import Path

import pytest
import typer
import typer.main

from sightline_console.cli import app
from sightline_console.settings import Listening, SigningIn

ISSUER = "https://id.example/shop"


def test_the_secret_comes_from_a_file_and_is_shown_by_nothing(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("s3cret-of-the-console\n")
    options = SigningIn(ISSUER, "console", file, oidc_resource="https://api.example")
    made = options.registration(Listening(public_address="https://console.example").address)
    assert made is not None
    assert (made.secret, made.resource) == ("s3cret-of-the-console", "https://api.example")
    assert made.redirect == "https://console.example/sign-in/callback"
    assert "s3cret" not in f"{made!r} {options!r}"


def test_without_an_issuer_users_paste_keys() -> None:
    assert SigningIn().registration(None) is None


@pytest.mark.parametrize(
    ("listening", "address"),
    [
        (Listening(), "http://127.0.0.1:8695"),
        (Listening(host="localhost", port=80), "http://localhost:80"),
        (Listening(host="::1"), "http://[::1]:8695"),
        (Listening(port=0), None),
        (Listening(host="10.0.0.1", name=["console"]), None),
        (Listening(public_address="https://console.example"), "https://console.example"),
    ],
)
def test_the_provider_leads_back_to_the_address_of_browsers(
    listening: Listening, address: str | None
) -> None:
    assert listening.address == address


@pytest.mark.parametrize(
    ("options", "address", "says"),
    [
        (SigningIn(ISSUER), "https://c.example", "client id"),
        (SigningIn(ISSUER, "console", oidc_scopes="email"), "https://c.example", "openid"),
        (SigningIn(ISSUER, "console"), None, "name it"),
        (SigningIn(ISSUER, "console", Path("/nowhere")), "https://c.example", "no secret"),
        (SigningIn(ISSUER, "console", Path("/dev/null")), "https://c.example", "no secret"),
    ],
)
def test_options_that_can_not_work_are_told(
    options: SigningIn, address: str | None, says: str
) -> None:
    with pytest.raises(typer.BadParameter, match=says):
        options.registration(address)


@pytest.mark.parametrize(
    "issuer",
    ["http://id.example", "id.example", "https://", "https://user@id.example", "https://id.example?a",
     "https://id.example/#a", "ftp://id.example", "https://id.example/a b"],
)  # fmt: skip
def test_an_issuer_is_an_address_with_tls(issuer: str) -> None:
    with pytest.raises(typer.BadParameter, match="must be https"):
        typer.main.get_command(app).make_context("console", ["--oidc-issuer", issuer])


@pytest.mark.parametrize("issuer", [ISSUER, "https://id.example/", "http://localhost:9000"])
def test_an_issuer_stays_exactly_as_it_is_written(issuer: str) -> None:
    made = typer.main.get_command(app).make_context("console", ["--oidc-issuer", issuer])
    assert made.params["oidc_issuer"] == issuer
