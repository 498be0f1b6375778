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
    ├── Unauthenticated      the caller is not authenticated
    ├── PermissionDenied     the caller may not do this
    ├── Unimplemented        this server has no such call
    ├── DataLoss             stored data is damaged
    └── Internal             a fault of the service

A service derives its own errors from these, with fixed reasons and defaults::

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
"""Valid reasons, as defined by google.rpc.ErrorInfo."""


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


_by_code: dict[Code, "type[ServiceError]"] = {}


class ServiceError(Exception):
    """An error reported to the caller, with a reason that programs can rely on."""

    code: ClassVar[Code] = Code.INTERNAL
    reason: str = ""
    message: str = ""
    violations: tuple[FieldViolation, ...] = ()
    retry_after: timedelta | None = None

    def __init_subclass__(cls, *, code: Code | None = None, reason: str = "") -> None:
        """`code`: given by the errors of this module alone; those of services inherit it."""
        super().__init_subclass__()
        if code is not None:
            cls.code = code
            _by_code[code] = cls
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
        """`message` is shown to the caller. `reason` is UPPER_SNAKE and stable. Defaults are the
        class's own.

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


class Refusal:
    """Marker base class of errors that reject a call because of its cost. sightline_refused_total
    counts them."""

    reason: str


class InvalidArgument(ServiceError, code=Code.INVALID_ARGUMENT):
    """The request is invalid; a retry fails too."""


class OutOfRange(InvalidArgument, code=Code.OUT_OF_RANGE):
    """The request points past the end of something."""


class NotFound(ServiceError, code=Code.NOT_FOUND):
    """The request names something that does not exist."""


class AlreadyExists(ServiceError, code=Code.ALREADY_EXISTS):
    """The request creates something that exists."""


class FailedPrecondition(ServiceError, code=Code.FAILED_PRECONDITION):
    """The state has to change first; the same request may succeed later."""


class Aborted(ServiceError, code=Code.ABORTED):
    """Lost against a concurrent change; start over."""


class ResourceExhausted(ServiceError, code=Code.RESOURCE_EXHAUSTED):
    """A quota, a queue or a disk is full."""


class Unavailable(ServiceError, code=Code.UNAVAILABLE):
    """Try the same again after `retry_after`."""


class DeadlineExceeded(ServiceError, code=Code.DEADLINE_EXCEEDED):
    """The caller's deadline passed."""


class Unauthenticated(ServiceError, code=Code.UNAUTHENTICATED):
    """The caller is not authenticated."""


class PermissionDenied(ServiceError, code=Code.PERMISSION_DENIED):
    """The caller may not do this."""


class Unimplemented(ServiceError, code=Code.UNIMPLEMENTED):
    """The server has no such call."""


class DataLoss(ServiceError, code=Code.DATA_LOSS):
    """Stored data is damaged."""


class Internal(ServiceError, code=Code.INTERNAL):
    """A fault of the service."""


BY_CODE: Mapping[Code, type[ServiceError]] = MappingProxyType(
    # Codes without an error class: a call that the peer dropped, and an unhandled exception of the
    # peer.
    {**_by_code, Code.CANCELLED: Unavailable, Code.UNKNOWN: Internal}
)
"""The error of each code except OK. Complete, and tested to be."""
