"""Signed tokens: their owners, and all ways in which they are invalid."""

import hmac
import json
import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from gateway.callers.signed import Claims, SignedTokens, public_keys
from gateway.settings import GatewaySettings
from gateway.wiring import access_of
from servicekit.admission.access import Caller, Role, TokenInvalid
from servicekit.watched_files import Unreadable

RSA = rsa.generate_private_key(65537, 2048)
OTHER = rsa.generate_private_key(65537, 2048)
CURVE = ec.generate_private_key(ec.SECP256R1())
CLAIMS = Claims("https://id.shop.example", "sightline")


def public(key: Any, kid: str, algorithm: type[Any]) -> dict[str, Any]:
    """Return a public key as JWKS lists it."""
    return {**json.loads(algorithm.to_jwk(key.public_key())), "kid": kid, "use": "sig"}


KEYS = jwt.PyJWKSet.from_dict(
    {
        "keys": [
            public(RSA, "r", jwt.algorithms.RSAAlgorithm),
            public(CURVE, "e", jwt.algorithms.ECAlgorithm),
        ]
    }
)
TOKENS = SignedTokens(lambda: KEYS, CLAIMS)


def signed(
    key: Any = RSA, algorithm: str = "RS256", kid: str | None = "r", **changed: object
) -> str:
    said: dict[str, object] = {
        "iss": CLAIMS.issuer,
        "aud": CLAIMS.audience,
        "sub": "shop-frontend",
        "exp": int(time.time()) + 86_400,
        "roles": ["read", "events"],
        "catalogs": ["default"],
    }
    kept = {name: value for name, value in {**said, **changed}.items() if value is not None}
    return jwt.encode(kept, key, algorithm, headers={"kid": kid} if kid else None)


def test_a_good_token_names_its_caller() -> None:
    expected = Caller(
        "jwt:shop-frontend", frozenset({Role.READ, Role.EVENTS}), frozenset({"default"})
    )
    assert TOKENS.caller(signed()) == expected
    assert TOKENS.caller(signed(CURVE, "ES256", "e")) == expected


def test_roles_and_catalogs_may_be_words() -> None:
    found = TOKENS.caller(signed(roles="read profile email", catalogs="*"))
    assert found == Caller("jwt:shop-frontend", frozenset({Role.READ}), None)


def test_without_claims_a_caller_may_do_nothing() -> None:
    found = TOKENS.caller(signed(roles=None, catalogs=None))
    assert found == Caller("jwt:shop-frontend", frozenset(), frozenset())


@pytest.mark.parametrize(
    "token",
    [
        "",
        "a.b.c",
        signed(OTHER),
        signed(kid="unknown"),
        signed(kid=None),
        signed(CURVE, "ES256", "r"),
        signed(iss="https://elsewhere.example"),
        signed(aud="another"),
        signed(exp=int(time.time()) - 60),
        signed(exp=None),
        signed(sub=None),
        signed(nbf=int(time.time()) + 43_200),
        signed(exp=int(time.time()) + 900_000),  # so far that it stays so while other tests run
        signed(iat=int(time.time()) - 36_000, exp=int(time.time()) + 83_000),
        jwt.encode({"sub": "x"}, None, "none"),
    ],
)
def test_a_bad_token_is_nobodys(token: str) -> None:
    assert TOKENS.caller(token) is None


def test_a_public_key_signs_nothing() -> None:
    """Check algorithm confusion: HMAC with the public key's bytes, which anyone can compute."""
    der = RSA.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    body = signed().split(".")[1]
    head = jwt.utils.base64url_encode(b'{"alg":"HS256","kid":"r","typ":"JWT"}').decode()
    mac = hmac.digest(der, f"{head}.{body}".encode(), "sha256")
    forged = f"{head}.{body}.{jwt.utils.base64url_encode(mac).decode()}"
    assert TOKENS.caller(forged) is None


def test_one_key_needs_no_name() -> None:
    alone = jwt.PyJWKSet.from_dict({"keys": [public(RSA, "r", jwt.algorithms.RSAAlgorithm)]})
    assert SignedTokens(lambda: alone, CLAIMS).caller(signed(kid=None)) is not None


def test_a_key_for_encryption_verifies_nothing() -> None:
    key = {**public(RSA, "r", jwt.algorithms.RSAAlgorithm), "use": "enc"}
    tokens = SignedTokens(lambda: jwt.PyJWKSet.from_dict({"keys": [key]}), CLAIMS)
    assert tokens.caller(signed()) is None
    assert tokens.caller(signed(kid=None)) is None


@pytest.mark.parametrize(
    ("claims", "shopper"),
    [
        ({"shopper": "u7"}, "u7"),
        ({"shopper": "*"}, None),
        ({"shopper": ""}, ""),
        ({"shopper": ["*"]}, ""),
        ({}, ""),
    ],
)
def test_a_claim_binds_a_caller_to_a_shopper(
    claims: dict[str, object], shopper: str | None
) -> None:
    tokens = SignedTokens(lambda: KEYS, replace(CLAIMS, shopper="shopper"))
    found = tokens.caller(signed(**claims))
    assert found is not None
    assert found.shopper == shopper
    unbound = TOKENS.caller(signed(**claims))
    assert unbound is not None
    assert unbound.shopper is None, "without the setting no claim is read"


def test_keys_are_read_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "jwks.json"
    file.write_text(json.dumps({"keys": [public(RSA, "r", jwt.algorithms.RSAAlgorithm)]}))
    settings = GatewaySettings(jwt_keys_file=file, jwt_issuer=CLAIMS.issuer)
    access = access_of(settings)
    name = "sightline.gateway.v1.RecommendationService/Recommend"
    admitted = access.admit(name, {"authorization": f"Bearer {signed()}"}, None)
    assert admitted.name == "jwt:shop-frontend"
    with pytest.raises(TokenInvalid):
        access.admit(name, {"authorization": f"Bearer {signed(OTHER)}"}, None)


def test_keys_change_in_their_file_without_a_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("servicekit.watched_files.LOOK_SECONDS", 0.0)
    file = tmp_path / "jwks.json"

    def written(key: Any, changed: int) -> None:
        file.write_text(json.dumps({"keys": [public(key, "r", jwt.algorithms.RSAAlgorithm)]}))
        os.utime(file, ns=(changed, changed))

    written(RSA, 1)
    tokens = SignedTokens(public_keys(file).get, CLAIMS)
    assert (tokens.caller(signed()), tokens.caller(signed(OTHER))) == (
        TOKENS.caller(signed()),
        None,
    )
    written(OTHER, 2)
    assert (tokens.caller(signed()), tokens.caller(signed(OTHER))) == (
        None,
        TOKENS.caller(signed()),
    )


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"keys": []}', '{"keys": [{"kty": "oct"}]}'])
def test_a_bad_file_of_keys_is_refused(tmp_path: Path, content: str) -> None:
    file = tmp_path / "jwks.json"
    file.write_text(content)
    with pytest.raises(Unreadable, match=r"jwks\.json"):
        public_keys(file)


def test_keys_need_an_issuer(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="jwt_issuer"):
        GatewaySettings(jwt_keys_file=tmp_path / "jwks.json")
