"""Conversion between ServiceError and google.rpc.Status.

A status travels in a trailer, and gRPC peers reject more than 8 KiB of metadata by default: longer
parts are cut here, so that a hostile request with ten thousand invalid fields still gets its answer
instead of a bare RESOURCE_EXHAUSTED.
"""

from collections.abc import Iterable
from datetime import timedelta
from typing import cast

import grpc
from google.protobuf.message import DecodeError
from google.rpc import code_pb2, error_details_pb2, status_pb2

from servicekit.errors import BY_CODE, REASON, Code, FieldViolation, Internal, ServiceError

DOMAIN = "sightline"
DETAILS_KEY = "grpc-status-details-bin"

MESSAGE_BYTES = 1024
TEXT_BYTES = 256
STATUS_BYTES = 3072


def to_status(error: ServiceError) -> status_pb2.Status:
    """Convert `error` to a status: code, message and details ErrorInfo, BadRequest and RetryInfo.

    At most STATUS_BYTES long: violations that do not fit are omitted, the first ones stay.
    """
    status = status_pb2.Status(
        code=code_pb2.Code.Value(error.code), message=_cut(error.message, MESSAGE_BYTES)
    )
    info = error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN)
    for key, value in list(error.metadata.items())[:8]:
        info.metadata[_cut(key, 64)] = _cut(value, TEXT_BYTES // 2)
    status.details.add().Pack(info)
    if error.retry_after is not None:
        retry = error_details_pb2.RetryInfo()
        retry.retry_delay.FromTimedelta(max(error.retry_after, timedelta(0)))
        status.details.add().Pack(retry)
    if error.violations:
        room = STATUS_BYTES - status.ByteSize() - 64
        status.details.add().Pack(_bad_request(error.violations, room))
    return status


def from_status(status: status_pb2.Status) -> ServiceError:
    """Return the error in `status`. Without an ErrorInfo its reason is the code's name.

    Raises ValueError for a status of code OK.
    """
    code = _code(status.code)
    if code is Code.OK:
        raise ValueError("a status of code OK is no error")
    reason, metadata = str(code), {}
    violations: list[FieldViolation] = []
    retry_after = None
    for detail in status.details:
        info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
        retry = error_details_pb2.RetryInfo()
        try:
            if detail.Unpack(info) and REASON.fullmatch(info.reason):
                reason, metadata = info.reason, dict(info.metadata)
            elif detail.Unpack(retry):
                retry_after = retry.retry_delay.ToTimedelta()
            elif detail.Unpack(bad):
                violations += [FieldViolation(v.field, v.description) for v in bad.field_violations]
        except DecodeError:
            continue
    return BY_CODE[code](
        status.message,
        reason=reason,
        violations=violations,
        retry_after=retry_after,
        metadata=metadata,
    )


def from_rpc_error(error: grpc.aio.AioRpcError) -> ServiceError:
    """Return the error that a peer reported, or that the transport raised.

    A transport's text names addresses and internals, so it is not copied: raise the result `from
    error` to keep it for the log.
    """
    trailers = cast(Iterable[tuple[str, str | bytes]], error.trailing_metadata() or ())
    for key, value in trailers:
        if key == DETAILS_KEY and isinstance(value, bytes):
            try:
                status = status_pb2.Status.FromString(value)
            except DecodeError:
                break
            if status.code == error.code().value[0] != 0:
                return from_status(status)
    code = Code(error.code().name)
    if code is Code.OK:
        return Internal("a call failed with status OK", reason="UNKNOWN")
    return BY_CODE[code](f"the call failed: {code}", reason=str(code))


def _code(number: int) -> Code:
    try:
        return Code(code_pb2.Code.Name(number))
    except ValueError:
        return Code.UNKNOWN


def _bad_request(violations: Iterable[FieldViolation], room: int) -> error_details_pb2.BadRequest:
    bad = error_details_pb2.BadRequest()
    for violation in violations:
        entry = error_details_pb2.BadRequest.FieldViolation(
            field=_cut(violation.field, TEXT_BYTES),
            description=_cut(violation.description, TEXT_BYTES),
        )
        if bad.ByteSize() + entry.ByteSize() + 8 > room:
            break
        bad.field_violations.append(entry)
    return bad


def _cut(text: str, size: int) -> str:
    """Cut `text` to valid UTF-8 of at most `size` bytes; lone surrogates become question marks."""
    return text.encode("utf-8", "replace")[:size].decode("utf-8", "ignore")
