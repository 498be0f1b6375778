"""Values of a field and shelves as tables for people."""

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.text import Text

from sightline_client.cli.language import _
from sightline_client.cli.show import listings, tables
from sightline_client.cli.show.grids import plain
from sightline_client.cli.show.value_tables import ValueTable
from sightline_client.values.answers import (
    RecommendedValue,
    RecommendedValues,
    SearchResults,
    ShelfAnswer,
    Shelves,
)

_values = ValueTable(
    RecommendedValue,
    {
        "rank": "rank",
        "value": "text",
        "score": "score:.3f",
        "products": lambda each: ", ".join(item.product.title for item in each.products),
        "reason": lambda each: (
            (each.reasons[0].text or each.reasons[0].code) if each.reasons else "–"
        ),
        "narrow with --filter": "filter_text",
    },
    empty="No products match.",
    right=("rank", "score"),
    spare=("products", "reason", "score"),
)


def values(value: RecommendedValues, *, verbose: bool = False) -> RenderableType:
    """Show values of a field, best first, with their products and degradations. ``verbose``: with
    stage timings and versions."""
    score = _("score: 1 if the value's five best products are the first of all.")
    rest = f"{tables.counted(value.more_count, 'further value', 'further values')}. {score}"
    return Group(
        _values(value.values),
        *tables.empty(value.empty_reason),
        Text(rest, style="dim"),
        *tables.degraded(value.degradations),
        *map(tables.score_note, value.score_notes),
        *tables.computed(value, verbose=verbose),
    )


def shelves(value: Shelves, *, verbose: bool = False) -> RenderableType:
    """Show shelves, one after another, each with its degradations or its error. ``verbose``: with
    stage timings and versions."""
    return Group(*(part for shelf in value.shelves for part in _shelf(shelf, verbose=verbose)))


def problem(shelf: ShelfAnswer) -> str:
    """Say why a shelf has no answer; "" = it has one."""
    if shelf.answer is not None:
        return ""
    why = _("unknown kind of shelf") if shelf.error is None else str(shelf.error)
    return _("Not answered: {why}", why=why)


def _shelf(shelf: ShelfAnswer, *, verbose: bool) -> Iterator[RenderableType]:
    yield Text(plain(shelf.shelf_id), style="bold")
    if shelf.answer is None:
        yield Text(plain(problem(shelf)), style="red")
        return
    yield listings.ranked(shelf.answer.results)
    yield from tables.degraded(shelf.answer.degradations)
    if not isinstance(shelf.answer, SearchResults):
        yield from map(tables.score_note, shelf.answer.score_notes)
    yield from tables.computed(shelf.answer, verbose=verbose)
