"""Authenticate and authorize callers.

A server has one `AccessPolicy`. It names the caller of each call before the request is read:
unknown callers are rejected with UNAUTHENTICATED, callers without the right with PERMISSION_DENIED.
Rights follow from the caller's roles and catalogs. The role that a call needs is declared in its
proto (`sightline.common.v1.access`); RPCs without a role annotation are denied.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Collection, Iterable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cache
from typing import Any, Protocol, Self
from urllib.parse import unquote

from google.protobuf import descriptor_pool
from google.protobuf.descriptor_pb2 import MethodOptions

from servicekit.errors import PermissionDenied, Unauthenticated
from sightline.common.v1 import access_pb2

POOL: Any = descriptor_pool.Default()  # type: ignore[no-untyped-call]
EVERY = "*"
"""Wildcard for all catalogs."""
AUTHORIZATION = "authorization"
FOR = "x-sightline-caller"
"""Metadata of a call between services: the name of the original caller, percent-encoded."""
_BEARER = "Bearer "
MOST_TOKEN = 6_144
"""Characters of a token, including `Bearer `: gRPC rejects calls with more than 8 KiB of
metadata."""


class Role(StrEnum):
    """A permission of a caller; see sightline.common.v1.Role."""

    READ = "read"
    EVENTS = "events"
    CATALOG = "catalog"
    MODELS = "models"
    PRIVACY = "privacy"
    OPERATE = "operate"


@dataclass(frozen=True, slots=True)
class Caller:
    """The caller of a call: name, roles and catalogs."""

    name: str
    """Name in the audit log and for quotas; a key's name is in the operator's file. Not secret."""
    roles: frozenset[Role]
    catalogs: frozenset[str] | None = None
    """`None`: all catalogs."""

    @classmethod
    def of(cls, name: str, roles: frozenset[Role], catalogs: frozenset[str]) -> Self:
        """Return a caller of the named catalogs, or of all of them if EVERY is among them."""
        return cls(name, roles, None if EVERY in catalogs else catalogs)

    def may_use(self, catalog_id: str) -> bool:
        """Return whether the caller may use a catalog."""
        return self.catalogs is None or catalog_id in self.catalogs

    def check(self, needed: frozenset[Role]) -> None:
        """Raise RoleMissing unless the caller has one of these roles."""
        if not needed & self.roles:
            raise RoleMissing(needed)


ANYONE = Caller("anyone", frozenset(Role))
"""The caller on a server without authentication."""
PEER = Caller("peer", frozenset(Role))
"""A service of the suite, which has authorized its own caller."""

caller: ContextVar[Caller] = ContextVar("caller", default=ANYONE)
"""The caller of the current call."""


def known() -> str:
    """Return the name of the current caller; empty if the caller is not authenticated."""
    who = caller.get()
    return "" if who in (ANYONE, PEER) else who.name


def caller_behind(metadata: Mapping[str, Any]) -> str:
    """Return the name by which a fair share is counted: that of the current caller, or, if it is
    not authenticated, of the one that a service names as its own caller.

    Not proven: a caller that may call without a key can also send another name.
    """
    who = caller.get()
    return unquote(str(metadata[FOR])) if who is ANYONE and FOR in metadata else who.name


class TokenMissing(Unauthenticated, reason="TOKEN_MISSING"):
    """The call carries no token."""

    message = "this server requires authentication: send the metadata `authorization: Bearer TOKEN`"


class TokenInvalid(Unauthenticated, reason="TOKEN_INVALID"):
    """The token is unknown, expired or not meant for this server. The answer does not say which."""

    message = "the token is unknown, expired or not meant for this server"


class PeerUnknown(Unauthenticated, reason="PEER_UNKNOWN"):
    """The caller is not a service of this installation."""

    message = "only this installation's services may call: see …_PEER_KEY_FILE and …_PEER_NAMES"


class RoleMissing(PermissionDenied, reason="ROLE_MISSING"):
    """The caller has none of the roles that the call requires."""

    def __init__(self, needed: frozenset[Role]) -> None:
        roles = ", ".join(sorted(needed)) or "none, since its proto names none"
        super().__init__(f"this call needs one of these roles: {roles}")


class CatalogForbidden(PermissionDenied, reason="CATALOG_FORBIDDEN"):
    """The catalog is not one of the caller's. The answer is the same whether or not it exists."""

    message = "catalog_id: is not among the catalogs of this token"


@dataclass(frozen=True, slots=True)
class MethodRule:
    """Access rules of a method, from its proto."""

    roles: frozenset[Role] = frozenset()
    """Roles of which one is enough; empty: all callers are denied."""
    admin: bool = False
    """True: served on the administrative port alone, where there is one."""
    audited: bool = False
    """True: calls are written to the audit log. The proto declares it, or the call is an
    administrative change."""


@cache
def rule(method: str) -> MethodRule:
    """Return the access rules of `package.Service/Method`; empty rules if its proto has none."""
    service, _, name = method.partition("/")
    try:
        found = POOL.FindServiceByName(service)
        described = found.methods_by_name[name].GetOptions()
    except KeyError:
        return MethodRule()
    options = described.Extensions[access_pb2.access]
    given = (access_pb2.Role.Name(role).removeprefix("ROLE_").lower() for role in options.roles)
    changes = described.idempotency_level != MethodOptions.NO_SIDE_EFFECTS
    audited = options.audited or (options.admin and changes)
    return MethodRule(frozenset(map(Role, given)), options.admin, audited)


def bearer(metadata: Mapping[str, str]) -> str:
    """Return the bearer token of a call. Raises TokenMissing, TokenInvalid."""
    given = metadata.get(AUTHORIZATION, "")
    if not given.startswith(_BEARER):
        raise TokenMissing
    if len(given) > MOST_TOKEN:
        raise TokenInvalid
    return given[len(_BEARER) :].strip()


class AccessPolicy(Protocol):
    """Decides which callers may make calls of a server."""

    def admit(self, method: str, metadata: Mapping[str, str], context: Any) -> Caller:
        """Return the caller of a method, `package.Service/Method`.

        `metadata` holds keys with a single value; `context` is gRPC's. Must not block: it runs
        before each call. Raises Unauthenticated, PermissionDenied.
        """


class OpenAccess:
    """Allows every call: for development on one machine."""

    def admit(self, method: str, metadata: Mapping[str, str], context: Any) -> Caller:  # noqa: ARG002
        """Return ANYONE."""
        return ANYONE


OPEN = OpenAccess()


class PeersOnly:
    """Admits services of the suite, by a shared key, by a name in their certificate, or by both.

    The name of the original caller is taken from their metadata.
    """

    def __init__(
        self, keys: Callable[[], Iterable[str]] | None, names: Collection[str] = ()
    ) -> None:
        """`keys`: the accepted ones; None: calls need no key. `names`: the certificate must have
        one of them; empty: it needs none."""
        self._keys, self._names = keys, frozenset(names)

    def admit(self, method: str, metadata: Mapping[str, str], context: Any) -> Caller:  # noqa: ARG002
        """Return PEER under the name of the original caller. Raises PeerUnknown."""
        if self._names and self._names.isdisjoint(_names_of(context)):
            raise PeerUnknown
        if self._keys is not None and not _has_one(metadata, self._keys()):
            raise PeerUnknown
        return replace(PEER, name=unquote(metadata[FOR])) if FOR in metadata else PEER


def _names_of(context: Any) -> set[str]:
    """Return the subject alternative names of the caller's certificate, which TLS has verified."""
    given = context.auth_context().get("x509_subject_alternative_name", ())
    return {name.decode("utf-8", "replace") for name in given}


def _has_one(metadata: Mapping[str, str], keys: Iterable[str]) -> bool:
    """Return whether a call carries one of the keys."""
    given = metadata.get(AUTHORIZATION, "").removeprefix(_BEARER).encode()
    return any(hmac.compare_digest(given, key.encode()) for key in keys)
