"""Models loaded for a fit: when, how often, and when they are unloaded."""

import asyncio

import pytest

from embedder.domain.errors import EmbedderUnavailable
from embedder.domain.models import FEATURES
from embedder.serving.model import ServedModel
from embedder.spaces.sources import ModelSources
from servicekit.errors import ServiceError
from tests.fakes.embedding import embedder_of
from tests.fakes.triton import DESCRIPTION, FakeInference
from tests.waiting import until

NAME = "tiny_features"


class Server:
    """Model server that records its calls."""

    def __init__(self) -> None:
        self.models: set[str] = set()
        self.calls: list[str] = []
        self.error: ServiceError | None = None

    async def loaded(self) -> set[str]:
        return self.models

    async def load(self, model: str) -> None:
        self.calls.append(f"load {model}")
        self.models.add(model)

    async def unload(self, model: str) -> None:
        self.calls.append(f"unload {model}")
        if self.error is not None:
            raise self.error
        self.models.discard(model)


@pytest.fixture
def server() -> Server:
    return Server()


def sources_of(server: Server, kept_seconds: float) -> ModelSources:
    inference = FakeInference(DESCRIPTION)
    served = ServedModel(inference, 30, DESCRIPTION.space or FEATURES)
    return ModelSources(
        embedder_of(inference),
        lambda _: served,
        repository=server,
        control=server,
        kept_seconds=kept_seconds,
    )


async def test_fits_that_follow_each_other_have_a_model_loaded_once(server: Server) -> None:
    sources = sources_of(server, 60)
    for _ in range(3):
        async with sources.backbone(NAME, "default") as source:
            assert source.description == DESCRIPTION
    assert server.calls == [f"load {NAME}"]
    await sources.close()
    assert server.calls == [f"load {NAME}", f"unload {NAME}"]


async def test_a_model_goes_some_time_after_the_last_fit(server: Server) -> None:
    sources = sources_of(server, 0.01)
    async with sources.backbone(NAME, "default"):
        await asyncio.sleep(0.05)
        assert server.models == {NAME}
    await until(lambda: not server.models)
    await sources.close()
    assert server.calls == [f"load {NAME}", f"unload {NAME}"]


async def test_what_was_there_already_stays(server: Server) -> None:
    server.models.add(NAME)
    sources = sources_of(server, 0)
    async with sources.backbone(NAME, "default"):
        pass
    await sources.close()
    assert server.calls == []


async def test_a_server_that_is_gone_at_the_end_holds_nobody_up(server: Server) -> None:
    sources = sources_of(server, 60)
    async with sources.backbone(NAME, "default"):
        pass
    server.error = EmbedderUnavailable("gone")
    await sources.close()
