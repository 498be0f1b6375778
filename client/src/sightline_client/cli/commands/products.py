"""``sightline products``"""

import asyncio
from collections.abc import Sequence
from enum import StrEnum
from functools import partial
from typing import Annotated

import typer
from rich.text import Text

from sightline.common.v1 import filter_pb2
from sightline.gateway.v1 import admin_service_pb2 as admin
from sightline.gateway.v1 import catalog_service_pb2 as catalog_pb2
from sightline_client.cli.base import options, progress, running
from sightline_client.cli.base.suite import PATIENT, QUICK, Suite
from sightline_client.cli.language import _
from sightline_client.cli.show import grids, listings, page, tables
from sightline_client.cli.show.grids import phrase
from sightline_client.cli.work import answer_pages, following
from sightline_client.cli.work.patience import Patience
from sightline_client.cli.work.plain_commands import Given, PlainCommands, argument, number
from sightline_client.client import SightlineClient
from sightline_client.convert import from_wire, requests, to_wire
from sightline_client.values.catalog import ProductOrder

app = PlainCommands(help="Import, read, change and delete products.")

_PAGE = 200
_DELETE = 1000
_PAUSE = 0.5
"""Seconds between two reads of the index's status."""


class ListOrder(StrEnum):
    """The order of a list."""

    ID = "id"
    NEWEST = "newest"


app.call(
    "get",
    "Show one product.",
    ("products get wine-1", "products get wine-1 --market de"),
    SightlineClient.get_product,
    argument("product", "ID", "The product.", to="product_id"),
    Given("market", options.Market, ""),
    shows=listings.product,
)


@app.command("list")
def list_(
    *,
    filter: options.Filter = "",
    currency: options.Currency = "",
    market: options.Market = "",
    order: Annotated[ListOrder, typer.Option()] = ListOrder.ID,
    mismatched: Annotated[bool, typer.Option("--doubted")] = False,
    top: Annotated[int, options.number("N", 0)] = 50,
    html: options.Html = None,
    suite: Suite,
) -> None:
    """List products.

    sightline products list --filter 'brand = Aurora' --top 10 --html aurora.html
    sightline products list --doubted
    sightline products list --top 0 --json | jq -r '.products[].productId'

    Args:
        order: Order: by id, or newest first.
        mismatched: Only products with a photo that contradicts their category, with the reason.
        top: Maximum number of products; 0 for all.
    """
    ordered = ProductOrder.NEWEST if order is ListOrder.NEWEST else ProductOrder.PRODUCT_ID
    request = catalog_pb2.ListProductsRequest(
        catalog_id=suite.catalog,
        filter=to_wire.filter_(options.condition(filter, currency)),
        order=catalog_pb2.ListProductsRequest.Order.Value(f"ORDER_{ordered}"),
        doubted_only=mismatched,
    )
    if market:
        request.filter.market_id = market

    facts = [(_("filter"), filter or _("none")), (_("market"), market), (_("order"), order.value)]

    async def ask(client: SightlineClient) -> catalog_pb2.ListProductsResponse:
        found = await _listed(client, request, top, suite.timeout)
        if html is not None:
            await answer_pages.write(client, html, *_as_page(found, facts))
        return found

    response = suite.run(ask)
    rows, more = map(from_wire.product, response.products), bool(response.next_page_token)
    suite.show(response, lambda: listings.products(list(rows), more=more, mismatched=mismatched))
    answer_pages.written(suite, html)


async def _listed(
    client: SightlineClient,
    request: catalog_pb2.ListProductsRequest,
    top: int,
    timeout: float,
) -> catalog_pb2.ListProductsResponse:
    """Return at most `top` products as one answer; 0: all."""
    found = catalog_pb2.ListProductsResponse()
    with progress.meter(_("listing"), top or None, stays=False) as bar:
        while True:
            request.page_size = min(_PAGE, top - len(found.products)) if top else _PAGE
            part = await client.calls(client.calls.catalog.ListProducts, request, timeout)
            found.products.extend(part.products)
            bar.at(len(found.products), top, rows=len(found.products))
            found.next_page_token = request.page_token = part.next_page_token
            if not part.next_page_token or (top and len(found.products) >= top):
                return found


def _as_page(
    found: catalog_pb2.ListProductsResponse, facts: Sequence[tuple[str, str]]
) -> tuple[page.Head, Sequence[page.Section]]:
    products = [*map(from_wire.product, found.products)]
    head = page.Head(
        tables.counted(len(products), "product", "products"),
        facts,
        [_("There are more: raise --top.")] if found.next_page_token else [],
    )
    noted = [(each, listings.mismatch(each.category_doubt)) for each in products]
    return head, [page.Section(None, problem=_("No products match."), products=noted)]


@app.command()
def misfits(
    *,
    min_lead: Annotated[float, typer.Option(min=0, max=2)] = 0.2,
    suite: Suite,
) -> None:
    """List photos that do not fit their product: those nearer to another product's photos, such as
    photos that were uploaded to the wrong product. Products with two photos or more are judged.

    sightline products misfits
    sightline products misfits --min-lead 0.4 --json

    Args:
        min_lead: Least difference of the similarities, as cosines, to the other product's and to
            its own product's photos.
    """
    request = catalog_pb2.ListMisfitsRequest(catalog_id=suite.catalog, min_lead=min_lead)

    async def ask(client: SightlineClient) -> catalog_pb2.ListMisfitsResponse:
        found = catalog_pb2.ListMisfitsResponse()
        with progress.meter(_("comparing photos"), None, stays=False) as bar:
            while True:
                part = await client.calls(client.calls.catalog.ListMisfits, request, suite.timeout)
                found.misfits.extend(part.misfits)
                found.examined_count += part.examined_count
                found.space.CopyFrom(part.space)
                bar.at(found.examined_count, 0, rows=found.examined_count)
                request.page_token = part.next_page_token
                if not part.next_page_token:
                    return found

    response = suite.run(ask)
    rows = [from_wire.photo_misfit(each) for each in response.misfits]
    suite.show(response, lambda: listings.misfits(rows, response.examined_count))


_DISTINCT = Given("products", Annotated[list[str], options.argument("ID…")], to="product_ids")
app.call(
    "mark-distinct",
    """Decide that products of the same picture are different ones: each two of those named.

    The console leaves such pairs out of the products to decide on, until one of the two is deleted
    or gets another first photo. Answers go on showing one product of a picture.""",
    "products mark-distinct wine-1 wine-2",
    SightlineClient.mark_distinct_products,
    _DISTINCT,
    shows=listings.distinct_pairs,
)
app.call(
    "unmark-distinct",
    "Take decisions of `products mark-distinct` back: those about each two of the products.",
    "products unmark-distinct wine-1 wine-2",
    SightlineClient.unmark_distinct_products,
    _DISTINCT,
    shows=lambda count: Text(tables.counted(count, "pair taken back", "pairs taken back")),
)
app.rows(
    "distinct",
    "List pairs of products that were decided to be different, in no particular order.",
    "products distinct --top 100",
    "catalog.ListDistinctProducts",
    number("top", "N", "Maximum number of pairs.", 1, 1000, default=50, to="page_size"),
    reads=from_wire.distinct_pair,
    shows=listings.distinct_pairs,
)


@app.command()
def delete(
    *,
    products: Annotated[list[str], options.argument("ID…")],
    suite: Suite,
) -> None:
    """Delete products by id. One that does not exist counts as deleted.

    sightline products delete wine-1 wine-2

    Args:
        products: The products.
    """

    async def ask(client: SightlineClient) -> catalog_pb2.DeleteProductsResponse:
        result = catalog_pb2.DeleteProductsResponse()
        for start in range(0, len(products), _DELETE):
            request = catalog_pb2.DeleteProductsRequest(
                catalog_id=suite.catalog, product_ids=products[start : start + _DELETE]
            )
            answer = await client.calls(client.calls.catalog.DeleteProducts, request, suite.timeout)
            result.deleted_count += answer.deleted_count
            result.index_token = answer.index_token
        return result

    response = suite.run(ask)
    absent = len(set(products)) - response.deleted_count
    more = _("; {absent} did not exist", absent=absent) if absent > 0 else ""
    suite.show(
        response,
        lambda: phrase("{deleted_count} deleted{more}.", response, more=more),
    )


@app.command()
def purge(
    *,
    filter: options.Filter = "",
    everything: Annotated[bool, typer.Option("--all")] = False,
    force: options.Force = False,
    currency: options.Currency = "",
    suite: Suite = PATIENT,
) -> None:
    """Count the products that pass a filter; with --force, delete them.

    sightline products purge --filter 'category = "Wine > Rosé"'
    sightline products purge --filter 'category = "Wine > Rosé"' --force

    Args:
        everything: All products of the catalog, instead of --filter.
    """
    condition = to_wire.filter_(options.condition(filter, currency))
    if (condition is None) is not everything:
        raise typer.BadParameter(_("give --filter or --all, and not both"), param_hint="--filter")
    request = catalog_pb2.PurgeProductsRequest(
        catalog_id=suite.catalog,
        request_id=requests.own_id(),
        filter=condition or filter_pb2.Filter(all=filter_pb2.FilterList()),
        force=force,
    )
    following.purge(
        suite, lambda calls: calls.catalog.PurgeProducts, request, partial(_purged, force=force)
    )


def _purged(message: catalog_pb2.PurgeProductsResponse, *, force: bool) -> Text:
    some = ", ".join(grids.plain(item) for item in message.sample_product_ids)
    found = tables.counted(message.product_count, "product", "products")
    return Text(
        _(
            "{found} {purged}. {some}", found=found, purged=listings.purged(force=force), some=some
        ).rstrip()
    )


@app.command()
def status(
    *,
    wait: options.Flag = False,
    suite: Suite = QUICK,
) -> None:
    """Show how many photos and texts of the catalog are in the index.

    sightline products status
    sightline products status --wait && echo ready

    Args:
        wait: Wait until no photo or text is pending embedding. Ctrl-C ends the wait, not the
            embedding. --timeout applies to each call.
    """
    request = admin.GetStatusRequest(catalog_id=suite.catalog)

    async def ask(client: SightlineClient) -> admin.GetStatusResponse:
        look = partial(client.calls, client.calls.admin.GetStatus, request, suite.timeout)
        message = await look()
        if not wait:
            return message
        if _behind(message):
            running.tell("Waiting for vectors. Ctrl-C ends the wait, not the embedding.")
        patience = Patience()
        with progress.meter(_("photos and texts in the index")) as bar:
            while _behind(message):
                indexed = message.indexed_images + message.indexed_texts
                waiting = max(message.pending_images, 0) + max(message.pending_texts, 0)
                bar.at(indexed, indexed + waiting)
                await asyncio.sleep(_PAUSE)
                message = await patience.wait(look)
        return message

    message = suite.run(ask)
    value = from_wire.status(message)
    suite.show(message, lambda: tables.catalog(value))
    if value.products is None:
        raise typer.Exit(1)


def _behind(message: admin.GetStatusResponse) -> bool:
    """Return whether the index is behind the catalog."""
    waiting = message.pending_images or message.pending_texts
    return bool(waiting or from_wire.freshness(message.freshness).lag)
