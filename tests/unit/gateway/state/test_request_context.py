"""The time of a request."""

import contextlib
from dataclasses import replace

import pytest

from servicekit import deadlines
from tests.fakes.gateway_peers import Shop


@pytest.mark.parametrize(("given", "used"), [(None, 2.0), (1.5, 1.5), (30.0, 10.0)])
def test_a_request_uses_its_deadline_up_to_the_longest(given: float | None, used: float) -> None:
    deps = replace(Shop().deps, default_seconds=2.0, longest_seconds=10.0, reserve_seconds=0.0)
    around = contextlib.nullcontext() if given is None else deadlines.within(given)
    with around, deps.in_time():
        left = deadlines.remaining()
    assert left is not None
    assert used - 1 < left <= used
