"""Changes in part: named fields of products, and offers."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace

from retriever.catalog import products
from retriever.catalog.images import take_images
from retriever.catalog.uploads import Uploads, uploading
from retriever.domain.errors import FieldMaskInvalid, OfferInvalid, ProductInvalid
from retriever.domain.product import Offer, OfferDraft, ProductChange, ProductDraft, Stored
from retriever.domain.validation import check_price, check_product
from retriever.ports.catalog import CatalogRecord
from retriever.ports.photos import Photos
from servicekit.errors import FieldViolation, ServiceError
from servicekit.requests import check_count
from sightline_rules import ids

MAX_UPDATES = 100
MAX_OFFERS = 1_000
MOST_LISTED = 20
"""Wrong names of a mask that an error lists."""

_CONTENT = {
    name: name
    for name in (
        "parent_id",
        "title",
        "description",
        "category_path",
        "brand",
        "price",
        "availability",
        "tags",
        "attributes",
        "language_code",
        "uri",
    )
} | {"images": "image_ids"}
"""Fields that a mask may name, and what ProductContent calls them."""
_READ_ONLY = frozenset({"create_time", "update_time", "etag"})


@dataclass(frozen=True, slots=True)
class UpdateDraft:
    """A change as a caller gave it, unchecked."""

    product: ProductDraft
    mask: tuple[str, ...]
    """Names of fields; none = those in `given`."""
    given: tuple[str, ...]
    """Names of the fields that are set in the product."""


async def update(
    catalog_id: str, drafts: Sequence[UpdateDraft], record: CatalogRecord, photos: Photos
) -> tuple[list[Stored | ServiceError], int]:
    """Change products in part, each with an outcome of its own; and the record's newest seq."""
    check_count("updates", len(drafts), MAX_UPDATES)
    product_ids = [draft.product.product_id for draft in drafts]
    again = products.repeated(product_ids, "updates[{}].product.product_id")
    async with uploading(catalog_id, photos, record) as uploads:
        prepared = await asyncio.gather(
            *(
                _prepare(draft, f"updates[{index}]", uploads, again.get(index))
                for index, draft in enumerate(drafts)
            )
        )
        changes = [change for change in prepared if isinstance(change, ProductChange)]
        outcomes, seq = await record.change(catalog_id, changes)
        uploads.keep(outcomes)
    stored = iter(outcomes)
    return [c if isinstance(c, ServiceError) else next(stored) for c in prepared], seq


async def _prepare(
    draft: UpdateDraft, path: str, uploads: Uploads, wrong: FieldViolation | None
) -> ProductChange | ServiceError:
    """The change, with its new photos stored; or why not."""
    if wrong is not None:
        return ProductInvalid(wrong)
    product, path_in = draft.product, f"{path}.product"
    try:
        named = _named(draft, f"{path}.update_mask")
        # A product that is fine but for what is named: each field is checked by itself.
        fine = ProductDraft(product_id=product.product_id, title="-")
        values = {name: getattr(product, name) for name in named}
        content = check_product(replace(fine, **values), path_in)
        given = product.images if "images" in named else ()
        image_ids, new = await take_images(given, path_in, uploads)
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
    """The fields to change. Raises FieldMaskInvalid."""
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
        return "product_id says which product it is and can't be changed"
    if name in _READ_ONLY:
        return f"{name} is set by the service"
    if name.partition(".")[0] in _CONTENT:
        return f"names a part of a field: name {name.partition('.')[0]}, which is replaced whole"
    return f"names no field of Product; known are {', '.join(sorted(_CONTENT))}"


async def update_offers(
    catalog_id: str, drafts: Sequence[OfferDraft], record: CatalogRecord
) -> tuple[list[Stored | ServiceError], int]:
    """Set prices and availability, each with an outcome of its own; and the newest seq."""
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
    price = check_price(note, draft.price)
    if not draft.availability_known:
        note("availability", "is not one of the known values")
    return OfferInvalid(*wrong) if wrong else Offer(draft.product_id, price, draft.availability)
