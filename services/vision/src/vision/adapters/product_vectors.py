"""Vectors of products in the retriever, by which frames show them."""

from collections.abc import Sequence

import grpc
import numpy as np

from sightline.retriever.v1 import vector_service_pb2, vector_service_pb2_grpc
from vision.adapters.peer_calls import of_retriever
from vision.domain.watch_state import ProductReferences

SPACE = "visual"


class RetrieverVectors:
    """See ProductVectors in ports/watching.py."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        """Use a channel to the retriever, which the caller closes."""
        self._vectors = vector_service_pb2_grpc.VectorServiceStub(channel)

    async def references(self, catalog_id: str, product_ids: Sequence[str]) -> ProductReferences:
        request = vector_service_pb2.BatchGetVectorsRequest(
            catalog_id=catalog_id, space=SPACE, product_ids=product_ids
        )
        answer = await of_retriever(self._vectors.BatchGetVectors, request)
        vectors = {
            each.product_id: list(
                np.frombuffer(each.vectors, "<f4").reshape(-1, max(answer.dimension, 1))
            )
            for each in answer.products
        }
        return ProductReferences(answer.space.version, vectors)
