"""The caller of a request, and what the gateway hears of it."""

import asyncio

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
