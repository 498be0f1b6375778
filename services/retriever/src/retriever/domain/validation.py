"""Checks of products against the contract: lengths, characters, counts."""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from math import isfinite
from operator import attrgetter
from typing import Any

from retriever.domain import product
from retriever.domain.errors import ProductInvalid
from servicekit.errors import FieldViolation
from sightline_rules import categories, filter_checks, filters, ids, kinds, markets
from sightline_rules.fields import NAMED, WRITTEN, Field
from sightline_rules.filters import Money

_IMAGE_ID = re.compile(r"[0-9a-f]{64}")
_ATTRIBUTE_KEY = re.compile(r"[a-z0-9_.-]{1,64}")
_LANGUAGE = re.compile(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8}){0,7}")
_URI = re.compile(r"https?://[^\s\x00-\x1f\x7f-\x9f]+", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
"""Unicode's category Cc without line feed, carriage return and tab."""
Note = Callable[[str, str], None]
"""Records a violation: the field, relative to the product, and its description."""
Check = Callable[[Note, Any], Any]
"""Notes what is wrong with a value and returns the value."""


def check_product(draft: product.ProductDraft, path: str) -> product.ProductContent:
    """Return the product's content without photos. Raises ProductInvalid with all violations."""
    wrong: list[FieldViolation] = []

    def note(field: str, description: str) -> None:
        wrong.append(FieldViolation(f"{path}.{field}", description))

    _check_id("product_id", ids.MAX_ID_BYTES, note, draft.product_id)
    if draft.parent_id and draft.parent_id == draft.product_id:
        note("parent_id", "must not be the product itself")
    values = {
        name: check(note, value) if value or required else value
        for (name, required, check), value in zip(_CHECKS, _given(draft), strict=True)
    }
    _check_images(note, draft.images)
    if wrong:
        raise ProductInvalid(*wrong)
    return product.ProductContent(product_id=draft.product_id, **values)


def checker(field: Field) -> Check:
    """Return the function that notes what is wrong with a field's value, and returns the value as
    content has it."""
    name = field.wire
    match field.kind:
        case kinds.TextKind(most) if form := _FORMS.get(field.name):
            return partial(form, name, most)
        case kinds.TextKind(most, least):
            return partial(_check_text, name, most, least)
        case kinds.TextsKind(most, characters):
            return partial(_check_texts, name, most, characters)
        case kinds.CategoryKind():
            return partial(_check_category, name)
        case kinds.AttributesKind():
            return partial(_check_attributes, name)
        case kinds.MarketsKind():
            return partial(_check_markets, name)
        case kinds.ChoiceKind():
            return partial(_check_choice, name)
        case kinds.MoneyKind():
            return partial(check_money, name)
        case kinds.StepsKind() as kind:
            return partial(_check_steps, name, kind)
        case _:
            return lambda _note, value: value


def _is_required(field: Field) -> bool:
    """Return whether a product must have the field: an empty value is invalid."""
    match field.kind:
        case kinds.TextKind(least=least):
            return least > 0
        case kind:
            return isinstance(kind, kinds.ChoiceKind)


def _check_id(name: str, _most: int, note: Note, value: str) -> str:
    try:
        ids.check_id(value)
    except ids.IdInvalidError as error:
        note(name, str(error))
    return value


def _check_language(name: str, _most: int, note: Note, value: str) -> str:
    if not _LANGUAGE.fullmatch(value):
        note(name, 'must be a BCP 47 code, like "en" or "zh-Hans"')
    return value


def _check_uri(name: str, most: int, note: Note, value: str) -> str:
    if not (len(value) <= most and _URI.fullmatch(value)):
        note(name, f"must be an http or https address of at most {most:,} characters")
    return value


_FORMS: Mapping[str, Callable[[str, int, Note, str], str]] = {
    "parent_id": _check_id,
    "language_code": _check_language,
    "uri": _check_uri,
}
"""Checks of texts that have a form of their own."""


def _check_category(name: str, note: Note, levels: Sequence[str]) -> Sequence[str]:
    try:
        categories.check_path(levels)
    except categories.CategoryInvalidError as error:
        note(name, str(error))
    return levels


def _check_choice(name: str, note: Note, value: Any) -> Any:
    if value is None:
        note(name, "is not one of the known values")
    return value


def _check_steps(name: str, kind: kinds.StepsKind, note: Note, value: Any) -> Any:
    if problem := kind.problem(value):
        note(name, problem)
    return value


def _check_text(name: str, most: int, least: int, note: Note, text: str) -> str:
    if not least <= len(text) <= most:
        note(name, f"has {len(text)} characters; {least} to {most} are taken")
    elif _CONTROL.search(text):
        note(name, "must not contain control characters")
    return text


def _check_texts(
    name: str, most: int, characters: int, note: Note, texts: Sequence[str]
) -> Sequence[str]:
    if len(texts) > most:
        note(name, f"has {len(texts)} entries; at most {most} are taken")
    for index, text in enumerate(texts[:most]):
        if not 1 <= len(text) <= characters or _CONTROL.search(text):
            _check_text(f"{name}[{index}]", characters, 1, note, text)
    if len(set(texts)) != len(texts):
        note(name, "holds an entry twice")
    return texts


def _check_attributes(
    name: str, note: Note, given: Sequence[tuple[str, str | float | bool | None]]
) -> tuple[product.Attribute, ...]:
    most = kinds.MAX_ATTRIBUTES
    if len(given) > most:
        note(name, f"has {len(given)} entries; at most {most} are taken")
    types: dict[str, type] = {}
    checked = []
    for index, (key, value) in enumerate(given[:most]):
        for at, description in _attribute_faults(key, value, types.get(key)):
            note(f"{name}[{index}]{at}", description)
        if value is not None:
            types[key] = type(value)
            checked.append(product.Attribute(key, value))
    return tuple(checked)


def _attribute_faults(
    key: str, value: str | float | bool | None, other: type | None
) -> list[tuple[str, str]]:
    """Return the faults of an attribute, each with its place in it. `other`: the type of another
    value of the same key, `None` without one."""
    faults = []
    if not _ATTRIBUTE_KEY.fullmatch(key):
        faults.append((".key", "must be 1 to 64 of a-z, 0-9, _, . and -"))
    if value is None:
        return [*faults, ("", "has no value")]
    if isinstance(value, str):
        if not 1 <= len(value.encode()) <= 512:
            faults.append((".text", "must have 1 to 512 bytes"))
    elif isinstance(value, float) and not isfinite(value):
        faults.append((".number", "must be finite"))
    if other is not None and not (other is str and isinstance(value, str)):
        faults.append((".key", "is given twice; only texts may repeat"))
    return faults


def _check_markets(
    name: str, note: Note, given: Sequence[product.MarketDraft]
) -> markets.MarketList:
    if len(given) > markets.MOST_MARKETS:
        note(name, f"has {len(given)} entries; at most {markets.MOST_MARKETS} are taken")
    checked: dict[str, markets.MarketValues] = {}
    for index, each in enumerate(given[: markets.MOST_MARKETS]):
        at = f"{name}[{index}]"
        if wrong := markets.problem(each.market_id):
            note(f"{at}.market_id", wrong)
        elif each.market_id in checked:
            note(f"{at}.market_id", "is given twice")
        checked[each.market_id] = _check_market(at, note, each)
    return tuple(checked[market_id] for market_id in sorted(checked))


def _check_market(at: str, note: Note, given: product.MarketDraft) -> markets.MarketValues:
    if not given.availability_known:
        note(f"{at}.availability", "is not one of the known values")
    for field, check in _OF_MARKET.items():
        if value := getattr(given, field):
            check(lambda part, text: note(f"{at}.{part}", text), value)
    price = check_money(f"{at}.price", note, given.price) if given.price else None
    texts = given.title, given.description, given.language_code, given.uri
    return markets.MarketValues(given.market_id, price, given.availability, *texts)


def _check_images(note: Note, given: Sequence[product.ImageDraft]) -> None:
    if len(given) > product.MAX_PHOTOS:
        note("images", f"has {len(given)} entries; at most {product.MAX_PHOTOS} are taken")
    for index, image in enumerate(given[: product.MAX_PHOTOS]):
        if image.image_id and not _IMAGE_ID.fullmatch(image.image_id):
            note(f"images[{index}].image_id", "must be 64 lower-case hexadecimal digits")
        if image.content and image.uri:
            note(f"images[{index}]", "has both content and uri; give one")


def check_money(name: str, note: Note, given: product.Amount) -> Money | None:
    """Return an amount; note what is wrong with it."""
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


_given = attrgetter(*(field.wire for field in WRITTEN))
_OF_MARKET = {
    name: checker(NAMED[name]) for name in ("title", "description", "language_code", "uri")
}
"""Checks of a market's texts: those of the product's own."""
_CHECKS = tuple((field.wire, _is_required(field), checker(field)) for field in WRITTEN)
