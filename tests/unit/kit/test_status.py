from datetime import timedelta

import grpc
import pytest
from google.rpc import code_pb2, status_pb2
from hypothesis import given
from hypothesis import strategies as st

from servicekit import errors, status
from servicekit.errors import BY_CODE, Code, FieldViolation, InvalidArgument, Unavailable


def rpc_error(
    code: grpc.StatusCode, details: str = "", trailers: tuple[tuple[str, str | bytes], ...] = ()
) -> grpc.aio.AioRpcError:
    return grpc.aio.AioRpcError(
        code, grpc.aio.Metadata(), grpc.aio.Metadata(*trailers), details, None
    )


def test_an_error_is_the_same_after_the_wire() -> None:
    sent = Unavailable(
        "the index is loading",
        reason="INDEX_LOADING",
        violations=[FieldViolation("a.b[0]", "too new")],
        retry_after=timedelta(seconds=1.5),
        metadata={"generation": "7"},
    )
    got = status.from_status(status.to_status(sent))
    assert type(got) is Unavailable
    assert (got.message, got.reason) == (sent.message, sent.reason)
    assert got.violations == sent.violations
    assert got.retry_after == timedelta(seconds=1.5)
    assert dict(got.metadata) == {"generation": "7"}


@pytest.mark.parametrize("code", [code for code in Code if code is not Code.OK])
def test_each_code_arrives_as_its_error(code: Code) -> None:
    number = code_pb2.Code.Value(code)
    assert type(status.from_status(status_pb2.Status(code=number))) is BY_CODE[code]
    bare = rpc_error(getattr(grpc.StatusCode, code))
    got = status.from_rpc_error(bare)
    assert type(got) is BY_CODE[code]
    assert got.reason == code


def test_a_number_that_is_no_code_is_a_bug_of_the_peer() -> None:
    assert type(status.from_status(status_pb2.Status(code=99))) is errors.Internal


def test_ok_is_no_error() -> None:
    with pytest.raises(ValueError, match="OK"):
        status.from_status(status_pb2.Status())


def test_ten_thousand_violations_fit_into_a_trailer_and_the_first_stay() -> None:
    many = [FieldViolation(f"items[{i}]", "é" * 1000) for i in range(10_000)]
    sent = status.to_status(InvalidArgument("ü" * 9999, reason="BAD", violations=many))
    assert sent.ByteSize() <= status.STATUS_BYTES
    got = status.from_status(sent)
    assert got.violations
    assert got.violations[0].field == "items[0]"


@given(st.text(st.characters(codec=None)), st.text(st.characters(codec=None)))
def test_any_text_can_be_sent_even_lone_surrogates(message: str, field: str) -> None:
    error = InvalidArgument(message, reason="BAD", violations=[FieldViolation(field, message)])
    sent = status.to_status(error)
    assert status_pb2.Status.FromString(sent.SerializeToString()) == sent
    assert len(sent.message.encode()) <= status.MESSAGE_BYTES


def test_the_text_of_the_transport_is_not_taken_over() -> None:
    got = status.from_rpc_error(
        rpc_error(grpc.StatusCode.UNAVAILABLE, "failed to connect to ipv4:10.0.0.7:8601")
    )
    assert type(got) is Unavailable
    assert "10.0.0.7" not in str(got)


@pytest.mark.parametrize(
    "details",
    [b"\xff\xff\xff", b"", status_pb2.Status(code=0).SerializeToString()],
    ids=["garbage", "empty", "another code"],
)
def test_details_that_contradict_the_code_are_ignored(details: bytes) -> None:
    error = rpc_error(grpc.StatusCode.NOT_FOUND, trailers=((status.DETAILS_KEY, details),))
    got = status.from_rpc_error(error)
    assert (type(got), got.reason) == (errors.NotFound, "NOT_FOUND")


def test_a_damaged_detail_does_not_hide_the_others() -> None:
    sent = status.to_status(errors.NotFound("gone", reason="WINE_NOT_FOUND"))
    broken = sent.details.add()
    broken.type_url = "type.googleapis.com/google.rpc.BadRequest"
    broken.value = b"\xff"
    assert status.from_status(sent).reason == "WINE_NOT_FOUND"
