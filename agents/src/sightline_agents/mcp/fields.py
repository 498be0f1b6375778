"""Fields of products, as filters name them, and the syntax of filters."""

from collections.abc import Mapping
from types import MappingProxyType

from sightline_agents.mcp.outputs import CatalogField, Fields
from sightline_client.values.fields import FieldKind
from sightline_client.values.products import FILTERED, Sort

EXAMPLES: Mapping[FieldKind, str] = MappingProxyType(
    {
        FieldKind.TEXT: '{name} = "Aurora"',
        FieldKind.WORDS: "{name}:merlot",
        FieldKind.TEXTS: "{name}:organic",
        FieldKind.CATEGORY: '{name} = "Wine > Red"',
        FieldKind.MONEY: "{name} < 30 EUR",
        FieldKind.TIME: '{name} >= "2026-01-01T00:00:00Z"',
        FieldKind.NUMBER: "{name} >= 4",
        FieldKind.AVAILABILITY: "{name} = IN_STOCK",
        FieldKind.ATTRIBUTES: "{name}.vintage >= 2015",
        FieldKind.MARKETS: '{name} = "de"',
    }
)
"""A condition for each kind of field that filters can use."""
SYNTAX = (
    "Operators: = != < <= > >= and : (has). `title:wine`: a part of the text; `tags:organic`: one"
    " of the tags; `price:*`: a value is known.",
    "Combine with AND, OR, NOT and parentheses; OR binds tighter than AND.",
    'A text is one word, or quoted: brand = "Château d\'Yquem".',
    "Money is an amount and its ISO 4217 code: 30 EUR.",
    "A category includes those below it; levels are joined by ` > `.",
    'attributes.KEY: 2015 is a number, true a flag, all else a text, as is "2015".',
)
FIELDS = Fields(
    fields=[
        CatalogField(
            name=field.name,
            kind=field.kind,
            example=EXAMPLES[field.kind].format(name=field.name),
            faceted=field.faceted,
        )
        for field in FILTERED
    ],
    syntax=list(SYNTAX),
    orders=[each.value for each in Sort if each is not Sort.NEAREST],
)
