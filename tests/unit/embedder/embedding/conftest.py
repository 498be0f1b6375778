"""A model in this process, and requests to it."""

from collections.abc import Sequence

import pytest

from embedder.domain.items import Item, ItemOutcome, Priority
from embedder.embedding.embed import ItemEmbedder
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
def embedder(inference: FakeInference) -> ItemEmbedder:
    return embedder_of(inference)


async def run(
    embedder: ItemEmbedder,
    items: Sequence[Item],
    seconds: float | None = None,
    priority: Priority = Priority.INTERACTIVE,
) -> list[ItemOutcome]:
    return await embedder.embed(items, "default", priority, Stages("test"), seconds)


def reasons(outcomes: Sequence[ItemOutcome]) -> list[str]:
    return [o.reason if isinstance(o, ServiceError) else "" for o in outcomes]


def shades(count: int) -> list[Item]:
    return [Item(photo=bytes([i + 1])) for i in range(count)]
