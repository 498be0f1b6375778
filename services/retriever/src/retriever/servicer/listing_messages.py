"""Listings: messages to values and back."""

from collections.abc import Sequence

from retriever.domain.product import Product
from retriever.search.listing import ListingPage, ListingQuery
from retriever.servicer import facet_messages, filter_messages
from sightline.common.v1 import product_pb2
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
    page: ListingPage, products: Sequence[product_pb2.Product], catalog_products: int
) -> products_pb.BrowseProductsResponse:
    """Return the message of a page with those of its products that still pass."""
    ids = [page.view.table.ids[place] for place in page.places]
    beside = dict(zip(ids, page.variants, strict=True))
    variants = [beside[product.product_id] for product in products]
    return products_pb.BrowseProductsResponse(
        products=products,
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


def add_costs(response: products_pb.BrowseProductsResponse, products: Sequence[Product]) -> None:
    """Add the costs of the response's products, in their order."""
    costs = [product.content.cost for product in products]
    response.cost_micros.extend(-1 if cost is None else cost.micros for cost in costs)
    response.cost_currencies.extend("" if cost is None else cost.currency for cost in costs)
