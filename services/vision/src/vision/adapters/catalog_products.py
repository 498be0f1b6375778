"""Products and takedowns of the retriever, which watches are checked against."""

from collections.abc import Sequence

import grpc

from sightline.retriever.v1 import product_service_pb2, product_service_pb2_grpc
from vision.adapters.peer_calls import of_retriever
from vision.adapters.takedowns import RetrieverTakedowns


class RetrieverCatalog(RetrieverTakedowns):
    """See CatalogProducts in ports/watching.py."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        super().__init__(channel)
        self._stored = product_service_pb2_grpc.ProductServiceStub(channel)

    async def missing(self, catalog_id: str, product_ids: Sequence[str]) -> frozenset[str]:
        request = product_service_pb2.BatchGetProductsRequest(
            catalog_id=catalog_id,
            product_ids=product_ids,
            view=product_service_pb2.PRODUCT_VIEW_COLUMNS,
        )
        answer = await of_retriever(self._stored.BatchGetProducts, request)
        return frozenset(answer.missing_product_ids)
