"""Errors of the transport: an HTTP status, a code and a text."""

import math

import grpc
from starlette.responses import JSONResponse

from sightline_agents.catalog import advice
from sightline_client.errors import SightlineError

STATUS = {
    grpc.StatusCode.INVALID_ARGUMENT: 400,
    grpc.StatusCode.OUT_OF_RANGE: 400,
    grpc.StatusCode.FAILED_PRECONDITION: 400,
    grpc.StatusCode.UNAUTHENTICATED: 401,
    grpc.StatusCode.PERMISSION_DENIED: 403,
    grpc.StatusCode.NOT_FOUND: 404,
    grpc.StatusCode.RESOURCE_EXHAUSTED: 429,
    grpc.StatusCode.UNAVAILABLE: 503,
    grpc.StatusCode.DEADLINE_EXCEEDED: 504,
}
"""HTTP status of each gRPC code; 500 for the others."""


def problem(status: int, code: str, content: str) -> JSONResponse:
    """Return an answer that reports an error."""
    headers = {"www-authenticate": "Bearer"} if status == 401 else None
    return JSONResponse({"code": code, "content": content}, status, headers)


def of_error(error: SightlineError) -> JSONResponse:
    """Return the answer for a failed call of the gateway."""
    status = STATUS.get(error.code, 500)
    answer = problem(status, advice.reason_of(error).lower(), advice.message_of(error))
    if error.retry_after is not None:
        answer.headers["retry-after"] = str(math.ceil(error.retry_after.total_seconds()))
    return answer
