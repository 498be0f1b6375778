"""Candidate columns of the wire as products."""

from collections.abc import Sequence

from ranker.model import Money, Product, RequestInvalid
from servicekit.errors import FieldViolation
from sightline.common.v1 import candidate_pb2


def products_of(columns: candidate_pb2.CandidateColumns, path: str) -> tuple[Product, ...]:
    """The products, in their order; RequestInvalid when a column's length does not fit.

    `path` names the columns' field in violations.
    """
    count = len(columns.product_ids)
    lengths = {
        "parent_ids": len(columns.parent_ids),
        "category_paths": len(columns.category_paths),
        "brands": len(columns.brands),
        "price_micros": len(columns.price_micros),
        "currencies": len(columns.currencies),
        "availabilities": len(columns.availabilities),
        "tags": len(columns.tags),
        "attributes": len(columns.attributes),
        "create_time_micros": len(columns.create_time_micros),
    }
    wrong = [
        FieldViolation(f"{path}.{name}", f"has {length} entries for {count} products")
        for name, length in lengths.items()
        if length not in (0, count)
    ]
    if wrong:
        raise RequestInvalid(*wrong)
    categories = _column(columns.category_paths, count)
    brands = _column(columns.brands, count)
    prices = list(columns.price_micros) or [-1] * count
    currencies = _column(columns.currencies, count)
    tags = [tuple(one.values) for one in columns.tags] or [()] * count
    attributes = [_texts(one) for one in columns.attributes] or [()] * count
    return tuple(
        Product(item, category, brand, _price(micros, currency), labels, properties)
        for item, category, brand, micros, currency, labels, properties in zip(
            columns.product_ids,
            categories,
            brands,
            prices,
            currencies,
            tags,
            attributes,
            strict=True,
        )
    )


def _column(values: Sequence[str], count: int) -> Sequence[str]:
    return values or [""] * count


def _price(micros: int, currency: str) -> Money | None:
    return Money(micros, currency) if micros >= 0 and currency else None


def _texts(attributes: candidate_pb2.AttributeList) -> tuple[tuple[str, str], ...]:
    return tuple(
        (one.key, one.text) for one in attributes.values if one.WhichOneof("value") == "text"
    )
