"""Signing in to the console at an identity provider of another site, in a real browser, and what a
real gateway lets a user do by the tokens of a provider."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Literal

import httpx
import jwt
import oidc_provider_mock
import pytest
from google.rpc import code_pb2
from oidc_provider_mock import User
from playwright.async_api import Page, Route, ViewportSize

from tests import pages
from tests.engines import free_port
from tests.fakes.gateway import FakeGateway
from tests.fakes.gateway_messages import status
from tests.fakes.gateway_wire import running
from tests.fakes.signing_provider import serving
from tests.pages import browsing
from tests.unit.gateway.callers.test_signed import OTHER, public
from tests.waiting import SECONDS, until

pytestmark = [
    pytest.mark.when("client", "console", "tests/wire"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # of the provider's own libraries
]

ENDED = status(code_pb2.UNAUTHENTICATED, "who?", reason="TOKEN_EXPIRED")


@asynccontextmanager
async def console(target: str, issuer: str, folder: Path) -> AsyncIterator[str]:
    """Run the console, registered at a provider. Return its address."""
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    redirect = f"{address}/sign-in/callback"
    async with httpx.AsyncClient() as web:
        made = await web.post(f"{issuer}/oauth2/clients", json={"redirect_uris": [redirect]})
        (folder / "secret").write_text(made.json()["client_secret"])
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "sightline_console", "--target", target, "--port", str(port),
            "--oidc-issuer", issuer, "--oidc-client", made.json()["client_id"],
            "--oidc-secret-file", str(folder / "secret"), stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        try:
            await until(lambda: _lives(web, address))
            yield address
        finally:
            process.terminate()
            _, said = await asyncio.wait_for(process.communicate(), SECONDS)
    assert not said, said.decode()


async def _lives(web: httpx.AsyncClient, address: str) -> bool:
    try:
        return (await web.get(f"{address}/healthz")).status_code == 200
    except httpx.TransportError:
        return False


async def let_in(page: Page, issuer: str) -> None:
    """Sign in at the provider."""
    await page.wait_for_url(f"{issuer}/oauth2/authorize?*")
    await page.fill('input[name="sub"]', "zoe")
    await page.click('button[type="submit"]:not([value="deny"])')


@pytest.mark.parametrize("scripts", [True, False])
async def test_a_user_signs_in_at_another_site_and_nothing_typed_is_lost(
    tmp_path: Path, scripts: bool
) -> None:
    with (
        FakeGateway() as gateway,
        oidc_provider_mock.run_server_in_thread(
            require_client_registration=True, require_nonce=True
        ) as server,
    ):
        issuer = f"http://localhost:{server.server_port}"  # another site than 127.0.0.1
        async with console(gateway.target, issuer, tmp_path) as address, browsing() as browser:
            context = await browser.new_context(java_script_enabled=scripts, locale="en-GB")
            page = await context.new_page()
            said: list[str] = []
            page.on("console", lambda each: said.append(each.text))
            await page.goto(f"{address}/sign-in?next=/why")
            await page.click(f"text=Sign in at localhost:{server.server_port}")
            await let_in(page, issuer)
            await page.wait_for_url(f"{address}/why")
            assert await page.locator("text=Sign out").count() == 1
            assert (gateway.authorizations[-1] or "").startswith("Bearer ")

            await page.goto(f"{address}/")
            await page.fill('[name="text"]', "a red for Zoë")
            gateway.after["GetImage"] = (0, ENDED)
            await page.click("form.ask button.main")
            await page.wait_for_selector("text=Your session has ended")
            del gateway.after["GetImage"]
            await page.click(f"text=Sign in at localhost:{server.server_port}")
            await let_in(page, issuer)
            await page.wait_for_selector("text=You are signed in")
            assert await page.input_value('[name="text"]') == "a red for Zoë"
            assert not [each for each in said if "Content Security Policy" in each]

            await page.goto(issuer)
            await page.set_content(f"<a href='{address}/why?text=red'>a link in a chat</a>")
            await page.click("a")
            await page.wait_for_selector("text=Sign out")
            assert page.url == f"{address}/why?text=red"
            await context.close()


USERS = (
    User(sub="zoe", claims={"roles": ["read"], "catalogs": ["default"]}),
    User(sub="ops", claims={"roles": "read models operate catalog", "catalogs": "*"}),
)


def keys_of(issuer: str, file: Path) -> Path:
    """Write the keys of a provider for the gateway, which calls addresses with TLS alone."""
    file.write_bytes(httpx.get(f"{issuer}/jwks").content)
    return file


async def enter(page: Page, address: str, issuer: str, user: str) -> None:
    """Sign in as a user that the provider knows."""
    await page.goto(f"{address}/sign-in?next=/why")
    await page.click("form[action='/sign-in/provider'] button")
    await page.wait_for_url(f"{issuer}/oauth2/authorize?*")
    await page.click(f'button[name="sub"][value="{user}"]')


async def test_a_gateway_gives_users_the_rights_of_the_tokens_that_their_provider_signed(
    tmp_path: Path,
) -> None:
    with serving(USERS) as issuer:
        keys = keys_of(issuer, tmp_path / "jwks.json")
        limits = {"quota_calls": 1_000, "jwt_keys_file": keys, "jwt_issuer": issuer}
        async with (
            running(whole=True, **limits) as suite,
            console(f"127.0.0.1:{suite.port}", issuer, tmp_path) as address,
            browsing() as browser,
        ):
            context = await browser.new_context(locale="en-GB")
            page = await context.new_page()
            await enter(page, address, issuer, "zoe")
            await page.wait_for_url(f"{address}/why")
            await page.goto(f"{address}/?text=red")
            assert "Title p2" in await page.inner_text("main"), "by the role read"
            answer = await page.goto(f"{address}/models")
            assert answer is not None
            assert answer.status == 200
            assert await page.locator("code:text-is('ROLE_MISSING')").count() == 4
            await page.context.clear_cookies()

            await enter(page, address, issuer, "ops")
            await page.wait_for_url(f"{address}/why")
            await page.goto(f"{address}/models")
            assert await page.locator("code:text-is('ROLE_MISSING')").count() == 0
            await page.goto(f"{address}/health")
            told = await page.locator("table:has(th:text-is('left to you'))").inner_text()
            assert "1000" in told, "the caller is known, and has quotas"

            other = public(OTHER, "next", jwt.algorithms.RSAAlgorithm)
            keys.write_text(json.dumps({"keys": [other]}))  # the provider's is withdrawn
            await until(lambda: _ended(page, address))
            await context.close()


async def _ended(page: Page, address: str) -> bool:
    """Return whether a user has to sign in again."""
    await page.goto(f"{address}/health")
    return await page.locator("text=Your session has ended").count() == 1


@contextmanager
def opaque() -> Iterator[str]:
    """Run a provider whose access tokens it alone understands."""
    with oidc_provider_mock.run_server_in_thread(
        require_client_registration=True, require_nonce=True, user_claims=USERS
    ) as server:
        yield f"http://localhost:{server.server_port}"


@pytest.mark.parametrize(
    "provider",
    [serving(USERS, "another API"), serving(USERS, seconds=-60), opaque()],
    ids=["for another API", "expired", "opaque"],
)
async def test_a_token_that_the_gateway_can_not_verify_begins_no_session(
    tmp_path: Path, provider: AbstractContextManager[str]
) -> None:
    with provider as issuer:
        keys = keys_of(issuer, tmp_path / "jwks.json")
        async with (
            running(jwt_keys_file=keys, jwt_issuer=issuer) as suite,
            console(f"127.0.0.1:{suite.port}", issuer, tmp_path) as address,
            browsing() as browser,
        ):
            page = await browser.new_page(locale="en-GB")
            await enter(page, address, issuer, "ops")
            await page.wait_for_selector("text=the suite does not take its tokens")
            assert await page.locator("form[action='/sign-out']").count() == 0
            await page.close()


@pytest.mark.parametrize(("locale", "theme"), [("en-GB", "light"), ("zh-CN", "dark")])
async def test_the_pages_of_a_sign_in_are_accessible(
    tmp_path: Path, locale: str, theme: Literal["light", "dark"]
) -> None:
    script = pages.axe(tmp_path)
    with (
        FakeGateway() as gateway,
        oidc_provider_mock.run_server_in_thread(require_client_registration=True) as server,
    ):
        issuer = f"http://localhost:{server.server_port}"
        async with console(gateway.target, issuer, tmp_path) as address, browsing() as browser:
            window: ViewportSize = {"width": 390, "height": 800}
            context = await browser.new_context(locale=locale, color_scheme=theme, viewport=window)
            page = await context.new_page()
            await page.add_init_script(script)
            await context.route("**/oauth2/**", lambda each: each.abort())
            await page.goto(f"{address}/sign-in")
            await accessible(page, "sign in")
            await stay(page)
            await page.click("form[action='/sign-in/provider'] button")
            await page.wait_for_url("**/sign-in/provider")
            await accessible(page, "leaving")
            await page.goto(f"{address}/sign-in/callback?state=x&code=y")
            await accessible(page, "returning")
            await page.unroute("**/sign-in/**")
            await page.goto(f"{address}/sign-in/finish?state=x&code=y")
            await accessible(page, "a sign-in that failed")
            await context.close()


async def stay(page: Page) -> None:
    """Keep pages that lead on where they are, so that they can be looked at."""

    async def answer(route: Route) -> None:
        found = await route.fetch()
        body = (await found.text()).replace('content="0;url=', 'content="86400;url=')
        await route.fulfill(response=found, body=body)

    await page.route("**/sign-in/**", answer)


async def accessible(page: Page, name: str) -> None:
    """Look at an open page, with axe."""
    assert await page.evaluate("document.documentElement.scrollWidth") <= 390, name
    serious = await page.evaluate(pages.SERIOUS)
    assert not serious, (name, serious)
