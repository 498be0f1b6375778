"""Tokens signed by an identity provider (JWT, RFC 7519), verified with its keys (JWKS, RFC 7517).

A token must be signed by one of these keys with an asymmetric algorithm, be issued for this
installation (`iss`, `aud`), and expire (`exp`) within the maximum lifetime. Keys for encryption
(`use: enc`) verify nothing.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jwt

from servicekit.admission.access import EVERY, Caller, Role
from servicekit.watched_files import Reloaded, Unreadable, stale_keys

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA")
"""Asymmetric algorithms only: with a symmetric one, a holder of the public key could sign."""
PREFIX = "jwt:"
"""Prefix of the names of callers with such tokens; names of keys must not begin with it."""
LEEWAY_SECONDS = 30
"""Tolerated clock skew, in seconds."""
UNUSABLE = (OSError, LookupError, ValueError, TypeError, AttributeError, jwt.PyJWTError)
"""Errors of a key set that can't be loaded or is invalid."""


@dataclass(frozen=True, slots=True)
class Claims:
    """Required claims of a token and the names of the claims that are read."""

    issuer: str
    audience: str
    roles: str = "roles"
    """Claim that lists roles, as a list or as words; unknown roles are ignored."""
    catalogs: str = "catalogs"
    """Claim that lists catalogs; `*`: all."""
    shopper: str = ""
    """Claim with the user id of the only shopper that requests may name; `*`: any shopper; a token
    without it: none. Empty: no claim is read, and requests may name any shopper."""
    most_seconds: float = 86_400.0
    """Maximum lifetime of a token: seconds from `iat`, or from now without it, to `exp`."""


class SignedTokens:
    """Verification of tokens with the current keys."""

    def __init__(
        self,
        keys: Callable[[], jwt.PyJWKSet],
        claims: Claims,
        unknown: Callable[[], None] = lambda: None,
        now: Callable[[], float] = time.time,
    ) -> None:
        """`keys` returns the current keys, or raises KeyError if there are none. `unknown` is
        called when a token names an unknown key."""
        self._keys, self._claims, self._unknown, self._now = keys, claims, unknown, now

    def caller(self, token: str) -> Caller | None:
        """Return the caller of a token; None if the token is not valid."""
        try:
            head = jwt.get_unverified_header(token)
            key = self._named(head["kid"]) if "kid" in head else self._only()
            said = jwt.decode(
                token,
                key,
                algorithms=ALGORITHMS,
                issuer=self._claims.issuer,
                audience=self._claims.audience,
                leeway=LEEWAY_SECONDS,
                options={"require": ["exp", "iss", "aud", "sub"]},
            )
        except (jwt.PyJWTError, KeyError):
            return None
        return self._of(said) if self._is_short(said) else None

    def _is_short(self, said: Mapping[str, Any]) -> bool:
        """Return whether a token lives at most as long as permitted."""
        seconds = int(said["exp"]) - int(said.get("iat", self._now()))
        return seconds <= self._claims.most_seconds + LEEWAY_SECONDS

    def _named(self, kid: str) -> jwt.PyJWK:
        """Return the key with this id. Raises KeyError."""
        try:
            return _verifying(self._keys()[kid])
        except KeyError:
            self._unknown()
            raise

    def _only(self) -> jwt.PyJWK:
        """Return the key for tokens without a key id. Raises KeyError unless there is exactly
        one."""
        keys = self._keys().keys
        if len(keys) != 1:
            raise KeyError
        return _verifying(keys[0])

    def _of(self, said: Mapping[str, Any]) -> Caller:
        known = {role.value for role in Role}
        roles = frozenset(Role(each) for each in _words(said.get(self._claims.roles)) & known)
        catalogs = _words(said.get(self._claims.catalogs))
        # The prefix keeps subjects apart from the names of keys, in quotas and the audit log.
        return Caller.of(f"{PREFIX}{said['sub']}"[:128], roles, catalogs, self._shopper(said))

    def _shopper(self, said: Mapping[str, Any]) -> str | None:
        """Return the shopper that requests may name; see Caller.shopper."""
        if not self._claims.shopper:
            return None
        named = said.get(self._claims.shopper, "")
        return None if named == EVERY else named if isinstance(named, str) else ""


def _verifying(key: jwt.PyJWK) -> jwt.PyJWK:
    """Return a key for signatures. Raises KeyError for one for encryption."""
    if (key.public_key_use or "sig") != "sig":
        raise KeyError(key.key_id)
    return key


def _words(claim: object) -> frozenset[str]:
    """Return the words of a claim that is a list, or a text of words."""
    if isinstance(claim, str):
        return frozenset(claim.split())
    return (
        frozenset(each for each in claim if isinstance(each, str))
        if isinstance(claim, list)
        else frozenset()
    )


def public_keys(path: Path) -> Reloaded[jwt.PyJWKSet]:
    """Return the keys of a JWKS file. Raises Unreadable."""
    return Reloaded(lambda: [path], lambda: _read(path), stale=stale_keys("jwks"))


def _read(path: Path) -> jwt.PyJWKSet:
    try:
        return jwt.PyJWKSet.from_json(path.read_text("utf-8"))
    except UNUSABLE as error:
        raise Unreadable(f"{path}: no key set: {error!r}") from None
