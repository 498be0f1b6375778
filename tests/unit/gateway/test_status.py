"""How the suite is."""

import asyncio

from gateway.model import IndexState, Peer, PeerUnavailable, SpaceState, SpaceVersion
from gateway.status import look
from servicekit.errors import ServiceError

SPACE = SpaceVersion("visual", "v1", "g1")


class Suite:
    """Peers that answer, fail or hang."""

    def __init__(self, ready: bool = True, indexed: int = 7, **lost: ServiceError | str) -> None:
        self.ready, self.indexed, self.lost = ready, indexed, lost

    async def _called(self, name: str) -> None:
        error = self.lost.get(name)
        if isinstance(error, ServiceError):
            raise error
        if error == "hang":
            await asyncio.Event().wait()

    async def spaces(self, catalog_id: str) -> tuple[SpaceState, ...]:
        await self._called("spaces")
        return (SpaceState("text", "", False), SpaceState("visual", "v2", self.ready))

    async def count(self, catalog_id: str) -> IndexState:
        await self._called("count")
        return IndexState(5, self.indexed, 1, 2, SPACE, None)

    async def serving_model(self, catalog_id: str) -> str:
        await self._called("serving_model")
        return "m1"


async def state(suite: Suite, seconds: float = 1.0):
    return await look("default", suite, suite, suite, seconds)


def reasons(found):
    return {item.component: item.error.reason if item.error else "" for item in found.components}


async def test_a_suite_that_is_well_says_so_with_its_numbers():
    found = await state(Suite())

    assert reasons(found) == dict.fromkeys(
        ("gateway", "embedder", "triton", "retriever", "milvus", "ranker"), ""
    )
    assert (found.products, found.indexed_images, found.pending_images, found.failed_images) == (
        (5, 7, 1, 2)
    )
    assert found.visual_space == SPACE
    assert found.embedder_space_version == "v2"
    assert [item.space for item in found.embedder_spaces] == ["text", "visual"]
    assert found.model_version == "m1"


async def test_everything_down_is_still_an_answer():
    lost = {
        "spaces": PeerUnavailable(Peer.EMBEDDER),
        "count": PeerUnavailable(Peer.RETRIEVER),
        "serving_model": PeerUnavailable(Peer.RANKER),
    }
    found = await state(Suite(**lost))

    assert reasons(found) == {
        "gateway": "",
        "embedder": "EMBEDDER_UNAVAILABLE",
        "triton": "EMBEDDER_UNAVAILABLE",
        "retriever": "RETRIEVER_UNAVAILABLE",
        "milvus": "RETRIEVER_UNAVAILABLE",
        "ranker": "RANKER_UNAVAILABLE",
    }
    assert (found.products, found.indexed_images, found.pending_images, found.failed_images) == (
        (-1, -1, -1, -1)
    )
    assert found.model_version == ""


async def test_engines_are_told_apart_from_the_services_in_front_of_them():
    found = reasons(await state(Suite(ready=False, indexed=-1)))

    assert (found["embedder"], found["triton"]) == ("", "TRITON_UNAVAILABLE")
    assert (found["retriever"], found["milvus"]) == ("", "INDEX_UNAVAILABLE")


async def test_peers_that_hang_are_waited_for_side_by_side_and_no_longer_than_said():
    start = asyncio.get_running_loop().time()
    found = await state(Suite(spaces="hang", count="hang", serving_model="hang"), seconds=2)

    assert asyncio.get_running_loop().time() - start < 5
    assert reasons(found)["ranker"] == "RANKER_UNAVAILABLE"


async def test_the_model_that_counts_is_that_of_the_version_that_the_index_holds():
    class Rolling(Suite):
        async def spaces(self, catalog_id: str) -> tuple[SpaceState, ...]:
            return (
                SpaceState("visual", "v2", False, default=True),
                SpaceState("visual", "v1", True),
            )

    found = await state(Rolling())

    assert reasons(found)["triton"] == ""
    assert found.embedder_space_version == "v2"
