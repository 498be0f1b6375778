"""Which requests the console answers, and what it tells browsers about its pages."""

import re

import httpx
import pytest

from sightline_console.screens.application import SCREENS
from sightline_console.screens.visit import Console
from sightline_console.web.guard import known_hosts
from tests.unit.console.conftest import ADDRESS, Browser, browser

IDS = {"task_id": "t", "image_id": "x", "kind": "photo", "file_id": "f"}
"""Parts of paths."""


@pytest.mark.parametrize(
    ("host", "known"),
    [
        ("127.0.0.1:8695", True),
        ("localhost", True),
        ("[::1]:8695", True),
        ("console.example", True),
        ("CONSOLE:80", True),
        ("console.example:8695", False),
        ("evil.example", False),
        ("localhost.evil.example", False),
        ("localhost@evil.example", False),
        ("user@localhost", False),
        ("localhost:x", False),
        ("localhost/", False),
        ("[", False),
        ("", False),
    ],
)
def test_requests_name_a_host_that_is_known(host: str, known: bool) -> None:
    assert (host in known_hosts("https://console.example", ["console"])) is known


async def test_a_request_for_another_host_is_not_answered(web: Browser) -> None:
    answer = await web.web.get("/", headers={"host": "evil.example"})
    assert answer.status_code == 421
    assert "set-cookie" not in answer.headers


async def test_probes_may_name_any_host(web: Browser) -> None:
    answer = await web.web.get("/healthz", headers={"host": "10.0.0.7:8695"})
    assert (answer.status_code, answer.text) == (200, "ok\n")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"origin": ADDRESS}, 403),  # the token of the form is missing
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://["}, 403),
        ({"origin": f"{ADDRESS}@evil.example"}, 403),
        ({"origin": f"https://evil.example?{ADDRESS}"}, 403),
        ({}, 403),
        ({"origin": ADDRESS, "sec-fetch-site": "cross-site"}, 403),
        ({"origin": ADDRESS, "sec-fetch-site": "same-site"}, 403),
    ],
)
async def test_a_form_of_another_page_is_not_taken(
    web: Browser, headers: dict[str, str], status: int
) -> None:
    answer = await web.web.post("/language", data={"language": "zh"}, headers=headers)
    assert answer.status_code == status
    assert "sightline-console-language" not in answer.headers.get("set-cookie", "")


async def test_the_token_of_another_browser_is_not_taken(console: Console, web: Browser) -> None:
    async with browser(console) as other:
        stolen = await Browser(other).csrf("/sign-in")
    answer = await web.send("/language", {"language": "zh", "csrf": stolen})
    assert answer.status_code == 403


OTHERS = ("/healthz", "/static/console.css", "/static/nothing.js", "/nowhere")
ROUTES = [(method, path.format(**IDS)) for method, path, _screen in SCREENS]


@pytest.mark.parametrize(("method", "path"), [*ROUTES, *(("GET", each) for each in OTHERS)])
async def test_every_answer_keeps_other_pages_out(web: Browser, method: str, path: str) -> None:
    csrf = await web.csrf("/sign-in")
    headers = {"origin": ADDRESS}
    sent = {"data": {"csrf": csrf}} if method == "POST" else {}
    for answer in (
        await web.web.request(method, path, headers=headers, **sent),
        await web.web.request(method, path, headers=headers),
        await web.web.request(method, path, headers={"host": "evil.example"}),
    ):
        policy = answer.headers["content-security-policy"].split("; ")
        assert {"default-src 'none'", "frame-ancestors 'none'"} <= {*policy}
        assert "unsafe" not in "".join(policy)
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "same-origin"
        for cookie in answer.headers.get_list("set-cookie"):
            assert {"httponly", "samesite=strict"} <= {*cookie.lower().split("; ")}, cookie


async def test_no_page_holds_a_script_or_a_style(web: Browser) -> None:
    for path in ("/", "/why", "/sign-in", "/nowhere"):
        page = (await web.open(path)).text
        assert "<style" not in page
        assert " style=" not in page
        assert not re.search(r"\son[a-z]+=", page)
        for script in page.split("<script")[1:]:
            assert script.lstrip().startswith('src="/static/'), script[:80]


async def test_cookies_are_out_of_reach_of_scripts_and_other_pages(
    console: Console, web: Browser
) -> None:
    said = (await web.open()).headers["set-cookie"].lower()
    assert "httponly" in said
    assert "samesite=strict" in said
    assert "secure" not in said
    secure = Console(console.client, console.pages, secure=True)
    async with browser(secure, "https://console.example") as behind:
        assert "secure" in (await behind.get("/")).headers["set-cookie"].lower()


async def test_an_unknown_address_is_a_page(web: Browser) -> None:
    answer: httpx.Response = await web.open("/<script>")
    assert answer.status_code == 404
    assert "<script>alert" not in answer.text
    assert "Not found" in answer.text
