"""The status of the suite."""

import asyncio

from gateway.admin.status import SuiteState, suite_state
from gateway.model.causes import Peer
from gateway.model.errors import PeerUnavailable
from gateway.model.peers import IndexState
from servicekit.errors import ServiceError
from sightline.embedder.v1.embedding_service_pb2 import Space
from sightline_core.versions import SpaceVersion
from tests import virtual_time

SPACE = SpaceVersion(space="visual", version="v1", generation="g1")


class Suite:
    """Peers that answer, fail or hang."""

    def __init__(self, ready: bool = True, indexed: int = 7, **fails: ServiceError | str) -> None:
        self.ready, self.indexed, self.fails = ready, indexed, fails
        self.texts = True

    async def _called(self, name: str) -> None:
        error = self.fails.get(name)
        if isinstance(error, ServiceError):
            raise error
        if error == "hang":
            await asyncio.Event().wait()

    async def spaces(self, catalog_id: str) -> tuple[Space, ...]:
        await self._called("spaces")
        return (Space(space="text"), Space(space="visual", version="v2", ready=self.ready))

    async def count(self, catalog_id: str, space: str) -> IndexState:
        await self._called("count")
        if space == "text":
            held = SpaceVersion(space="text", version="t1") if self.texts else None
            return IndexState(products=5, indexed=3, pending=2, failed=1, space=held)
        return IndexState(products=5, indexed=self.indexed, pending=1, failed=2, space=SPACE)

    async def serving_model(self, catalog_id: str) -> str:
        await self._called("serving_model")
        return "m1"


async def test_a_service_of_cameras_is_a_part_where_there_is_one() -> None:
    suite = Suite(cameras=PeerUnavailable(Peer.VISION))
    asked = [
        lambda: suite.spaces("default"),
        lambda: suite.count("default", "visual"),
        lambda: suite.count("default", "text"),
        lambda: suite.serving_model("default"),
    ]
    found = await suite_state(*asked, 1.0, cameras=lambda: suite._called("cameras"))
    assert reasons(found)["vision"] == "VISION_UNAVAILABLE"
    suite.fails = {}
    found = await suite_state(*asked, 1.0, cameras=lambda: suite._called("cameras"))
    assert reasons(found)["vision"] == ""
    assert "vision" not in reasons(await suite_state(*asked, 1.0))


async def state(suite: Suite, seconds: float = 1.0):
    return await suite_state(
        lambda: suite.spaces("default"),
        lambda: suite.count("default", "visual"),
        lambda: suite.count("default", "text"),
        lambda: suite.serving_model("default"),
        seconds,
    )


def images(found: SuiteState) -> tuple[int, int, int]:
    return found.images.indexed, found.images.pending, found.images.failed


def texts(found: SuiteState) -> tuple[int, int, int]:
    return found.texts.indexed, found.texts.pending, found.texts.failed


def reasons(found: SuiteState) -> dict[str, str]:
    return {item.name: item.error.reason if item.error else "" for item in found.components}


async def test_a_suite_that_is_well_says_so_with_its_numbers():
    found = await state(Suite())

    assert reasons(found) == dict.fromkeys(
        ("gateway", "embedder", "triton", "retriever", "milvus", "ranker"), ""
    )
    assert found.images.products == 5
    assert images(found) == (7, 1, 2)
    assert texts(found) == (3, 2, 1)
    assert found.images.space == SPACE
    assert found.embedder_space_version == "v2"
    assert [item.space for item in found.embedder_spaces] == ["text", "visual"]
    assert found.model_version == "m1"


async def test_where_there_is_no_index_of_texts_none_waits():
    suite = Suite()
    suite.texts = False
    found = await state(suite)

    assert texts(found) == (0, 0, 0)


async def test_everything_down_is_still_an_answer():
    fails = {
        "spaces": PeerUnavailable(Peer.EMBEDDER),
        "count": PeerUnavailable(Peer.RETRIEVER),
        "serving_model": PeerUnavailable(Peer.RANKER),
    }
    found = await state(Suite(**fails))

    assert reasons(found) == {
        "gateway": "",
        "embedder": "EMBEDDER_UNAVAILABLE",
        "triton": "EMBEDDER_UNAVAILABLE",
        "retriever": "RETRIEVER_UNAVAILABLE",
        "milvus": "RETRIEVER_UNAVAILABLE",
        "ranker": "RANKER_UNAVAILABLE",
    }
    assert found.images.products == -1
    assert images(found) == texts(found) == (-1, -1, -1)
    assert found.model_version == ""


async def test_engines_are_kept_apart_from_the_services_in_front_of_them():
    found = reasons(await state(Suite(ready=False, indexed=-1)))

    assert (found["embedder"], found["triton"]) == ("", "TRITON_UNAVAILABLE")
    assert (found["retriever"], found["milvus"]) == ("", "INDEX_UNAVAILABLE")


def test_peers_that_hang_are_waited_for_side_by_side_and_no_longer_than_said():
    hanging = Suite(spaces="hang", count="hang", serving_model="hang")
    found, seconds = virtual_time.run(state(hanging, seconds=2))

    assert seconds < 2.1
    assert reasons(found)["ranker"] == "RANKER_UNAVAILABLE"


async def test_the_model_that_counts_is_that_of_the_version_that_the_index_holds():
    class Rolling(Suite):
        async def spaces(self, catalog_id: str) -> tuple[Space, ...]:
            return (
                Space(space="visual", version="v2", default_version=True),
                Space(space="visual", version="v1", ready=True),
            )

    found = await state(Rolling())

    assert reasons(found)["triton"] == ""
    assert found.embedder_space_version == "v2"
