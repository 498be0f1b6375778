"""Signing in at an identity provider: the flow, its attacks, and a provider that fails."""

import asyncio
import html
import json
import logging
import re
import time
import tracemalloc
from collections.abc import AsyncIterator, Callable
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import jwt
import oidc_provider_mock
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from google.rpc import code_pb2

from sightline_client import SightlineClient
from sightline_console.pages.rendering import Pages
from sightline_console.screens.provider import BEGIN, CALLBACK, FINISH
from sightline_console.screens.visit import Console
from sightline_console.web import away, oidc, sessions
from sightline_console.web.oidc import (
    FAILED_SECONDS,
    KNOWN_SECONDS,
    MOST_BYTES,
    Attempt,
    Endpoints,
    Provider,
    Registration,
    SignInFailed,
    opened,
)
from tests.fakes.gateway import FakeGateway
from tests.fakes.gateway_messages import status
from tests.fakes.identity_provider import CLIENT, ISSUER, SECRET, IdentityProvider
from tests.unit.console.conftest import ADDRESS, HTTP, Browser, browser
from tests.waiting import until

INVALID = status(code_pb2.UNAUTHENTICATED, "not this one", reason="TOKEN_INVALID")
REGISTRATION = Registration(ISSUER, CLIENT, f"{ADDRESS}{CALLBACK}", SECRET)
SESSION, AWAY = "sightline-console", "sightline-console-away"


@pytest.fixture
async def identity() -> AsyncIterator[IdentityProvider]:
    made = IdentityProvider()
    async with made.http:
        yield made


@pytest.fixture
def console(client: SightlineClient, identity: IdentityProvider) -> Console:
    return Console(client, Pages(HTTP), provider=Provider(REGISTRATION, identity.http))


def led_to(page: httpx.Response) -> str:
    """Return where a page leads on by itself."""
    found = re.search(r'http-equiv="refresh" content="0;url=([^"]+)"', page.text)
    assert found is not None, page.text
    return html.unescape(found[1])


async def leave(web: Browser, **fields: str) -> str:
    """Begin a sign-in. Return the provider's address for it."""
    page = await web.send(BEGIN, fields)
    assert page.status_code == 200, page.text
    return led_to(page)


async def come_back(web: Browser, answered: dict[str, str]) -> httpx.Response:
    """Bring an answer of the provider back, as a browser does: at first without its cookies."""
    kept = list(web.web.cookies.jar)
    web.web.cookies.clear()
    page = await web.open(f"{CALLBACK}?{urlencode(answered)}")
    assert "set-cookie" not in page.headers
    for each in kept:
        web.web.cookies.jar.set_cookie(each)
    where = led_to(page)
    assert where.startswith(FINISH)
    return await web.open(where)


async def test_a_user_signs_in_and_their_own_token_goes_to_the_gateway(
    web: Browser, identity: IdentityProvider, gateway: FakeGateway
) -> None:
    assert "Sign in at id.example" in (await web.open("/sign-in")).text
    answer = await come_back(web, identity.authorize(await leave(web, next="/?text=red")))
    assert answer.headers["location"] == "/?text=red"
    page = await web.follow(answer)
    assert "Sign out" in page.text
    assert gateway.authorizations[-1] == "Bearer at_of_the_user"
    assert identity.paths() == ["openid-configuration", "token", "jwks"]


async def test_a_console_without_a_provider_offers_none(client: SightlineClient) -> None:
    async with browser(Console(client, Pages(HTTP))) as opened:
        web = Browser(opened)
        assert BEGIN not in (await web.open("/sign-in")).text
        assert (await web.send(BEGIN, {})).status_code == 404
        assert (await web.open(f"{FINISH}?state=x&code=y")).status_code == 400


async def test_each_sign_in_has_secrets_of_its_own_and_the_exact_address(web: Browser) -> None:
    first, second = [
        {name: value for name, (value,) in parse_qs(urlsplit(await leave(web)).query).items()}
        for _ in range(2)
    ]
    assert first["redirect_uri"] == f"{ADDRESS}{CALLBACK}"
    assert first["scope"] == "openid"
    assert "resource" not in first
    for name in ("state", "nonce", "code_challenge"):
        assert first[name] != second[name]
        assert len(first[name]) >= 43
    assert SECRET not in str(first)


async def test_forms_lead_to_no_other_site(web: Browser) -> None:
    page = await web.send(BEGIN, {})
    assert page.status_code == 200
    assert "form-action 'self';" in page.headers["content-security-policy"]
    assert "id.example" not in page.headers["content-security-policy"]
    assert page.headers["referrer-policy"] == "same-origin"
    said = page.headers["set-cookie"]
    assert "httponly" in said.lower()
    assert "samesite=strict" in said.lower()


async def test_over_tls_no_other_host_can_set_the_cookie_of_a_sign_in(
    client: SightlineClient, identity: IdentityProvider
) -> None:
    address = "https://console.example"
    provider = Provider(Registration(ISSUER, CLIENT, f"{address}{CALLBACK}", SECRET), identity.http)
    made = Console(client, Pages(HTTP), secure=True, provider=provider)
    async with browser(made, address) as opened:
        web = Browser(opened)
        page = await web.send(BEGIN, {})
        (said,) = [
            each for each in page.headers.get_list("set-cookie") if each.startswith("__Host-")
        ]
        assert {"Secure", "Path=/"} <= set(said.split("; "))
        answer = await come_back(web, identity.authorize(led_to(page)))
        assert answer.status_code == 303


async def test_what_was_typed_survives_the_way_to_the_provider_and_back(
    web: Browser, identity: IdentityProvider, gateway: FakeGateway
) -> None:
    await come_back(web, identity.authorize(await leave(web)))
    gateway.fail("GetImage", INVALID)
    ended = await web.send("/", {"text": "Rioja & <b>más</b>"})
    assert ended.status_code == 401
    assert "has ended" in ended.text
    assert "What you typed is kept" in ended.text
    assert ended.text.count('name="unsent-text"') == 2, "in both forms"
    where = await leave(web, **{"next": "/", "unsent-text": "Rioja & <b>más</b>"})
    assert "Rioja" not in where
    page = await come_back(web, identity.authorize(where))
    assert page.status_code == 200
    assert "Rioja &amp; &lt;b&gt;más&lt;/b&gt;" in page.text
    assert "Sign out" in page.text


async def test_a_refused_user_keeps_what_they_typed(
    web: Browser, identity: IdentityProvider
) -> None:
    answered = identity.authorize(await leave(web, **{"next": "/why", "unsent-why": "wine-2"}))
    refused = {"error": "access_denied", "state": answered["state"], "iss": ISSUER}
    page = await come_back(web, refused)
    assert page.status_code == 403
    assert "did not let you in" in page.text
    assert 'name="unsent-why" value="wine-2"' in page.text
    assert 'name="next" value="/why"' in page.text
    assert "token" not in identity.paths()


async def test_a_user_of_the_same_browser_signs_in_on_two_pages_at_once(
    web: Browser, identity: IdentityProvider
) -> None:
    first, second = await leave(web, next="/why"), await leave(web, next="/health")
    assert (await come_back(web, identity.authorize(first))).headers["location"] == "/why"
    assert (await come_back(web, identity.authorize(second))).headers["location"] == "/health"


@pytest.mark.parametrize("elsewhere", ["https://evil.example", "//evil.example", "/\\evil.example"])
async def test_a_sign_in_leads_back_to_no_other_site(
    web: Browser, identity: IdentityProvider, elsewhere: str
) -> None:
    answer = await come_back(web, identity.authorize(await leave(web, next=elsewhere)))
    assert answer.headers["location"] == "/"


async def test_a_session_has_an_id_that_was_not_known_before(
    web: Browser, identity: IdentityProvider
) -> None:
    web.web.cookies.set(SESSION, "planted")
    web.web.cookies.set(AWAY, "planted")
    where = await leave(web)
    assert [each.value for each in web.web.cookies.jar if each.name == AWAY][-1] != "planted"
    for each in list(web.web.cookies.jar):
        if each.value == "planted" and each.name == AWAY:
            web.web.cookies.jar.clear(each.domain, each.path, each.name)
    answer = await come_back(web, identity.authorize(where))
    said = [each for each in answer.headers.get_list("set-cookie") if each.startswith(SESSION)]
    assert said[0].startswith(f"{SESSION}=s.")


async def test_the_answer_to_another_browser_signs_in_no_one(
    console: Console, web: Browser, identity: IdentityProvider
) -> None:
    async with browser(console) as opened:
        attacker = Browser(opened)
        answered = identity.authorize(await leave(attacker))
        for before in (None, "/why"):  # a victim who has no sign-in under way, and one who has
            if before:
                await leave(web, next=before)
            page = await come_back(web, answered)
            assert page.status_code == 400
            assert "not under way in this browser" in page.text
        assert "token" not in identity.paths()
        assert (await come_back(attacker, answered)).status_code == 303


async def test_a_code_of_another_sign_in_is_worth_nothing(
    console: Console, web: Browser, identity: IdentityProvider
) -> None:
    stolen = identity.authorize(await leave(web))["code"]
    async with browser(console) as opened:
        thief = Browser(opened)
        answered = identity.authorize(await leave(thief))
        page = await come_back(thief, {**answered, "code": stolen})
    assert page.status_code == 502
    assert "CODE_REJECTED" in page.text


async def test_an_answer_is_taken_once(web: Browser, identity: IdentityProvider) -> None:
    answered = identity.authorize(await leave(web))
    assert (await come_back(web, answered)).status_code == 303
    again = await come_back(web, answered)
    assert again.status_code == 400
    assert identity.paths().count("token") == 1


@pytest.mark.parametrize("issuer", ["https://evil.example", f"{ISSUER}/", None])
async def test_a_code_goes_to_no_other_issuer_than_the_one_that_answers(
    web: Browser, identity: IdentityProvider, issuer: str | None
) -> None:
    answered = identity.authorize(await leave(web))
    del answered["iss"]
    page = await come_back(web, answered | ({"iss": issuer} if issuer else {}))
    assert page.status_code == 502
    assert "ISSUER_OTHER" in page.text
    assert "token" not in identity.paths()


async def test_an_issuer_that_does_not_name_itself_in_answers_is_taken_without(
    web: Browser, identity: IdentityProvider
) -> None:
    identity.changes["discovery"] = {"authorization_response_iss_parameter_supported": None}
    answered = identity.authorize(await leave(web))
    del answered["iss"]
    assert (await come_back(web, answered)).status_code == 303


async def test_a_parameter_that_comes_twice_is_not_read(
    web: Browser, identity: IdentityProvider
) -> None:
    answered = identity.authorize(await leave(web))
    where = led_to(await web.open(f"{CALLBACK}?{urlencode(answered)}&code=other"))
    assert where == FINISH
    where = led_to(await web.open(f"{CALLBACK}?x=1&code={'c' * 5000}&state=s&next=//evil.example"))
    assert where == f"{FINISH}?state=s"


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "https://evil.example"}, {"iss": None},
        {"aud": "another"}, {"aud": None}, {"aud": [CLIENT, "another"]},
        {"aud": [CLIENT, "another"], "azp": "another"}, {"azp": "another"},
        {"exp": int(time.time()) - 60}, {"exp": None},
        {"nonce": "of another sign-in"}, {"nonce": None}, {"nonce": 7}, {"nonce": "\ud800"},
        {"iat": float("inf")}, {"exp": float("inf")}, {"exp": float("nan")},
        {"iat": int(time.time()) + 3600}, {"sub": None}, {"sub": ""}, {"sub": "x" * 256},
    ],
)  # fmt: skip
async def test_an_id_token_for_another_is_rejected(
    web: Browser, identity: IdentityProvider, gateway: FakeGateway, claims: dict[str, Any]
) -> None:
    identity.changes["claims"] = claims
    page = await come_back(web, identity.authorize(await leave(web)))
    assert page.status_code == 502
    assert "ID_TOKEN_INVALID" in page.text
    assert "Begin again" in page.text
    assert "Bearer at_of_the_user" not in gateway.authorizations


async def test_an_id_token_for_several_names_the_console_as_its_party(
    web: Browser, identity: IdentityProvider
) -> None:
    identity.changes["claims"] = {"aud": [CLIENT, "another"], "azp": CLIENT}
    assert (await come_back(web, identity.authorize(await leave(web)))).status_code == 303


@pytest.mark.parametrize("algorithm", ["RS256", "RS512", "PS256", "PS384"])
async def test_a_key_that_names_no_algorithm_is_taken_for_that_of_the_token(
    web: Browser, identity: IdentityProvider, algorithm: str
) -> None:
    key = rsa.generate_private_key(65_537, 2048)
    public = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key()))
    keys = {"keys": [{**public, "kid": "k1"}]}
    identity.spoilt["keys"] = lambda _: httpx.Response(200, json=keys)
    identity.signing_key, identity.algorithm = key, algorithm
    page = await come_back(web, identity.authorize(await leave(web)))
    assert page.status_code == 303, page.text


@pytest.mark.parametrize(
    ("key", "algorithm"),
    [(ec.generate_private_key(ec.SECP256R1()), "ES256"), ("x" * 64, "HS256"), ("", "none")],
)
async def test_an_id_token_with_another_signature_is_rejected(
    web: Browser, identity: IdentityProvider, key: Any, algorithm: str
) -> None:
    identity.signing_key, identity.algorithm = key, algorithm
    page = await come_back(web, identity.authorize(await leave(web)))
    assert "ID_TOKEN_INVALID" in page.text


def _raised(error: type[httpx.HTTPError]) -> Callable[[httpx.Request], httpx.Response]:
    def answer(_request: httpx.Request) -> httpx.Response:
        raise error("no")

    return answer


FAILURES = {
    "gone": (_raised(httpx.ConnectError), 503, "PROVIDER_UNREACHABLE"),
    "slow": (_raised(httpx.ReadTimeout), 504, "PROVIDER_SLOW"),
    "at fault": (lambda _: httpx.Response(500, text="oh"), 503, "PROVIDER_UNREACHABLE"),
    "a web page": (lambda _: httpx.Response(200, text="<html>"), 502, "INVALID"),
    "a list": (lambda _: httpx.Response(200, json=[1]), 502, "INVALID"),
    "nothing": (lambda _: httpx.Response(200, json={}), 502, "INVALID"),
    "deep": (lambda _: httpx.Response(200, text="[" * 100_000), 502, "INVALID"),
    "huge": (lambda _: httpx.Response(200, text=" " * (MOST_BYTES + 1)), 502, "INVALID"),
    "not found": (lambda _: httpx.Response(404, json={}), 502, "INVALID"),
    "elsewhere": (
        lambda _: httpx.Response(302, headers={"location": "https://evil.example"}, json={}),
        502,
        "INVALID",
    ),
}


@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("name", ["discovery", "tokens", "keys"])
async def test_a_provider_that_fails_is_told_and_nothing_typed_is_lost(
    web: Browser, identity: IdentityProvider, name: str, failure: str
) -> None:
    answer, code, reason = FAILURES[failure]
    identity.spoilt[name] = answer
    page = await web.send(BEGIN, {"next": "/why", "unsent-why": "wine-2"})
    if name != "discovery":
        page = await come_back(web, identity.authorize(led_to(page)))
    assert page.status_code == code
    assert reason in page.text
    assert re.search("Try again|Ask the operator|Begin again", page.text)
    assert 'name="unsent-why" value="wine-2"' in page.text
    assert "Sign out" not in page.text
    assert all(each.url.host == "id.example" for each in identity.asked)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"issuer": "https://evil.example"}, "ISSUER_OTHER"),
        ({"issuer": None}, "ISSUER_OTHER"),
        ({"token_endpoint": "http://id.example/token"}, "DISCOVERY_INVALID"),
        ({"authorization_endpoint": "javascript:alert(1)"}, "DISCOVERY_INVALID"),
        ({"authorization_endpoint": "https://id.example/'\"><script>"}, "DISCOVERY_INVALID"),
        ({"authorization_endpoint": "https://id.example@evil.example/"}, "DISCOVERY_INVALID"),
        ({"jwks_uri": 7}, "DISCOVERY_INVALID"),
        ({"jwks_uri": "https://id.example:99999/jwks"}, "DISCOVERY_INVALID"),
        ({"token_endpoint": "https://[::1/token"}, "DISCOVERY_INVALID"),
    ],
)
async def test_a_discovery_document_that_misleads_is_rejected(
    web: Browser, identity: IdentityProvider, changes: dict[str, Any], reason: str
) -> None:
    identity.changes["discovery"] = changes
    page = await web.send(BEGIN, {})
    assert page.status_code == 502
    assert reason in page.text
    assert "http-equiv" not in page.text


@pytest.mark.parametrize(
    "changes",
    [{"token_type": "DPoP"}, {"access_token": None}, {"access_token": "two words"},
     {"access_token": ""}, {"id_token": None}, {"id_token": "x.y"}, {"id_token": 7}],
)  # fmt: skip
async def test_an_answer_without_usable_tokens_begins_no_session(
    web: Browser, identity: IdentityProvider, changes: dict[str, Any]
) -> None:
    identity.changes["tokens"] = changes
    page = await come_back(web, identity.authorize(await leave(web)))
    assert page.status_code == 502
    assert "Sign out" not in page.text


async def test_a_token_that_the_suite_does_not_take_is_told(
    web: Browser, identity: IdentityProvider, gateway: FakeGateway
) -> None:
    gateway.fail("GetImage", INVALID)
    page = await come_back(web, identity.authorize(await leave(web, **{"unsent-a": "b"})))
    assert page.status_code == 401
    assert "the suite does not take its tokens" in page.text
    assert 'name="unsent-a" value="b"' in page.text
    gone = status(code_pb2.UNAVAILABLE, "gone", reason="INDEX_UNAVAILABLE")
    gateway.after["GetImage"] = (0, gone)
    page = await come_back(web, identity.authorize(await leave(web)))
    assert page.status_code == 503


async def test_cookies_of_one_sign_in_are_not_sent_for_the_next(
    web: Browser, identity: IdentityProvider
) -> None:
    said = {"set-cookie": "whose=zoe; Path=/; Secure"}
    refused = httpx.Response(400, json={"error": "invalid_grant"}, headers=said)
    identity.spoilt["tokens"] = lambda _: refused
    assert (await come_back(web, identity.authorize(await leave(web)))).status_code == 502
    del identity.spoilt["tokens"]
    assert (await come_back(web, identity.authorize(await leave(web)))).status_code == 303
    assert not [each for each in identity.asked if "cookie" in each.headers]


async def test_a_secret_that_the_provider_does_not_know_is_told(
    client: SightlineClient, identity: IdentityProvider
) -> None:
    wrong = Registration(ISSUER, CLIENT, f"{ADDRESS}{CALLBACK}", "wrong-secret")
    made = Console(client, Pages(HTTP), provider=Provider(wrong, identity.http))
    async with browser(made) as opened:
        web = Browser(opened)
        page = await come_back(web, identity.authorize(await leave(web)))
    assert "does not know this console" in page.text
    assert "wrong-secret" not in page.text


@pytest.mark.parametrize("methods", [["client_secret_post"], ["client_secret_basic"], None])
async def test_the_secret_is_sent_as_the_provider_takes_it(
    web: Browser, identity: IdentityProvider, methods: list[str] | None
) -> None:
    identity.changes["discovery"] = {"token_endpoint_auth_methods_supported": methods}
    assert (await come_back(web, identity.authorize(await leave(web)))).status_code == 303
    sent = next(each for each in identity.asked if each.url.path.endswith("/token"))
    assert ("authorization" in sent.headers) == (methods != ["client_secret_post"])


async def test_neither_secret_nor_code_nor_token_is_logged(
    web: Browser, identity: IdentityProvider, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    answered = identity.authorize(await leave(web))
    answer = await come_back(web, answered)
    assert answer.status_code == 303
    session = answer.headers["set-cookie"].partition("s.")[2][:20]
    for each in (SECRET, "secret%3A", identity.access_token, session):
        assert each not in caplog.text
    sent = [each for each in caplog.records if not each.name.startswith("httpx")]
    assert answered["code"] not in " ".join(each.getMessage() for each in sent)
    assert SECRET not in repr(REGISTRATION)


async def test_a_sign_in_begins_by_a_page_of_the_console_alone(web: Browser) -> None:
    answer = await web.web.post(BEGIN, data={}, headers={"origin": "https://evil.example"})
    assert answer.status_code == 403
    assert (await web.send(BEGIN, {"csrf": "wrong"})).status_code == 403
    assert "http-equiv" not in (await web.open(BEGIN)).text


async def test_at_another_name_of_the_console_its_address_is_told(console: Console) -> None:
    async with browser(console, "http://console:8695") as opened:
        page = await Browser(opened).send(BEGIN, {"unsent-a": "b"})
    assert page.status_code == 400
    assert f"works at {ADDRESS} alone" in page.text
    assert 'name="unsent-a"' in page.text


async def test_the_discovery_document_is_asked_for_again_after_a_while(
    identity: IdentityProvider,
) -> None:
    now = [0.0]
    provider = Provider(REGISTRATION, identity.http, lambda: now[0])
    for moment in (0.0, KNOWN_SECONDS, KNOWN_SECONDS + 1):
        now[0] = moment
        await provider.begin()
    assert identity.paths() == ["openid-configuration"] * 2


async def test_a_provider_that_fails_is_not_asked_by_each_sign_in(
    identity: IdentityProvider,
) -> None:
    now = [0.0]
    provider = Provider(REGISTRATION, identity.http, lambda: now[0])
    identity.spoilt["discovery"] = lambda _: httpx.Response(500)
    for moment in (0.0, FAILED_SECONDS, FAILED_SECONDS + 1):
        now[0] = moment
        with pytest.raises(SignInFailed, match="PROVIDER_UNREACHABLE"):
            await provider.begin()
    assert identity.paths() == ["openid-configuration"] * 2
    del identity.spoilt["discovery"]
    now[0] += FAILED_SECONDS + 1
    await provider.begin()
    identity.spoilt["discovery"] = lambda _: httpx.Response(500)
    now[0] += KNOWN_SECONDS
    await provider.begin()
    assert len(identity.asked) == 3, "what was found is known for longer than a failure"


async def test_one_sign_in_asks_a_provider_that_hangs_and_the_others_wait_for_it() -> None:
    asked, answers = [0], asyncio.Event()

    async def hang(_request: httpx.Request) -> httpx.Response:
        asked[0] += 1
        await answers.wait()
        return httpx.Response(500, stream=httpx.ByteStream(b""))

    async with httpx.AsyncClient(transport=httpx.MockTransport(hang)) as http:
        provider = Provider(REGISTRATION, http)
        first, *others = [asyncio.create_task(provider.begin()) for _ in range(20)]
        await until(lambda: bool(asked[0]))
        first.cancel()
        await until(lambda: asked[0] == 2)  # another one asks in its place
        answers.set()
        failed = await asyncio.gather(*others, return_exceptions=True)
    assert {type(each) for each in failed} == {SignInFailed}, failed
    assert asked == [2]


async def test_a_user_with_ever_new_tokens_ends_no_session_of_others(
    console: Console, web: Browser, identity: IdentityProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "MOST_OF_OWNER", 3)
    identity.changes["claims"] = {"sub": "ann"}
    await come_back(web, identity.authorize(await leave(web)))
    identity.changes["claims"] = {"sub": "zoe"}
    ids: list[str] = []
    for number in range(5):
        identity.access_token = f"token-{number}"
        async with browser(console) as opened_:
            attacker = Browser(opened_)
            await come_back(attacker, identity.authorize(await leave(attacker)))
            ids += [each.value or "" for each in opened_.cookies.jar if each.name == SESSION]
    alive = [console.sessions.find(each) is not None for each in ids]
    assert alive == [False, False, True, True, True]
    assert "Sign out" in (await web.open("/sign-in")).text


async def test_a_user_who_pastes_ever_new_tokens_ends_no_session_of_others(
    console: Console, web: Browser, identity: IdentityProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "MOST_OF_OWNER", 1)
    await come_back(web, identity.authorize(await leave(web)))
    ids: list[str] = []
    for number in range(3):
        said = {"iss": ISSUER, "sub": "zoe", "jti": str(number)}
        token = jwt.encode(said, identity.signing_key, identity.algorithm)
        async with browser(console) as opened_:
            attacker = Browser(opened_)
            assert (await attacker.send("/sign-in", {"key": token})).status_code == 303
            ids += [each.value or "" for each in opened_.cookies.jar if each.name == SESSION]
    assert [console.sessions.find(each) is not None for each in ids] == [False, False, True]
    assert "Sign out" in (await web.open("/sign-in")).text, "also of the user that it is about"


@pytest.mark.parametrize(
    "key", ["slk_of-the-shop", "a.b.c", "e30.W10.", "e30.e30.x", f"e30.{'W' * 400}.x"]
)
def test_a_pasted_key_that_no_provider_signed_owns_its_sessions(key: str) -> None:
    assert oidc.owner_of(key) == key


def _attempt() -> Attempt:
    return Attempt(Endpoints("a", "t", "k", names_issuer=False, basic=True))


def test_sign_ins_that_do_not_return_end() -> None:
    now = [0.0]
    kept = away.SignIns(lambda: now[0])
    attempt = _attempt()
    kept.keep("mine", attempt, "/", {"a": "b"})
    now[0] = away.SECONDS
    assert kept.knows("mine")
    now[0] += 1
    assert not kept.knows("mine")
    assert kept.take("mine", attempt.state) is None


def test_sign_ins_under_way_have_limits() -> None:
    kept = away.SignIns()
    mine = [_attempt() for _ in range(away.MOST_OF_BROWSER + 1)]
    for each in mine:
        kept.keep("mine", each, "/", {})
    assert kept.take("mine", mine[0].state) is None
    assert kept.take("mine", mine[1].state) is not None
    large = {"text": "x" * (away.MOST_BYTES // 4)}
    others = [_attempt() for _ in range(6)]
    for number, each in enumerate(others):
        kept.keep(str(number), each, "/", large)
    assert [kept.knows(str(number)) for number in range(6)] == [False] * 3 + [True] * 3
    for number in range(away.MOST):
        kept.keep(f"flood-{number}", _attempt(), "/", {})
    assert not kept.knows("5")
    assert kept.knows(f"flood-{away.MOST - 1}")


@pytest.mark.parametrize(
    ("back", "unsent"),
    [
        ("/" + "x" * 2**18, {}),
        ("/", {"text": "\N{GRAPES}" + "x" * 2**18}),  # Python keeps it with four bytes each
        ("/", {f"{'n' * 2**16}{number}": "" for number in range(4)}),
    ],
)
def test_sign_ins_under_way_take_no_more_memory_than_they_may(
    back: str, unsent: dict[str, str]
) -> None:
    kept = away.SignIns()
    tracemalloc.start()
    try:
        for number in range(away.MOST):
            mine = {f"{name}-{number}": f"{value}{number}" for name, value in unsent.items()}
            kept.keep(str(number), _attempt(), f"{back}{number}", mine)
        held, _peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 1.2 * away.MOST_BYTES


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the provider's own libraries
async def test_a_provider_of_others_making_signs_users_in(
    client: SightlineClient, gateway: FakeGateway
) -> None:
    with oidc_provider_mock.run_server_in_thread(
        require_client_registration=True, require_nonce=True
    ) as server:
        issuer = f"http://localhost:{server.server_port}"
        async with httpx.AsyncClient(base_url=issuer) as provider:
            redirect = f"{ADDRESS}{CALLBACK}"
            made = await provider.post("/oauth2/clients", json={"redirect_uris": [redirect]})
            client_id, secret = made.json()["client_id"], made.json()["client_secret"]
            registration = Registration(issuer, client_id, redirect, secret)
            async with (
                opened(registration) as known,
                browser(Console(client, Pages(HTTP), provider=known)) as window,
            ):
                web = Browser(window)
                answer = await provider.post(await leave(web, next="/why"), data={"sub": "zoe"})
                back = urlsplit(answer.headers["location"])
                answered = {name: value for name, (value,) in parse_qs(back.query).items()}
                page = await come_back(web, answered)
                assert page.headers["location"] == "/why"
            token = gateway.authorizations[-1].removeprefix("Bearer ")
            asked = await provider.get("/userinfo", headers={"authorization": f"Bearer {token}"})
            assert asked.json()["sub"] == "zoe"
