"""Photos that do not fit their product, over real gRPC."""

from __future__ import annotations

from sightline.retriever.v1 import vector_service_pb2 as pb
from tests.fakes.photos import photo
from tests.wire.retriever_shop import Shop, either_way, exact_rows, refused, shop, vector, wine

__all__ = ["exact_rows", "shop"]  # fixtures


@either_way
async def test_a_photo_of_another_product_is_named_with_it(shop: Shop) -> None:
    # The fake embedder's vectors have nothing in common unless photos are the same.
    shared = photo(seed=3)
    first = wine("w1", 1, 3)
    written = await shop.upsert(first, wine("w2", 3, 4), wine("w3", 5))
    await shop.seen(written.index_token)
    page = await shop.vectors.ListMisfits(pb.ListMisfitsRequest())
    assert page.examined_count == 2
    found = {each.product_id: each for each in page.misfits}
    assert found["w1"].other_product_id == "w2"
    assert found["w1"].lead > 0.99
    assert page.space.space == "visual"
    assert vector(shared).dimension == len(vector(shared).data) // 4


async def test_bad_input_is_rejected_with_its_field(shop: Shop) -> None:
    with refused("INVALID_ARGUMENT", "REQUEST_INVALID"):
        await shop.vectors.ListMisfits(pb.ListMisfitsRequest(min_lead=3))
    with refused("NOT_FOUND", "CATALOG_NOT_FOUND"):
        await shop.vectors.ListMisfits(pb.ListMisfitsRequest(catalog_id="gone"))
