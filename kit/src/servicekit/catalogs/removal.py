"""Removal of what a service has of deleted catalogs, once their terms have ended."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import grpc

from servicekit.catalogs.known import READ_SECONDS, KnownCatalogs, ListedCatalog
from servicekit.status import from_rpc_error
from servicekit.tasks.supervision import confined, supervised
from sightline.common.v1.catalog_list_service_pb2 import ConfirmRemovalRequest
from sightline.common.v1.catalog_list_service_pb2_grpc import CatalogListServiceStub

LOOK_SECONDS = 5.0
REMOVAL = "catalogs not removed"
"""Name for servicekit.tasks.supervision."""


@dataclass
class CatalogRemoval:
    """Removals of catalogs. Replicas may do the same at once: what is removed stays so."""

    catalogs: KnownCatalogs
    remove: Callable[[str], Awaitable[None]]
    """Deletes all that the service has of a catalog. One that is interrupted begins again."""
    confirm: Callable[[ListedCatalog], Awaitable[None]]
    """Tells the registry that the service has nothing of a catalog any more."""
    _done: set[str] = field(init=False, default_factory=set)
    """Removed catalogs, by uid."""

    async def run(self) -> None:
        """Remove what is due, until cancelled."""

        async def look() -> None:
            await asyncio.sleep(LOOK_SECONDS)
            await self.look()

        await supervised(REMOVAL, look)

    async def look(self) -> None:
        """Remove all catalogs that are due, by a list that is read now: a late one may name one
        that was removed since, and whose id another one has."""
        if self.catalogs.removing() and not await self.catalogs.refresh():
            return
        removing = self.catalogs.removing()
        for each in removing:
            if each.uid not in self._done:
                with confined(REMOVAL, catalog=each.catalog_id):
                    await self.remove(each.catalog_id)
                    await self.confirm(each)
                    self._done.add(each.uid)
        self._done &= {each.uid for each in removing}


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
