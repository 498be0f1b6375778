"""A server that speaks Triton's protocol, and one of its models."""

from collections.abc import AsyncIterator

import pytest

from embedder.adapters.triton.client import Triton, TritonInference
from tests.fakes.triton import FakeTriton
from tests.waiting import SECONDS


@pytest.fixture
def triton() -> FakeTriton:
    return FakeTriton()


@pytest.fixture
async def served(triton: FakeTriton) -> AsyncIterator[TritonInference]:
    async with (
        triton.serving() as port,
        Triton(f"127.0.0.1:{port}", timeout=SECONDS) as server,
    ):
        yield server.inference("efficientnet_lite0")
