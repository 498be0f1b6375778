"""Signing in to the console at an identity provider of another site, in a real browser."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import oidc_provider_mock
import pytest
from google.rpc import code_pb2
from playwright.async_api import Page

from tests.engines import free_port
from tests.fakes.gateway import FakeGateway
from tests.fakes.gateway_messages import status
from tests.pages import browsing
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
            await context.close()
