"""Texts that the embedder lends to embed, beside those that it is sent."""

import asyncio
from unittest.mock import Mock

import pytest

from embedder.domain.items import Priority
from embedder.domain.urgency import urgency
from embedder.servicer.embedding import EmbeddingServicer
from embedder.servicer.lent import Lent
from servicekit import deadlines
from servicekit.errors import ServiceError
from servicekit.rpc.requests import CatalogNotFound
from servicekit.status import to_status
from sightline.common.v1 import vector_pb2
from sightline.embedder.v1 import embedding_service_pb2 as pb
from tests.fakes.embedding import embedder_of
from tests.fakes.triton import FakeInference
from tests.unit.embedder.embedding.test_texts import READER


def servicer_of(reader: FakeInference) -> EmbeddingServicer:
    return EmbeddingServicer(
        embedder_of(texts=(reader,)),
        *(Mock(), Mock(), ("default",)),
        faces=Mock(),
        labels=Mock(),
        regions=Mock(),
    )


async def embed(
    servicer: EmbeddingServicer, texts: list[str], catalog_id: str = ""
) -> list[object]:
    bulk, options = (
        vector_pb2.PRIORITY_BULK,
        {"space": "text", "version": "", "language_code": "de"},
    )
    found, _ = await Lent(servicer).embed_texts(catalog_id, texts, bulk, **options)
    return [to_status(each) if isinstance(each, ServiceError) else each for each in found]


async def test_a_lent_text_has_the_vector_or_the_error_of_a_sent_one() -> None:
    asked_as = list[Priority | None]()
    reader = FakeInference(READER, watch=lambda: asked_as.append(urgency.get()))
    servicer, texts = servicer_of(reader), ["red wine", "", "blue"]
    items = [pb.EmbedItem(text=text, space="text", query_language="de") for text in texts]
    sent = pb.BatchEmbedRequest(items=items, priority=vector_pb2.PRIORITY_BULK)
    response = await servicer.BatchEmbed(sent, None)
    expected = [each.status if each.status.code else each.vector for each in response.results]
    assert await embed(servicer, texts) == expected
    assert urgency.get() is None, "the borrower goes on in this task"
    assert [type(each) for each in expected].count(vector_pb2.Vector) == 2
    assert {*asked_as} == {Priority.BULK}


async def test_a_lent_text_ends_before_its_call() -> None:
    servicer = servicer_of(FakeInference(READER, gate=asyncio.Event()))
    deadlines.start(0.1)
    (status,) = await embed(servicer, ["red"])
    assert "DEADLINE" in str(status)


async def test_a_lent_text_belongs_to_a_known_catalog() -> None:
    with pytest.raises(CatalogNotFound):
        await embed(servicer_of(FakeInference(READER)), ["red"], "none")
