"""The gateway's calls with messages and typed errors.

``SightlineClient`` is easier to use. This is for programs that need the messages, such as the
command line with ``--json``.
"""

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any, Protocol, TypeVar

import grpc
from grpc.aio import (
    UnaryStreamMultiCallable,
    UnaryUnaryMultiCallable,
)

from sightline.common.v1.job_service_pb2_grpc import JobServiceStub
from sightline.gateway.v1.admin_service_pb2_grpc import AdminServiceStub
from sightline.gateway.v1.catalog_service_pb2_grpc import CatalogServiceStub
from sightline.gateway.v1.detection_service_pb2_grpc import DetectionServiceStub
from sightline.gateway.v1.inspection_service_pb2_grpc import InspectionServiceStub
from sightline.gateway.v1.recommendation_service_pb2_grpc import RecommendationServiceStub
from sightline.gateway.v1.user_event_service_pb2_grpc import UserEventServiceStub
from sightline.gateway.v1.watch_service_pb2_grpc import WatchServiceStub
from sightline.gateway.v1.webhook_service_pb2_grpc import WebhookServiceStub
from sightline_client.errors import SightlineError, Unavailable, from_rpc_error, make
from sightline_client.transport import gateway_channel
from sightline_client.transport.token import Token, check, say_with_calls

_HTTP = "http1.x server"
"""What gRPC says of a server that answers in HTTP/1.1."""


class PageRequest(Protocol):
    """Request for a page of a list."""

    page_token: str


class PageMessage(Protocol):
    """A page of a list."""

    next_page_token: str


Q = TypeVar("Q")
A = TypeVar("A")
P = TypeVar("P", bound=PageRequest)
T = TypeVar("T", bound=PageMessage)


class Calls:
    """The services and their calls: ``await calls(calls.admin.GetStatus, request, 5)``. ``timeout``
    is in seconds; `None`: no deadline."""

    def __init__(
        self,
        target: str,
        *,
        token: Token | None = None,
        credentials: grpc.ChannelCredentials | None = None,
    ) -> None:
        """``token``: the caller's; None = none is sent. ValueError where a header can't hold it."""
        if isinstance(token, str):
            check(token)
        self.target = target
        self.report: Callable[[Any], object] = lambda _: None
        """Callback for each response message: the command line prints it with ``--json``."""
        self._channel = gateway_channel.connect(target, retries=True, credentials=credentials)
        if token is not None:
            say_with_calls(self._channel, token)
        self.recommendation = RecommendationServiceStub(self._channel)
        self.detection = DetectionServiceStub(self._channel)
        self.catalog = CatalogServiceStub(self._channel)
        self.events = UserEventServiceStub(self._channel)
        self.admin = AdminServiceStub(self._channel)
        self.jobs = JobServiceStub(self._channel)
        self.inspection = InspectionServiceStub(self._channel)
        self.watches = WatchServiceStub(self._channel)
        self.webhooks = WebhookServiceStub(self._channel)

    async def close(self) -> None:
        """Close the connections and cancel calls in flight."""
        await self._channel.close(None)

    async def __call__(
        self, method: UnaryUnaryMultiCallable[Q, A], request: Q, timeout: float | None
    ) -> A:
        """Call a method once and return its answer."""
        try:
            answer = await method(request, timeout=timeout)
        except grpc.aio.AioRpcError as error:
            raise self._typed(error) from None
        self.report(answer)
        return answer

    async def pages(
        self, method: UnaryUnaryMultiCallable[P, T], request: P, timeout: float | None
    ) -> AsyncIterator[T]:
        """Yield the pages of a list. ``timeout`` is that of each. Sets the request's page token
        meanwhile."""
        while True:
            page = await self(method, request, timeout)
            yield page
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    async def stream(
        self, method: UnaryStreamMultiCallable[Q, A], request: Q, timeout: float | None
    ) -> AsyncIterator[A]:
        """Yield the answers of a streaming method."""
        call = method(request, timeout=timeout)
        try:
            async for answer in call:
                yield answer
        except grpc.aio.AioRpcError as error:
            raise self._typed(error) from None
        finally:
            call.cancel()

    def _typed(self, error: grpc.aio.AioRpcError) -> SightlineError:
        """Return the error that a failed call raises."""
        typed = from_rpc_error(error)
        if isinstance(typed, Unavailable) and not typed.reason:
            # gRPC's own message, without details: no gateway answered.
            if _HTTP in typed.message:
                reason, message = "HTTP_PORT", f"{self.target} is the HTTP port, not that of gRPC"
            else:
                reason = "GATEWAY_UNREACHABLE"
                message = f"no gateway answers at {self.target} ({typed.message})"
            return make(replace(typed.failure, reason=reason, message=message))
        return typed
