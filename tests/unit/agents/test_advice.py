"""Tests of the advice to agents about failed calls."""

import re
from datetime import timedelta

import grpc
import pytest

from sightline_agents.catalog import advice
from sightline_client.errors import Failure, FieldViolation, make
from tests.engines import ROOT

ERRORS = (ROOT / "docs/integrate/errors.md").read_text("utf-8")


@pytest.mark.parametrize("reason", sorted(advice.BY_REASON))
def test_the_reason_is_one_of_the_suite_or_of_the_client(reason: str) -> None:
    assert reason == "GATEWAY_UNREACHABLE" or re.search(rf"\b{reason}\b", ERRORS)


def test_the_argument_is_named_as_the_tool_names_it() -> None:
    failure = Failure(
        code=grpc.StatusCode.INVALID_ARGUMENT,
        message="is invalid",
        reason="IMAGE_UNDECODABLE",
        violations=(FieldViolation("request.signals[0].image", "is no photo"),),
        retry_after=timedelta(seconds=2),
    )
    said = advice.of_error(make(failure))
    assert said.startswith("IMAGE_UNDECODABLE: image: is no photo. What to do: send")
    assert said.endswith("Wait 2 s before the next try.")


def test_every_failure_has_something_to_do() -> None:
    for code in grpc.StatusCode:
        said = advice.of_error(make(Failure(code=code, message="it failed")))
        assert said.startswith(f"{code.name}: it failed. What to do: ")
