"""Listings: messages to values and back."""

from collections.abc import Sequence

import numpy as np

from retriever.columns.table import ProductTable
from retriever.search.listing import ListingPage, ListingQuery
from retriever.servicer import facet_messages, filter_messages
from sightline.retriever.v1 import product_service_pb2 as products_pb
from sightline_rules.markets import within


def query(catalog_id: str, request: products_pb.BrowseProductsRequest) -> ListingQuery:
    """Return the query of a request. Raises RequestInvalid, FilterInvalid, FacetInvalid."""
    buried, market_id = request.HasField("last_filter"), request.filter.market_id
    condition = filter_messages.condition(request.filter)
    last = filter_messages.condition(request.last_filter) if buried else None
    return ListingQuery(
        catalog_id=catalog_id,
        order=request.order,
        condition=condition,
        market_id=market_id,
        size=request.page_size,
        token=request.page_token,
        text=request.text,
        language_code=request.language_code,
        excluded=tuple(request.exclude_product_ids),
        excluded_families=tuple(request.exclude_family_product_ids),
        last=None if last is None else within(last, market_id),
        last_ids=tuple(request.last_product_ids),
        ranked=tuple(request.ranked_product_ids),
        facets=tuple(facet_messages.asked(request.facets, market_id)) if request.facets else (),
        known_state=request.known_state,
    )


def response(
    page: ListingPage, places: Sequence[int], catalog_products: int
) -> products_pb.BrowseProductsResponse:
    """Return the message of a page without its products. `places`: those that still pass."""
    variants: list[Sequence[str]] = []
    if any(page.variants):
        beside = dict(zip(page.places, page.variants, strict=True))
        variants = [beside[place] for place in places]
    return products_pb.BrowseProductsResponse(
        variants=[products_pb.VariantIds(product_ids=each) for each in variants]
        if any(variants)
        else [],
        product_count=page.total,
        facets=map(facet_messages.message, page.facets),
        next_page_token=page.next_token,
        state=page.state,
        not_modified=page.not_modified,
        catalog_product_count=catalog_products,
    )


def add_costs(
    response: products_pb.BrowseProductsResponse, table: ProductTable, places: Sequence[int]
) -> None:
    """Add the costs of the response's products, which are at these places of the table."""
    micros, currencies = table.column("cost").cells(np.asarray(places, np.int64))
    response.cost_micros.extend(micros)
    response.cost_currencies.extend(currencies)
