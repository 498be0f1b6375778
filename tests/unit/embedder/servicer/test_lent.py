"""Signals that the embedder lends to embed, beside those that it is sent."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from unittest.mock import Mock

import grpc
import pytest
from google.rpc.error_details_pb2 import ErrorInfo

from embedder.domain.items import Priority
from embedder.domain.photos import PhotoView, PreparedPhoto
from embedder.domain.urgency import urgency
from embedder.servicer.embedding import EmbeddingServicer
from embedder.servicer.lent import Lent
from gateway.clients.embedder import EmbedderClient
from gateway.clients.local_embedder import LocalEmbedder
from gateway.clients.peer_calls import PeerCaller
from gateway.model.causes import Peer
from gateway.model.query import Signal, SignalKind
from servicekit import deadlines
from servicekit.admission import access, quotas
from servicekit.admission.limits import REFUSED
from servicekit.admission.memory_budget import ByteBudget, BytesExhausted, holding, in_flight
from servicekit.admission.quotas import QuotaKind
from servicekit.errors import ServiceError
from servicekit.rpc.loans import Loan
from servicekit.rpc.requests import CatalogNotFound
from servicekit.status import to_status
from sightline.common.v1.photo_pb2 import Box
from sightline.common.v1.vector_pb2 import PRIORITY_BULK, Vector
from tests.fakes.embedding import FakeIntake, embedder_of
from tests.fakes.triton import FakeFetch, FakeInference, FakeNames
from tests.unit.embedder.embedding.test_photos import FITTED
from tests.unit.embedder.embedding.test_texts import READER
from tests.unit.gateway.clients.test_embedder import Ledger

ROOM = ByteBudget(100)


def servicer_of(*photos: FakeInference, **parts: Any) -> EmbeddingServicer:
    return EmbeddingServicer(
        embedder_of(*photos, **parts),
        *(Mock(), Mock(), ("default",)),
        faces=Mock(),
        labels=Mock(),
        regions=Mock(),
        patches=Mock(),
    )


class Looks(FakeIntake):
    """An intake that notes how photos were seen."""

    def __init__(self) -> None:
        super().__init__()
        self.looks = set[tuple[bytes, PhotoView]]()

    async def see(self, photo: bytes, recipe: Any, look: PhotoView, *more: Any) -> PreparedPhoto:
        self.looks.add((photo, look))
        stages, _ = more
        stages.decoding_seconds += 0.25
        return await super().see(photo, recipe, look, *more)


class Sent(PeerCaller):
    """A caller that sends nothing: the servicer gets the request."""

    async def call(self, method: Any, request: Any, **_: Any) -> Any:
        return await method(request, None)


def clients(servicer: EmbeddingServicer) -> tuple[EmbedderClient, LocalEmbedder]:
    """Return a client that sends, and one that borrows."""
    channel, loan = grpc.aio.insecure_channel("127.0.0.1:1"), Loan("embedder", Lent(servicer), ROOM)
    caller = Sent(Peer.EMBEDDER, reserve=0.0, longest=9.0)
    sends, lends = EmbedderClient(channel, caller), LocalEmbedder(channel, caller, lambda: loan)
    sends._stub = servicer  # type: ignore[assignment]
    return sends, lends


async def embedded(client: EmbedderClient, *signals: Signal, **options: Any) -> Any:
    """Return what a client gives, in a form that can be compared."""
    catalog_id, version = options.pop("catalog_id", ""), options.pop("version", "")
    options = {"space": "", **options}
    found = await client.embed(catalog_id, signals, PRIORITY_BULK, version, **options)
    return (
        [said(each) if isinstance(each, ServiceError) else each for each in found.items],
        [*found.classifications],
        [*map(list, found.match_cosines)],
        found.work is None,
    )


def said(error: ServiceError) -> list[Any]:
    """Return an error's status; its details are maps, which are written in any order."""
    status, info = to_status(error), ErrorInfo()
    return [
        *(status.code, status.message),
        *(
            (info.reason, {**info.metadata}) if each.Unpack(info) else each
            for each in status.details
        ),
    ]


def text(words: str) -> Signal:
    return Signal(0, SignalKind.TEXT, text=words)


def photo(data: bytes, box: Box | None = None) -> Signal:
    return Signal(0, SignalKind.IMAGE, image=data, box=box)


def address(uri: str) -> Signal:
    return Signal(0, SignalKind.IMAGE_URI, image_uri=uri)


async def test_a_lent_text_has_the_vector_or_the_error_of_a_sent_one() -> None:
    asked_as = list[Priority | None]()
    reader = FakeInference(READER, watch=lambda: asked_as.append(urgency.get()))
    sends, lends = clients(servicer_of(texts=(reader,)))
    signals = [*map(text, ("red wine", "", "blue"))]
    options = {"space": "text", "language_code": "de"}
    expected = await embedded(sends, *signals, **options)
    assert await embedded(lends, *signals, **options) == expected
    assert urgency.get() is None, "the borrower goes on in this task"
    assert [type(each) for each in expected[0]].count(Vector) == 2
    assert {*asked_as} == {Priority.BULK}


@pytest.mark.parametrize(
    "options",
    [{"classify": True}, {"views": 3, "space": "visual"}, {"space": "text"}, {"version": "none"}],
)
async def test_a_lent_photo_has_what_a_sent_one_has(options: dict[str, Any]) -> None:
    names = FakeNames([("Fruit", "Apple"), ("Dairy", "Milk")], [[[0.1, 0.2], [0.3, 0.4]]] * 4)
    page = {"https://shop.example/a": b"2"}
    readers, intake, fetch = (FakeInference(READER),), Looks(), FakeFetch({**page})
    servicer = servicer_of(
        FakeInference(FITTED), texts=readers, names=names, fetch=fetch, intake=intake
    )
    signals = [
        *(photo(data) for data in (b"1", b"", b"a large photo", b"cut")),
        *(photo(b"1", Box(left=0.5, top=0.1, right=right, bottom=1)) for right in (0.4, 0.75)),
        *map(address, (*page, "https://elsewhere.example/a")),
        text("red"),
    ]
    sends, lends = clients(servicer)
    expected, seen = await embedded(sends, *signals, **options), {*intake.looks}
    intake.looks.clear()
    assert await embedded(lends, *signals, **options) == expected
    assert intake.looks == seen
    if options.get("classify"):
        vectors, classifications, cosines, _ = expected
        assert [type(each) for each in vectors].count(Vector) == 4
        assert [each is not None for each in classifications] == [bool(each) for each in cosines]
        assert classifications.count(None) == len(signals) - 3


async def test_bytes_of_lent_photos_and_of_what_they_fetch_count_as_those_of_a_request() -> None:
    held = list[tuple[int, bool]]()

    class Fetch(FakeFetch):
        @asynccontextmanager
        async def fetched(self, uri: str) -> AsyncIterator[bytes]:
            async with holding(40):
                held.append((ROOM.free, in_flight.get() is outer))
                yield b"1"

    outer = (ByteBudget(0), "")
    in_flight.set(outer)
    _, lends = clients(servicer_of(FakeInference(FITTED), fetch=Fetch()))
    await embedded(lends, photo(b"12345"), address("https://shop.example/a"))
    assert held == [(55, False)]
    assert (ROOM.free, in_flight.get()) == (100, outer)
    refused = REFUSED.labels("embedder", "BYTES_EXHAUSTED")
    before = refused._value.get()
    async with ROOM.reserve(access.caller.get().name, 50):
        with pytest.raises(BytesExhausted):
            await embedded(lends, photo(b"1"))
    assert refused._value.get() == before + 1


async def test_a_lent_photo_is_charged_what_a_sent_one_is() -> None:
    for client in clients(servicer_of(FakeInference(FITTED), intake=Looks())):
        ledger = Ledger()
        quotas.account.set(ledger)
        await embedded(client, photo(b"1"), photo(b"2"))
        assert ledger.spent == [QuotaKind.DECODE_SECONDS]
        assert ledger.seconds == pytest.approx(0.5)


async def test_a_lent_signal_ends_before_its_call() -> None:
    gate = asyncio.Event()
    servicer = servicer_of(FakeInference(FITTED, gate=gate), texts=(FakeInference(READER),))
    deadlines.start(0.1)
    found, *_ = await embedded(clients(servicer)[1], photo(b"1"), text("red"))
    assert "DEADLINE" in str(found[0])


async def test_a_lent_signal_belongs_to_a_known_catalog() -> None:
    with pytest.raises(CatalogNotFound):
        await embedded(clients(servicer_of())[1], photo(b"1"), catalog_id="none")
