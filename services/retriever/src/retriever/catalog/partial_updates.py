"""Partial updates of products: named fields, and offers."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace

from retriever.catalog import products
from retriever.catalog.images import CatalogPhotos, take_images
from retriever.domain.errors import FieldMaskInvalid, OfferInvalid, ProductInvalid
from retriever.domain.product import Offer, OfferDraft, ProductChange, ProductDraft, Stored
from retriever.domain.validation import check_money, check_product
from retriever.ports.photos import Photos
from retriever.record import Record
from servicekit.errors import FieldViolation, ServiceError
from servicekit.rpc.requests import check_count
from sightline_rules import ids, markets
from sightline_rules.fields import FIELDS, WRITTEN

MAX_UPDATES = 100
MAX_OFFERS = 1_000
MOST_LISTED = 20
"""Invalid names of a mask that an error lists, at most."""

_CONTENT = {field.wire: field.wire for field in WRITTEN} | {"images": "image_ids"}
"""Names in a mask, with the attributes of ProductContent."""
_READ_ONLY = frozenset({field.wire for field in FIELDS if not field.written} | {"etag"})


@dataclass(frozen=True, slots=True)
class UpdateDraft:
    """Partial update as a caller gave it, unchecked."""

    product: ProductDraft
    mask: tuple[str, ...]
    """Names of fields. If empty, those in `given`."""
    given: tuple[str, ...]
    """Names of the fields that are set in the product."""


async def update(
    catalog_id: str, drafts: Sequence[UpdateDraft], record: Record, photos: Photos
) -> tuple[list[Stored | ServiceError], int]:
    """Update fields of products. Return an outcome for each, and the record's newest commit."""
    check_count("updates", len(drafts), MAX_UPDATES)
    product_ids = [draft.product.product_id for draft in drafts]
    again = products.repeated(product_ids, "updates[{}].product.product_id")
    store = CatalogPhotos(catalog_id, photos)
    prepared = await asyncio.gather(
        *(
            _prepare(draft, f"updates[{index}]", store, again.get(index))
            for index, draft in enumerate(drafts)
        )
    )
    changes = [change for change in prepared if isinstance(change, ProductChange)]
    outcomes, seq = await record.change(catalog_id, changes)
    stored = iter(outcomes)
    return [c if isinstance(c, ServiceError) else next(stored) for c in prepared], seq


async def _prepare(
    draft: UpdateDraft, path: str, store: CatalogPhotos, wrong: FieldViolation | None
) -> ProductChange | ServiceError:
    """Return the change, with its new photos stored, or the error."""
    if wrong is not None:
        return ProductInvalid(wrong)
    product, path_in = draft.product, f"{path}.product"
    try:
        named = _named(draft, f"{path}.update_mask")
        # All other fields are valid: each named field is checked by itself.
        fine = ProductDraft(product_id=product.product_id, title="-")
        values = {name: getattr(product, name) for name in named}
        content = check_product(fine._replace(**values), path_in)
        given = product.images if "images" in named else ()
        image_ids, new = await take_images(given, path_in, store)
    except ServiceError as error:
        return error
    return ProductChange(
        replace(content, image_ids=image_ids),
        frozenset(_CONTENT[name] for name in named),
        new,
        product.etag,
        path_in,
    )


def _named(draft: UpdateDraft, path: str) -> frozenset[str]:
    """Return the fields to change. Raises FieldMaskInvalid."""
    if not draft.mask:
        return frozenset(draft.given) & _CONTENT.keys()
    wrong = [
        FieldViolation(f"{path}.paths[{index}]", _complaint(name))
        for index, name in enumerate(draft.mask)
        if name not in _CONTENT
    ]
    if wrong:
        raise FieldMaskInvalid(*wrong[:MOST_LISTED])
    return frozenset(draft.mask)


def _complaint(name: str) -> str:
    if name == "product_id":
        return "product_id identifies the product and can't be changed"
    if name in _READ_ONLY:
        return f"{name} is set by the service"
    if name.partition(".")[0] in _CONTENT:
        return f"names a part of a field: name {name.partition('.')[0]}, which is replaced whole"
    return f"names no field of Product; known are {', '.join(sorted(_CONTENT))}"


async def update_offers(
    catalog_id: str, drafts: Sequence[OfferDraft], record: Record
) -> tuple[list[Stored | ServiceError], int]:
    """Set prices and availability. Return an outcome for each, and the record's newest commit."""
    check_count("offers", len(drafts), MAX_OFFERS)
    again = products.repeated([draft.product_id for draft in drafts], "offers[{}].product_id")
    checked = [
        OfferInvalid(again[index]) if index in again else _check_offer(draft, f"offers[{index}]")
        for index, draft in enumerate(drafts)
    ]
    offers = [offer for offer in checked if isinstance(offer, Offer)]
    outcomes, seq = await record.offer(catalog_id, offers)
    stored = iter(outcomes)
    return [o if isinstance(o, ServiceError) else next(stored) for o in checked], seq


def _check_offer(draft: OfferDraft, path: str) -> Offer | OfferInvalid:
    wrong: list[FieldViolation] = []

    def note(field: str, description: str) -> None:
        wrong.append(FieldViolation(f"{path}.{field}", description))

    try:
        ids.check_id(draft.product_id)
    except ids.IdInvalidError as error:
        note("product_id", str(error))
    if draft.market_id and (problem := markets.problem(draft.market_id)):
        note("market_id", problem)
    price = check_money("price", note, draft.price) if draft.price else None
    if not draft.availability_known:
        note("availability", "is not one of the known values")
    if wrong:
        return OfferInvalid(*wrong)
    return Offer(draft.product_id, price, draft.availability, draft.market_id)
