"""The client of Sightline's public API."""

from typing import Self

import grpc

from sightline_client.api._generated.admin_service_calls import AdminServiceCalls
from sightline_client.api._generated.catalog_service_calls import CatalogServiceCalls
from sightline_client.api._generated.inspection_service_calls import InspectionServiceCalls
from sightline_client.api._generated.job_service_calls import JobServiceCalls
from sightline_client.api._generated.user_event_service_calls import UserEventServiceCalls
from sightline_client.api._generated.watch_service_calls import WatchServiceCalls
from sightline_client.api._generated.webhook_service_calls import WebhookServiceCalls
from sightline_client.api.catalogs import CatalogCalls
from sightline_client.api.detections import DetectionCalls
from sightline_client.api.events import EventCalls
from sightline_client.api.inspection import InspectionCalls
from sightline_client.api.models import ModelCalls
from sightline_client.api.operations import OperationCalls
from sightline_client.api.privacy import PrivacyCalls
from sightline_client.api.products import ProductCalls
from sightline_client.api.profiles import ProfileCalls
from sightline_client.api.recommendations import RecommendationCalls
from sightline_client.api.watches import WatchCalls
from sightline_client.transport.calls import Calls
from sightline_client.transport.token import Token


class SightlineClient(
    RecommendationCalls,
    DetectionCalls,
    ProductCalls,
    EventCalls,
    ProfileCalls,
    PrivacyCalls,
    ModelCalls,
    CatalogCalls,
    InspectionCalls,
    WatchCalls,
    OperationCalls,
    AdminServiceCalls,
    CatalogServiceCalls,
    InspectionServiceCalls,
    JobServiceCalls,
    UserEventServiceCalls,
    WatchServiceCalls,
    WebhookServiceCalls,
):
    """A typed, asynchronous client. Use it as an async context manager, from one event loop::

        async with SightlineClient("127.0.0.1:8600") as client:
            answer = await client.recommend(image=Path("shelf.jpg"), page_size=5)

    Failed calls raise a ``SightlineError``; see ``sightline_client.errors`` for the kinds. A call
    that fails with UNAVAILABLE is retried up to four times within its timeout, except for products
    with an etag.
    """

    def __init__(
        self,
        target: str,
        *,
        catalog: str = "default",
        timeout: float = 10.0,
        batch_timeout: float = 60.0,
        token: Token | None = None,
        credentials: grpc.ChannelCredentials | None = None,
    ) -> None:
        """``target``: the gateway's host:port, or a gRPC target that names several. ``timeout``:
        default deadline of a call, in seconds; ``batch_timeout``: that of one batch of products or
        events. ``token`` identifies the caller; ValueError if it is empty or has characters that a
        header can't contain. A function is called before each call and returns its token; None = no
        caller is named. ``credentials``: TLS, from ``tls_credentials``; None = plain text,
        which also exposes the token to readers of the network."""
        self.catalog = catalog
        self.timeout = timeout
        self.batch_timeout = batch_timeout
        self.calls = Calls(target, token=token, credentials=credentials)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *raised: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections and cancel calls in flight."""
        await self.calls.close()
