"""``sightline products``"""

import asyncio
from enum import StrEnum
from typing import Annotated

import typer
from rich.text import Text

from sightline.common.v1 import filter_pb2
from sightline.gateway.v1 import admin_service_pb2 as admin
from sightline.gateway.v1 import catalog_service_pb2 as catalog_pb2
from sightline_client.cli.base import options, progress, running
from sightline_client.cli.base.group import Commands
from sightline_client.cli.base.suite import Suite
from sightline_client.cli.show import listings, tables
from sightline_client.cli.work import following
from sightline_client.cli.work.patience import Patience
from sightline_client.client import SightlineClient
from sightline_client.convert import from_wire, to_wire
from sightline_client.values.catalog import Order

app = Commands(no_args_is_help=True, help="Load and keep the catalogue.")

_PAGE = 200
_DELETE = 1000
_PAUSE = 0.5
"""Seconds between two looks at how much is in the index."""


class ListOrder(StrEnum):
    """The order of a list."""

    ID = "id"
    NEWEST = "newest"


@app.command()
def get(
    *,
    product: Annotated[
        str, typer.Argument(metavar="ID", help="The product.", callback=options.named)
    ],
    suite: Suite,
) -> None:
    """Show one product.

    [bold]Example[/bold]

      sightline products get wine-1
    """
    request = catalog_pb2.GetProductRequest(catalog_id=suite.catalog, product_id=product)

    message = suite.run(lambda client: client.calls.get_product(request, suite.timeout))
    suite.show(message, lambda: listings.product(from_wire.product(message)))


@app.command("list")
def list_(
    *,
    filter: options.Filter = "",
    currency: options.Currency = "",
    order: Annotated[
        ListOrder, typer.Option(help="By id, or the newest first.", show_default=True)
    ] = ListOrder.ID,
    doubted: Annotated[
        bool,
        typer.Option(
            "--doubted", help="Only those with a photo that contradicts their category, and why."
        ),
    ] = False,
    top: Annotated[
        int, typer.Option(min=0, metavar="N", help="How many; 0 = all.", show_default=True)
    ] = 50,
    suite: Suite,
) -> None:
    """List products.

    [bold]Examples[/bold]

      sightline products list --filter 'brand = Aurora' --top 10

      sightline products list --doubted

      sightline products list --top 0 --json | jq -r '.products[].productId'
    """
    ordered = Order.NEWEST if order is ListOrder.NEWEST else Order.PRODUCT_ID
    request = catalog_pb2.ListProductsRequest(
        catalog_id=suite.catalog,
        filter=to_wire.filter_(options.condition(filter, currency)),
        order=catalog_pb2.ListProductsRequest.Order.Value(f"ORDER_{ordered}"),
        doubted_only=doubted,
    )

    async def ask(client: SightlineClient) -> catalog_pb2.ListProductsResponse:
        found = catalog_pb2.ListProductsResponse()
        with progress.meter("listing", top or None, stays=False) as bar:
            while True:
                request.page_size = min(_PAGE, top - len(found.products)) if top else _PAGE
                page = await client.calls.list_products(request, suite.timeout)
                found.products.extend(page.products)
                bar.at(len(found.products), top, rows=len(found.products))
                found.next_page_token = request.page_token = page.next_page_token
                if not page.next_page_token or (top and len(found.products) >= top):
                    return found

    response = suite.run(ask)
    if suite.json:
        running.show_json(response)
    else:
        rows = [from_wire.product(message) for message in response.products]
        running.show(listings.products(rows, more=bool(response.next_page_token), doubted=doubted))


@app.command()
def delete(
    *,
    products: Annotated[
        list[str], typer.Argument(metavar="ID…", help="The products.", callback=options.named)
    ],
    suite: Suite,
) -> None:
    """Delete products by id. One that does not exist counts as deleted.

    [bold]Example[/bold]

      sightline products delete wine-1 wine-2
    """

    async def ask(client: SightlineClient) -> catalog_pb2.DeleteProductsResponse:
        result = catalog_pb2.DeleteProductsResponse()
        for start in range(0, len(products), _DELETE):
            request = catalog_pb2.DeleteProductsRequest(
                catalog_id=suite.catalog, product_ids=products[start : start + _DELETE]
            )
            answer = await client.calls.delete_products(request, suite.timeout)
            result.deleted_count += answer.deleted_count
            result.index_token = answer.index_token
        return result

    response = suite.run(ask)
    if suite.json:
        running.show_json(response)
    else:
        absent = len(set(products)) - response.deleted_count
        more = f"; {absent} did not exist" if absent > 0 else ""
        running.show(Text(f"{response.deleted_count} deleted{more}."))


@app.command()
def purge(
    *,
    filter: options.Filter = "",
    everything: Annotated[
        bool, typer.Option("--all", help="Every product of the catalog, instead of --filter.")
    ] = False,
    force: options.Force = False,
    currency: options.Currency = "",
    target: options.Target = options.DEFAULT_TARGET,
    catalog: options.Catalog = "default",
    timeout: options.Timeout = 30.0,
    json: options.Json = False,
) -> None:
    """Count the products that pass a filter; with --force, delete them.

    [bold]Examples[/bold]

      sightline products purge --filter 'category = "Wine > Rosé"'

      sightline products purge --filter 'category = "Wine > Rosé"' --force
    """
    condition = to_wire.filter_(options.condition(filter, currency))
    if (condition is None) is not everything:
        raise typer.BadParameter("give --filter or --all, and not both", param_hint="--filter")
    request = catalog_pb2.PurgeProductsRequest(
        catalog_id=catalog,
        request_id=options.new_request_id(),
        filter=condition or filter_pb2.Filter(all=filter_pb2.FilterList()),
        force=force,
    )

    async def ask(client: SightlineClient) -> catalog_pb2.PurgeProductsResponse:
        response = await client.calls.purge_products(request, timeout)
        if response.HasField("job"):
            response.job.CopyFrom(await following.follow(client, response.job.job_id))
        return response

    response = running.run(ask, target=target, catalog=catalog, timeout=timeout)
    if json:
        running.show_json(response)
    else:
        some = ", ".join(tables.plain(item) for item in response.sample_product_ids)
        verb = "deleted" if force else "would be deleted; --force deletes them"
        found = tables.counted(response.product_count, "product", "products")
        running.show(Text(f"{found} {verb}. {some}".rstrip()))
    if response.HasField("job") and not following.ended_well(from_wire.job(response.job)):
        raise typer.Exit(1)


@app.command()
def status(
    *,
    wait: Annotated[
        bool,
        typer.Option(
            "--wait",
            help="Wait until no photo or text waits for its vector any more, however long that"
            " takes; Ctrl-C ends the wait and nothing else. --timeout is for each call.",
        ),
    ] = False,
    target: options.Target = options.DEFAULT_TARGET,
    catalog: options.Catalog = "default",
    timeout: options.Timeout = 5.0,
    json: options.Json = False,
) -> None:
    """Say how much of the catalogue can be found by its photos and texts.

    [bold]Examples[/bold]

      sightline products status

      sightline products status --wait && echo ready
    """

    async def ask(client: SightlineClient) -> admin.GetStatusResponse:
        request = admin.GetStatusRequest(catalog_id=catalog)
        message = await client.calls.get_status(request, timeout)
        if not wait:
            return message
        if _behind(message):
            running.say(Text("Waiting for vectors. Ctrl-C ends the wait; the suite goes on."))
        patience = Patience()
        with progress.meter("photos and texts in the index") as bar:
            while _behind(message):
                indexed = message.indexed_images + message.indexed_texts
                waiting = max(message.pending_images, 0) + max(message.pending_texts, 0)
                bar.at(indexed, indexed + waiting)
                await asyncio.sleep(_PAUSE)
                message = await patience.wait(lambda: client.calls.get_status(request, timeout))
        return message

    message = running.run(ask, target=target, catalog=catalog, timeout=timeout)
    value = from_wire.status(message)
    if json:
        running.show_json(message)
    else:
        running.show(tables.catalogue(value))
    if value.products is None:
        raise typer.Exit(1)


def _behind(message: admin.GetStatusResponse) -> bool:
    """The index does not hold all of the catalogue yet."""
    waiting = message.pending_images or message.pending_texts
    return bool(waiting or from_wire.freshness(message.freshness).lag)
