"""Takedowns of the retriever."""

from collections.abc import Sequence

import grpc

from sightline.retriever.v1 import product_service_pb2, product_service_pb2_grpc
from vision.adapters.peer_calls import of_retriever


class RetrieverTakedowns:
    """See Takedowns in ports/watching.py."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        """Use a channel to the retriever, which the caller closes."""
        self._products = product_service_pb2_grpc.ProductServiceStub(channel)

    async def taken_down(self, catalog_id: str, image_ids: Sequence[str]) -> frozenset[str]:
        request = product_service_pb2.FindTakedownsRequest(
            catalog_id=catalog_id, image_ids=image_ids
        )
        answer = await of_retriever(self._products.FindTakedowns, request)
        return frozenset(answer.image_ids)
