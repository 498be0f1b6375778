"""The client of Sightline's public API for programs without asyncio.

Made from client.py by generate_sync.py: change that one and run it.
"""

from typing import Self

import grpc

from sightline_client._generated.admin_service_calls import SyncAdminServiceCalls
from sightline_client._generated.catalog_service_calls import SyncCatalogServiceCalls
from sightline_client._generated.catalogs import SyncCatalogCalls
from sightline_client._generated.detections import SyncDetectionCalls
from sightline_client._generated.events import SyncEventCalls
from sightline_client._generated.inspection import SyncInspectionCalls
from sightline_client._generated.inspection_service_calls import SyncInspectionServiceCalls
from sightline_client._generated.job_service_calls import SyncJobServiceCalls
from sightline_client._generated.models import SyncModelCalls
from sightline_client._generated.operations import SyncOperationCalls
from sightline_client._generated.privacy import SyncPrivacyCalls
from sightline_client._generated.products import SyncProductCalls
from sightline_client._generated.profiles import SyncProfileCalls
from sightline_client._generated.recommendations import SyncRecommendationCalls
from sightline_client._generated.user_event_service_calls import SyncUserEventServiceCalls
from sightline_client._generated.watch_service_calls import SyncWatchServiceCalls
from sightline_client._generated.watches import SyncWatchCalls
from sightline_client._generated.webhook_service_calls import SyncWebhookServiceCalls
from sightline_client.client import SightlineClient
from sightline_client.transport.looping import Loop
from sightline_client.transport.token import Token


class SyncSightlineClient(
    SyncRecommendationCalls,
    SyncDetectionCalls,
    SyncProductCalls,
    SyncEventCalls,
    SyncProfileCalls,
    SyncPrivacyCalls,
    SyncModelCalls,
    SyncCatalogCalls,
    SyncInspectionCalls,
    SyncWatchCalls,
    SyncOperationCalls,
    SyncAdminServiceCalls,
    SyncCatalogServiceCalls,
    SyncInspectionServiceCalls,
    SyncJobServiceCalls,
    SyncUserEventServiceCalls,
    SyncWatchServiceCalls,
    SyncWebhookServiceCalls,
):
    """``SightlineClient`` for programs without asyncio: the same calls, which block.
    May be used from several threads. Use it as a context manager::

        with SyncSightlineClient("127.0.0.1:8600") as client:
            answer = client.recommend(image=Path("shelf.jpg"), page_size=5)

    It runs the asynchronous client in a thread of its own.
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
        self._loop = Loop()
        self._client = self._loop.make(
            lambda: SightlineClient(
                target,
                catalog=catalog,
                timeout=timeout,
                batch_timeout=batch_timeout,
                token=token,
                credentials=credentials,
            )
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections and cancel calls in flight."""
        self._loop.close(self._client.close)
