"""The start of a process: all errors are reported at once."""

import asyncio
import sys
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
import uvloop
from pydantic_settings import SettingsConfigDict

from servicekit import startup
from servicekit.config import ServiceSettings
from servicekit.watched_files import Unreadable
from tests.waiting import SECONDS


class Shop(ServiceSettings):
    model_config = SettingsConfigDict(env_prefix="SHOP_")

    keys: Path = Path("keys")
    """Folder of the keys."""

    def unsafe(self) -> Iterator[str]:
        yield "the shop is open at night"


def bad(settings: Shop) -> None:
    raise Unreadable(f"{settings.keys}: is no file of keys")


def worse(settings: Shop) -> None:
    raise Unreadable("certificate: has expired")


def good(settings: Shop) -> Path:
    return settings.keys


def test_all_files_that_are_wrong_are_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SHOP_KEYS", "shop.toml")
    with pytest.raises(SystemExit) as caught:
        startup.load(Shop, bad, good, worse)
    assert caught.value.code == 2
    assert capsys.readouterr().err.splitlines() == [
        "2 problem(s):",
        "  shop.toml: is no file of keys",
        "  certificate: has expired",
    ]


def test_what_is_unsafe_is_refused_in_production_with_all_else_that_is_wrong(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SHOP_MODE", "production")
    with pytest.raises(SystemExit) as caught:
        startup.load(Shop, worse)
    assert caught.value.code == 2
    assert capsys.readouterr().err.splitlines() == [
        "2 problem(s):",
        "  certificate: has expired",
        "  the shop is open at night",
    ]


@pytest.mark.parametrize(
    ("version", "refused"),
    [
        ("2.6.9", True),
        ("v2.5.30", True),
        ("milvus_lite 3.0.0", True),
        ("2.6.10", False),
        ("v2.10.0-dev", False),
        (None, False),
    ],
)
async def test_an_old_engine_is_refused_in_production_alone(
    version: str | None, refused: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    async def asked() -> str | None:
        return version

    await startup.check_engine(Shop(), "Milvus", asked, "2.6.10")
    if not refused:
        await startup.check_engine(Shop(mode="production"), "Milvus", asked, "2.6.10")
        return
    with pytest.raises(SystemExit):
        await startup.check_engine(Shop(mode="production"), "Milvus", asked, "2.6.10")
    assert f"Milvus {version} has published vulnerabilities" in capsys.readouterr().err


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_an_old_engine_that_answers_late_ends_what_was_started(
    run: Callable[[Coroutine[Any, Any, None]], None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(startup, "AGAIN_SECONDS", 0.01)
    said = iter([None, None, "2.6.9"])

    async def asked() -> str | None:
        return next(said)

    async def serve() -> None:
        await startup.check_engine(Shop(mode="production"), "Milvus", asked, "2.6.10")
        await asyncio.sleep(SECONDS)

    with pytest.raises(SystemExit) as caught:
        run(serve())
    assert caught.value.code == 2
    assert "Milvus 2.6.9 has published vulnerabilities" in capsys.readouterr().err


def test_what_is_right_starts() -> None:
    assert startup.load(Shop, good).keys == Path("keys")


@pytest.mark.parametrize(("reading", "code"), [(good, 0), (bad, 2)])
def test_a_check_ends_and_says_whether_all_is_right(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    reading: object,
    code: int,
) -> None:
    monkeypatch.setattr(sys, "argv", ["shop", startup.CHECK])
    with pytest.raises(SystemExit) as caught:
        startup.load(Shop, reading)  # type: ignore[arg-type]
    assert caught.value.code == code
    assert ("are valid" in capsys.readouterr().out) == (code == 0)
