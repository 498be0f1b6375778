"""Signing in with a key, and the ends of a session."""

import html
import re

import pytest
from google.rpc import code_pb2

from sightline_client import SightlineClient
from sightline_console.pages.rendering import Pages
from sightline_console.screens.visit import Console
from tests.fakes.gateway import FakeGateway
from tests.fakes.gateway_messages import status
from tests.unit.console.conftest import HTTP, Browser, browser

MISSING = status(code_pb2.UNAUTHENTICATED, "who calls?", reason="TOKEN_MISSING")
INVALID = status(code_pb2.UNAUTHENTICATED, "not this one", reason="TOKEN_INVALID")


async def test_a_suite_without_keys_needs_no_sign_in(web: Browser, gateway: FakeGateway) -> None:
    page = await web.open()
    assert page.status_code == 200
    assert "Barolo" in page.text
    assert "Sign out" not in page.text
    assert set(gateway.authorizations) == {None}


async def test_a_suite_with_keys_asks_for_one_and_leads_back(
    web: Browser, gateway: FakeGateway
) -> None:
    gateway.fail("Recommend", MISSING)
    page = await web.follow(await web.open("/?text=red"))
    assert page.status_code == 200
    assert 'value="/?text=red"' in page.text
    assert "has ended" not in page.text
    sent = await web.send("/sign-in", {"key": " slk_mine\n", "next": "/?text=red"})
    assert sent.headers["location"] == "/?text=red"
    page = await web.follow(sent)
    assert "Sign out" in page.text
    assert "slk_mine" not in page.text
    assert gateway.authorizations[-1] == "Bearer slk_mine"


async def test_a_key_that_the_gateway_does_not_take_is_told_at_its_field(
    web: Browser, gateway: FakeGateway
) -> None:
    gateway.fail("GetImage", INVALID)
    answer = await web.send("/sign-in", {"key": "slk_old"})
    assert answer.status_code == 401
    assert "does not take this key" in answer.text
    assert "slk_old" not in answer.text
    empty = await web.send("/sign-in", {"key": "two words"})
    assert empty.status_code == 400
    assert "without spaces" in empty.text


async def test_a_key_of_another_role_is_a_key_and_a_gateway_that_is_gone_is_told(
    web: Browser, gateway: FakeGateway
) -> None:
    gone = status(code_pb2.UNAVAILABLE, "gone", reason="INDEX_UNAVAILABLE")
    gateway.after["GetImage"] = (0, gone)
    assert (await web.send("/sign-in", {"key": "k"})).status_code == 503
    del gateway.after["GetImage"]
    gateway.fail("GetImage", status(code_pb2.PERMISSION_DENIED, "no", reason="ROLE_MISSING"))
    assert (await web.send("/sign-in", {"key": "k"})).status_code == 303


async def test_a_session_has_an_id_that_nobody_knew_before(web: Browser) -> None:
    await web.open("/sign-in")
    web.web.cookies.clear()
    web.web.cookies.set("sightline-console", "planted")
    said = (await web.send("/sign-in", {"key": "slk_mine"})).headers["set-cookie"]
    assert said.startswith("sightline-console=s.")
    assert "planted" not in said


async def test_a_session_is_that_of_its_browser_alone(
    console: Console, web: Browser, gateway: FakeGateway
) -> None:
    await web.send("/sign-in", {"key": "slk_mine"})
    async with browser(console) as other:
        await other.get("/")
    assert gateway.authorizations[-1] is None


@pytest.mark.parametrize(
    "elsewhere",
    ["https://evil.example", "//evil.example", "/\\evil.example", "\\\\evil.example", "evil",
     "javascript:alert(1)", "/x\r\nset-cookie: a=b", "http:evil", "///evil.example"],
)  # fmt: skip
async def test_a_sign_in_leads_to_no_other_site(web: Browser, elsewhere: str) -> None:
    answer = await web.send("/sign-in", {"key": "slk_mine", "next": elsewhere})
    assert answer.headers["location"] == "/"


async def test_signing_out_forgets_the_key(
    console: Console, web: Browser, gateway: FakeGateway
) -> None:
    await web.send("/sign-in", {"key": "slk_mine"})
    kept = web.web.cookies["sightline-console"]
    assert (await web.send("/sign-out", {})).headers["location"] == "/sign-in"
    async with browser(console) as thief:
        await thief.get("/", headers={"cookie": f"sightline-console={kept}"})
    assert gateway.authorizations[-1] is None


async def test_a_session_that_ended_is_told_and_leads_back(
    web: Browser, gateway: FakeGateway
) -> None:
    await web.send("/sign-in", {"key": "slk_mine"})
    gateway.fail("Recommend", INVALID)
    page = await web.follow(await web.open("/?scene=home"))
    assert "has ended" in page.text
    assert "/?scene=home" in page.text
    assert "Sign out" not in page.text


LINKED = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}
"""Headers of a browser that follows a link of another site: it sends no strict cookie."""


@pytest.mark.parametrize("path", ["/?text=red&text=a%27b", "/?shopper=ann", "/health", "/nowhere"])
async def test_a_link_from_another_site_signs_no_one_out(
    console: Console, gateway: FakeGateway, web: Browser, path: str
) -> None:
    asked = len(gateway.authorizations)
    async with browser(console) as linked:
        page = await linked.get(path, headers=LINKED)
        while page.status_code == 303:
            assert "set-cookie" not in page.headers
            page = await linked.get(page.headers["location"], headers=LINKED)
    assert page.status_code == 200
    assert "set-cookie" not in page.headers
    assert len(gateway.authorizations) == asked, "nothing is asked for without a session"
    assert "csrf" not in page.text
    await web.send("/sign-in", {"key": "slk_mine"})
    found = re.search(r'http-equiv="refresh" content="0;url=([^"]+)"', page.text)
    assert found is not None
    where = html.unescape(found[1])
    assert where == path.partition("?shopper")[0]
    own = {**LINKED, "sec-fetch-site": "same-origin"}
    assert "Sign out" in (await web.web.get(where, headers=own)).text


async def test_a_link_from_another_site_to_a_signed_in_browser_that_sends_its_cookie_is_answered(
    web: Browser,
) -> None:
    await web.send("/sign-in", {"key": "slk_mine"})
    assert "Sign out" in (await web.web.get("/", headers=LINKED)).text


async def test_a_link_that_a_browser_says_nothing_of_signs_no_one_out(
    console: Console, web: Browser
) -> None:
    """Browsers say over TLS and to their own machine alone where a request comes from."""
    await web.send("/sign-in", {"key": "slk_mine"})
    async with browser(console) as linked:
        await linked.get("/why")
        for each in linked.cookies.jar:  # a browser keeps both, and the newer one of a name
            web.web.cookies.jar.set_cookie(each)
    assert "Sign out" in (await web.open("/")).text
    assert (await web.send("/sign-out", {})).status_code == 303
    page = await web.open("/sign-in")
    assert "Sign out" not in page.text
    assert (await web.send("/language", {"language": "zh"})).status_code == 303


async def test_pictures_of_another_site_set_no_cookie(web: Browser) -> None:
    sent = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"}
    assert "set-cookie" not in (await web.web.get("/sign-in", headers=sent)).headers


@pytest.mark.parametrize("key", ["slk_mine", ""])
async def test_a_second_page_without_a_session_leaves_the_forms_of_the_first_as_they_are(
    web: Browser, gateway: FakeGateway, key: str
) -> None:
    if key:
        await web.send("/sign-in", {"key": key})
    csrf = await web.csrf("/")
    for method in ("Recommend", "ListProducts", "GetImage"):
        gateway.fail(method, INVALID)
        gateway.after[method] = (0, INVALID)
    assert (await web.open("/")).headers["location"].startswith("/sign-in")
    page = await web.send("/", {"csrf": csrf, "text": "a red"})
    assert page.status_code == 401, page.text
    assert 'name="unsent-text" value="a red"' in page.text


async def test_after_signing_out_the_forms_of_other_pages_are_not_taken(web: Browser) -> None:
    await web.send("/sign-in", {"key": "slk_mine"})
    csrf = await web.csrf("/")
    await web.send("/sign-out", {})
    assert (await web.send("/", {"csrf": csrf, "text": "a red"})).status_code == 403
    assert "has ended" not in (await web.open("/sign-in")).text


async def test_over_tls_no_other_host_can_set_the_cookie_of_a_session(
    client: SightlineClient,
) -> None:
    made = Console(client, Pages(HTTP), secure=True)
    async with browser(made, "https://console.example") as opened:
        answer = await Browser(opened).send("/sign-in", {"key": "slk_mine"})
        said = answer.headers["set-cookie"]
        assert said.startswith("__Host-sightline-console=s.")
        assert {"Secure", "Path=/"} <= set(said.split("; "))
        planted = said.partition(";")[0].removeprefix("__Host-")
        opened.cookies.clear()
        page = await opened.get("/", headers={"cookie": planted})
        assert "Sign out" not in page.text


async def test_the_language_is_that_of_the_browser_until_one_is_chosen(web: Browser) -> None:
    chinese = {"accept-language": "fr;q=0.9, zh-CN, en;q=0.5"}
    page = (await web.web.get("/", headers=chinese)).text
    assert 'lang="zh-Hans"' in page
    assert "试一试" in page
    assert 'lang="en"' in (await web.open()).text
    sent = await web.send("/language", {"language": "zh", "next": "/why"})
    assert sent.headers["location"] == "/why"
    assert "试一试" in (await web.follow(sent)).text
    assert (await web.send("/language", {"language": "xx"})).status_code == 303
    assert "试一试" in (await web.open()).text


async def test_no_page_leads_to_another_site_by_its_own_address(web: Browser) -> None:
    page = await web.web.get("http://127.0.0.1:8695//evil.example")
    assert "//evil.example" not in page.text
