"""A short run of the fuzzer over HTTP, which `make fuzz` does longer."""

import argparse

import pytest

from tests.fuzz import http, http_hooks
from tests.fuzz.model import Verdict


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ({"a": None}, True),
        ([{"a": {"b": [{"c": None}]}}], True),
        ({"a": [0, ""]}, False),
        ("", False),
    ],
)
def test_members_that_are_null_are_found_at_any_depth(body: object, found: bool) -> None:
    assert http_hooks.has_null(body) is found


@pytest.mark.full
def test_no_request_over_http_makes_the_server_fail() -> None:
    result = http.run(argparse.Namespace(http_minutes=0.2, seed=20), print)
    found = {each.name: each for each in result.checks}
    found.pop("over HTTP: every call was tried", None)  # not in so short a run
    assert http.NO_FAILURE in found
    assert {each.verdict for each in found.values()} == {Verdict.HELD}, result.checks
