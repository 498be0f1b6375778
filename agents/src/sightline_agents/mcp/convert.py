"""Values of the client as answers of the tools."""

from collections.abc import Iterable
from decimal import Decimal
from typing import Any
from urllib.parse import quote

from sightline_agents.catalog.texts import DESCRIPTION, identifier, shown
from sightline_agents.mcp import outputs
from sightline_client.values import answers, explanations, facets, products
from sightline_client.values.money import Money

PHOTO = "sightline://photos/{image_id}"
PRODUCT = "sightline://products/{product_id}"
_CENT = Decimal("0.01")
_MOST_PARTS = 12
_MOST_ATTRIBUTES = 60
_MOST_TAGS = 40


def photo_uri(image_id: str) -> str:
    """Return the address of the resource with a photo."""
    return PHOTO.format(image_id=quote(image_id, safe=""))


def page(found: answers.Recommendations) -> outputs.Page:
    """Return an answer."""
    return outputs.Page(
        products=list(map(ranked, found.results)),
        no_good_match=found.no_good_match,
        match="" if found.match is None else shown(found.match.text),
        missing_product_ids=[identifier(each) for each in found.missing_product_ids],
        degraded=degraded(found.degradations),
        next_page_token=found.next_page_token,
        attribution_token=found.attribution_token,
    )


def listing(found: answers.Listing) -> outputs.ListPage:
    """Return a page of a listing."""
    return outputs.ListPage(
        products=list(map(ranked, found.results)),
        product_count=found.product_count,
        facets=list(map(facet, found.facets)),
        degraded=degraded(found.degradations),
        next_page_token=found.next_page_token,
    )


def ranked(found: answers.RecommendedProduct) -> outputs.RankedProduct:
    """Return a product of an answer."""
    return outputs.RankedProduct(
        **_short(found.product, found.matched_image_id),
        rank=found.rank,
        reasons=[shown(each.text) for each in found.reasons[:3]],
    )


def details(product: products.Product) -> outputs.ProductDetails:
    """Return a whole product."""
    attributes: dict[str, list[str | float | bool]] = {}
    for each in product.attributes[:_MOST_ATTRIBUTES]:
        value = shown(each.value) if isinstance(each.value, str) else each.value
        attributes.setdefault(each.key, []).append(value)
    return outputs.ProductDetails(
        **_short(product),
        description=shown(product.description, DESCRIPTION),
        tags=[shown(tag) for tag in product.tags[:_MOST_TAGS]],
        attributes=attributes,
        stock=product.stock,
        photos=[photo_uri(each.image_id) for each in product.images],
        parent_id=identifier(product.parent_id),
        update_time="" if product.update_time is None else product.update_time.isoformat(),
        etag=product.etag,
    )


def explained(found: explanations.Explanation) -> outputs.Explained:
    """Return an explanation."""
    score, rejection, last = found.score, found.rejection, found.last_shown
    parts = () if score is None else score.parts
    strongest = sorted(parts, key=lambda part: -abs(part.value))[:_MOST_PARTS]
    return outputs.Explained(
        outcome=found.outcome,
        text=shown(found.text, DESCRIPTION),
        rank=found.rank,
        reasons=[] if score is None else [shown(each.text) for each in score.reasons[:5]],
        parts=[outputs.ScorePart(name=each.name, value=each.value) for each in strongest],
        failed_condition="" if rejection is None else shown(rejection.condition),
        failed_values=[] if rejection is None else [shown(each) for each in rejection.held[:10]],
        collapsed_into_product_id=identifier(found.collapsed_into_product_id),
        last_shown_product_id="" if last is None else identifier(last.product_id),
        degraded=degraded(found.degradations),
    )


def facet(found: facets.Facet) -> outputs.Facet:
    """Return the counts of a field."""
    values = [
        outputs.FacetValue(
            value=shown(each.text), product_count=each.product_count, filter=each.filter_text
        )
        for each in found.values
    ]
    return outputs.Facet(
        field=found.field,
        values=values,
        more_count=found.more_count,
        missing_count=found.missing_count,
    )


def degraded(found: Iterable[answers.Degradation]) -> list[str]:
    """Return what an answer lacks, a sentence each."""
    return [f"{each.stage}: {each.cause}; {shown(each.substitute)}" for each in found]


def _short(product: products.Product, image_id: str = "") -> dict[str, Any]:
    first = image_id or next((each.image_id for each in product.images), "")
    return {
        "product_id": identifier(product.product_id),
        "title": shown(product.title),
        "brand": shown(product.brand),
        "category": shown(" > ".join(product.category_path)),
        "price": None if product.price is None else _price(product.price),
        "availability": product.availability,
        "rating": product.rating,
        "rating_count": product.rating_count,
        "photo": photo_uri(first) if first else "",
        "uri": shown(product.uri, 2_048),
    }


def _price(price: Money) -> outputs.Price:
    """Return an amount with two decimals, or as many more as it has."""
    rounded = price.amount.quantize(_CENT)
    exact = rounded if rounded == price.amount else price.amount.normalize()
    return outputs.Price(amount=f"{exact:f}", currency=price.currency)
