"""Calls to the retriever."""

from collections.abc import Iterator
from contextlib import contextmanager

import grpc

from servicekit import deadlines
from servicekit.rpc.channel import idempotent
from servicekit.status import from_rpc_error
from sightline.common.v1 import audit_service_pb2
from sightline.retriever.v1 import product_service_pb2, vector_service_pb2
from vision.domain.errors import RetrieverUnavailable

SECONDS = 10.0
"""Timeout of a call without a deadline."""
IDEMPOTENT = idempotent(product_service_pb2, vector_service_pb2, audit_service_pb2)
"""Calls that the channel may repeat."""
_GONE = frozenset(
    {"UNAVAILABLE", "DEADLINE_EXCEEDED", "PEER_FORBIDDEN", "PEER_UNKNOWN", "UNIMPLEMENTED"}
)
"""Reasons for which the retriever does not answer; the last one is that of an older release."""


@contextmanager
def translated() -> Iterator[None]:
    """Raise the error that a failed call stands for."""
    try:
        yield
    except grpc.aio.AioRpcError as error:
        meaning = from_rpc_error(error)
        raise (RetrieverUnavailable() if meaning.reason in _GONE else meaning) from error


def seconds() -> float:
    """Return the timeout of a call."""
    left = deadlines.remaining()
    return SECONDS if left is None else min(left, SECONDS)
