"""Callers: one with every right, and intruders that must get no access."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from google.protobuf.message import DecodeError

from local_suite.model import Program
from servicekit.admission.access import EVERY, Role, rule
from sightline_client.cli.work.keys import CallerKey, new_token
from tests.engines import free_port
from tests.fuzz.memory import BYTES_IN_FLIGHT
from tests.fuzz.model import KEPT, Answer, Call, Caller
from tests.fuzz.surface import Method

Metadata = tuple[tuple[str, str], ...]

_NOT_THERE = "not-there"
"""The one catalog of a key: requests never name it."""
_EVERY_ROLE = [role.value for role in Role]
_KEYS = (
    CallerKey("own", _EVERY_ROLE, [EVERY]),
    CallerKey("slow", _EVERY_ROLE, [EVERY]),
    CallerKey("elsewhere", _EVERY_ROLE, [_NOT_THERE]),
    *(CallerKey(f"only-{role}", [role], [EVERY]) for role in _EVERY_ROLE),
)
_MALFORMED = frozenset({"INVALID_ARGUMENT", "RESOURCE_EXHAUSTED"})
REFUSED: Mapping[Caller, frozenset[str]] = {
    Caller.NOBODY: frozenset({"UNAUTHENTICATED"}),
    Caller.UNKNOWN: frozenset({"UNAUTHENTICATED"}),
    Caller.OTHER_ROLE: frozenset({"PERMISSION_DENIED"}),
    Caller.OTHER_PORT: frozenset({"PERMISSION_DENIED"}),
    Caller.ELSEWHERE: frozenset({"PERMISSION_DENIED"}) | _MALFORMED,
}
"""Expected answers to intruders. A request's catalog is known if its bytes are valid."""


@dataclass(frozen=True, slots=True)
class Callers:
    """Tokens by the names of their keys; without any, callers are not authenticated."""

    tokens: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def new(cls) -> Callers:
        """Return a token for each key."""
        return cls({key.name: new_token() for key in _KEYS})

    def guarded(self, programs: Iterable[Program], folder: Path) -> list[Program]:
        """Return the programs of a suite whose gateway authenticates callers by a file of keys in a
        folder."""
        file = folder / "callers.toml"
        file.write_text("\n".join(key.entry(self.tokens[key.name]) for key in _KEYS))
        return [_guarded(each, file) if each.name == "gateway" else each for each in programs]

    def headers(self, call: Call) -> Metadata:
        """Return the headers of a call, including its token."""
        token = self.tokens.get(_key(call))
        return call.metadata + ((("authorization", f"Bearer {token}"),) if token else ())

    def intruder(self, chance: random.Random, method: Method, raw: bytes) -> Call:
        """Return a request for protected data by a caller without permission."""
        kinds = [each for each in REFUSED if each is not Caller.OTHER_PORT]
        kinds += [Caller.OTHER_PORT] if rule(method.path[1:]).admin else []
        kind = chance.choice(kinds)
        said = _garbage(chance, self.tokens["own"]) if kind is Caller.UNKNOWN else None
        metadata = (("authorization", said),) if said is not None else ()
        return Call(method.path, _aimed(method, raw), 20.0, metadata, kind)


def _guarded(gateway: Program, keys: Path) -> Program:
    """Return a gateway that authenticates, with separate ports for operators and probes."""
    ports = {"operators": free_port(), "probes": free_port()}
    added = {
        "GATEWAY_KEYS_FILE": str(keys),
        "GATEWAY_ADMIN_PORT": str(ports["operators"]),
        "GATEWAY_PROBE_PORT": str(ports["probes"]),
        "GATEWAY_MAX_BYTES_IN_FLIGHT": str(BYTES_IN_FLIGHT),
    }
    environment = {**gateway.environment, **added}
    return replace(gateway, ports={**gateway.ports, **ports}, environment=environment)


def complaint(call: Call, answer: Answer) -> str:
    """Return the fault of an answer to an intruder; empty if there is none. An answer after the
    deadline has no fault."""
    refused = REFUSED.get(call.caller)
    if refused is None or answer.code in refused | {"DEADLINE_EXCEEDED"}:
        return ""
    return f"{call.caller}: answers {answer.code}: {answer.message[:200]}"


def _key(call: Call) -> str:
    """Return the name of the call's key; empty without a key."""
    match call.caller:
        case Caller.OWN | Caller.OTHER_PORT:
            return "own"
        case Caller.SLOW:
            return "slow"
        case Caller.ELSEWHERE:
            return "elsewhere"
        case Caller.OTHER_ROLE:
            needed = rule(call.method[1:]).roles
            return f"only-{next(role for role in Role if role not in needed)}"
    return ""


def _garbage(chance: random.Random, token: str) -> str:
    """Return an invalid value in place of a token."""
    at = chance.randrange(len(token))
    return chance.choice(
        (
            *("", "Bearer", "Bearer ", "Bearer null", f"Basic {token}", token, f"bearer {token}"),
            *(f"Bearer {token[:at]}", f"Bearer {token[:at]}~{token[at + 1 :]}"),
            *(f"Bearer {token},{token}", f"Bearer {token} x", f"Bearer Bearer {token}"),
            f"Bearer {'a' * chance.choice((64, 1_000, 6_000))}",
            "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4Iiwicm9sZXMiOlsib3BlcmF0ZSJdfQ.",
        )
    )


def _aimed(method: Method, raw: bytes) -> bytes:
    """Return the request, with the protected catalog if it names one."""
    message = method.request()
    try:
        message.ParseFromString(raw)
    except DecodeError:
        return raw
    asked = getattr(message, "request", message)
    if hasattr(asked, "catalog_id"):
        asked.catalog_id = KEPT
    return message.SerializeToString()
