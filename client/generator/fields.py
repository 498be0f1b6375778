"""Makes values/products.py from the table of fields: filters, and the list of fields."""

from client.generator.sentences import docstring
from sightline.common.v1 import product_pb2
from sightline_rules.fields import FIELDS, Field
from sightline_rules.filters import Availability
from sightline_rules.kinds import ChoiceKind

OTHERS = {"product_id", "images", "etag", "category_doubt"}
"""Fields of the message that are not in the table."""
NAMES = {"language_code": "language"}
"""Fields with another name in Product than in the message."""
COLUMNS = {"availability": "available", "language_code": "language", "market": "markets"}
"""Fields with another name in files than in filters."""

KINDS = {
    "text": 'TextField("{0}")',
    "words": 'SearchedField("{0}")',
    "texts": 'TextField("{0}")',
    "category path": 'TextField("{0}")',
    "money": 'OrderedField[Money]("{0}")',
    "time": 'OrderedField[datetime]("{0}")',
    "number": 'OrderedField[float]("{0}")',
    "flag": 'ComparedField[bool]("{0}")',
    "choice": 'ComparedField[Availability]("{0}")',
    "markets": 'ComparedField[str]("{0}")',
}
"""Fields of F by the name of the kind."""

MEMBERS = {"category path": "CATEGORY", "choice": "AVAILABILITY"}
"""Kinds whose member of FieldKind has another name."""

HINTS = {
    "category path": 'Levels joined by " > ", such as "Wine > Red": the category and all below it.',
    "money": "Only amounts in the same currency pass.",
    "markets": '``F.market == "de"`` passes products that are sold there.',
    "texts": "``==`` and ``contains``: one of the texts is equal.",
}
"""By name of the kind: hint for writing filters."""

PAGE = '''"""Products, and conditions on their fields.

Made from the table of fields by client/generator: change that and run ``make proto``.
"""

from datetime import datetime

from sightline_client.values.catalog import Availability, Product, Sort
from sightline_client.values.fields import FieldKind, ProductField
from sightline_client.values.filters import (
    ATTRIBUTES,
    AttributeField,
    ComparedField,
    OrderedField,
    SearchedField,
    TextField,
)
from sightline_client.values.money import Money

__all__ = ["FACETED", "FIELDS", "FILTERED", "WRITTEN", "F", "Product", "Sort"]


class F:
    """The fields that a filter can use."""

{filters}
    @staticmethod
    def attribute(key: str) -> AttributeField:
        """Return an attribute's field: ``F.attribute("vintage") >= 2015``."""
        return AttributeField(f"{{ATTRIBUTES}}{{key}}")


FIELDS: tuple[ProductField, ...] = (
{fields}
)
"""All fields beside the id, the photos, the etag and the category doubt."""
FILTERED = tuple(field for field in FIELDS if field.filtered)
FACETED = tuple(field for field in FIELDS if field.faceted)
WRITTEN = tuple(field for field in FIELDS if field.written)
'''


def products() -> str:
    """Return the text of the module, not yet formatted. ValueError for a field of the message
    without a description."""
    wire = {field.name for field in product_pb2.Product.DESCRIPTOR.fields}
    if unknown := wire - {field.wire for field in FIELDS} - OTHERS:
        raise ValueError(f"product.proto has fields without a line in the table: {unknown}")
    filtered = [field for field in FIELDS if field.filtered and _kind(field) != "attributes"]
    return PAGE.format(
        filters="\n".join(map(_filter, filtered)), fields="\n".join(map(_line, FIELDS))
    )


def _kind(field: Field) -> str:
    kind = field.kind
    if isinstance(kind, ChoiceKind) and kind.default.__class__ is not Availability:
        raise ValueError(f"field {field.name}: the client knows no choice but Availability")
    words = kind.name == "text" and field.filtered and not kind.countable
    return "words" if words else kind.name


def _filter(field: Field) -> str:
    """Return the lines of one field of F."""
    text = " ".join(filter(None, (field.summary, HINTS.get(_kind(field), ""))))
    return f"    {field.name} = {KINDS[_kind(field)].format(field.name)}\n{docstring(text, 4)}"


def _line(field: Field) -> str:
    """Return the line of one field in FIELDS."""
    kind = _kind(field)
    facts = {
        "name": field.name,
        "attribute": NAMES.get(field.wire, field.wire),
        "wire": field.wire,
        "column": COLUMNS.get(field.name, field.name),
    }
    flags = {
        "required": field is not None and getattr(field.kind, "least", 0) > 0,
        "filtered": field.filtered,
        "faceted": field.faceted,
        "written": field.written,
    }
    usual = {"written": True}
    given = [f'{name}="{value}"' for name, value in facts.items()]
    given.insert(1, f"kind=FieldKind.{MEMBERS.get(kind, kind.upper())}")
    given += [f"{name}={on}" for name, on in flags.items() if on is not usual.get(name, False)]
    return f"    ProductField({', '.join(given)}),"
