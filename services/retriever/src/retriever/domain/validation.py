"""Whether products are what the contract says: lengths, characters, counts."""

import re
from collections.abc import Callable, Sequence
from math import isfinite

from retriever.domain import product
from retriever.domain.errors import ProductInvalid
from servicekit.errors import FieldViolation
from sightline_rules import categories, filter_checks, filters, ids, kinds
from sightline_rules.filters import Availability, Money

_IMAGE_ID = re.compile(r"[0-9a-f]{64}")
_ATTRIBUTE_KEY = re.compile(r"[a-z0-9_.-]{1,64}")
_LANGUAGE = re.compile(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8}){0,7}")
_URI = re.compile(r"https?://[^\s\x00-\x1f\x7f-\x9f]+", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
"""Unicode's category Cc but for line feed, carriage return and tab."""
Note = Callable[[str, str], None]
"""Takes down a field, relative to the product, and what is wrong with it."""


def check_product(  # noqa: C901 - one check a field
    draft: product.ProductDraft, path: str
) -> product.ProductContent:
    """The product's content but for its photos. Raises ProductInvalid with all that is wrong."""
    wrong: list[FieldViolation] = []

    def note(field: str, description: str) -> None:
        wrong.append(FieldViolation(f"{path}.{field}", description))

    for field, value in (("product_id", draft.product_id), ("parent_id", draft.parent_id)):
        if field == "product_id" or value:
            try:
                ids.check_id(value)
            except ids.IdInvalidError as error:
                note(field, str(error))
    if draft.parent_id and draft.parent_id == draft.product_id:
        note("parent_id", "must not be the product itself")
    _check_text(note, "title", draft.title, 1, 512)
    _check_text(note, "description", draft.description, 0, 16_384)
    _check_text(note, "brand", draft.brand, 0, 256)
    try:
        categories.check_path(draft.category_path)
    except categories.CategoryInvalidError as error:
        note("category_path", str(error))
    _check_tags(note, draft.tags)
    attributes = _check_attributes(note, draft.attributes)
    _check_images(note, draft.images)
    if draft.language_code and not _LANGUAGE.fullmatch(draft.language_code):
        note("language_code", 'must be a BCP 47 code, like "en" or "zh-Hans"')
    if draft.uri and not (len(draft.uri) <= 2_048 and _URI.fullmatch(draft.uri)):
        note("uri", "must be an http or https address of at most 2,048 characters")
    if draft.availability is None:
        note("availability", "is not one of the known values")
    price = check_price(note, draft.price)
    if wrong:
        raise ProductInvalid(*wrong)
    return product.ProductContent(
        product_id=draft.product_id,
        title=draft.title,
        parent_id=draft.parent_id,
        description=draft.description,
        category_path=draft.category_path,
        brand=draft.brand,
        price=price,
        availability=draft.availability or Availability.IN_STOCK,
        tags=draft.tags,
        attributes=attributes,
        language_code=draft.language_code,
        uri=draft.uri,
    )


def _check_text(note: Note, field: str, text: str, least: int, most: int) -> None:
    if not least <= len(text) <= most:
        note(field, f"has {len(text)} characters; {least} to {most} are taken")
    elif _CONTROL.search(text):
        note(field, "must not contain control characters")


def _check_tags(note: Note, tags: Sequence[str]) -> None:
    if len(tags) > 64:
        note("tags", f"has {len(tags)} entries; at most 64 are taken")
    for index, tag in enumerate(tags[:64]):
        _check_text(note, f"tags[{index}]", tag, 1, 128)
    if len(set(tags)) != len(tags):
        note("tags", "holds a tag twice")


def _check_attributes(
    note: Note, given: Sequence[tuple[str, str | float | bool | None]]
) -> tuple[product.Attribute, ...]:
    most = kinds.MAX_ATTRIBUTES
    if len(given) > most:
        note("attributes", f"has {len(given)} entries; at most {most} are taken")
    types: dict[str, type] = {}
    checked = []
    for index, (key, value) in enumerate(given[:most]):
        field = f"attributes[{index}]"
        if not _ATTRIBUTE_KEY.fullmatch(key):
            note(f"{field}.key", "must be 1 to 64 of a-z, 0-9, _, . and -")
        if value is None:
            note(field, "has no value")
            continue
        if isinstance(value, str) and not 1 <= len(value.encode()) <= 512:
            note(f"{field}.text", "must have 1 to 512 bytes")
        if isinstance(value, float) and not isfinite(value):
            note(f"{field}.number", "must be finite")
        if key in types and not (types[key] is str and isinstance(value, str)):
            note(f"{field}.key", "is given twice; only texts may repeat")
        types[key] = type(value)
        checked.append(product.Attribute(key, value))
    return tuple(checked)


def _check_images(note: Note, given: Sequence[product.ImageDraft]) -> None:
    if len(given) > product.MAX_PHOTOS:
        note("images", f"has {len(given)} entries; at most {product.MAX_PHOTOS} are taken")
    for index, image in enumerate(given[: product.MAX_PHOTOS]):
        if image.image_id and not _IMAGE_ID.fullmatch(image.image_id):
            note(f"images[{index}].image_id", "must be 64 lower-case hexadecimal digits")
        if image.content and image.uri:
            note(f"images[{index}]", "has both content and uri; give one")


def check_price(note: Note, given: product.Amount | None) -> Money | None:
    """The price; what is wrong with it is noted under `price`."""
    if given is None:
        return None
    try:
        filter_checks.check_currency(given.currency, "")
    except filters.FilterInvalidError as error:
        note("price.currency_code", error.description)
    if not 0 <= given.nanos < 1_000_000_000 or given.nanos % 1_000:
        note("price.nanos", "must be from 0 to 999,999,999 with at most six decimals")
        return None
    micros = given.units * 1_000_000 + given.nanos // 1_000
    if not 0 <= micros < 2**63:
        note("price.units", "must be an amount from 0 to about 9.2e12")
        return None
    return Money(given.currency, micros)
