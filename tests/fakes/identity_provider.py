"""An identity provider with OpenID Connect, in memory, whose answers tests can spoil."""

import base64
import hashlib
import json
import secrets
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import httpx
import jwt
from cryptography.hazmat.primitives.asymmetric import ec

ISSUER = "https://id.example/shop"
CLIENT = "console"
SECRET = "a secret: of/the console"


class IdentityProvider:
    """The provider: `http` is how the console reaches it."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._codes: dict[str, dict[str, str]] = {}
        self.asked: list[httpx.Request] = []
        """Requests that came, oldest first."""
        self.changes: dict[str, dict[str, Any]] = {}
        """Values to change, by `discovery`, `tokens` or `claims`; None removes one."""
        self.spoilt: dict[str, Callable[[httpx.Request], httpx.Response]] = {}
        """Answers in place of the provider's, by `discovery`, `tokens` or `keys`."""
        self.signing_key, self.algorithm = self._key, "ES256"
        self.access_token = "at_of_the_user"
        self.http = httpx.AsyncClient(transport=httpx.MockTransport(self._answer))

    def authorize(self, address: str) -> dict[str, str]:
        """Let a user sign in at an address. Return the answer that their browser brings back."""
        parts = urlsplit(address)
        assert f"{parts.scheme}://{parts.netloc}{parts.path}" == f"{ISSUER}/authorize"
        asked = {name: value for name, (value,) in parse_qs(parts.query).items()}
        assert asked["response_type"] == "code"
        assert asked["client_id"] == CLIENT
        assert asked["code_challenge_method"] == "S256"
        code = secrets.token_urlsafe(8)
        self._codes[code] = asked
        return {"code": code, "state": asked["state"], "iss": ISSUER}

    def paths(self) -> list[str]:
        """Return the last segments of the addresses that were asked for."""
        return [each.url.path.rpartition("/")[2] for each in self.asked]

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        name = {"openid-configuration": "discovery", "token": "tokens", "jwks": "keys"}[
            request.url.path.rpartition("/")[2]
        ]
        answer = self.spoilt.get(name) or getattr(self, f"_{name}")
        made: httpx.Response = answer(request)
        stream = httpx.ByteStream(made.content)  # read as it comes, as over a network
        return httpx.Response(made.status_code, headers=made.headers, stream=stream)

    def _discovery(self, request: httpx.Request) -> httpx.Response:
        assert str(request.url) == f"{ISSUER}/.well-known/openid-configuration"
        document = {
            "issuer": ISSUER,
            "authorization_endpoint": f"{ISSUER}/authorize",
            "token_endpoint": f"{ISSUER}/token",
            "jwks_uri": f"{ISSUER}/jwks",
            "authorization_response_iss_parameter_supported": True,
        }
        return httpx.Response(200, json=self._changed("discovery", document))

    def _keys(self, _request: httpx.Request) -> httpx.Response:
        key = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(self._key.public_key()))
        return httpx.Response(200, json={"keys": [{**key, "kid": "k1", "use": "sig"}]})

    def _tokens(self, request: httpx.Request) -> httpx.Response:
        form = {name: value for name, (value,) in parse_qs(request.content.decode()).items()}
        if not _knows(request, form):
            return httpx.Response(401, json={"error": "invalid_client"})
        asked = self._codes.pop(form["code"], None)
        digest = hashlib.sha256(form["code_verifier"].encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        wrong = asked is None or asked["code_challenge"] != challenge
        if asked is None or wrong or asked["redirect_uri"] != form["redirect_uri"]:
            return httpx.Response(400, json={"error": "invalid_grant"})
        now = int(time.time())
        claims = {
            "iss": ISSUER, "aud": CLIENT, "sub": "zoe", "iat": now, "exp": now + 300,
            "nonce": asked["nonce"],
        }  # fmt: skip
        id_token = jwt.encode(
            self._changed("claims", claims), self.signing_key, self.algorithm, {"kid": "k1"}
        )
        found = {"access_token": self.access_token, "token_type": "Bearer", "id_token": id_token}
        return httpx.Response(200, json=self._changed("tokens", found))

    def _changed(self, name: str, values: dict[str, Any]) -> dict[str, Any]:
        made = {**values, **self.changes.get(name, {})}
        return {key: value for key, value in made.items() if value is not None}


def _knows(request: httpx.Request, form: dict[str, str]) -> bool:
    """Return whether the console's secret came, in a header or in the form."""
    scheme, _space, given = request.headers.get("authorization", "").partition(" ")
    if scheme == "Basic":
        user, _colon, password = base64.b64decode(given).decode().partition(":")
        return (unquote(user), unquote(password)) == (CLIENT, SECRET)
    return (form.get("client_id"), form.get("client_secret")) == (CLIENT, SECRET)
