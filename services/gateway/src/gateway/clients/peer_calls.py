"""Calls to a peer, with the caller's deadline and typed errors."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Hashable
from typing import Any, TypeVar

import grpc
from google.protobuf.message import Message
from grpc.aio import UnaryStreamMultiCallable, UnaryUnaryMultiCallable

from gateway.model.causes import Peer
from gateway.model.errors import PeerUnavailable
from servicekit import deadlines, telemetry
from servicekit.admission import costs
from servicekit.errors import Code, DeadlineExceeded, Internal, ServiceError
from servicekit.rpc import equal_calls
from servicekit.rpc.breaker import CircuitBreaker
from servicekit.rpc.call_turns import in_turn, one_at_a_time
from servicekit.rpc.interceptors import VERSION_KEY
from servicekit.rpc.loans import Loan, Use, Withdrawn
from servicekit.status import from_rpc_error

Q = TypeVar("Q", bound=Message)
A = TypeVar("A")
L = TypeVar("L")

_log = telemetry.get_logger()
_GONE = frozenset({"UNAVAILABLE", "CANCELLED", "PEER_FORBIDDEN", "PEER_UNKNOWN"})
"""Reasons of transport failures and of an unauthorized peer, which no caller can fix. Other reasons
are the peer's own."""


class PeerCaller:
    """Caller of one peer, within the remaining deadline of the current call."""

    def __init__(
        self,
        peer: Peer,
        *,
        reserve: float,
        longest: float,
        breaker: CircuitBreaker | None = None,
    ) -> None:
        """`reserve`: seconds of the deadline kept to report a failure; `longest`: maximum seconds
        of a call."""
        self.peer = peer
        self.breaker = breaker
        self.version = ""
        """Version of the peer as last seen; empty if unknown."""
        self._reserve = reserve
        self._longest = longest

    def call_idempotent(
        self, method: UnaryUnaryMultiCallable[Q, A], request: Q
    ) -> Coroutine[Any, Any, A]:
        """Make an idempotent unary call, once for equal ones of a request. Raises ServiceError."""
        if one_at_a_time.get() is None and equal_calls.answers.get() is None:
            return self.call(method, request)

        def start() -> Coroutine[Any, Any, A]:
            return in_turn(lambda: self.call(method, request))

        return equal_calls.once(method, request, start)

    async def call(
        self, method: UnaryUnaryMultiCallable[Q, A], request: Q, *, note: bool = False
    ) -> A:
        """Make a unary call. Raises ServiceError.

        `note`: also store the peer's version.
        """
        if self.breaker is not None and self.breaker.hangs:
            raise PeerUnavailable(self.peer)
        try:
            call = method(request, timeout=deadlines.budget(self._reserve, self._longest))
            answer = await call
            trailers = await call.trailing_metadata()
            costs.add_trailer(trailers)
            if note:
                self.version = str(dict(trailers).get(VERSION_KEY, ""))
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
                self._suspect()
            raise self._error(error) from error
        except asyncio.CancelledError:
            self._note_cancelled()
            raise
        return answer

    def borrow_idempotent(
        self,
        loan: Loan[L] | None,
        name: str,
        work: Callable[[L], Awaitable[A]],
        key: Callable[[], Hashable],
    ) -> Awaitable[A]:
        """Work with what the peer lends in this process, once for equal names and keys of a
        request. Raises ServiceError."""
        if one_at_a_time.get() is None and equal_calls.answers.get() is None:
            return self.borrow(loan, name, work)

        def start() -> Coroutine[Any, Any, A]:
            return in_turn(lambda: self.borrow(loan, name, work))

        return equal_calls.once((self.peer, name), key(), start)

    async def borrow(
        self,
        loan: Loan[L] | None,
        name: str,
        work: Callable[[L], Awaitable[A]],
        size: int | None = None,
    ) -> A:
        """Work with what the peer lends in this process. `size`: see Loan.holding; `None`: nothing
        is held. Raises ServiceError."""
        if loan is None or (self.breaker is not None and self.breaker.hangs):
            raise PeerUnavailable(self.peer)
        try:
            with Use(loan, name, self._longest, self._reserve) as lent:
                if size is None:
                    return await work(lent)
                async with loan.holding(size):
                    return await work(lent)
        except Withdrawn:
            raise PeerUnavailable(self.peer) from None
        except ServiceError as error:
            if isinstance(error, DeadlineExceeded):
                self._suspect()
            if error.reason in _GONE:
                raise PeerUnavailable(self.peer) from error
            raise
        except asyncio.CancelledError:
            self._note_cancelled()
            raise
        except Exception as error:  # as over the wire, its text reaches no caller
            _log.error("call", peer=self.peer, code=Code.INTERNAL, exc_info=error)
            raise Internal("a call in the process failed", reason="INTERNAL") from error

    async def stream(
        self, method: UnaryStreamMultiCallable[Q, A], request: Q
    ) -> AsyncGenerator[A, None]:
        """Yield the answers of a streaming call, for as long as the caller's deadline lasts."""
        call = method(request, timeout=deadlines.budget(self._reserve))
        try:
            async for answer in call:
                yield answer
        except grpc.aio.AioRpcError as error:
            raise self._error(error) from error
        finally:
            call.cancel()  # a caller that left reads no more: cancel the peer's stream

    def close(self) -> None:
        """Stop the health checks of the peer."""
        if self.breaker is not None:
            self.breaker.close()

    def _note_cancelled(self) -> None:
        # A stage whose time is over cancels its calls, as does a caller that leaves: the latter is
        # no failure of the peer.
        if (left := deadlines.remaining()) is not None and left <= self._reserve:
            self._suspect()

    def _suspect(self) -> None:
        if self.breaker is not None:
            self.breaker.suspect()

    def _error(self, error: grpc.aio.AioRpcError) -> ServiceError:
        """Return the peer's error, or PeerUnavailable if it did not answer."""
        reported = from_rpc_error(error)
        return PeerUnavailable(self.peer) if reported.reason in _GONE else reported
