"""Whether a call is made: by a token's roles and the role that the call's proto asks for."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from servicekit.access import AccessPolicy, Caller, TokenInvalid, bearer, caller, rule
from servicekit.errors import PermissionDenied


class TokenKind(Protocol):
    """Tokens of one kind."""

    def caller(self, token: str) -> Caller | None:
        """Return the caller of a token; None if the token is not valid, or of another kind."""


class Admission:
    """Admission of callers by their tokens. RPCs without a role annotation are denied."""

    def __init__(self, kinds: Sequence[TokenKind]) -> None:
        self._kinds = kinds

    def admit(self, method: str, metadata: Mapping[str, str], context: Any) -> Caller:  # noqa: ARG002
        """See servicekit.access.Access."""
        token = bearer(metadata)
        known = (kind.caller(token) for kind in self._kinds)
        who = next((each for each in known if each is not None), None)
        if who is None:
            raise TokenInvalid
        caller.set(who)  # the audit log names also who is refused
        who.check(rule(method).roles)
        return who


class AdminPortOnly(PermissionDenied, reason="ADMIN_PORT_ONLY"):
    """The call is one of those that are answered on the administrative port."""

    def __init__(self, port: int) -> None:
        super().__init__(
            f"this call is answered on the gateway's administrative port alone, {port}",
            metadata={"port": str(port)},
        )


class Public:
    """Admits whom another admits, but to no call that has a port of its own."""

    def __init__(self, access: AccessPolicy, admin_port: int) -> None:
        self._access, self._admin_port = access, admin_port

    def admit(self, method: str, metadata: Mapping[str, str], context: Any) -> Caller:
        """See servicekit.access.Access."""
        who = self._access.admit(method, metadata, context)
        if rule(method).admin:
            raise AdminPortOnly(self._admin_port)
        return who
