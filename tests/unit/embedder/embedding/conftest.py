"""A model in this process, and what is asked of it."""

from collections.abc import Sequence

import pytest

from embedder.domain.items import Item, Outcome, Priority
from embedder.embedding.embed import Embedder
from servicekit.errors import ServiceError
from servicekit.telemetry import Stages
from tests.fakes.embedding import embedder_of
from tests.fakes.triton import (
    FakeInference,
)


@pytest.fixture
def inference() -> FakeInference:
    return FakeInference()


@pytest.fixture
def embedder(inference: FakeInference) -> Embedder:
    return embedder_of(inference)


async def run(
    embedder: Embedder,
    items: Sequence[Item],
    seconds: float | None = None,
    priority: Priority = Priority.INTERACTIVE,
) -> list[Outcome]:
    return await embedder.embed(items, "default", priority, Stages("test"), seconds)


def reasons(outcomes: Sequence[Outcome]) -> list[str]:
    return [o.reason if isinstance(o, ServiceError) else "" for o in outcomes]


def shades(count: int) -> list[Item]:
    return [Item(photo=bytes([i + 1])) for i in range(count)]
