"""Searches in the retriever, and the products that they find."""

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import cast

import grpc

from servicekit.errors import Internal
from sightline.common.v1 import answer_pb2, filter_pb2, product_pb2, vector_pb2
from sightline.retriever.v1 import (
    product_service_pb2,
    product_service_pb2_grpc,
    vector_service_pb2,
)
from sightline_rules.photo_products import SEARCHED, RegionMatches
from vision.adapters.peer_calls import call
from vision.adapters.product_vectors import SPACE, RetrieverVectors
from vision.domain.detections import (
    CallersFilter,
    Degradation,
    DegradationCause,
    IndexedSpace,
    PlannedProducts,
    SearchedRegion,
    StoredProduct,
)
from vision.domain.errors import RetrieverUnavailable
from vision.domain.objects import Floats

DAY_MICROS = 86_400_000_000

_ask = partial(call, unavailable=RetrieverUnavailable)


class RetrieverSearch(RetrieverVectors):
    """See ProductSearch in ports/detecting.py."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        super().__init__(channel)
        self._products = product_service_pb2_grpc.ProductServiceStub(channel)

    async def nearest(
        self, catalog_id: str, vector: Floats, version: str, condition: CallersFilter | None
    ) -> SearchedRegion:
        data = vector.astype("<f4").tobytes()
        request = vector_service_pb2.SearchRequest(
            catalog_id=catalog_id,
            vector=vector_pb2.Vector(
                space=SPACE, space_version=version, dimension=len(vector), data=data
            ),
            filter=_filter(condition),
            top_k=SEARCHED,
            collapse=vector_service_pb2.COLLAPSE_MARK,
        )
        answer = await _ask(self._vectors.Search, request)
        ids = answer.candidates.product_ids
        if not len(ids) == len(answer.similarities) == len(answer.image_ids):
            raise Internal("the retriever's columns differ in length", reason="INTERNAL")
        alike = frozenset(answer.collapsed[0].product_ids if answer.collapsed else ())
        space = answer.space
        return SearchedRegion(
            RegionMatches(ids, answer.similarities, answer.image_ids, alike),
            IndexedSpace(space.space, space.version, space.generation),
            tuple(_degradations(answer.degradations)),
        )

    async def products(
        self, catalog_id: str, product_ids: Sequence[str], condition: CallersFilter | None
    ) -> list[StoredProduct]:
        request = product_service_pb2.BatchGetProductsRequest(
            catalog_id=catalog_id,
            product_ids=product_ids,
            filter=_filter(condition),
            view=product_service_pb2.PRODUCT_VIEW_FULL,
        )
        answer = await _ask(self._products.BatchGetProducts, request)
        return list(map(_stored, answer.products))

    async def planned(
        self, catalog_id: str, product_ids: Sequence[str], condition: CallersFilter | None
    ) -> PlannedProducts:
        request = product_service_pb2.BatchGetProductsRequest(
            catalog_id=catalog_id,
            product_ids=product_ids,
            filter=_filter(condition),
            view=product_service_pb2.PRODUCT_VIEW_COLUMNS,
            explain_filter=True,
        )
        answer = await _ask(self._products.BatchGetProducts, request)
        ids = answer.columns.product_ids
        created = answer.columns.create_time_micros or [0] * len(ids)
        return PlannedProducts(
            {item: micros // DAY_MICROS for item, micros in zip(ids, created, strict=True)},
            frozenset(answer.missing_product_ids),
            {each.product_id: each.condition for each in answer.rejections},
        )

    async def photo(self, catalog_id: str, image_id: str) -> bytes:
        request = product_service_pb2.GetImageRequest(catalog_id=catalog_id, image_id=image_id)
        answer = await _ask(self._products.GetImage, request)
        return bytes(answer.image.content)


def _filter(condition: CallersFilter | None) -> filter_pb2.Filter | None:
    return cast(filter_pb2.Filter | None, condition)


def _stored(row: product_pb2.Product) -> StoredProduct:
    return StoredProduct(row.product_id, row.create_time.ToMicroseconds() // DAY_MICROS, row)


_CAUSES = {
    number: DegradationCause[name.removeprefix("CAUSE_")]
    for name, number in answer_pb2.Degradation.Cause.items()
    if name.removeprefix("CAUSE_") in DegradationCause.__members__
}


def _degradations(messages: Iterable[answer_pb2.Degradation]) -> Iterator[Degradation]:
    """Yield the degradations whose causes this release knows."""
    for each in messages:
        if each.cause in _CAUSES:
            yield Degradation(each.stage, _CAUSES[each.cause], each.substitute)
