"""A request as code: each example asks what the page asked."""

import json
import shlex
from pathlib import Path
from typing import Any

import pytest

from sightline_console.screens.asked import Asked
from sightline_console.screens.samples import PHOTO, Target, curl, python, typescript
from tests.fakes.gateway import FakeGateway

TEXT = """it's; "red" \\ \u202e 酒 <b> $(x) `y` %s"""
EVERY = Asked(
    photo="id", left="10", text=TEXT, product="a/b'", shopper="ann;", kind="user",
    filter="title:\"it's; $(x)\"", scene="home", market="de", size="7",
)  # fmt: skip
REQUESTS = [
    EVERY,
    Asked(),
    Asked(text=TEXT, shopper="v"),
    Asked(sort="PRICE_RISING"),
    Asked(sort="RATING", text=TEXT, product="p", filter="price < 3 EUR"),
]


def target(gateway: FakeGateway, *, keyed: bool = False) -> Target:
    return Target(gateway.target, "http://shop.example:8680", "wines", keyed=keyed)


@pytest.fixture
def gateway() -> Any:
    with FakeGateway() as fake:
        yield fake


@pytest.mark.parametrize("asked", REQUESTS)
@pytest.mark.parametrize("keyed", [False, True])
def test_the_program_in_python_asks_the_same(
    gateway: FakeGateway,
    asked: Asked,
    keyed: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SIGHTLINE_TOKEN", "slk_mine")
    Path(PHOTO).write_bytes(b"\xff\xd8\xff photo")
    exec(compile(python(asked, target(gateway, keyed=keyed)), "sample", "exec"), {})  # noqa: S102
    method = "Recommend" if not asked.sort else "Search" if asked.text else "List"
    (request,) = gateway.requests[method]
    assert request.catalog_id == "wines"
    assert request.page_size == int(asked.size or 12)
    if method != "List":
        assert [each.text for each in request.signals if each.text] == [asked.text] * bool(
            asked.text
        )
    if asked is EVERY:
        assert (request.shopper.user_id, request.scene) == ("ann;", "home")
        assert request.signals[0].box.left == pytest.approx(0.1)
        assert request.filter.market_id == "de"
    assert gateway.authorizations == ["Bearer slk_mine" if keyed else None]


@pytest.mark.parametrize("asked", REQUESTS)
def test_the_command_is_one_and_its_json_is_whole(asked: Asked) -> None:
    words = shlex.split(curl(asked, Target("g:1", "http://s:2", "wines", keyed=False)))
    assert words[:2] == ["curl", "-s"]
    assert words[2].startswith("http://s:2/v1/catalogs/wines:")
    parts = [word for word in words if word.startswith(("request=", "{"))]
    body = parts[0].removeprefix("request=").removesuffix(";type=application/json")
    assert ";" not in body, "curl would end the value there"
    sent = json.loads(body)
    texts = [each["text"] for each in sent.get("signals", []) if "text" in each]
    assert texts == ([asked.text] if asked.text else [])
    assert sent.get("filter", {}).get("text", "") == asked.filter
    assert ("signals[0].image=@photo.jpg" in words) is bool(asked.photo)


@pytest.mark.parametrize("asked", REQUESTS)
def test_the_module_in_typescript_quotes_what_users_typed(asked: Asked) -> None:
    made = typescript(asked, Target("g:1", "http://s:2", "wines", keyed=True))
    for text in (asked.text, asked.product, asked.filter, asked.shopper if not asked.sort else ""):
        assert json.dumps(text, ensure_ascii=False) in made or not text
    assert "key: process.env.SIGHTLINE_TOKEN" in made
