"""Comparisons of a shelf with its plan, and quantities to reorder, as tables for people."""

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType

from rich.console import RenderableType
from rich.text import Text

from sightline_client.cli.language import _, later
from sightline_client.cli.show.grids import grid, plain
from sightline_client.values.shelf_plans import (
    PlanComparison,
    PlanCount,
    PlanFinding,
    PlanFindingKind,
    StockSuggestion,
)

KINDS = MappingProxyType(
    {
        PlanFindingKind.UNSPECIFIED: later("an outcome that this client does not know: update it"),
        PlanFindingKind.PRESENT: later("present"),
        PlanFindingKind.MISSING: later("missing"),
        PlanFindingKind.SURPLUS: later("surplus"),
        PlanFindingKind.MISPLACED: later("misplaced"),
        PlanFindingKind.OUT_OF_ORDER: later("out of order"),
        PlanFindingKind.UNIDENTIFIED: later("not in the catalog"),
    }
)
"""Outcomes, as they are shown."""
COUNTED = tuple(kind for kind in PlanFindingKind if kind.lower() in PlanCount.__annotations__)
"""Outcomes of planned products, in the order of columns."""


def comparison(value: PlanComparison, titles: Mapping[str, str]) -> Iterator[RenderableType]:
    """Show a comparison: numbers by product, then each deviation. ``titles``: of products."""
    columns = (_("product"), _("planned"), *(_(KINDS[kind]) for kind in COUNTED))
    rows = (
        (
            titled(each.product_id, titles),
            str(each.planned),
            *numbers(each),
        )
        for each in value.counts
    )
    yield grid(columns, rows, right=columns[1:])
    deviations = [each for each in value.findings if each.kind is not PlanFindingKind.PRESENT]
    if deviations:
        found = (
            (_(KINDS[each.kind]), titled(each.product_id, titles), str(each.row or "–"))
            for each in deviations
        )
        yield grid((_("outcome"), _("product"), _("row")), found, right=(_("row"),))
    yield Text(summary(value))


def suggestions(
    value: Sequence[StockSuggestion], titles: Mapping[str, str]
) -> Iterator[RenderableType]:
    """Show quantities to reorder with their calculation. ``titles``: of products."""
    rows = (
        (titled(each.product_id, titles), str(each.on_shelf), quantity(each), plain(each.text))
        for each in value
    )
    columns = (_("product"), _("on the shelf"), _("reorder"), _("calculation"))
    if value:
        yield grid(columns, rows, right=columns[1:3])


def numbers(value: PlanCount) -> list[str]:
    """Return the facings of a product by outcome."""
    return [str(getattr(value, kind.lower()) or "–") for kind in COUNTED]


def summary(value: PlanComparison) -> str:
    """Say how many planned facings are present."""
    planned = sum(each.planned for each in value.counts)
    present = sum(each.present for each in value.counts)
    return _(
        "{present} of {planned} planned facings are present ({share:.0%})."
        " Rows in the photo: {rows}.",
        present=present,
        planned=planned,
        share=value.compliance,
        rows=value.row_count,
    )


def quantity(value: StockSuggestion) -> str:
    """Return a quantity with its interval."""
    if value.quantity is None:
        return "–"
    return f"{value.quantity} ({value.quantity_low}–{value.quantity_high})"


def titled(product_id: str, titles: Mapping[str, str]) -> str:
    """Return a product's title and id."""
    if not product_id:
        return "–"
    title = titles.get(product_id, "")
    return plain(f"{title} ({product_id})" if title else product_id)


def named(value: PlanFinding, titles: Mapping[str, str]) -> str:
    """Return an outcome with its product."""
    name = "" if not value.product_id else f": {titled(value.product_id, titles)}"
    return f"{_(KINDS[value.kind])}{name}"
