"""Whether a call is made: by a token's roles and the role that the call's proto asks for."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from servicekit.access import Caller, TokenInvalid, bearer, caller, rule


class Tokens(Protocol):
    """Tokens of one kind."""

    def caller(self, token: str) -> Caller | None:
        """Whose token it is; None = it is not a good one of this kind."""


class Admission:
    """Admits callers by their tokens; a call that names no role in its proto is made by nobody."""

    def __init__(self, kinds: Sequence[Tokens]) -> None:
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
