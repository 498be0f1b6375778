"""One caller floods the decoders beside others: real processes, counted turns."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from PIL import Image

from servicekit.admission.access import FOR, PeerName, PeersOnly
from servicekit.admission.fair_permits import FairSemaphore, Party, Permit
from sightline.common.v1 import photo_pb2
from sightline.embedder.v1 import embedding_service_pb2 as pb
from sightline.embedder.v1 import embedding_service_pb2_grpc as pb_grpc
from tests.fakes.photos import encoded, photo, picture
from tests.fakes.triton import LITE0
from tests.fakes.web import answer as page
from tests.waiting import SECONDS
from tests.wire.embedder_server import WEB, batch, reasons, served, triton, triton_port

pytestmark = pytest.mark.full

__all__ = ["triton", "triton_port"]  # fixtures

LARGE = 2_200
"""Side of a photo in pixels: eight are within the budget of a request."""


@pytest.fixture
async def flooded(triton_port: int) -> AsyncIterator[grpc.aio.Channel]:
    """Yield a channel to an embedder that knows the callers of its peers."""
    callers = PeersOnly(lambda *_: PeerName.GATEWAY)
    catalogs = ("default", "wine")
    async for channel in served(triton_port, 5_000_000, (LITE0,), callers, catalogs=catalogs):
        yield channel


COSTS = {"greedy": 1.0, "other": 0.1}
"""Costs that are charged for an item of each caller: measured ones depend on the machine."""


class Turns:
    """Requests for permits and granted permits of each semaphore, in order."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seen: list[tuple[int, str, str]] = []
        acquire, grant = FairSemaphore.acquire, FairSemaphore._grant
        release = FairSemaphore.release

        async def asks(
            turns: FairSemaphore, party: Party, urgency: int = 0, memory: int = 0
        ) -> Permit:
            self.seen.append((id(turns), "asks", party.caller))
            return await acquire(turns, party, urgency, memory)

        def gets(turns: FairSemaphore, permit: Permit) -> None:
            self.seen.append((id(turns), "gets", permit.party.caller))
            grant(turns, permit)

        def ends(turns: FairSemaphore, permit: Permit, cost: float) -> None:
            release(turns, permit, COSTS[permit.party.caller] if cost else 0.0)

        monkeypatch.setattr(FairSemaphore, "acquire", asks)
        monkeypatch.setattr(FairSemaphore, "release", ends)
        monkeypatch.setattr(FairSemaphore, "_grant", gets)

    def before(self, caller: str) -> list[int]:
        """Return the number of other callers' turns while each item of this caller waited."""
        found = []
        for at, (turns, what, who) in enumerate(self.seen):
            if (what, who) == ("asks", caller):
                others = 0
                for where, then, other in self.seen[at + 1 :]:
                    if where == turns and then == "gets":
                        if other == caller:
                            break
                        others += 1
                found.append(others)
        return found


def as_caller(name: str) -> tuple[tuple[str, str], ...]:
    return ((FOR, name),)


@contextlib.asynccontextmanager
async def flood(stub: Any, catalog: str) -> AsyncIterator[list[pb.BatchEmbedResponse]]:
    """Send eight large photos at a time, three times at once, while the block runs."""
    tiny = [
        encoded(Image.new("RGB", (LARGE, LARGE), (shade, 120, 200)), "AVIF", speed=10)
        for shade in range(8)
    ]
    answers: list[pb.BatchEmbedResponse] = []

    async def attack() -> None:
        while True:
            request = batch(*tiny, catalog_id=catalog)
            answers.append(
                await stub.BatchEmbed(request, timeout=SECONDS, metadata=as_caller("greedy"))
            )

    async with asyncio.TaskGroup() as attacks:  # an attack that fails ends the block
        tasks = [attacks.create_task(attack()) for _ in range(3)]
        yield answers
        for each in tasks:
            each.cancel()


@pytest.mark.parametrize("catalog", ["default", "wine"])
async def test_who_floods_the_decoders_takes_no_turns_of_another(
    flooded: grpc.aio.Channel, monkeypatch: pytest.MonkeyPatch, catalog: str
) -> None:
    turns, stub = Turns(monkeypatch), pb_grpc.EmbeddingServiceStub(flooded)
    async with flood(stub, "default"):
        while sum(what == "gets" for _, what, _ in turns.seen) < 20:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        for seed in range(10):
            request = batch(photo(seed=seed), catalog_id=catalog)
            answer = await stub.BatchEmbed(request, timeout=SECONDS, metadata=as_caller("other"))
            assert reasons(answer) == [""]
    waited = turns.before("other")
    assert len(waited) == 20, "once for the model's queue, once for a decoder"
    assert max(waited) <= 1, waited


async def test_nine_photos_over_the_budget_of_a_request_are_refused_undecoded(
    flooded: grpc.aio.Channel,
) -> None:
    large = [encoded(Image.new("RGB", (LARGE, LARGE)), "AVIF", speed=10)] * 9
    stub = pb_grpc.EmbeddingServiceStub(flooded)
    answer = await stub.BatchEmbed(batch(*large), timeout=SECONDS)
    assert reasons(answer) == ["IMAGES_TOO_LARGE"] * 9
    one = await stub.BatchEmbed(batch(large[0]), timeout=SECONDS)
    assert reasons(one) == [""]
    assert answer.decoding_time.ToNanoseconds() < one.decoding_time.ToNanoseconds()


async def test_a_shopper_s_photo_has_its_limit_at_every_entrance(triton_port: int) -> None:
    data = encoded(picture(1_001, 1_000), "PNG")
    async for channel in served(triton_port, 5_000_000, (LITE0,), max_query_photo_pixels=1_000_000):
        stub = pb_grpc.EmbeddingServiceStub(channel)
        (web,) = WEB
        web.pages["/large.png"] = page(data)
        catalogue = photo_pb2.PHOTO_KIND_CATALOGUE
        sent, addressed = (
            pb.EmbedItem(image=data),
            pb.EmbedItem(image_uri=web.url("/large.png", "127.0.0.1")),
        )
        found = await stub.BatchEmbed(
            pb.BatchEmbedRequest(
                items=[sent, addressed, pb.EmbedItem(image=data, photo_kind=catalogue)]
            )
        )
        assert reasons(found) == ["IMAGE_TOO_LARGE", "IMAGE_TOO_LARGE", ""]
        for item in (sent, addressed):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await stub.ComparePhotos(pb.ComparePhotosRequest(first=item, second=item))
            assert "1,000,000 are taken (EMBEDDER_MAX_QUERY_PHOTO_PIXELS)" in str(
                caught.value.details()
            )
