"""``sightline search`` and ``sightline similar``"""

from typing import Annotated

import typer

from sightline.gateway.v1 import recommendation_service_pb2 as rec
from sightline_client import from_wire, requests
from sightline_client.cli import listings, options, running
from sightline_client.client import SightlineClient
from sightline_client.photos import Uri


def search(
    *,
    image: options.Images = None,
    image_uri: options.ImageUris = None,
    product: options.Products = None,
    text: options.Words = None,
    filter: options.Filter = "",
    currency: options.Currency = "",
    top: options.Top = 10,
    target: options.Target = options.DEFAULT_TARGET,
    catalog: options.Catalog = "default",
    timeout: options.Timeout = 10.0,
    json: options.Json = False,
) -> None:
    """Find the nearest products, not ranked for anyone.

    [bold]Examples[/bold]

      sightline search --image shelf.jpg

      sightline search --image shelf.jpg --filter 'availability = IN_STOCK' --json
    """
    photos: list[bytes | Uri] = [*options.photos(image), *options.uris(image_uri)]
    if not (photos or product or text):
        raise typer.BadParameter("give at least one thing to be near to", param_hint="--image")
    _ask(
        requests.search(
            catalog=catalog,
            images=photos,
            products=product or (),
            text=text,
            filter=options.condition(filter, currency),
            page_size=top,
        ),
        target=target,
        timeout=timeout,
        json=json,
    )


def similar(
    *,
    product: Annotated[
        str, typer.Argument(metavar="PRODUCT", help="The product's id.", callback=options.named)
    ],
    filter: options.Filter = "",
    currency: options.Currency = "",
    top: options.Top = 10,
    target: options.Target = options.DEFAULT_TARGET,
    catalog: options.Catalog = "default",
    timeout: options.Timeout = 10.0,
    json: options.Json = False,
) -> None:
    """Find the products that look like a product of the catalogue.

    [bold]Examples[/bold]

      sightline similar wine-1 --top 5

      sightline similar wine-1 --filter 'price < 30 EUR'
    """
    _ask(
        requests.search(
            catalog=catalog,
            products=product,
            filter=options.condition(filter, currency),
            page_size=top,
        ),
        target=target,
        timeout=timeout,
        json=json,
    )


def _ask(request: rec.SearchRequest, *, target: str, timeout: float, json: bool) -> None:
    async def ask(client: SightlineClient) -> rec.SearchResponse:
        return await client.calls.search(request, timeout)

    response = running.run(ask, target=target, catalog=request.catalog_id, timeout=timeout)
    if json:
        running.show_json(response)
    else:
        running.show(listings.found(from_wire.found(response)))
