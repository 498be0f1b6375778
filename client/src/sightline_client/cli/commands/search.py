"""``sightline search`` and ``sightline similar``"""

from typing import Annotated

import typer
from rich.console import Group, RenderableType

from sightline_client.cli.base import options
from sightline_client.cli.base.query import FilterOptions, QueryOptions
from sightline_client.cli.base.suite import Suite
from sightline_client.cli.show import classified, listings
from sightline_client.values.answers import Found


def search(*, query: QueryOptions, passing: FilterOptions, suite: Suite) -> None:
    """Find the nearest products, not ranked for anyone.

    [bold]Examples[/bold]

      sightline search --image shelf.jpg

      sightline search --image shelf.jpg --filter 'availability = IN_STOCK' --json

      sightline search --image shelf.jpg --not-text leather --box 0.1,0.2,0.6,0.9
    """
    photos = query.photos()
    if not (photos or query.product or query.text):
        raise typer.BadParameter("give at least one thing to be near to", param_hint="--image")
    condition, unlike = passing.condition(), query.unlike()
    suite.answer(
        lambda client: client.search(
            images=photos,
            products=query.product or (),
            text=query.text,
            filter=condition,
            page_size=passing.top,
            unlike=unlike,
            box=query.box,
            find_subject=query.find_subject,
        ),
        _found,
    )


def similar(
    *,
    product: Annotated[str, options.argument("PRODUCT", "The product's id.")],
    passing: FilterOptions,
    suite: Suite,
) -> None:
    """Find the products that look like a product of the catalog.

    [bold]Examples[/bold]

      sightline similar wine-1 --top 5

      sightline similar wine-1 --filter 'price < 30 EUR'
    """
    condition, top = passing.condition(), passing.top
    suite.answer(
        lambda client: client.search(products=product, filter=condition, page_size=top), _found
    )


def _found(answer: Found) -> RenderableType:
    subjects = [classified.subjects(answer.subjects)] if answer.subjects else []
    return Group(listings.found(answer), *subjects)
