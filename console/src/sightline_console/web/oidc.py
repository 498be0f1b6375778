"""Sign-in at an identity provider: the authorization code flow of OpenID Connect with PKCE.

The console asks for an access token of the user, checks who issued it and for which attempt, and
passes it on to the gateway, which verifies it at each call. Of the user it reads the subject alone,
by which it counts sessions.
"""

import asyncio
import hashlib
import json
import re
import secrets
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import httpx
import jwt
from jwt.utils import base64url_encode

from sightline_client.transport.token import check

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA")
"""Asymmetric algorithms of ID tokens: anyone could sign with a public key taken for a secret."""
SECONDS = 10.0
"""Maximum seconds of a request to the provider."""
MOST_BYTES = 2**18
"""Maximum bytes of an answer of the provider."""
LONGEST_SUBJECT = 255
"""Maximum characters of a subject (OpenID Connect Core 1.0, section 2)."""
KNOWN_SECONDS = 300.0
"""Seconds for which the discovery document is not asked for again."""
FAILED_SECONDS = 5.0
"""Seconds for which it is not asked for again after a failure."""
LEEWAY_SECONDS = 30
"""Tolerated clock skew, in seconds."""
ANSWERED = ("code", "state", "iss", "error")
"""Parameters of the provider's answer that are read."""
_DISCOVERY = "/.well-known/openid-configuration"
_CLAIMS = ["iss", "aud", "sub", "exp", "iat", "nonce"]
_URL = re.compile(r"https?://[A-Za-z0-9\[][^\x00-\x20\x7f-\U0010ffff\"'<>\\#@]*")
_INVALID = (jwt.PyJWTError, LookupError, ValueError, TypeError, AttributeError)
_DISCOVERY_INVALID = "DISCOVERY_INVALID"
_KEYS_INVALID = "KEYS_INVALID"
_TOKENS_INVALID = "TOKEN_ANSWER_INVALID"


class SignInFailed(Exception):
    """A sign-in that did not come to its end."""

    def __init__(self, reason: str) -> None:
        """`reason`: what failed, for the operator; it holds nothing of what was sent."""
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Registration:
    """The console as the provider knows it."""

    issuer: str
    """The provider's name, exactly as its discovery document has it."""
    client: str
    redirect: str
    """Address to which the provider leads back, exactly as it is registered there."""
    secret: str = field(default="", repr=False)
    """Empty: a public client, which PKCE alone protects."""
    scopes: str = "openid"
    resource: str = ""
    """API for which access tokens are wanted (RFC 8707); empty: the provider's choice."""


@dataclass(frozen=True, slots=True)
class Endpoints:
    """The provider's discovery document, as far as it is read."""

    authorization: str
    token: str
    keys: str
    names_issuer: bool
    """True if answers must name their issuer (RFC 9207)."""
    basic: bool
    """True if the secret is sent in a header, false if in the form."""


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A user whom the provider let in."""

    token: str = field(repr=False)
    """Access token."""
    owner: str
    """Name of the user among those of all providers and keys; a key has no space."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """The secrets of one sign-in, and the endpoints with which it began."""

    endpoints: Endpoints
    state: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)
    nonce: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)
    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(48), repr=False)


class Provider:
    """An identity provider at which users sign in."""

    def __init__(
        self,
        registration: Registration,
        http: httpx.AsyncClient,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`clock`: seconds."""
        self._mine, self._http, self._clock = registration, http, clock
        self._found: Endpoints | SignInFailed | None = None
        """The discovery document, or why there is none; None: it was not asked for yet."""
        self._known_until = 0.0
        self._asking = asyncio.Lock()

    @property
    def host(self) -> str:
        """The provider's host, for texts."""
        return urlsplit(self._mine.issuer).netloc

    @property
    def redirect(self) -> str:
        """Address to which the provider leads back."""
        return self._mine.redirect

    async def begin(self) -> tuple[str, Attempt]:
        """Begin a sign-in. Return the provider's address for it. Raises SignInFailed."""
        attempt = Attempt(await self._endpoints())
        challenge = base64url_encode(hashlib.sha256(attempt.verifier.encode()).digest())
        asked = {
            "response_type": "code",
            "client_id": self._mine.client,
            "redirect_uri": self._mine.redirect,
            "scope": self._mine.scopes,
            "state": attempt.state,
            "nonce": attempt.nonce,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
            **self._resource(),
        }
        base = attempt.endpoints.authorization
        return f"{base}{'&' if '?' in base else '?'}{urlencode(asked)}", attempt

    async def finish(self, attempt: Attempt, answered: Mapping[str, str]) -> SignedIn:
        """Return the user of an answer whose state is the attempt's. Raises SignInFailed."""
        issuer = answered.get("iss", "")
        if issuer != self._mine.issuer and (issuer or attempt.endpoints.names_issuer):
            raise SignInFailed("ISSUER_OTHER")
        if error := answered.get("error"):
            raise SignInFailed("ACCESS_DENIED" if error == "access_denied" else "PROVIDER_REFUSED")
        tokens = await self._exchanged(attempt, answered.get("code", ""))
        access, id_token = tokens.get("access_token"), tokens.get("id_token")
        bearer = str(tokens.get("token_type", "")).lower() == "bearer"
        if not (bearer and isinstance(access, str) and isinstance(id_token, str)):
            raise SignInFailed(_TOKENS_INVALID)
        keys = await self._got(_KEYS_INVALID, attempt.endpoints.keys)
        subject = self._subject(id_token, keys, attempt.nonce)
        try:
            check(access)
        except ValueError:
            raise SignInFailed(_TOKENS_INVALID) from None
        return SignedIn(access, f"{self._mine.issuer} {subject}")

    def _subject(self, id_token: str, keys: dict[str, Any], nonce: str) -> str:
        """Return whom a token is about. Raises SignInFailed unless the provider issued it now, for
        this attempt."""
        try:
            said = jwt.decode(
                id_token,
                _verifying(keys, id_token),
                algorithms=ALGORITHMS,
                issuer=self._mine.issuer,
                audience=self._mine.client,
                leeway=LEEWAY_SECONDS,
                options={"require": _CLAIMS},
            )
        except _INVALID:
            raise SignInFailed("ID_TOKEN_INVALID") from None
        several = isinstance(said["aud"], list) and len(said["aud"]) > 1
        party = said.get("azp", "" if several else self._mine.client)
        subject = said["sub"]
        named = isinstance(subject, str) and 0 < len(subject) <= LONGEST_SUBJECT
        if said["nonce"] != nonce or party != self._mine.client or not named:
            raise SignInFailed("ID_TOKEN_INVALID")
        return str(subject)

    async def _endpoints(self) -> Endpoints:
        """Return what the discovery document says. One request asks for it, the others wait: a
        provider that hangs is not asked by all of them."""
        async with self._asking:
            if self._found is None or self._clock() > self._known_until:
                self._found = await self._discovered()
                failed = isinstance(self._found, SignInFailed)
                self._known_until = self._clock() + (FAILED_SECONDS if failed else KNOWN_SECONDS)
        if isinstance(self._found, SignInFailed):
            raise SignInFailed(self._found.reason)
        return self._found

    async def _discovered(self) -> Endpoints | SignInFailed:
        """Ask for the discovery document."""
        address = self._mine.issuer.rstrip("/") + _DISCOVERY
        try:
            return self._read(await self._got(_DISCOVERY_INVALID, address))
        except SignInFailed as failed:
            return failed

    def _read(self, document: dict[str, Any]) -> Endpoints:
        secure = self._mine.issuer.startswith("https:")
        for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
            url = document.get(name)
            if not _can_be_called(url) or (secure and not str(url).startswith("https:")):
                raise SignInFailed(_DISCOVERY_INVALID)
        if document.get("issuer") != self._mine.issuer:
            raise SignInFailed("ISSUER_OTHER")
        methods = document.get("token_endpoint_auth_methods_supported")
        return Endpoints(
            authorization=document["authorization_endpoint"],
            token=document["token_endpoint"],
            keys=document["jwks_uri"],
            names_issuer=document.get("authorization_response_iss_parameter_supported") is True,
            basic=not isinstance(methods, list) or "client_secret_basic" in methods,
        )

    async def _exchanged(self, attempt: Attempt, code: str) -> dict[str, Any]:
        """Return the tokens for a code."""
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._mine.redirect,
            "code_verifier": attempt.verifier,
            **self._resource(),
        }
        basic, secret = None, self._mine.secret
        if secret and attempt.endpoints.basic:
            basic = httpx.BasicAuth(quote(self._mine.client, safe=""), quote(secret, safe=""))
        else:
            form |= {"client_id": self._mine.client}
            form |= {"client_secret": secret} if secret else {}
        request = self._http.build_request("POST", attempt.endpoints.token, data=form)
        status, found = await self._sent(_TOKENS_INVALID, request, basic)
        if status == httpx.codes.OK:
            return found
        if found.get("error") == "invalid_grant":
            raise SignInFailed("CODE_REJECTED")
        known = found.get("error") in ("invalid_client", "unauthorized_client")
        raise SignInFailed("CLIENT_REJECTED" if known else _TOKENS_INVALID)

    def _resource(self) -> dict[str, str]:
        return {"resource": self._mine.resource} if self._mine.resource else {}

    async def _got(self, reason: str, url: str) -> dict[str, Any]:
        status, found = await self._sent(reason, self._http.build_request("GET", url))
        if status != httpx.codes.OK:
            raise SignInFailed(reason)
        return found

    async def _sent(
        self, reason: str, request: httpx.Request, auth: httpx.Auth | None = None
    ) -> tuple[int, dict[str, Any]]:
        """Return status and object of an answer. Raises SignInFailed, for this reason if the answer
        is no object."""
        request.headers["accept"] = "application/json"
        request.headers["accept-encoding"] = "identity"
        try:
            async with asyncio.timeout(SECONDS):
                answer = await self._http.send(
                    request, stream=True, auth=auth, follow_redirects=False
                )
                try:
                    content = await _limited(answer, reason)
                finally:
                    await answer.aclose()
                    self._http.cookies.clear()  # they are of one user, the client is for all
        except (TimeoutError, httpx.TimeoutException):
            raise SignInFailed("PROVIDER_SLOW") from None
        except (httpx.HTTPError, httpx.InvalidURL):
            raise SignInFailed("PROVIDER_UNREACHABLE") from None
        if answer.is_server_error:
            raise SignInFailed("PROVIDER_UNREACHABLE")
        try:
            found = json.loads(content)
        except (ValueError, RecursionError):
            raise SignInFailed(reason) from None
        if not isinstance(found, dict):
            raise SignInFailed(reason)
        return answer.status_code, found


@asynccontextmanager
async def opened(registration: Registration | None) -> AsyncIterator[Provider | None]:
    """Return the provider of a registration; None: there is none."""
    if registration is None:
        yield None
        return
    async with httpx.AsyncClient(timeout=SECONDS) as http:
        yield Provider(registration, http)


async def _limited(answer: httpx.Response, reason: str) -> bytes:
    content = bytearray()
    async for chunk in answer.aiter_raw():
        content += chunk
        if len(content) > MOST_BYTES:
            raise SignInFailed(reason)
    return bytes(content)


def owner_of(key: str) -> str:
    """Return the owner of a pasted key that the gateway took: whom it is about if a provider signed
    it, as it is another each time; else the key. The name is none of `SignedIn`: a gateway that
    takes any key would let its sender end sessions of others."""
    try:
        said = jwt.decode(key, options={"verify_signature": False})
        return f"pasted {said['iss']} {said['sub']}"
    except (*_INVALID, RecursionError):
        return key


def _can_be_called(url: object) -> bool:
    """Return whether a value is the address of an endpoint."""
    if not isinstance(url, str) or not _URL.fullmatch(url):
        return False
    try:
        urlsplit(url).port  # noqa: B018  # raises ValueError for what is no port
        return bool(httpx.URL(url).host)
    except (ValueError, httpx.InvalidURL):
        return False


def _verifying(keys: dict[str, Any], token: str) -> jwt.PyJWK:
    """Return the key that a token names, or the only one. A key that does not name its algorithm
    is for that of the token. Raises errors of `_INVALID`."""
    header = jwt.get_unverified_header(token)
    kid, algorithm = header.get("kid"), header.get("alg")
    if algorithm not in ALGORITHMS:
        raise jwt.InvalidAlgorithmError
    known = jwt.PyJWKSet.from_dict({"keys": [{"alg": algorithm, **each} for each in keys["keys"]]})
    signing = [each for each in known.keys if (each.public_key_use or "sig") == "sig"]
    (key,) = [each for each in signing if kid in (None, each.key_id)]
    return key
