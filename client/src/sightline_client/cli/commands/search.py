"""``sightline search``, ``similar``, ``list`` and ``suggest``"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, TypeAlias

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from sightline_client.cli.base import options
from sightline_client.cli.base.query import FilterGroup, SignalGroup
from sightline_client.cli.base.suite import Suite
from sightline_client.cli.language import _, filled
from sightline_client.cli.show import classified, listings, page, tables
from sightline_client.cli.work import answer_pages
from sightline_client.client import SightlineClient
from sightline_client.values.answers import Listing, SearchResults
from sightline_client.values.fields import FieldKind
from sightline_client.values.parts import FacetQuery
from sightline_client.values.products import FACETED, Sort
from sightline_client.values.requests import ListOptions, SearchOptions

_COUNTED = " or ".join(
    (
        ", ".join(field.name for field in FACETED if field.kind is not FieldKind.ATTRIBUTES),
        "attributes.KEY",
    )
)
"""Fields that facets count."""


def _facet(value: str) -> FacetQuery:
    field, _colon, path = value.partition(":")
    if path and field != "category":
        raise typer.BadParameter(_("{value}: only a category has subcategories", value=value))
    return FacetQuery(field, below=tuple(level.strip() for level in path.split(">") if path))


_Facets: TypeAlias = Annotated[
    list[str] | None,
    options.words(
        "--facet",
        metavar="FIELD",
        help=filled(
            "Count products by {counted}; 'category:Wine > Red' counts its subcategories. "
            "Repeatable.",
            counted=_COUNTED,
        ),
    ),
]


def search(
    *,
    query: SignalGroup,
    passing: FilterGroup,
    facet: _Facets = None,
    sort: Annotated[Sort, typer.Option(case_sensitive=False)] = Sort.NEAREST,
    read_labels: options.Flag = False,
    language: Annotated[str, options.words(metavar="CODE")] = "",
    html: options.Html = None,
    verbose: options.Verbose = False,
    suite: Suite,
) -> None:
    """Find the most similar products, without ranking for a shopper.

    sightline search --image shelf.jpg
    sightline search --image shelf.jpg --filter 'availability = IN_STOCK' --json
    sightline search --text merlot --facet brand --facet price --sort price_rising
    sightline search --image shelf.jpg --not-text leather --box 0.1,0.2,0.6,0.9
    sightline search --image shelf.jpg --read-labels --html found.html
    sightline search --text Karotten --language de

    Args:
        sort: Order of the nearest products.
        read_labels: Read the labels of photos, and search for their words too.
        language: BCP 47 language of the text.
    """
    asked: SearchOptions = {
        **query.query(),
        **passing.passing(),
        "sort": sort,
        "facets": (),
        "read_labels": read_labels,
        "language": language,
    }
    if not (asked["images"] or query.product or query.text):
        raise typer.BadParameter(
            _("give at least one image, text or product to search by"), param_hint="--image"
        )
    asked["facets"] = [_facet(value) for value in facet or ()]
    photos = answer_pages.files(query, asked["images"])
    rows = [*answer_pages.asked_for(query), *answer_pages.filtered(passing)]
    head = page.Head(_("Search results"), rows, queries=photos)
    products = query.product or ()
    _show(suite, html, lambda c: c.search(**asked), head, products=products, verbose=verbose)


def similar(
    *,
    product: Annotated[str, options.argument("PRODUCT")],
    passing: FilterGroup,
    html: options.Html = None,
    verbose: options.Verbose = False,
    suite: Suite,
) -> None:
    """Find the products that look like a product of the catalog.

    sightline similar wine-1 --top 5
    sightline similar wine-1 --filter 'price < 30 EUR' --html similar.html

    Args:
        product: The product's id.
    """
    title = _("Products that look like {product}", product=product)
    head = page.Head(title, answer_pages.filtered(passing))
    asked = passing.passing()
    asked["products"] = product
    _show(suite, html, lambda c: c.search(**asked), head, products=[product], verbose=verbose)


def listing(
    *,
    passing: FilterGroup,
    text: Annotated[str | None, options.words(metavar="WORDS")] = None,
    sort: Annotated[Sort, typer.Option(case_sensitive=False)] = Sort.NEAREST,
    facet: _Facets = None,
    user: Annotated[str | None, options.words(metavar="ID")] = None,
    visitor: Annotated[str | None, options.words(metavar="ID")] = None,
    page_token: Annotated[str | None, options.words(metavar="TOKEN")] = None,
    html: options.Html = None,
    verbose: options.Verbose = False,
    suite: Suite,
) -> None:
    """List all products that pass a filter, in an order, page by page.

    sightline list --filter 'category = "Red"' --sort price_rising --facet brand
    sightline list --text merlot --sort rating --top 20 --json
    sightline list --filter 'price < 30 EUR' --visitor cookie-7

    Args:
        text: Only products with these words.
        sort: Order of all products that pass; nearest: by relevance with --text, else most popular
            first.
        user: Known customer.
        visitor: Visitor who is not logged in.
        page_token: next_page_token of the last page.
    """
    asked: ListOptions = {
        "filter": passing.condition(),
        "market": passing.market,
        "page_size": passing.top,
        "sort": sort,
        "text": text or "",
        "facets": [_facet(value) for value in facet or ()],
        "user": user,
        "visitor": visitor,
    }
    answer_pages.show(
        suite,
        html,
        lambda client: client.listing(page_token=page_token or "", **asked),
        partial(_listed, verbose=verbose),
        head=lambda answer: page.Head(
            _("{product_count} products pass", answer),
            [
                answer_pages.shopper(user, visitor),
                *answer_pages.filtered(passing),
                (_("text"), text or ""),
                (_("order"), sort.value.lower().replace("_", " ")),
            ],
        ),
        sections=lambda answer: [page.Section(answer)],
    )


def suggest(
    *,
    prefix: Annotated[str, options.argument("TEXT")],
    top: Annotated[int, typer.Option(min=1, max=20)] = 10,
    language: Annotated[str, options.words(metavar="CODE")] = "en",
    suite: Suite,
) -> None:
    """Suggest how to continue a text of a search box.

    sightline suggest mer
    sightline suggest 'red wi' --top 5 --json
    sightline suggest 'vins rou' --language fr

    Args:
        prefix: What was typed so far.
        top: Maximum number of suggestions.
        language: BCP 47 language of the text.
    """
    suite.answer(
        lambda client: client.suggest(prefix, top=top, language=language), listings.suggested
    )


def _show(
    suite: Suite,
    html: Path | None,
    ask: Callable[[SightlineClient], Awaitable[SearchResults]],
    head: page.Head,
    *,
    products: Sequence[str],
    verbose: bool,
) -> None:
    """Search, print the answer, and write it as a page, whose head says what was found too."""
    answer_pages.show(
        suite,
        html,
        ask,
        partial(_found, verbose=verbose),
        head=lambda answer: replace(head, lead=_lead(answer)),
        sections=lambda answer: [page.Section(answer)],
        products=products,
    )


def _lead(answer: SearchResults) -> list[str]:
    """Return what the head of a page says beside the request."""
    poor = [tables.why(answer.match)] if answer.match is not None and answer.match.poor else []
    corrected = [each.plain for each in tables.corrected(answer.corrected_queries)]
    return [*corrected, *poor]


def _listed(answer: Listing, *, verbose: bool) -> RenderableType:
    return Group(listings.listed(answer, verbose=verbose), *map(listings.facet, answer.facets))


def _found(answer: SearchResults, *, verbose: bool) -> RenderableType:
    labels = map(Text, classified.label_lines(answer))
    corrected = tables.corrected(answer.corrected_queries)
    facets = map(listings.facet, answer.facets)
    found = listings.found(answer, verbose=verbose)
    return Group(*corrected, found, *facets, *labels)
