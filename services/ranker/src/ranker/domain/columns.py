"""Conversion of candidate columns of the wire to products."""

from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any

from ranker.domain.features import Money, Product
from servicekit.errors import FieldViolation
from servicekit.rpc.requests import RequestInvalid
from sightline.common.v1 import candidate_pb2

COLUMNS = (
    "parent_ids",
    "category_paths",
    "brands",
    "price_micros",
    "currencies",
    "availabilities",
    "tags",
    "attributes",
    "create_time_micros",
    "image_hashes",
    "cost_micros",
    "cost_currencies",
    "titles",
)
"""All columns except the ids; each is empty or as long as these."""

_values = itemgetter(1)


def products_of(columns: candidate_pb2.CandidateColumns, path: str) -> Sequence[Product]:
    """Return the products in their order, each read when it is used: most requests need only a
    few. RequestInvalid if a column's length does not fit; `path` names the columns' field."""
    check_lengths(columns, path)
    return read_lazily(columns)


def read_lazily(columns: Any) -> Sequence[Product]:
    """Return the products of columns of equal lengths, each read when it is used."""
    return _Lazily(len(columns.product_ids), lambda place: _product(columns, place))


def check_lengths(columns: candidate_pb2.CandidateColumns, path: str) -> None:
    """Raise RequestInvalid unless each column is empty or as long as the ids."""
    count, held = len(columns.product_ids), columns.ListFields()
    if {*map(len, map(_values, held))} - {count}:
        lengths = {field.name: len(values) for field, values in held}
        wrong = [
            FieldViolation(f"{path}.{name}", f"has {lengths[name]} entries for {count} products")
            for name in COLUMNS
            if lengths.get(name, count) != count
        ]
        if wrong:
            raise RequestInvalid(*wrong)


class _Lazily(Sequence[Product]):
    def __init__(self, count: int, read: Callable[[int], Product]) -> None:
        self._places = range(count)
        self._read = read

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, place: Any) -> Any:
        found = self._places[place]
        return tuple(map(self._read, found)) if isinstance(found, range) else self._read(found)


def _product(columns: Any, place: int) -> Product:
    return Product(
        product_id=columns.product_ids[place],
        category=columns.category_paths[place] if columns.category_paths else "",
        brand=columns.brands[place] if columns.brands else "",
        price=_price(columns, place),
        tags=tuple(columns.tags[place].values) if columns.tags else (),
        attributes=_texts(columns.attributes[place]) if columns.attributes else (),
        title=columns.titles[place] if columns.titles else "",
    )


def _price(columns: Any, place: int) -> Money | None:
    if not columns.price_micros or not columns.currencies:
        return None
    micros, currency = columns.price_micros[place], columns.currencies[place]
    return Money(micros, currency) if micros >= 0 and currency else None


def _texts(attributes: candidate_pb2.AttributeList) -> tuple[tuple[str, str], ...]:
    return tuple(
        (one.key, one.text) for one in attributes.values if one.WhichOneof("value") == "text"
    )
