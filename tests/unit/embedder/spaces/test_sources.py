"""Models loaded on demand: when, how often, and when they are unloaded."""

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
        self.hold: asyncio.Event | None = None
        """Set when an unload may end; None: at once."""

    async def loaded(self) -> set[str]:
        return self.models

    async def load(self, model: str) -> None:
        self.calls.append(f"load {model}")
        self.models.add(model)

    async def unload(self, model: str) -> None:
        self.calls.append(f"unload {model}")
        if self.error is not None:
            raise self.error
        if self.hold is not None:
            await self.hold.wait()
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


async def test_each_use_renews_the_time_until_a_model_is_unloaded(server: Server) -> None:
    sources = sources_of(server, 0.2)
    async with sources.loaded(NAME):
        pass
    for _ in range(10):
        await asyncio.sleep(0.05)
        with sources.kept(NAME):
            assert server.models == {NAME}
    await until(lambda: not server.models)
    assert server.calls == [f"load {NAME}", f"unload {NAME}"]


async def test_a_model_stays_for_a_long_use_while_short_ones_end(server: Server) -> None:
    sources = sources_of(server, 0.01)
    async with sources.loaded(NAME):
        with sources.kept(NAME):
            pass
        await asyncio.sleep(0.05)
        assert server.models == {NAME}
    await until(lambda: not server.models)


async def test_a_use_that_comes_while_a_model_is_unloaded_waits_and_loads_it_again(
    server: Server,
) -> None:
    sources = sources_of(server, 0)
    server.hold = asyncio.Event()
    async with sources.loaded(NAME):
        pass
    await until(lambda: f"unload {NAME}" in server.calls)
    asyncio.get_running_loop().call_later(0.02, server.hold.set)
    async with sources.loaded(NAME):
        assert server.models == {NAME}
    assert server.calls == [f"load {NAME}", f"unload {NAME}", f"load {NAME}"]
    await sources.close()


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
