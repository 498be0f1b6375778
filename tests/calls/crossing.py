"""Calls between services with processes of their own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol

from gateway.clients.peer_calls import PeerCaller
from tests.calls.counting import ROUNDS, Say
from tests.calls.profilers import CallProfiler

CROSSED: Final[Mapping[str, Sequence[str]]] = {
    "product_apart": ("retriever.Search", "ranker.Rank", "retriever.BatchGetProducts"),
    "user_apart": (
        *("ranker.Nominate", "retriever.BatchGetProducts"),
        *("ranker.Rank", "retriever.BatchGetProducts"),
    ),
}
"""The gateway's calls to other services for an answer, the last one for the page's products."""
Crossing = tuple[str, int, int]
"""A call to another service, with the bytes of its request and of its answer."""


class Crossed(Protocol):
    """Notes the gateway's calls to other services."""

    def crossed(self) -> list[Crossing]:
        """Return those since this was asked before."""


class CrossingProfiler(CallProfiler):
    """Counts Python and C calls, and notes calls to other services."""

    _call: Callable[..., Any] | None = None
    _noted: list[Crossing]

    def crossed(self) -> list[Crossing]:
        """See Crossed."""
        if self._call is None:
            self._note()
        noted, self._noted = self._noted, []
        return noted

    def _note(self) -> None:
        self._noted, self._call = [], PeerCaller.call
        call = self._call

        async def noting(caller: PeerCaller, method: Any, request: Any, **options: Any) -> Any:
            answer: Any = await call(caller, method, request, **options)
            name = f"{caller.peer}.{request.DESCRIPTOR.name.removesuffix('Request')}"
            self._noted.append((name, request.ByteSize(), answer.ByteSize()))
            return answer

        PeerCaller.call = noting  # type: ignore[assignment, method-assign]


def check(gateway: Crossed, name: str, call: Callable[[], object], say: Say) -> None:
    """Raise RuntimeError unless the calls to other services of a case are those of CROSSED."""
    rounds = list[list[Crossing]]()
    for _ in range(ROUNDS):
        gateway.crossed()
        call()
        rounds.append(gateway.crossed())
    found = min(rounds, key=len)  # others hold what is read now and then
    if tuple(each for each, _, _ in found) != CROSSED[name]:
        raise RuntimeError(f"{name}: an answer makes other calls between services: {found}")
    for each, sent, received in found:
        say(f"{name}: {each}, {sent:,} bytes, answered by {received:,}")
