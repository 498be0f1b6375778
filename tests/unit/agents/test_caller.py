"""The caller of a request, and what the gateway hears of it."""

import asyncio
from pathlib import Path

import pytest

from sightline_agents.catalog import caller
from sightline_client import SightlineClient
from tests.fakes.gateway import FakeGateway


async def test_each_call_has_the_token_of_its_own_request(
    client: SightlineClient, gateway: FakeGateway
) -> None:
    async def ask(token: str | None) -> None:
        with caller.named(None if token is None else f"Bearer {token}"):
            await client.get_product("wine-1")

    await asyncio.gather(*(ask(token) for token in ("slk_ann", "slk_bob", None)))
    heard = sorted(str(each) for each in gateway.authorizations)
    assert heard == ["Bearer slk_ann", "Bearer slk_bob", "None"]
    assert caller.current() is None


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer ", "Basic YTpi", "Bearer a b", "Bearer é", "slk_ann"]
)
def test_a_header_that_names_no_token_is_rejected_unseen(header: str) -> None:
    with pytest.raises(caller.AuthorizationInvalid) as caught, caller.named(header):
        pass
    assert "YTpi" not in str(caught.value)
    assert "slk_ann" not in str(caught.value)


async def test_a_request_without_a_token_has_that_of_anonymous_requests(
    gateway: FakeGateway, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "token"
    file.write_text("slk_public\n")
    token = caller.AnonymousToken(file).current
    async with SightlineClient(gateway.target, token=token) as client:
        await client.get_product("wine-1")
        with caller.named("Bearer slk_ann"):
            await client.get_product("wine-1")
        file.write_text("slk_next\n")
        await client.get_product("wine-1")
        file.write_text("two words\n")
        await client.get_product("wine-1")
        file.unlink()
        await client.get_product("wine-1")
        await client.get_product("wine-1")
    told = [each.getMessage() for each in caplog.records]
    assert len(told) == 2, "once for each problem"
    assert all(str(file) in each for each in told)
    assert "two words" not in str(told)
    heard = [str(each).removeprefix("Bearer ") for each in gateway.authorizations]
    assert heard == ["slk_public", "slk_ann", "slk_next", "slk_next", "slk_next", "slk_next"]
