"""Errors of calls.

SightlineError
├── InvalidRequest       the request itself is wrong: ``violations`` name the fields
├── NotFound             no such catalog, product, scene, model, job, photo
├── AlreadyExists        the id is already in use
├── Conflict             stored content changed since it was read (ETAG_MISMATCH)
├── FailedPrecondition   not possible in the current state
├── Unauthenticated      no or bad credentials
├── PermissionDenied     good credentials that don't allow this
├── ResourceExhausted    too large, or too much at once: see ``retry_after``
├── Unavailable          no answer from the suite; trying again later can help
├── DeadlineExceeded     no answer within the timeout
├── Cancelled            the server cancelled the call
├── Unimplemented        the server is older than this client
├── ServerFault          a fault in the suite: find the request's id in its logs
└── ItemsRejected        of the synchronous client: a list was written but for some items
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from types import MappingProxyType
from typing import Any, Protocol, cast

import grpc
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

_NONE: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """Error of one field of a request."""

    field: str
    """Path of the field, e.g. "filter.all.filters[1].comparison.field"."""
    description: str
    """What is wrong and what would be right."""


@dataclass(frozen=True, slots=True)
class Failure:
    """The facts of a failed call or of a failed item of a batch."""

    code: grpc.StatusCode
    """The gRPC status code."""
    message: str
    """Text for people, in English. Programs should use ``reason``."""
    reason: str = ""
    """Machine-readable, UPPER_SNAKE, e.g. "IMAGE_UNDECODABLE"; "" when the server gave none."""
    violations: tuple[FieldViolation, ...] = ()
    """Invalid fields of the request."""
    retry_after: timedelta | None = None
    """Delay before a retry; None = the server named none."""
    metadata: Mapping[str, str] = field(default_factory=lambda: _NONE)
    """Further facts by name."""


BY_CODE: dict[grpc.StatusCode, "type[SightlineError]"] = {}
"""Error class of each gRPC code except OK."""


class SightlineError(Exception):
    """Failed call, or failed item of a batch. ``failure`` holds all facts; the most used ones are
    attributes here, too."""

    def __init_subclass__(cls, *, codes: str = "") -> None:
        super().__init_subclass__()
        BY_CODE.update({grpc.StatusCode[code]: cls for code in codes.split()})

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure
        self.code = failure.code
        self.reason = failure.reason
        self.message = failure.message
        self.violations = failure.violations
        self.retry_after = failure.retry_after

    def __str__(self) -> str:
        fields = "; ".join(f"{v.field}: {v.description}" for v in self.violations)
        head = f"{self.reason or self.code.name}: {self.message}"
        return head + (f" ({fields})" if fields else "")


class InvalidRequest(SightlineError, codes="INVALID_ARGUMENT OUT_OF_RANGE"):
    """The request itself is wrong: ``violations`` name the fields."""


class NotFound(SightlineError, codes="NOT_FOUND"):
    """No such catalog, product, scene, model, job or photo."""


class AlreadyExists(SightlineError, codes="ALREADY_EXISTS"):
    """Id already in use."""


class Conflict(SightlineError, codes="ABORTED"):
    """Stored content changed since it was read."""


class FailedPrecondition(SightlineError, codes="FAILED_PRECONDITION"):
    """Not possible in the present state."""


class Unauthenticated(SightlineError, codes="UNAUTHENTICATED"):
    """No or bad credentials."""


class PermissionDenied(SightlineError, codes="PERMISSION_DENIED"):
    """Good credentials that don't allow this."""


class ResourceExhausted(SightlineError, codes="RESOURCE_EXHAUSTED"):
    """Too large, or too much at once."""


class Unavailable(SightlineError, codes="UNAVAILABLE"):
    """No answer from the suite; trying again later can help."""


class DeadlineExceeded(SightlineError, codes="DEADLINE_EXCEEDED"):
    """No answer within the timeout."""


class Cancelled(SightlineError, codes="CANCELLED"):
    """The server cancelled the call."""


class Unimplemented(SightlineError, codes="UNIMPLEMENTED"):
    """The server is older than this client."""


class ServerFault(SightlineError, codes="UNKNOWN INTERNAL DATA_LOSS"):
    """A fault in the suite."""


class RejectedItem(Protocol):
    """An item of a batch that the suite rejected."""

    @property
    def error(self) -> SightlineError | None:
        """Why it was rejected."""


class ItemsRejected(SightlineError):
    """Items of a written list that were rejected; all others are stored. The facts are those of
    the first one."""

    def __init__(self, report: Any, failures: Sequence[RejectedItem]) -> None:
        """``report``: that of the whole list."""
        self.report = report
        self.failures = tuple(failures)
        first = failures[0]
        why = first.error or ServerFault(Failure(grpc.StatusCode.UNKNOWN, "no error was given"))
        name = getattr(first, "event_id", "") or getattr(first, "product_id", "")
        text = f"{len(failures)} of the items were rejected, the first one, {name!r}: {why.message}"
        super().__init__(replace(why.failure, message=text))


_CODES = {code.value[0]: code for code in grpc.StatusCode}


def from_rpc_error(error: grpc.aio.AioRpcError) -> SightlineError:
    """Convert gRPC's error to a typed one, with the details that the server sent."""
    try:
        # Only code, details and trailing metadata of the finished call are read.
        status = rpc_status.from_call(cast(grpc.Call, error))
    except (ValueError, DecodeError):
        status = None  # details that contradict the call's code are ignored
    if status is None:
        return make(Failure(code=error.code(), message=error.details() or error.code().name))
    return from_status(status)


def from_status(status: status_pb2.Status) -> SightlineError:
    """Convert a status that is not OK, such as that of one item of a batch, to a typed error."""
    code = _CODES.get(status.code, grpc.StatusCode.UNKNOWN)
    info = error_details_pb2.ErrorInfo()
    bad = error_details_pb2.BadRequest()
    retry = error_details_pb2.RetryInfo()
    retry_after = None
    for detail in status.details:
        # Damaged or impossible details are left out; the others still describe the error.
        with suppress(DecodeError, OverflowError, ValueError):
            if detail.Unpack(info) or detail.Unpack(bad):
                continue
            if detail.Unpack(retry):
                retry_after = retry.retry_delay.ToTimedelta()
    return make(
        Failure(
            code=code,
            message=status.message or code.name,
            reason=info.reason,
            violations=tuple(FieldViolation(v.field, v.description) for v in bad.field_violations),
            retry_after=retry_after,
            metadata=MappingProxyType(dict(info.metadata)),
        )
    )


def invalid(field: str, description: str, *, reason: str = "REQUEST_INVALID") -> InvalidRequest:
    """Return the error for a request that is rejected before it is sent."""
    return InvalidRequest(
        Failure(
            code=grpc.StatusCode.INVALID_ARGUMENT,
            message=description,
            reason=reason,
            violations=(FieldViolation(field, description),),
        )
    )


def check_answered(sent: int, answered: int) -> None:
    """Raise ServerFault unless every item has an answer; otherwise it is unknown which have one."""
    if sent != answered:
        message = f"{sent} items were sent, and the suite answered for {answered}"
        raise make(Failure(code=grpc.StatusCode.INTERNAL, message=message))


def make(failure: Failure) -> SightlineError:
    """Return the typed error for these facts."""
    return BY_CODE.get(failure.code, ServerFault)(failure)
