"""The table of a product's fields: the one place that lists them.

Messages, SQL columns, columns in memory, filters, facets, keyword search, embedded texts, backups
and the reference follow from it. A product also has an id, photos, an etag and the category doubt
that its photos raise; these are no fields, as each has rules of its own.

To add a field: one line in FIELDS, its field in product.proto (and in candidate.proto where
ranking reads it), a migration that adds its columns, and an attribute of ProductContent.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass

from sightline_rules.filters import ATTRIBUTES, Availability
from sightline_rules.kinds import (
    MOST_NUMBER,
    AttributesKind,
    CategoryKind,
    ChoiceKind,
    FieldKind,
    MarketsKind,
    MoneyKind,
    NumberKind,
    TextKind,
    TextsKind,
    TimeKind,
)
from sightline_rules.markets import MARKET

WEIGHTS: Mapping[str, float] = {"title": 2.0, "names": 1.5, "details": 1.0}
"""Weights of words in keyword search, by the column of `keywords` that holds them."""


class FieldTableError(ValueError):
    """Table of fields that contradicts itself or its surroundings. The message names the field."""

    def __init__(self, field: str, description: str) -> None:
        super().__init__(f"field {field}: {description}")


@dataclass(frozen=True, slots=True)
class FieldOrder:
    """Order of a list by one field. Products that do not have the field come last."""

    name: str
    """As the contract's enums name it, without their prefix."""
    falling: bool = False
    """True: the greatest value first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One field of a product."""

    name: str
    """As filters name it, and facts."""
    kind: FieldKind
    summary: str
    """One line for the reference."""
    message: str = ""
    """Field of the message Product. If empty, it is `name`."""
    columns: tuple[str, ...] = ()
    """SQL columns. If empty, those of the kind (Kind.columns)."""
    candidate: tuple[str, ...] = ()
    """Columns of the message CandidateColumns. Empty if ranking does not read the field."""
    filtered: bool = False
    faceted: bool = False
    sorted: tuple[FieldOrder, ...] = ()
    """Orders that a search offers by it; lists of products offer NEWEST of them."""
    searched: str = ""
    """Key of WEIGHTS. Empty if keyword search does not read the field."""
    embedded: int = 0
    """Place in the text that is embedded, from 1; 0: the text leaves it out."""
    shown: bool = True
    """False: only operators read it, and no answer has it."""
    written: bool = True
    """False: the service sets it."""
    since: str = ""
    """Release that added it. Empty for fields older than 0.16. Archives of earlier releases lack
    its columns, and their etags do not cover it."""
    shape: int = 1
    """First shape of the index's collections that has it (retriever.domain.collection_names)."""

    @property
    def wire(self) -> str:
        """Return the name of the field in the message Product."""
        return self.message or self.name

    @property
    def stored(self) -> tuple[str, ...]:
        """Return the SQL columns of the field."""
        return self.columns or self.kind.columns(self.name)


FIELDS: tuple[Field, ...] = (
    Field(
        name="parent_id",
        kind=TextKind(128),
        summary="Product that this one is a variant of.",
        candidate=("parent_ids",),
    ),
    Field(
        name="category",
        kind=CategoryKind(),
        summary="Category path from the root down.",
        message="category_path",
        candidate=("category_paths",),
        filtered=True,
        faceted=True,
        searched="names",
        embedded=2,
    ),
    Field(
        name="brand",
        kind=TextKind(256),
        summary="Brand or maker.",
        candidate=("brands",),
        filtered=True,
        faceted=True,
        sorted=(FieldOrder("BRAND"),),
        searched="names",
        embedded=3,
    ),
    Field(
        name="title",
        kind=TextKind(512, least=1, whole=False),
        summary="Name as shown to shoppers.",
        candidate=("titles",),
        filtered=True,
        searched="title",
        embedded=1,
    ),
    Field(
        name="description",
        kind=TextKind(16_384, whole=False),
        summary="Longer text for shoppers.",
    ),
    Field(
        name="price",
        kind=MoneyKind(),
        summary="Price of one unit.",
        columns=("price_micros", "currency"),
        candidate=("price_micros", "currencies"),
        filtered=True,
        faceted=True,
        sorted=(FieldOrder("PRICE_RISING"), FieldOrder("PRICE_FALLING", falling=True)),
    ),
    Field(
        name="availability",
        kind=ChoiceKind(Availability, Availability.IN_STOCK),
        summary="Availability for purchase.",
        candidate=("availabilities",),
        filtered=True,
        faceted=True,
    ),
    Field(
        name="tags",
        kind=TextsKind(64, 128),
        summary="Free labels.",
        candidate=("tags",),
        filtered=True,
        faceted=True,
        searched="names",
        embedded=4,
    ),
    Field(
        name="attributes",
        kind=AttributesKind(),
        summary="Typed properties by key; filters name one as attributes.<key>.",
        candidate=("attributes",),
        filtered=True,
        faceted=True,
        searched="details",
        embedded=5,
        shape=2,
    ),
    Field(
        name="rating",
        kind=NumberKind(5, decimals=1),
        summary="Mean rating by shoppers, 0 to 5 with one decimal.",
        candidate=("rating_tenths",),
        filtered=True,
        faceted=True,
        sorted=(FieldOrder("RATING", falling=True),),
        since="0.16",
        shape=4,
    ),
    Field(
        name="rating_count",
        kind=NumberKind(2**31 - 1),
        summary="Number of ratings.",
        candidate=("rating_counts",),
        filtered=True,
        faceted=True,
        since="0.16",
        shape=4,
    ),
    Field(
        name="stock",
        kind=NumberKind(2**31 - 1),
        summary="Units in stock.",
        candidate=("stocks",),
        filtered=True,
        faceted=True,
        since="0.16",
        shape=4,
    ),
    Field(
        name="cost",
        kind=MoneyKind(),
        summary="Cost of one unit to the shop, for scores alone.",
        candidate=("cost_micros", "cost_currencies"),
        shown=False,
        since="0.16",
    ),
    Field(
        name="language_code",
        kind=TextKind(64),
        summary="BCP 47 code of title and description.",
    ),
    Field(
        name="uri",
        kind=TextKind(2_048),
        summary="The shop's page of the product.",
    ),
    Field(
        name="market",
        kind=MarketsKind(),
        summary="Values by market; filters ask where a product is sold.",
        message="markets",
        columns=("markets",),
        filtered=True,
        since="0.21",
    ),
    Field(
        name="create_time",
        kind=TimeKind(),
        summary="Time when the catalog first stored the product (UTC).",
        candidate=("create_time_micros",),
        filtered=True,
        sorted=(FieldOrder("NEWEST", falling=True),),
        written=False,
    ),
    Field(
        name="update_time",
        kind=TimeKind(),
        summary="Time of the product's last change (UTC).",
        filtered=True,
        written=False,
    ),
)
NAMED: Mapping[str, Field] = {field.name: field for field in FIELDS}
FILTERED = tuple(field for field in FIELDS if field.filtered)
FACETED = tuple(field for field in FIELDS if field.faceted)
SEARCHED = tuple(field for field in FIELDS if field.searched)
EMBEDDED = tuple(sorted((f for f in FIELDS if f.embedded), key=lambda field: field.embedded))
WRITTEN = tuple(field for field in FIELDS if field.written)
CANDIDATE = tuple(field for field in FIELDS if field.candidate)
ORDERS: Mapping[str, tuple[Field, FieldOrder]] = {
    order.name: (field, order) for field in FIELDS for order in field.sorted
}
"""Orders by name, with the field of each."""
MARKETS = NAMED[MARKET]
BY_FILTER: Mapping[str, Field] = {
    ATTRIBUTES if isinstance(field.kind, AttributesKind) else field.name: field
    for field in FILTERED
}
"""Fields by what a filter's name of them begins with."""


def check(fields: Sequence[Field]) -> None:
    """Raise FieldTableError unless the table agrees with itself."""
    for of in ("name", "wire"):
        _check_once(of, ((field.name, getattr(field, of)) for field in fields))
    _check_once("column", ((field.name, name) for field in fields for name in field.stored))
    _check_once("order", ((field.name, order.name) for field in fields for order in field.sorted))
    for field in fields:
        for fault in _faults(field):
            raise FieldTableError(field.name, fault)


def check_columns(
    fields: Sequence[Field],
    *,
    product: Set[str] | None = None,
    candidate: Set[str] | None = None,
    stored: Set[str] | None = None,
) -> None:
    """Raise FieldTableError unless each given place has the columns that the table names.

    `product`, `candidate`: fields of the messages Product and CandidateColumns. `stored`: columns
    of the SQL table of products.
    """
    for field in fields:
        for place, names, known in (
            ("Product", (field.wire,), product),
            ("CandidateColumns", field.candidate, candidate),
            ("the SQL table products", field.stored, stored),
        ):
            for name in names:
                if known is not None and name not in known:
                    raise FieldTableError(field.name, f"unknown column {name} of {place}")


def check_orders(fields: Sequence[Field], names: Set[str]) -> None:
    """Raise FieldTableError unless the contract's enum of orders, given by its names without their
    prefix, has every order of the table."""
    for field in fields:
        for order in field.sorted:
            if order.name not in names:
                raise FieldTableError(field.name, f"unknown order {order.name}")


def _check_once(what: str, names: Iterable[tuple[str, str]]) -> None:
    given = list(names)
    counts = Counter(name for _, name in given)
    for field, name in given:
        if counts[name] > 1:
            raise FieldTableError(field, f"{what} {name} is given twice")


def _faults(field: Field) -> Iterable[str]:
    kind = field.kind
    if field.sorted and not kind.sortable:
        yield f"a {kind.name} cannot be sorted"
    if field.sorted and not field.candidate:
        yield "cannot be sorted: ranking does not read it"
    if field.faceted and not (kind.countable and field.filtered):
        yield f"a {kind.name} cannot be counted unless filters can ask for whole values"
    if (field.searched or field.embedded) and not kind.searchable:
        yield f"a {kind.name} has no words to search or embed"
    if field.searched and field.searched not in WEIGHTS:
        yield f"unknown weight {field.searched}; use one of {', '.join(WEIGHTS)}"
    if not field.shown and (field.filtered or field.searched or field.embedded):
        yield "is not shown: callers could find out its value by filters or words"
    if len(field.stored) != len(kind.columns(field.name)):
        yield f"a {kind.name} has {len(kind.columns(field.name))} columns"
    if isinstance(kind, NumberKind) and kind.most * kind.steps > MOST_NUMBER:
        yield f"a number has at most {MOST_NUMBER} steps"


check(FIELDS)
