"""Tells the registry that a service has removed a catalog."""

import grpc

from servicekit.catalogs.known import READ_SECONDS, ListedCatalog
from servicekit.status import from_rpc_error
from sightline.common.v1.catalog_list_service_pb2 import ConfirmRemovalRequest
from sightline.common.v1.catalog_list_service_pb2_grpc import CatalogListServiceStub


class RemovalNotes:
    """Notes of the removals of a service."""

    def __init__(self, channel: grpc.aio.Channel, service: str) -> None:
        """`channel`: to the retriever. `service`: "embedder" or "ranker"."""
        self._stub, self._service = CatalogListServiceStub(channel), service

    async def confirm(self, removed: ListedCatalog) -> None:
        """Note that the service has nothing of a catalog any more. Raises ServiceError."""
        request = ConfirmRemovalRequest(
            catalog_id=removed.catalog_id, uid=removed.uid, service=self._service
        )
        try:
            await self._stub.ConfirmRemoval(request, timeout=READ_SECONDS)
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(error) from error
