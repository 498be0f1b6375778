"""``sightline search`` and ``sightline similar``"""

from typing import Annotated

import typer

from sightline.gateway.v1 import recommendation_service_pb2 as rec
from sightline_client.cli.base import options, running
from sightline_client.cli.base.suite import Suite
from sightline_client.cli.show import classified, listings
from sightline_client.convert import from_wire, requests
from sightline_client.values.photos import Uri
from sightline_client.values.signals import AWAY_WEIGHT


def search(
    *,
    image: options.Images = None,
    image_uri: options.ImageUris = None,
    product: options.Products = None,
    text: options.Words = None,
    not_image: options.NotImages = None,
    not_text: options.NotTexts = None,
    not_product: options.NotProducts = None,
    not_weight: options.NotWeight = AWAY_WEIGHT,
    box: options.BoxText = None,
    find_subject: options.FindSubject = False,
    filter: options.Filter = "",
    currency: options.Currency = "",
    top: options.Top = 10,
    suite: Suite,
) -> None:
    """Find the nearest products, not ranked for anyone.

    [bold]Examples[/bold]

      sightline search --image shelf.jpg

      sightline search --image shelf.jpg --filter 'availability = IN_STOCK' --json

      sightline search --image shelf.jpg --not-text leather --box 0.1,0.2,0.6,0.9
    """
    photos: list[bytes | Uri] = [*options.photos(image), *options.uris(image_uri)]
    if not (photos or product or text):
        raise typer.BadParameter("give at least one thing to be near to", param_hint="--image")
    _ask(
        requests.search(
            catalog=suite.catalog,
            images=photos,
            products=product or (),
            text=text,
            filter=options.condition(filter, currency),
            page_size=top,
            unlike=options.unlike(not_image, not_text, not_product, not_weight),
            box=options.part(box),
            find_subject=find_subject,
        ),
        suite,
    )


def similar(
    *,
    product: Annotated[
        str, typer.Argument(metavar="PRODUCT", help="The product's id.", callback=options.named)
    ],
    filter: options.Filter = "",
    currency: options.Currency = "",
    top: options.Top = 10,
    suite: Suite,
) -> None:
    """Find the products that look like a product of the catalogue.

    [bold]Examples[/bold]

      sightline similar wine-1 --top 5

      sightline similar wine-1 --filter 'price < 30 EUR'
    """
    _ask(
        requests.search(
            catalog=suite.catalog,
            products=product,
            filter=options.condition(filter, currency),
            page_size=top,
        ),
        suite,
    )


def _ask(request: rec.SearchRequest, suite: Suite) -> None:
    response = suite.run(lambda client: client.calls.search(request, suite.timeout))
    if suite.json:
        running.show_json(response)
    else:
        answer = from_wire.found(response)
        running.show(listings.found(answer))
        if answer.subjects:
            running.show(classified.subjects(answer.subjects))
