"""The client of the retriever, which has the products of catalogs and the audit log."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import grpc
import numpy as np
from google.protobuf.timestamp_pb2 import Timestamp

from servicekit import deadlines
from servicekit.errors import Code
from servicekit.rpc.channel import idempotent
from servicekit.status import from_rpc_error
from sightline.common.v1 import audit_service_pb2, audit_service_pb2_grpc
from sightline.retriever.v1 import (
    product_service_pb2,
    product_service_pb2_grpc,
    vector_service_pb2,
    vector_service_pb2_grpc,
)
from vision.domain.errors import RetrieverUnavailable
from vision.domain.watch_state import ProductReferences

SECONDS = 10.0
"""Timeout of a call without a deadline."""
IDEMPOTENT = idempotent(product_service_pb2, vector_service_pb2, audit_service_pb2)
"""Calls that the channel may repeat."""
SPACE = "visual"
_GONE = frozenset(
    {"UNAVAILABLE", "DEADLINE_EXCEEDED", "PEER_FORBIDDEN", "PEER_UNKNOWN", "UNIMPLEMENTED"}
)
"""Reasons for which the retriever does not answer; the last one is that of an older release."""


class RetrieverProducts:
    """See CatalogProducts in ports/watching.py."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        """Use a channel to the retriever, which the caller closes."""
        self._products = product_service_pb2_grpc.ProductServiceStub(channel)
        self._vectors = vector_service_pb2_grpc.VectorServiceStub(channel)

    async def missing(self, catalog_id: str, product_ids: Sequence[str]) -> frozenset[str]:
        request = product_service_pb2.BatchGetProductsRequest(
            catalog_id=catalog_id,
            product_ids=product_ids,
            view=product_service_pb2.PRODUCT_VIEW_COLUMNS,
        )
        with _translated():
            answer = await self._products.BatchGetProducts(request, timeout=_seconds())
        return frozenset(answer.missing_product_ids)

    async def references(self, catalog_id: str, product_ids: Sequence[str]) -> ProductReferences:
        request = vector_service_pb2.BatchGetVectorsRequest(
            catalog_id=catalog_id, space=SPACE, product_ids=product_ids
        )
        with _translated():
            answer = await self._vectors.BatchGetVectors(request, timeout=_seconds())
        vectors = {
            each.product_id: list(
                np.frombuffer(each.vectors, "<f4").reshape(-1, max(answer.dimension, 1))
            )
            for each in answer.products
        }
        return ProductReferences(answer.space.version, vectors)

    async def taken_down(self, catalog_id: str, image_ids: Sequence[str]) -> frozenset[str]:
        request = product_service_pb2.FindTakedownsRequest(
            catalog_id=catalog_id, image_ids=image_ids
        )
        with _translated():
            answer = await self._products.FindTakedowns(request, timeout=_seconds())
        return frozenset(answer.image_ids)


class AuditLog:
    """The audit log of the retriever."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        """Use a channel to the retriever, which the caller closes."""
        self._stub = audit_service_pb2_grpc.AuditServiceStub(channel)

    async def append(self, notes: Sequence[Mapping[str, Any]]) -> None:
        """Store up to 1,000 entries of alerts; those that are stored already are left as they are.
        Raises RetrieverUnavailable."""
        entries = []
        for note in notes:
            entry = audit_service_pb2.AuditEntry(
                entry_id=note["id"],
                caller=note["caller"],
                method=note["method"],
                catalog_id=note["catalog_id"],
                code=Code.OK.value,
                request_id=note["request_id"],
            )
            time = Timestamp()
            time.FromMicroseconds(note["time"])
            entry.time.CopyFrom(time)
            entries.append(entry)
        request = audit_service_pb2.AppendAuditEntriesRequest(entries=entries)
        with _translated():
            await self._stub.AppendAuditEntries(request, timeout=_seconds())


@contextmanager
def _translated() -> Iterator[None]:
    """Raise the error that a failed call stands for."""
    try:
        yield
    except grpc.aio.AioRpcError as error:
        meaning = from_rpc_error(error)
        raise (RetrieverUnavailable() if meaning.reason in _GONE else meaning) from error


def _seconds() -> float:
    """Return the timeout of a call."""
    left = deadlines.remaining()
    return SECONDS if left is None else min(left, SECONDS)
