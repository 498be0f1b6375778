"""What the embedder answers, and the charge for decoding if it does not report it."""

import asyncio
from datetime import timedelta

import grpc
import pytest

from gateway.clients.embedder import EmbedderClient
from gateway.clients.peer_calls import PeerCaller
from gateway.model.causes import Peer
from gateway.model.query import Signal, SignalKind
from servicekit.admission import quotas
from servicekit.admission.quotas import CallerUsage, QuotaKind
from servicekit.errors import DeadlineExceeded, InvalidArgument, Unavailable
from sightline.common.v1 import answer_pb2
from sightline.embedder.v1 import embedding_service_pb2 as pb


class Ledger(CallerUsage):
    """Recorder of spent amounts."""

    def __init__(self) -> None:
        super().__init__({}, 1.0, lambda: 0.0)
        self.spent: list[QuotaKind] = []
        self.seconds = 0.0

    def spend(self, quota: QuotaKind, amount: float = 1.0) -> None:
        assert amount > 0
        self.spent.append(quota)
        self.seconds += amount


class Answering(PeerCaller):
    """Stub that makes no call and returns a fixed answer."""

    def __init__(self, answer: pb.BatchEmbedResponse) -> None:
        super().__init__(Peer.EMBEDDER, reserve=0.0, longest=1.0)
        self.answer = answer

    async def call(self, *_: object, **__: object) -> object:
        return self.answer


class Failing(PeerCaller):
    """Stub that makes no call and raises a fixed error."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(Peer.EMBEDDER, reserve=0.0, longest=1.0)
        self.error = error

    async def call(self, *_: object, **__: object) -> object:
        raise self.error


@pytest.mark.parametrize(
    ("error", "counted"),
    [
        (DeadlineExceeded("late", reason="DEADLINE_EXCEEDED"), True),
        (asyncio.CancelledError(), True),
        (InvalidArgument("damaged", reason="IMAGE_UNDECODABLE"), True),
        (Unavailable("gone", reason="EMBEDDER_UNAVAILABLE"), False),
    ],
)
@pytest.mark.parametrize(("kind", "decodes"), [(SignalKind.IMAGE, True), (SignalKind.TEXT, False)])
async def test_who_does_not_wait_for_a_photo_pays_for_the_time_until_then(
    error: BaseException, counted: bool, kind: SignalKind, decodes: bool
) -> None:
    ledger = Ledger()
    quotas.account.set(ledger)
    signal = Signal(0, kind, image=b"a photo", text="a text")
    async with grpc.aio.insecure_channel("127.0.0.1:1") as channel:
        client = EmbedderClient(channel, Failing(error))
        with pytest.raises(type(error)):
            await client.embed("default", [signal], 0, "", space="")
    assert ledger.spent == ([QuotaKind.DECODE_SECONDS] if counted and decodes else [])


async def test_photos_are_charged_the_processor_time_that_the_embedder_measured() -> None:
    waited = answer_pb2.StageTiming(stage="intake", total=timedelta(seconds=9))
    answer = pb.BatchEmbedResponse(results=[pb.EmbedResult()], stage_timings=[waited])
    answer.decoding_time.FromTimedelta(timedelta(seconds=0.25))
    ledger = Ledger()
    quotas.account.set(ledger)
    async with grpc.aio.insecure_channel("127.0.0.1:1") as channel:
        client = EmbedderClient(channel, Answering(answer))
        await client.embed("default", [Signal(0, SignalKind.IMAGE, image=b"a")], 0, "", space="")
    assert ledger.seconds == pytest.approx(0.25)


async def test_each_photo_has_the_cosines_of_good_matches_that_the_embedder_returns() -> None:
    results = [pb.EmbedResult(match_cosines=[0.25, 0.5]), pb.EmbedResult()]  # an older embedder
    photos = [Signal(place, SignalKind.IMAGE, image=b"a") for place in range(2)]
    quotas.account.set(Ledger())
    async with grpc.aio.insecure_channel("127.0.0.1:1") as channel:
        answer = pb.BatchEmbedResponse(results=results)
        answer.decoding_time.FromTimedelta(timedelta(seconds=0.25))
        client = EmbedderClient(channel, Answering(answer))
        found = await client.embed("default", photos, 0, "", space="")
    assert [list(each) for each in found.match_cosines] == [[0.25, 0.5], []]
