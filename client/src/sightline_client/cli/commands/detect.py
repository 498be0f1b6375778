"""``sightline detect``"""

from pathlib import Path
from typing import Annotated

import typer

from sightline_client.cli.base import options, query
from sightline_client.cli.base.suite import LONG, Suite
from sightline_client.cli.language import _
from sightline_client.cli.show import detected, shelf_page
from sightline_client.cli.work import answer_pages
from sightline_client.client import SightlineClient
from sightline_client.files import shelf_plans
from sightline_client.values.detections import Detections
from sightline_client.values.parts import HeatMapOptions
from sightline_client.values.shelf_plans import StockOptions


def detect(
    *,
    photo: query.Photo,
    filter: options.Filter = "",
    currency: options.Currency = "",
    market: options.Market = "",
    min_probability: Annotated[float, typer.Option(min=0, max=1, metavar="P")] = 0.5,
    top: Annotated[int, typer.Option(min=1, max=300, metavar="K")] = 100,
    html: options.Html = None,
    heat_maps: options.Flag = False,
    heat_maps_of: Annotated[list[str] | None, typer.Option(metavar="PRODUCT")] = None,
    plan: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, readable=True, metavar="FILE")
    ] = None,
    reorder: options.Flag = False,
    lead_time: Annotated[float, typer.Option(min=0.01, max=365, metavar="DAYS")] = 7.0,
    service_level: Annotated[float, typer.Option(min=0.5, max=0.999, metavar="P")] = 0.95,
    suite: Suite = LONG,
) -> None:
    """Find and count the products in a photo, such as one of a shelf.

    With --plan, say what is missing, too many, misplaced or out of order.

    sightline detect shelf.jpg
    sightline detect shelf.jpg --filter 'category = "Wine > Red"' --html shelf.html
    sightline detect shelf.jpg --heat-maps --html shelf.html
    sightline detect shelf.jpg --json | jq '.counts'
    sightline detect shelf.jpg --plan plan.csv --reorder --html shelf.html

    Args:
        min_probability: Probability that a detection needs for a product.
        top: Maximum number of detections.
        heat_maps: Also draw which parts of the first 20 detections speak for their products, on the
            page of --html or with --json.
        heat_maps_of: The same for the detections of this product alone; may be repeated.
        plan: Compare with this plan of the shelf: CSV with product_id, facings, row and position,
            or JSON.
        reorder: Say how much to reorder, by sales of 8 weeks.
        lead_time: With --reorder: days until a reorder stands on the shelf.
        service_level: With --reorder: probability that the stock lasts until then.
    """
    drawn = HeatMapOptions(tuple(heat_maps_of or ())) if heat_maps or heat_maps_of else None
    if drawn is not None and html is None and not suite.json:
        raise typer.BadParameter(_("heat maps need --html or --json"), param_hint="--heat-maps")
    (content,) = query.photos([photo])
    stock = StockOptions(lead_time, service_level) if reorder else None
    condition = options.condition(filter, currency)

    async def ask(client: SightlineClient) -> Detections:
        found = await client.detect_products(
            content,
            filter=condition,
            market=market,
            min_probability=min_probability,
            max_detections=top,
            plan=() if plan is None else shelf_plans.read(plan),
            stock=stock,
            heat_maps=drawn,
            timeout=suite.timeout,
        )
        if html is not None:
            await _write(client, html, photo.name, content, found)
        return found

    suite.answer(ask, detected.table)
    answer_pages.written(suite, html)


async def _write(
    client: SightlineClient, path: Path, title: str, photo: bytes, found: Detections
) -> None:
    """Write a page: compared with a plan, or with what each detection may be."""
    if found.plan_comparison is not None:
        titles = detected.titles_of(found.products)
        compared, stocks = found.plan_comparison, found.stock_suggestions
        shown = detected.heat_maps(found)
        shelf_page.write(path, photo, compared, stocks, titles, heat_maps=shown)
        return
    guesses = await answer_pages.products_of(client, detected.guessed(found))
    wanted = [(name, answer_pages.first_photo(each)) for name, each in guesses.items()]
    photos = await answer_pages.photos_of(client, wanted)
    detected.write(path, (title, photo), found, guesses, photos)
