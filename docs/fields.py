"""The reference page of a product's fields, from the table of fields."""

from __future__ import annotations

from collections.abc import Iterable

from sightline_rules import kinds
from sightline_rules.fields import FIELDS, WEIGHTS, Field
from sightline_rules.filters import ATTRIBUTES

INTRODUCTION = """\
A product has an id, photos, an etag and these fields. The columns say what becomes of each.

- *Filter*: name and operators in [filters](../integrate/filters.md); `:*` asks whether it is known.
- *Facet*: searches count its values; of prices and numbers, ranges of them. A time has none: useful
  ranges would depend on the time of the request, so ask by filters.
- *Sorted*: the orders of a search by it, as `sort` names them; lists of products have `newest`.
- *Words*: the weight of its words in keyword search.
- *Text*: its place in the text that is embedded.
- *Ranking*: the ranker reads it of each candidate.

Fields that are read only are set by the service. Only callers with the operator's role read fields
that are not shown; no answer has them."""
HEAD = ("Field", "Kind", "Holds", "Filter", "Facet", "Sorted", "Words", "Text", "Ranking")


def page() -> str:
    """Return the page."""
    rows = [HEAD, ("---",) * len(HEAD), *map(_row, FIELDS)]
    return "\n".join([INTRODUCTION, "", *(f"| {' | '.join(row)} |" for row in rows)])


def _row(field: Field) -> Iterable[str]:
    return (
        f"`{field.wire}`",
        _kind(field),
        _summary(field),
        _operators(field),
        "yes" if field.faceted else "",
        ", ".join(order.name.lower() for order in field.sorted),
        f"{WEIGHTS[field.searched]:g}" if field.searched else "",
        str(field.embedded or ""),
        "yes" if field.candidate else "",
    )


def _kind(field: Field) -> str:
    match field.kind:
        case kinds.NumberKind(most, decimals):
            place = f", {decimals} decimal" if decimals else ""
            return f"number, 0 to {most:,.15g}{place}"
        case kinds.TextKind(most):
            return f"text, at most {most:,} characters"
        case kinds.TextsKind(most, characters):
            return f"at most {most} texts of {characters} characters"
        case kind:
            return kind.name


def _summary(field: Field) -> str:
    notes = ["" if field.written else "Read only.", "" if field.shown else "Not shown."]
    return " ".join(filter(None, (field.summary, *notes))).replace("<", "&lt;")


def _operators(field: Field) -> str:
    if not field.filtered:
        return ""
    name = f"{ATTRIBUTES}KEY" if isinstance(field.kind, kinds.AttributesKind) else field.name
    signs = (sign.value for sign in sorted(field.kind.all_operators))
    return f"`{name}` " + " ".join(f"`{':' if sign == 'contains' else sign}`" for sign in signs)
