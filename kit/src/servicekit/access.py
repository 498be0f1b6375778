"""Who calls, and what they may do.

A server has one `Access`. It names the caller of each call before the request is looked at, and
refuses it there: who is not known is UNAUTHENTICATED, who is known and may not is
PERMISSION_DENIED. What a caller may do is a matter of its roles and catalogs; which role a call
takes stands in its proto (`sightline.common.v1.access`), and a call that names none is made by
nobody.
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
"""Stands for all catalogs."""
AUTHORIZATION = "authorization"
FOR = "x-sightline-caller"
"""Of a call between services: the name of the caller for whom it is made, percent-encoded."""
_BEARER = "Bearer "
MOST_TOKEN = 6_144
"""Characters of a token, with `Bearer `: gRPC itself refuses calls whose metadata takes 8 KiB."""


class Role(StrEnum):
    """What a caller may be allowed; see sightline.common.v1.Role."""

    READ = "read"
    EVENTS = "events"
    CATALOG = "catalog"
    MODELS = "models"
    PRIVACY = "privacy"
    OPERATE = "operate"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who makes a call."""

    name: str
    """For the audit log and quotas; of a key, what the operator called it. No secret."""
    roles: frozenset[Role]
    catalogs: frozenset[str] | None = None
    """None = all that there are."""

    @classmethod
    def of(cls, name: str, roles: frozenset[Role], catalogs: frozenset[str]) -> Self:
        """A caller whose catalogs are named, or all of them by EVERY."""
        return cls(name, roles, None if EVERY in catalogs else catalogs)

    def may_use(self, catalog_id: str) -> bool:
        """Whether a catalog is among the caller's."""
        return self.catalogs is None or catalog_id in self.catalogs

    def check(self, needed: frozenset[Role]) -> None:
        """Raises RoleMissing unless the caller has one of these roles."""
        if not needed & self.roles:
            raise RoleMissing(needed)


ANYONE = Caller("anyone", frozenset(Role))
"""Who calls a server that asks nobody who they are."""
PEER = Caller("peer", frozenset(Role))
"""A service of the suite, which has checked what its own caller may do."""

caller: ContextVar[Caller] = ContextVar("caller", default=ANYONE)
"""Of the current call."""


def known() -> str:
    """The name of the current call's caller; empty where nobody said who calls."""
    who = caller.get()
    return "" if who in (ANYONE, PEER) else who.name


class TokenMissing(Unauthenticated, reason="TOKEN_MISSING"):
    """Nobody said who calls."""

    message = "this server asks who calls: send the metadata `authorization: Bearer TOKEN`"


class TokenInvalid(Unauthenticated, reason="TOKEN_INVALID"):
    """The token is not one that this server takes. Whoever guesses learns no more than that."""

    message = "the token is unknown, expired or not meant for this server"


class PeerUnknown(Unauthenticated, reason="PEER_UNKNOWN"):
    """A service is called by somebody else than its peers."""

    message = "this service answers its peers alone: by …_PEER_KEY_FILE and …_PEER_NAMES"


class RoleMissing(PermissionDenied, reason="ROLE_MISSING"):
    """The caller has none of the roles that the call takes."""

    def __init__(self, needed: frozenset[Role]) -> None:
        roles = ", ".join(sorted(needed)) or "a role that nobody has"
        super().__init__(f"this call takes one of these roles: {roles}")


class CatalogForbidden(PermissionDenied, reason="CATALOG_FORBIDDEN"):
    """The catalog is not one of the caller's. The answer is the same whether it exists."""

    message = "catalog_id: is not among the catalogs of this token"


@dataclass(frozen=True, slots=True)
class MethodRule:
    """What a call takes, by its proto."""

    roles: frozenset[Role] = frozenset()
    """One of them is enough; without any, nobody may call it."""
    admin: bool = False
    """Whether it is answered on the administrative port alone, where there is one."""
    audited: bool = False
    """Whether it stands in the audit log: by its proto, or as it changes something there."""


@cache
def rule(method: str) -> MethodRule:
    """Of a call, `package.Service/Method`; the empty one where its proto says nothing."""
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
    """The token of a call. Raises TokenMissing, TokenInvalid."""
    given = metadata.get(AUTHORIZATION, "")
    if not given.startswith(_BEARER):
        raise TokenMissing
    if len(given) > MOST_TOKEN:
        raise TokenInvalid
    return given[len(_BEARER) :].strip()


class AccessPolicy(Protocol):
    """Who may make calls of a server."""

    def admit(self, method: str, metadata: Mapping[str, str], context: Any) -> Caller:
        """Who calls a method, `package.Service/Method`.

        `metadata` has what has one value; `context` is gRPC's. Must not wait: it runs before each
        call. Raises Unauthenticated, PermissionDenied.
        """


class OpenAccess:
    """Everyone may do everything: development on one machine."""

    def admit(self, method: str, metadata: Mapping[str, str], context: Any) -> Caller:  # noqa: ARG002
        """See Access."""
        return ANYONE


OPEN = OpenAccess()


class PeersOnly:
    """Other services of the suite, by a key that they share, by a name in their certificate, or by
    both. They are believed for whom they call."""

    def __init__(
        self, keys: Callable[[], Iterable[str]] | None, names: Collection[str] = ()
    ) -> None:
        """`keys`: those that are good now; None = a call needs none. `names`: of which the
        certificate has to have one; empty = it needs none."""
        self._keys, self._names = keys, frozenset(names)

    def admit(self, method: str, metadata: Mapping[str, str], context: Any) -> Caller:  # noqa: ARG002
        """See Access."""
        if self._names and self._names.isdisjoint(_names_of(context)):
            raise PeerUnknown
        if self._keys is not None and not _has_one(metadata, self._keys()):
            raise PeerUnknown
        return replace(PEER, name=unquote(metadata[FOR])) if FOR in metadata else PEER


def _names_of(context: Any) -> set[str]:
    """The names in the certificate of who calls, which TLS has verified."""
    given = context.auth_context().get("x509_subject_alternative_name", ())
    return {name.decode("utf-8", "replace") for name in given}


def _has_one(metadata: Mapping[str, str], keys: Iterable[str]) -> bool:
    """Whether a call carries one of the keys."""
    given = metadata.get(AUTHORIZATION, "").removeprefix(_BEARER).encode()
    return any(hmac.compare_digest(given, key.encode()) for key in keys)
