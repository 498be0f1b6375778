"""Authenticate and authorize callers.

A server has one `AccessPolicy`. It names the caller of each call before the request is read:
unknown callers are rejected with UNAUTHENTICATED, callers without the right with PERMISSION_DENIED.
Rights follow from the caller's roles and catalogs. The role that a call needs is declared in its
proto (`sightline.common.v1.access`); RPCs without a role annotation are denied. Between services,
the proto names the peers that may make a call (`sightline.common.v1.peers`), in the same way.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cache
from typing import Any, Protocol, Self
from urllib.parse import unquote

from google.protobuf import descriptor_pool
from google.protobuf.descriptor import Descriptor
from google.protobuf.descriptor_pb2 import MethodOptions

from servicekit.errors import FieldViolation, PermissionDenied, Unauthenticated
from sightline.common.v1 import access_pb2, price_pb2

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
    INSPECT = "inspect"
    DETECT = "detect"
    WATCH = "watch"
    MERCHANDISE = "merchandise"


class PeerName(StrEnum):
    """A process of an installation; see sightline.common.v1.Peer."""

    GATEWAY = "gateway"
    EMBEDDER = "embedder"
    RETRIEVER = "retriever"
    RETRIEVER_WORKER = "retriever-worker"
    RANKER = "ranker"
    RANKER_WORKER = "ranker-worker"
    VISION = "vision"
    VISION_WORKER = "vision-worker"


_SHOPPERLESS = frozenset({Role.MERCHANDISE})
"""Roles that permit no call which names a shopper."""


@dataclass(frozen=True, slots=True)
class Caller:
    """The caller of a call: name, roles and catalogs."""

    name: str
    """Name in the audit log and for quotas; a key's name is in the operator's file. Not secret."""
    roles: frozenset[Role]
    catalogs: frozenset[str] | None = None
    """`None`: all catalogs."""
    shopper: str | None = field(default=None, repr=False)
    """User id of the only shopper that requests may name; empty: none; `None`: any shopper."""

    @classmethod
    def of(
        cls,
        name: str,
        roles: frozenset[Role],
        catalogs: frozenset[str],
        shopper: str | None = None,
    ) -> Self:
        """Return a caller of the named catalogs, or of all of them if EVERY is among them."""
        return cls(name, roles, None if EVERY in catalogs else catalogs, shopper)

    def may_use(self, catalog_id: str) -> bool:
        """Return whether the caller may use a catalog."""
        return self.catalogs is None or catalog_id in self.catalogs

    def check(self, needed: frozenset[Role]) -> None:
        """Raise RoleMissing unless the caller has one of these roles."""
        if not needed & self.roles:
            raise RoleMissing(needed)

    def permitted_by(self, needed: frozenset[Role]) -> Self:
        """Return the caller of a call that one of these roles permits: one without a shopper, if
        that is MERCHANDISE alone."""
        return replace(self, shopper="") if needed & self.roles == _SHOPPERLESS else self


ANYONE = Caller("anyone", frozenset(Role))
"""The caller on a server without authentication."""
PEER = Caller("peer", frozenset(Role))
"""A service of the suite, which has authorized its own caller."""

caller: ContextVar[Caller] = ContextVar("caller", default=ANYONE)
"""The caller of the current call."""

about: ContextVar[str] = ContextVar("about", default="")
"""The catalog of the current call, once its request was read."""


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

    message = (
        "only this installation's services may call: see …_PEER_KEYS_FOLDER, …_PEER_TLS_FOLDER"
    )


class PeerForbidden(PermissionDenied, reason="PEER_FORBIDDEN"):
    """The caller is a service of this installation, but not one that may make this call."""

    def __init__(self, peer: PeerName, allowed: frozenset[PeerName]) -> None:
        names = ", ".join(sorted(allowed)) or "no service"
        super().__init__(f"{peer} may not make this call: its proto names {names}")


class RoleMissing(PermissionDenied, reason="ROLE_MISSING"):
    """The caller has none of the roles that the call requires."""

    def __init__(self, needed: frozenset[Role]) -> None:
        roles = ", ".join(sorted(needed)) or "none, since its proto names none"
        super().__init__(f"this call needs one of these roles: {roles}")


class CatalogForbidden(PermissionDenied, reason="CATALOG_FORBIDDEN"):
    """The catalog is not one of the caller's. The answer is the same whether or not it exists."""

    message = "catalog_id: is not among the catalogs of this token"


class ShopperForbidden(PermissionDenied, reason="SHOPPER_FORBIDDEN"):
    """The request names a shopper that its token does not permit."""

    def __init__(self, path: str) -> None:
        super().__init__(
            f"{path}: this token permits no such shopper: omit it, or use the shopper's own token",
            violations=[FieldViolation(path, "is a shopper that the token does not permit")],
        )


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
    changes: bool = True
    """False: calls read only."""
    no_alias: bool = False
    """True: the catalog of a request is an id, never an alias."""
    peers: frozenset[PeerName] = frozenset()
    """Services that may make the call; empty: none. A public method of an owner names the gateway
    so."""
    owner: PeerName | None = None
    """Service that serves a public method. `None`: the method is not public, or its proto names no
    owner, and all callers are denied."""
    priced: bool = False
    """True: the price grows with the request, as its proto declares or the gateway computes it;
    False: the price is a step's."""
    once: bool = False
    """True: the gateway makes the call once, even if its proto says that it is idempotent."""

    def is_callers(self, service: str) -> bool:
        """Return whether a service answers callers, and not the gateway, who make the call."""
        return bool(self.roles) and (self.owner is PeerName.GATEWAY or self.owner != service)


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
    owner = _peer(options.owner) if options.owner else None
    changes = described.idempotency_level != MethodOptions.NO_SIDE_EFFECTS
    audited = options.audited or (options.admin and changes)
    peers = {*map(_peer, described.Extensions[access_pb2.peers])}
    if owner not in (None, PeerName.GATEWAY):
        peers.add(PeerName.GATEWAY)
    return MethodRule(
        frozenset(map(_role, options.roles) if owner else ()),
        options.admin,
        audited,
        changes,
        options.no_alias,
        frozenset(peers),
        owner,
        options.priced or described.HasExtension(price_pb2.price),
        options.once,
    )


@cache
def field_roles(message: Descriptor) -> Mapping[str, frozenset[Role]]:
    """Return the fields of a request that only callers of certain roles may set, with these. Raises
    TypeError for a field that does not tell whether it is set."""
    given = (
        (each, each.GetOptions().Extensions[access_pb2.field_roles]) for each in message.fields
    )
    found = {field: frozenset(map(_role, roles)) for field, roles in given if roles}
    if vague := [field.full_name for field in found if not field.has_presence]:
        raise TypeError(f"{', '.join(vague)}: only optional fields and messages may have roles")
    return {field.name: roles for field, roles in found.items()}


def _role(number: int) -> Role:
    name = access_pb2.Role.Name(number)  # type: ignore[arg-type]
    return Role(name.removeprefix("ROLE_").lower())


def _peer(number: int) -> PeerName:
    name = access_pb2.Peer.Name(number)  # type: ignore[arg-type]
    return PeerName(name.removeprefix("PEER_").lower().replace("_", "-"))


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
    """Admits each service of the suite to the calls whose protos name it.

    The name of the original caller is taken from the metadata of the gateway alone: no other
    service has callers.
    """

    def __init__(self, identify: Callable[[Mapping[str, str], Any], PeerName]) -> None:
        """`identify`: returns the peer that made a call by its metadata and gRPC's context, or
        raises PeerUnknown."""
        self._identify = identify

    def admit(self, method: str, metadata: Mapping[str, str], context: Any) -> Caller:
        """Return PEER under the name of the original caller. Raises PeerUnknown, PeerForbidden."""
        peer = self._identify(metadata, context)
        if peer not in (allowed := rule(method).peers):
            raise PeerForbidden(peer, allowed)
        if FOR in metadata and peer is PeerName.GATEWAY:
            return replace(PEER, name=unquote(metadata[FOR]))
        return PEER
