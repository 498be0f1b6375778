"""Checks of products against the contract: lengths, characters, counts."""

import re
from collections.abc import Callable, Mapping, Sequence
from math import isfinite
from typing import Any

from retriever.domain import product
from retriever.domain.errors import ProductInvalid
from servicekit.errors import FieldViolation
from sightline_rules import categories, filter_checks, filters, ids, kinds
from sightline_rules.fields import WRITTEN, Field
from sightline_rules.filters import Money

_IMAGE_ID = re.compile(r"[0-9a-f]{64}")
_ATTRIBUTE_KEY = re.compile(r"[a-z0-9_.-]{1,64}")
_LANGUAGE = re.compile(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8}){0,7}")
_URI = re.compile(r"https?://[^\s\x00-\x1f\x7f-\x9f]+", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
"""Unicode's category Cc without line feed, carriage return and tab."""
Note = Callable[[str, str], None]
"""Records a violation: the field, relative to the product, and its description."""


def check_product(draft: product.ProductDraft, path: str) -> product.ProductContent:
    """Return the product's content without photos. Raises ProductInvalid with all violations."""
    wrong: list[FieldViolation] = []

    def note(field: str, description: str) -> None:
        wrong.append(FieldViolation(f"{path}.{field}", description))

    _check_id(note, "product_id", draft.product_id)
    if draft.parent_id and draft.parent_id == draft.product_id:
        note("parent_id", "must not be the product itself")
    values = {field.wire: _checked(note, field, getattr(draft, field.wire)) for field in WRITTEN}
    _check_images(note, draft.images)
    if wrong:
        raise ProductInvalid(*wrong)
    return product.ProductContent(product_id=draft.product_id, **values)


def _checked(note: Note, field: Field, value: Any) -> Any:
    """Return the value of a field as content has it; note what is wrong with it."""
    match field.kind:
        case kinds.TextKind(most, least):
            _FORMS.get(field.name, _check_text)(note, field.wire, value, least, most)
        case kinds.TextsKind(most, characters):
            _check_texts(note, field.wire, value, most, characters)
        case kinds.CategoryKind():
            _check_category(note, field.wire, value)
        case kinds.AttributesKind():
            return _check_attributes(note, field.wire, value)
        case kinds.ChoiceKind() if value is None:
            note(field.wire, "is not one of the known values")
        case kinds.MoneyKind():
            return check_money(note, field.wire, value)
        case kinds.NumberKind() as kind if value is not None:
            _check_number(note, field.wire, value, kind)
    return value


def _check_id(note: Note, name: str, value: str, least: int = 1, most: int = 128) -> None:  # noqa: ARG001
    if value or least:
        try:
            ids.check_id(value)
        except ids.IdInvalidError as error:
            note(name, str(error))


def _check_language(note: Note, name: str, value: str, least: int, most: int) -> None:  # noqa: ARG001
    if value and not _LANGUAGE.fullmatch(value):
        note(name, 'must be a BCP 47 code, like "en" or "zh-Hans"')


def _check_uri(note: Note, name: str, value: str, least: int, most: int) -> None:  # noqa: ARG001
    if value and not (len(value) <= most and _URI.fullmatch(value)):
        note(name, f"must be an http or https address of at most {most:,} characters")


_FORMS: Mapping[str, Callable[[Note, str, str, int, int], None]] = {
    "parent_id": _check_id,
    "language_code": _check_language,
    "uri": _check_uri,
}
"""Checks of texts that have a form of their own."""


def _check_category(note: Note, name: str, levels: Sequence[str]) -> None:
    try:
        categories.check_path(levels)
    except categories.CategoryInvalidError as error:
        note(name, str(error))


def _check_number(note: Note, name: str, value: float, kind: kinds.NumberKind) -> None:
    if not 0 <= value <= kind.most:
        note(name, f"must be from 0 to {kind.most:,.15g}")
    elif round(value, kind.decimals) != value:
        note(name, f"must have at most {kind.decimals} decimals")


def _check_text(note: Note, field: str, text: str, least: int, most: int) -> None:
    if not least <= len(text) <= most:
        note(field, f"has {len(text)} characters; {least} to {most} are taken")
    elif _CONTROL.search(text):
        note(field, "must not contain control characters")


def _check_texts(note: Note, name: str, texts: Sequence[str], most: int, characters: int) -> None:
    if len(texts) > most:
        note(name, f"has {len(texts)} entries; at most {most} are taken")
    for index, text in enumerate(texts[:most]):
        _check_text(note, f"{name}[{index}]", text, 1, characters)
    if len(set(texts)) != len(texts):
        note(name, "holds an entry twice")


def _check_attributes(
    note: Note, name: str, given: Sequence[tuple[str, str | float | bool | None]]
) -> tuple[product.Attribute, ...]:
    most = kinds.MAX_ATTRIBUTES
    if len(given) > most:
        note(name, f"has {len(given)} entries; at most {most} are taken")
    types: dict[str, type] = {}
    checked = []
    for index, (key, value) in enumerate(given[:most]):
        field = f"{name}[{index}]"
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


def check_money(note: Note, name: str, given: product.Amount | None) -> Money | None:
    """Return an amount; note what is wrong with it."""
    if given is None:
        return None
    try:
        filter_checks.check_currency(given.currency, "")
    except filters.FilterInvalidError as error:
        note(f"{name}.currency_code", error.description)
    if not 0 <= given.nanos < 1_000_000_000 or given.nanos % 1_000:
        note(f"{name}.nanos", "must be from 0 to 999,999,999 with at most six decimals")
        return None
    micros = given.units * 1_000_000 + given.nanos // 1_000
    if not 0 <= micros < 2**63:
        note(f"{name}.units", "must be an amount from 0 to about 9.2e12")
        return None
    return Money(given.currency, micros)
