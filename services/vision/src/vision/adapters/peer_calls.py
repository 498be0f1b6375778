"""Calls to the other services."""

from collections.abc import Collection
from functools import partial
from typing import Any, Final

import grpc

from servicekit import deadlines
from servicekit.admission import costs
from servicekit.errors import ServiceError
from servicekit.rpc.channel import idempotent
from servicekit.status import from_rpc_error
from sightline.common.v1 import audit_service_pb2
from sightline.retriever.v1 import product_service_pb2, vector_service_pb2
from vision.domain.errors import RetrieverUnavailable

SECONDS: Final = 60.0
"""Timeout of a call without a deadline, and the longest one."""
GONE: Final = frozenset(
    {"UNAVAILABLE", "CANCELLED", "PEER_FORBIDDEN", "PEER_UNKNOWN", "UNIMPLEMENTED"}
)
"""Reasons for which a service does not answer; the last one is that of an older release."""
GONE_OR_LATE: Final = GONE | {"DEADLINE_EXCEEDED"}
RETRIEVER_CALLS: Final = idempotent(product_service_pb2, vector_service_pb2, audit_service_pb2)
"""Calls to the retriever that a channel may repeat."""


async def call(
    method: Any,
    request: Any,
    unavailable: type[ServiceError],
    gone: Collection[str] = GONE,
    seconds: float = SECONDS,
) -> Any:
    """Make a call within what is left of the deadline, at most `seconds`, and count its cost as one
    of the current call. Raises `unavailable` for the reasons `gone`, and other errors as they are
    reported."""
    left = deadlines.remaining()
    made = method(request, timeout=seconds if left is None else min(left, seconds))
    try:
        answer = await made
        costs.add_trailer(await made.trailing_metadata())
    except grpc.aio.AioRpcError as error:
        meaning = from_rpc_error(error)
        raise (unavailable() if meaning.reason in gone else meaning) from error
    return answer


of_retriever = partial(call, unavailable=RetrieverUnavailable, gone=GONE_OR_LATE, seconds=10.0)
"""Makes a call to the retriever that is not waited for."""
