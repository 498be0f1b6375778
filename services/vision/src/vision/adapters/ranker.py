"""The client of the ranker, which counts sales."""

from collections.abc import Sequence

from servicekit.errors import Internal
from servicekit.rpc.channel import connect, idempotent
from servicekit.rpc.peers import NO_CREDENTIALS, PeerCredentials
from sightline.ranker.v1 import event_service_pb2, event_service_pb2_grpc
from vision.adapters.peer_calls import call
from vision.domain.detections import CountedSales, ProductSales
from vision.domain.errors import RankerUnavailable


class RankerSales:
    """See SalesCounts in ports/detecting.py."""

    def __init__(self, target: str, peers: PeerCredentials = NO_CREDENTIALS) -> None:
        """Prepare a channel that connects on first use."""
        self._channel = connect(target, peers=peers, service_configs=idempotent(event_service_pb2))
        self._events = event_service_pb2_grpc.EventServiceStub(self._channel)

    async def close(self) -> None:
        """Drop the connection."""
        await self._channel.close(None)

    async def sales(self, catalog_id: str, product_ids: Sequence[str], days: int) -> CountedSales:
        request = event_service_pb2.CountSalesRequest(
            catalog_id=catalog_id, product_ids=product_ids, days=days
        )
        answer = await call(self._events.CountSales, request, RankerUnavailable)
        if len(answer.products) != len(product_ids):
            raise Internal("the ranker's sales differ in length", reason="INTERNAL")
        found = (
            ProductSales(each.first_day, dict(zip(each.days, each.units, strict=True)))
            for each in answer.products
        )
        return CountedSales(
            answer.first_day, answer.last_day, dict(zip(product_ids, found, strict=True))
        )
