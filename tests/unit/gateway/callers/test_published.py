"""Keys that an identity provider publishes: fetched, changed and lost while tokens arrive."""

import asyncio
import json
from collections.abc import AsyncIterator

import jwt
import pytest
from prometheus_client import REGISTRY

from gateway.callers import published
from gateway.callers.published import LEAST_SECONDS, PublishedKeys
from gateway.callers.signed import SignedTokens
from gateway.settings import GatewaySettings
from gateway.wiring import access_of
from servicekit.admission.access import TokenInvalid
from tests.fakes.kit_clock import Seconds
from tests.fakes.web import FakeWeb, answer
from tests.unit.gateway.callers.test_signed import CLAIMS, OTHER, RSA, public, signed
from tests.waiting import until

PATH = "/.well-known/jwks.json"
ALGORITHM = jwt.algorithms.RSAAlgorithm


def jwks(**keys) -> bytes:
    listed = [public(key, kid, ALGORITHM) for kid, key in keys.items()]
    return answer(json.dumps({"keys": listed}).encode())


@pytest.fixture
async def provider() -> AsyncIterator[FakeWeb]:
    async with FakeWeb({PATH: jwks(r=RSA)}).serving() as web:
        yield web


@pytest.fixture
def clock() -> Seconds:
    return Seconds()


def stale() -> float | None:
    return REGISTRY.get_sample_value("sightline_key_file_stale", {"keys": "jwks"})


async def tokens(provider: FakeWeb, clock: Seconds) -> SignedTokens:
    keys = await asyncio.to_thread(PublishedKeys, provider.url(PATH, "127.0.0.1"), clock)
    return SignedTokens(keys.get, CLAIMS, keys.refresh)


async def test_an_unknown_key_is_looked_for_and_found(provider, clock):
    checked = await tokens(provider, clock)
    assert checked.caller(signed()) is not None
    provider.pages[PATH] = jwks(r=RSA, new=OTHER)
    clock.now += LEAST_SECONDS
    assert checked.caller(signed(OTHER, kid="new")) is None, "no call waits for keys"
    await until(lambda: checked.caller(signed(OTHER, kid="new")) is not None)
    assert len(provider.requests) == 2


async def test_a_key_that_is_withdrawn_is_no_good_any_more(provider, clock):
    checked = await tokens(provider, clock)
    provider.pages[PATH] = jwks(new=OTHER)
    assert checked.caller(signed()) is not None
    clock.now += published.FRESH_SECONDS
    await until(lambda: checked.caller(signed()) is None)


async def test_who_names_unknown_keys_does_not_have_them_looked_for_all_the_time(provider, clock):
    checked = await tokens(provider, clock)
    clock.now += LEAST_SECONDS
    for number in range(100):
        assert checked.caller(signed(OTHER, kid=f"guessed-{number}")) is None
    await until(lambda: len(provider.requests) == 2)
    clock.now += LEAST_SECONDS - 1
    assert checked.caller(signed(OTHER, kid="guessed")) is None
    provider.pages[PATH] = jwks(new=OTHER)
    clock.now += 1
    await until(lambda: checked.caller(signed(OTHER, kid="new")) is not None)
    assert len(provider.requests) == 3


@pytest.mark.parametrize(
    "failing",
    [
        answer(status="500 Internal Server Error"),
        answer(b"{}"),
        answer(b'{"keys": []}'),
        answer(b"\xff"),
        answer(b"x" * (published.MOST_BYTES + 1)),
        answer(status="302 Found", location=PATH),
        b"",
    ],
)
async def test_keys_stay_good_while_their_address_fails(provider, clock, failing):
    checked = await tokens(provider, clock)
    provider.pages[PATH] = failing
    clock.now += published.FRESH_SECONDS
    assert checked.caller(signed()) is not None
    await until(lambda: len(provider.requests) == 2)
    clock.now += published.FRESH_SECONDS
    assert checked.caller(signed()) is not None

    def still_good_at_a_third_look() -> bool:
        assert checked.caller(signed()) is not None
        return len(provider.requests) >= 3

    await until(still_good_at_a_third_look)


async def test_an_address_that_fails_at_the_start_is_asked_again(provider, clock):
    provider.pages.clear()
    checked = await tokens(provider, clock)
    assert checked.caller(signed()) is None
    assert stale() == 1
    provider.pages[PATH] = jwks(r=RSA)
    clock.now += LEAST_SECONDS
    await until(lambda: checked.caller(signed()) is not None)
    await until(lambda: stale() == 0)


async def test_an_answer_that_drips_ends(provider, monkeypatch):
    async def drip(writer):
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n")
        for _ in range(1000):
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.01)

    monkeypatch.setattr(published, "SECONDS", 0.1)
    provider.pages[PATH] = drip
    with pytest.raises(ValueError, match="more than"):
        await asyncio.to_thread(published.fetch, provider.url(PATH, "127.0.0.1"))


async def test_a_gateway_takes_tokens_by_published_keys(provider):
    address = provider.url(PATH, "127.0.0.1")
    settings = GatewaySettings(jwt_keys_url=address, jwt_issuer=CLAIMS.issuer)
    access = await asyncio.to_thread(access_of, settings)
    name = "sightline.gateway.v1.RecommendationService/Recommend"
    admitted = access.admit(name, {"authorization": f"Bearer {signed()}"}, None)
    assert admitted.name == "jwt:shop-frontend"
    with pytest.raises(TokenInvalid):
        access.admit(name, {"authorization": f"Bearer {signed(OTHER)}"}, None)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"jwt_keys_url": "http://id.shop.example/jwks"}, "https"),
        ({"jwt_keys_url": "file:///etc/jwks"}, "https"),
        ({"jwt_keys_url": "https://id.shop.example/jwks", "jwt_issuer": ""}, "jwt_issuer"),
        (
            {"jwt_keys_url": "https://id.shop.example/jwks", "jwt_keys_file": "jwks.json"},
            "set only one",
        ),
    ],
)
def test_an_address_that_is_not_safe_is_refused(changes, problem):
    with pytest.raises(ValueError, match=problem):
        GatewaySettings(**{"jwt_issuer": CLAIMS.issuer, **changes})


async def test_keys_end_a_day_after_their_address_fails(provider, clock):
    checked = await tokens(provider, clock)
    provider.pages[PATH] = answer(status="500 Internal Server Error")
    clock.now += published.STALE_SECONDS - 1
    assert checked.caller(signed()) is not None
    clock.now += 1
    assert checked.caller(signed()) is None
    provider.pages[PATH] = jwks(r=RSA)
    clock.now += LEAST_SECONDS
    await until(lambda: checked.caller(signed()) is not None)
