"""Writes values/products.py: the value Product, the fields of filters, the orders of a search, and
the list of fields.

    .venv/bin/python client/generate_fields.py

The fields come from the rules' table, their order from the contract's message. A test compares the
file with both.
"""

import subprocess
import sys
import textwrap
from pathlib import Path

from google.protobuf.descriptor import FieldDescriptor

from sightline.common.v1 import product_pb2
from sightline.gateway.v1 import recommendation_service_pb2
from sightline_rules.fields import FIELDS, Field
from sightline_rules.filters import Availability
from sightline_rules.kinds import ChoiceKind

TARGET = Path(__file__).parent / "src/sightline_client/values/products.py"

FIXED = {
    "product_id": ("str", "The shop's own id: 1 to 128 bytes."),
    "images": ("tuple[ProductImage, ...] = ()", "Best first, at most 20."),
    "etag": (
        'str = ""',
        "Mark of this content. A write that gives it is rejected unless it is still current.",
    ),
    "category_doubt": (
        "CategoryDoubt | None = None",
        "Photo that contradicts the category; None: none does, or none was checked. Set by the"
        " service.",
    ),
}
"""Fields of the message that are not in the table: type, default, and text."""

NAMES = {"language_code": "language"}
"""Fields with another name in Product than in the message."""
COLUMNS = {"availability": "available", "language_code": "language", "market": "markets"}
"""Fields with another name in files than in filters."""

KINDS = {
    "text": ('str = ""', '"" = none.', 'TextField("{0}")'),
    "words": ('str = ""', '"" = none.', 'SearchedField("{0}")'),
    "texts": ("tuple[str, ...] = ()", "", 'TextField("{0}")'),
    "category path": ("tuple[str, ...] = ()", 'E.g. ("Wine", "Red").', 'TextField("{0}")'),
    "money": ("Money | None = None", "None = unknown.", 'OrderedField[Money]("{0}")'),
    "time": ("datetime | None = None", "", 'OrderedField[datetime]("{0}")'),
    "number": ("float | None = None", "None = unknown.", 'OrderedField[float]("{0}")'),
    "flag": ("bool | None = None", "None = unknown.", 'ComparedField[bool]("{0}")'),
    "choice": (
        "Availability = Availability.UNSPECIFIED",
        "",
        'ComparedField[Availability]("{0}")',
    ),
    "attributes": ("tuple[Attribute, ...] = ()", "", ""),
    "markets": (
        "tuple[MarketValues, ...] = ()",
        "() = sold in all markets.",
        'ComparedField[str]("{0}")',
    ),
}
"""By name of the kind: type and default in Product, description, and field of F."""

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

Made from the table of fields by client/generate_fields.py: change that and run ``make proto``.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sightline_client.values.catalog import (
    Attribute,
    Availability,
    CategoryDoubt,
    MarketValues,
    Money,
    ProductImage,
)
from sightline_client.values.fields import FieldKind, ProductField
from sightline_client.values.filters import (
    ATTRIBUTES,
    AttributeField,
    ComparedField,
    OrderedField,
    SearchedField,
    TextField,
)


@dataclass(frozen=True, slots=True)
class Product:
    """A thing a shop sells. Only ``product_id`` and ``title`` are needed to write one."""

{product}


class F:
    """The fields that a filter can use."""

{filters}
    @staticmethod
    def attribute(key: str) -> AttributeField:
        """Return an attribute's field: ``F.attribute("vintage") >= 2015``."""
        return AttributeField(f"{{ATTRIBUTES}}{{key}}")


class Sort(StrEnum):
    """Order of the nearest products of a search."""

{sorts}


FIELDS: tuple[ProductField, ...] = (
{fields}
)
"""All fields beside the id, the photos, the etag and the category doubt."""
FILTERED = tuple(field for field in FIELDS if field.filtered)
FACETED = tuple(field for field in FIELDS if field.faceted)
WRITTEN = tuple(field for field in FIELDS if field.written)
'''


def generate() -> str:
    """Return the text of the file. ValueError for a field of the message without a description."""
    table = {field.wire: field for field in FIELDS}
    wire = [field.name for field in product_pb2.Product.DESCRIPTOR.fields]
    if unknown := set(wire) - set(table) - set(FIXED):
        raise ValueError(f"product.proto has fields without a line in the table: {unknown}")
    wire.sort(key=lambda name: (name != "product_id", not _required(table.get(name))))
    filtered = [field for field in FIELDS if field.filtered and _kind(field) != "attributes"]
    text = PAGE.format(
        product="\n".join(_member(name, table.get(name)) for name in wire),
        filters="\n".join(map(_filter, filtered)),
        sorts="\n".join(f'    {name} = "{name}"' for name in _sorts()),
        fields="\n".join(map(_line, FIELDS)),
    )
    return _formatted(text)


def _sorts() -> list[str]:
    """Return the names of the contract's orders of a search, without their prefix."""
    names = [name.removeprefix("SORT_") for name, _ in recommendation_service_pb2.Sort.items()]
    return [name for name in names if name != "UNSPECIFIED"]


def _kind(field: Field) -> str:
    kind = field.kind
    if isinstance(kind, ChoiceKind) and kind.default.__class__ is not Availability:
        raise ValueError(f"field {field.name}: the client knows no choice but Availability")
    words = kind.name == "text" and field.filtered and not kind.countable
    return "words" if words else kind.name


def _required(field: Field | None) -> bool:
    return field is not None and getattr(field.kind, "least", 0) > 0


def _member(name: str, field: Field | None) -> str:
    """Return the lines of one field of Product."""
    if field is None:
        hint, text = FIXED[name]
    else:
        hint, said, _ = KINDS[_kind(field)]
        if field.kind.name == "number" and _whole(name):
            hint = hint.replace("float", "int")
        if _required(field):
            hint, said = hint.partition(" = ")[0], ""
        service = "" if field.written else "Set by the service."
        shown = "" if field.shown else "No answer has it."
        text = " ".join(filter(None, (field.summary, said, shown, service)))
    return f"    {NAMES.get(name, name)}: {hint}\n{_doc(text)}"


def _whole(name: str) -> bool:
    kind = product_pb2.Product.DESCRIPTOR.fields_by_name[name].type
    return kind not in {FieldDescriptor.TYPE_FLOAT, FieldDescriptor.TYPE_DOUBLE}


def _filter(field: Field) -> str:
    """Return the lines of one field of F."""
    text = " ".join(filter(None, (field.summary, HINTS.get(_kind(field), ""))))
    return f"    {field.name} = {KINDS[_kind(field)][2].format(field.name)}\n{_doc(text)}"


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
        "required": _required(field),
        "filtered": field.filtered,
        "faceted": field.faceted,
        "written": field.written,
    }
    usual = {"written": True}
    given = [f'{name}="{value}"' for name, value in facts.items()]
    given.insert(1, f"kind=FieldKind.{MEMBERS.get(kind, kind.upper())}")
    given += [f"{name}={on}" for name, on in flags.items() if on is not usual.get(name, False)]
    return f"    ProductField({', '.join(given)}),"


def _doc(text: str) -> str:
    lines = textwrap.wrap(f'"""{text}', 96, break_on_hyphens=False)
    if len(lines[-1]) + 3 > 96:
        lines.append("")
    return textwrap.indent("\n".join(lines) + '"""', "    ")


def _formatted(text: str) -> str:
    ruff = str(Path(sys.executable).with_name("ruff"))
    for command in (["check", "--fix", "--quiet", "--select", "I,F401"], ["format", "--quiet"]):
        line = [ruff, *command, "--stdin-filename", str(TARGET), "-"]
        done = subprocess.run(line, input=text, capture_output=True, text=True, check=True)
        text = done.stdout
    return text


if __name__ == "__main__":
    TARGET.write_text(generate())
