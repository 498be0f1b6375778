"""Values of a field and shelves as tables for people."""

from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from sightline_client.cli.language import _
from sightline_client.cli.show import tables
from sightline_client.cli.show.grids import grid, plain
from sightline_client.values.answers import (
    FoundProduct,
    RecommendedProduct,
    RecommendedValues,
    SearchResults,
    ShelfAnswer,
    Shelves,
)


def values(value: RecommendedValues, *, verbose: bool = False) -> RenderableType:
    """Show values of a field, best first, with their products and degradations. ``verbose``: with
    stage timings and versions."""
    rows = (
        (
            str(each.rank),
            plain(each.text),
            f"{each.score:.3f}",
            plain(", ".join(item.product.title for item in each.products)),
            plain(each.reasons[0].text or each.reasons[0].code) if each.reasons else "–",
            plain(each.filter_text),
        )
        for each in value.values
    )
    columns = (
        _("rank"),
        _("value"),
        _("score"),
        _("products"),
        _("reason"),
        _("narrow with --filter"),
    )
    spare = (_("products"), _("reason"), _("score"))
    table = grid(columns, rows, right=(_("rank"), _("score")), spare=spare)
    score = _("score: 1 if the value's five best products are the first of all.")
    rest = f"{tables.counted(value.more_count, 'further value', 'further values')}. {score}"
    return Group(
        table if value.values else Text(_("No products match.")),
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
    yield _products(shelf.answer.results)
    yield from tables.degraded(shelf.answer.degradations)
    if not isinstance(shelf.answer, SearchResults):
        yield from map(tables.score_note, shelf.answer.score_notes)
    yield from tables.computed(shelf.answer, verbose=verbose)


def _products(results: Sequence[RecommendedProduct | FoundProduct]) -> RenderableType:
    rows = (
        (
            str(item.rank),
            item.product.product_id,
            tables.titled(item),
            " > ".join(item.product.category_path) or "–",
            str(item.product.price or "–"),
        )
        for item in results
    )
    table = grid((_("rank"), _("product"), _("title"), _("category"), _("price")), rows)
    return table if results else Text(_("No further products."))
