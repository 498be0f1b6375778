"""Authorization of calls: the roles of a token and the roles that the RPC's proto requires."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from servicekit.admission.access import AccessPolicy, Caller, TokenInvalid, bearer, caller, rule
from servicekit.errors import PermissionDenied


class TokenKind(Protocol):
    """One kind of token."""

    def caller(self, token: str) -> Caller | None:
        """Return the caller of a token; None if the token is not valid, or of another kind."""


class Admission:
    """Admission of callers by their tokens. RPCs without a role annotation are denied."""

    def __init__(self, kinds: Sequence[TokenKind]) -> None:
        self._kinds = kinds

    def admit(self, method: str, metadata: Mapping[str, str], context: Any) -> Caller:  # noqa: ARG002
        """See servicekit.admission.access.Access."""
        token = bearer(metadata)
        known = (kind.caller(token) for kind in self._kinds)
        who = next((each for each in known if each is not None), None)
        if who is None:
            raise TokenInvalid
        caller.set(who)  # the audit log names rejected callers too
        roles = rule(method).roles
        who.check(roles)
        return who.permitted_by(roles)


class AdminPortOnly(PermissionDenied, reason="ADMIN_PORT_ONLY"):
    """The call is served on the administrative port only."""

    def __init__(self, port: int) -> None:
        super().__init__(
            f"this call is served on the gateway's administrative port only, {port}",
            metadata={"port": str(port)},
        )


class Public:
    """Admission on the public port: as on the wrapped admission, without administrative calls."""

    def __init__(self, access: AccessPolicy, admin_port: int) -> None:
        self._access, self._admin_port = access, admin_port

    def admit(self, method: str, metadata: Mapping[str, str], context: Any) -> Caller:
        """See servicekit.admission.access.Access."""
        who = self._access.admit(method, metadata, context)
        if rule(method).admin:
            raise AdminPortOnly(self._admin_port)
        return who
