"""Listings: messages to values and back."""

from collections.abc import Sequence
from typing import cast

from retriever.search.listing import ListingPage, ListingQuery
from retriever.servicer import facet_messages
from sightline.common.v1 import facet_pb2
from sightline.retriever.v1 import product_service_pb2 as products_pb
from sightline_core.columns import ProductColumns
from sightline_core.lending import ReadFilter
from sightline_core.search import ListingRequest
from sightline_rules.markets import within


def asked(request: products_pb.BrowseProductsRequest) -> ListingRequest:
    """Return what a message asks for, without its filters."""
    return ListingRequest(
        order=request.order,
        size=request.page_size,
        token=request.page_token,
        text=request.text,
        language_code=request.language_code,
        exclude=request.exclude_product_ids,
        exclude_families=request.exclude_family_product_ids,
        ranked=request.ranked_product_ids,
        last_ids=request.last_product_ids,
        facets=request.facets,
        known_state=request.known_state,
        costs=request.costs,
    )


def query(
    catalog_id: str, asked: ListingRequest, passing: ReadFilter, last: ReadFilter | None
) -> ListingQuery:
    """Return the query of a request. Raises RequestInvalid, FacetInvalid."""
    market_id = passing.market_id
    counted = cast(Sequence[facet_pb2.FacetRequest], asked.facets)
    return ListingQuery(
        catalog_id=catalog_id,
        order=asked.order,
        condition=passing.condition,
        market_id=market_id,
        size=asked.size,
        token=asked.token,
        text=asked.text,
        language_code=asked.language_code,
        excluded=tuple(asked.exclude),
        excluded_families=tuple(asked.exclude_families),
        last=None if last is None else within(last.condition, market_id),
        last_ids=tuple(asked.last_ids),
        ranked=tuple(asked.ranked),
        facets=tuple(facet_messages.asked(counted, market_id)) if counted else (),
        known_state=asked.known_state,
    )


def variants(page: ListingPage, places: Sequence[int]) -> Sequence[Sequence[str]]:
    """Return the variants of the products at these places, which still pass; empty if no product
    has any."""
    if not any(page.variants):
        return ()
    beside = dict(zip(page.places, page.variants, strict=True))
    found = [beside[place] for place in places]
    return found if any(found) else ()


def response(
    page: ListingPage, places: Sequence[int], catalog_products: int
) -> products_pb.BrowseProductsResponse:
    """Return the message of a page without its products. `places`: those that still pass."""
    return products_pb.BrowseProductsResponse(
        variants=[products_pb.VariantIds(product_ids=each) for each in variants(page, places)],
        product_count=page.total,
        facets=map(facet_messages.message, page.facets),
        next_page_token=page.next_token,
        state=page.state,
        not_modified=page.not_modified,
        catalog_product_count=catalog_products,
    )


def add_costs(response: products_pb.BrowseProductsResponse, columns: ProductColumns) -> None:
    """Add the costs of the response's products, which have these columns."""
    response.cost_micros.extend(columns.read("cost_micros", -1))
    response.cost_currencies.extend(columns.read("cost_currencies", ""))
