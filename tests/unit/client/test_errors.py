"""Errors carry the server's message, and every code has a class."""

from datetime import timedelta

import grpc
import pytest
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc import code_pb2, error_details_pb2, status_pb2

from sightline_client import InvalidRequest, ServerFault, SightlineError, Unavailable, errors
from tests.fakes import gateway_messages


def test_every_code_but_ok_has_its_kind_of_error() -> None:
    assert set(errors.BY_CODE) == set(grpc.StatusCode) - {grpc.StatusCode.OK}


def test_every_kind_of_error_stands_in_the_tree_at_the_top_of_its_file() -> None:
    assert errors.__doc__ is not None
    for kind in {*errors.BY_CODE.values(), SightlineError}:
        assert f"{kind.__name__} " in errors.__doc__ or f"{kind.__name__}\n" in errors.__doc__


def test_reason_fields_and_wait_come_from_the_details() -> None:
    error = errors.from_status(
        gateway_messages.status(
            code_pb2.INVALID_ARGUMENT,
            "bad filter",
            reason="FILTER_INVALID",
            violations=(("filter.comparison.field", "unknown field"),),
            retry_after=timedelta(seconds=1.5),
        )
    )
    assert isinstance(error, InvalidRequest)
    assert (error.reason, error.message) == ("FILTER_INVALID", "bad filter")
    assert [(v.field, v.description) for v in error.violations] == [
        ("filter.comparison.field", "unknown field")
    ]
    assert error.retry_after == timedelta(seconds=1.5)
    assert error.failure.metadata == {"by": "fake"}
    assert str(error) == ("FILTER_INVALID: bad filter (filter.comparison.field: unknown field)")


def test_a_status_without_details_still_becomes_its_kind() -> None:
    error = errors.from_status(status_pb2.Status(code=code_pb2.UNAVAILABLE, message="down"))
    assert isinstance(error, Unavailable)
    assert (error.reason, error.violations, error.retry_after) == ("", (), None)


@pytest.mark.parametrize("code", [99, -1])
def test_a_code_that_grpc_does_not_know_is_a_server_fault(code: int) -> None:
    assert isinstance(errors.from_status(status_pb2.Status(code=code)), ServerFault)


def test_a_request_refused_here_names_its_field() -> None:
    error = errors.invalid("price", "not an amount")
    assert error.violations == (errors.FieldViolation("price", "not an amount"),)
    assert error.code is grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize("kind", ["ErrorInfo", "BadRequest", "RetryInfo"])
def test_details_that_are_damaged_are_left_out(kind: str) -> None:
    damaged = AnyMessage(type_url=f"type.googleapis.com/google.rpc.{kind}", value=b"\xff\xff")
    error = errors.from_status(status_pb2.Status(code=code_pb2.UNAVAILABLE, details=[damaged]))
    assert isinstance(error, Unavailable)
    assert (error.reason, error.violations, error.retry_after) == ("", (), None)


def test_a_wait_of_ages_is_no_wait_that_is_asked_for() -> None:
    retry = error_details_pb2.RetryInfo()
    retry.retry_delay.seconds = 2**60
    ages = AnyMessage()
    ages.Pack(retry)
    error = errors.from_status(status_pb2.Status(code=code_pb2.UNAVAILABLE, details=[ages]))
    assert error.retry_after is None
