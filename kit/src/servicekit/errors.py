"""The errors that cross a wire. Pure values: no grpc, so that use cases may raise them.

    ServiceError
    ├── InvalidArgument      the request can never succeed as it is
    │   └── OutOfRange       … because it points past the end of something
    ├── NotFound             what the request names does not exist
    ├── AlreadyExists        what the request creates exists
    ├── FailedPrecondition   the state has to change first; the same request may succeed later
    ├── Aborted              lost against a concurrent change; start over
    ├── ResourceExhausted    a quota, a queue or a disk is full
    ├── Unavailable          try the same again after `retry_after`
    ├── DeadlineExceeded     the caller's time is used up
    ├── Unauthenticated      the caller did not say who it is
    ├── PermissionDenied     the caller may not do this
    ├── Unimplemented        this server has no such call
    ├── DataLoss             stored data is damaged
    └── Internal             our own mistake

A service derives its own errors from these and fixes their reason there, and what else is the same
each time::

    class ProductNotFound(NotFound, reason="PRODUCT_NOT_FOUND"):
        message = "this catalog has no such product"
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import ClassVar

REASON = re.compile(r"[A-Z][A-Z0-9_]{0,61}[A-Z0-9]")
"""What google.rpc.ErrorInfo allows as a reason."""


class Code(StrEnum):
    """The names of the gRPC status codes."""

    OK = "OK"
    CANCELLED = "CANCELLED"
    UNKNOWN = "UNKNOWN"
    INVALID_ARGUMENT = "INVALID_ARGUMENT"
    DEADLINE_EXCEEDED = "DEADLINE_EXCEEDED"
    NOT_FOUND = "NOT_FOUND"
    ALREADY_EXISTS = "ALREADY_EXISTS"
    PERMISSION_DENIED = "PERMISSION_DENIED"
    RESOURCE_EXHAUSTED = "RESOURCE_EXHAUSTED"
    FAILED_PRECONDITION = "FAILED_PRECONDITION"
    ABORTED = "ABORTED"
    OUT_OF_RANGE = "OUT_OF_RANGE"
    UNIMPLEMENTED = "UNIMPLEMENTED"
    INTERNAL = "INTERNAL"
    UNAVAILABLE = "UNAVAILABLE"
    DATA_LOSS = "DATA_LOSS"
    UNAUTHENTICATED = "UNAUTHENTICATED"


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """One field of a request that is wrong."""

    field: str
    """Path of the field as in the proto, e.g. `items[3].image.data`."""
    description: str
    """What is wrong with it, for a person. Does not repeat photo bytes or personal data."""


class ServiceError(Exception):
    """An outcome that the caller is told, with a reason that programs can rely on."""

    code: ClassVar[Code] = Code.INTERNAL
    reason: str = ""
    message: str = ""
    violations: tuple[FieldViolation, ...] = ()
    retry_after: timedelta | None = None

    def __init_subclass__(cls, *, reason: str = "") -> None:
        super().__init_subclass__()
        if reason:
            cls.reason = reason

    def __init__(
        self,
        message: str = "",
        *,
        reason: str = "",
        violations: Sequence[FieldViolation] = (),
        retry_after: timedelta | None = None,
        metadata: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """`message` is shown to the caller. `reason` is UPPER_SNAKE and stable. What is not given
        is the class's own.

        `metadata` holds what a program needs to react (a limit, a version), never personal data.
        Raises ValueError when `reason` is not UPPER_SNAKE of 2 to 63 characters.
        """
        self.reason = reason or self.reason
        if not REASON.fullmatch(self.reason):
            raise ValueError(f"not an error reason: {self.reason!r}")
        self.message = message or self.message
        super().__init__(self.message)
        self.violations = tuple(violations) or self.violations
        self.retry_after = self.retry_after if retry_after is None else retry_after
        self.metadata = MappingProxyType(dict(metadata))


class InvalidArgument(ServiceError):
    """The request can never succeed as it is."""

    code = Code.INVALID_ARGUMENT


class OutOfRange(InvalidArgument):
    """The request points past the end of something."""

    code = Code.OUT_OF_RANGE


class NotFound(ServiceError):
    """What the request names does not exist."""

    code = Code.NOT_FOUND


class AlreadyExists(ServiceError):
    """What the request creates exists."""

    code = Code.ALREADY_EXISTS


class FailedPrecondition(ServiceError):
    """The state has to change first; the same request may succeed later."""

    code = Code.FAILED_PRECONDITION


class Aborted(ServiceError):
    """Lost against a concurrent change; start over."""

    code = Code.ABORTED


class ResourceExhausted(ServiceError):
    """A quota, a queue or a disk is full."""

    code = Code.RESOURCE_EXHAUSTED


class Unavailable(ServiceError):
    """Try the same again after `retry_after`."""

    code = Code.UNAVAILABLE


class DeadlineExceeded(ServiceError):
    """The caller's time is used up."""

    code = Code.DEADLINE_EXCEEDED


class Unauthenticated(ServiceError):
    """The caller did not say who it is."""

    code = Code.UNAUTHENTICATED


class PermissionDenied(ServiceError):
    """The caller may not do this."""

    code = Code.PERMISSION_DENIED


class Unimplemented(ServiceError):
    """This server has no such call."""

    code = Code.UNIMPLEMENTED


class DataLoss(ServiceError):
    """Stored data is damaged."""

    code = Code.DATA_LOSS


class Internal(ServiceError):
    """Our own mistake."""

    code = Code.INTERNAL


BY_CODE: Mapping[Code, type[ServiceError]] = MappingProxyType(
    {
        error.code: error
        for error in (
            InvalidArgument,
            OutOfRange,
            NotFound,
            AlreadyExists,
            FailedPrecondition,
            Aborted,
            ResourceExhausted,
            Unavailable,
            DeadlineExceeded,
            Unauthenticated,
            PermissionDenied,
            Unimplemented,
            DataLoss,
            Internal,
        )
    }
    # What a peer answers without meaning it: a call that it dropped, and a bug of its own.
    | {Code.CANCELLED: Unavailable, Code.UNKNOWN: Internal}
)
"""The error of each code except OK. Complete, and tested to be."""
