"""``sightline products import`` and ``sightline products offers``"""

from collections.abc import Sequence
from contextlib import closing
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from sightline.gateway.v1 import catalog_service_pb2 as catalog_pb2
from sightline_client.cli.base import options, running
from sightline_client.cli.base.suite import PATIENT, Suite
from sightline_client.cli.language import _, later
from sightline_client.cli.show import tables
from sightline_client.cli.work import bulk, fixing, importing
from sightline_client.cli.work.columns import FileColumns, FileLayout, again, options_of
from sightline_client.cli.work.remembered import remember, scope_of
from sightline_client.client import SightlineClient
from sightline_client.files import offers as offer_rows
from sightline_client.files.folder import PhotoTree
from sightline_client.files.model import FileRefused, Row
from sightline_client.files.rejected import MARK
from sightline_client.files.seen import SeenIds, twice
from sightline_client.files.shapes import PRODUCTS
from sightline_client.values.catalog import ImportMode

OFFERS = FileLayout(offer_rows.COLUMNS, offer_rows.NEEDED, PRODUCTS)
_CHECKED = later("Checked without the suite: columns, values, photos' paths and sizes.")


class Mode(StrEnum):
    """Handling of products that the file does not mention."""

    INCREMENTAL = "incremental"
    FULL = "full"


def import_(
    *,
    file: Annotated[
        Path | None,
        typer.Argument(
            metavar="FILE",
            exists=True,
            dir_okay=False,
            help="A .csv, .tsv, .xlsx, .jsonl, .parquet, .xml (feed) or .html file.",
        ),
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            file_okay=False,
            metavar="DIR",
            help="Instead of FILE: a folder of photos, category/…/photo.jpg. The id is the path"
            " within it. Links to files outside the folder are not followed.",
        ),
    ] = None,
    pages: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            file_okay=False,
            metavar="DIR",
            help="Instead of FILE: a folder of saved pages with products of schema.org. With a "
            "sitemap as FILE, only the pages that it lists.",
        ),
    ] = None,
    images: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            file_okay=False,
            metavar="DIR",
            help="Folder of the photos named in FILE; default: the folder of FILE. If FILE names "
            "none: photos with the products' ids as names. Files outside it are not read.",
        ),
    ] = None,
    mode: Annotated[
        Mode,
        typer.Option(help="full: products missing from the file are deleted at the end."),
    ] = Mode.INCREMENTAL,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Write nothing; check columns, values, photos' paths and sizes of every row."
            " Photos are not decoded. With full, also count what would be deleted.",
        ),
    ] = False,
    force: Annotated[
        bool,
        typer.Option(
            "--force",
            help="With full: delete products even beyond the suite's limit (a share of the "
            "catalog).",
        ),
    ] = False,
    despite_rejected: Annotated[
        bool,
        typer.Option(
            "--despite-rejected",
            help="With full: delete also if rows of the file were rejected; their own products"
            " stay. Otherwise nothing is deleted then.",
        ),
    ] = False,
    import_id: Annotated[
        str,
        typer.Option(
            metavar="ID",
            help="Id of the import; default: derived from the content.",
            callback=options.text,
        ),
    ] = "",
    in_flight: options.InFlight = 4,
    columns: FileColumns,
    suite: Suite,
) -> None:
    """Import products, replacing existing ones completely.

    [bold]Columns[/bold]: id and title are needed. category (Wine > Red > Barolo), brand, price
    (12.50) with currency (EUR), available (true, false, in_stock, out_of_stock, preorder,
    backorder), images (paths or addresses, | between), tags (| between), attributes (JSON:
    {"country": "Italy", "abv": 13.5}), parent_id, language, description, uri. Values of a market
    have its id: price@de, currency@de, available@de, title@de, description@de, language@de, uri@de.

    After an interrupt, the same command continues where it stopped. An invalid row never stops the
    rest: it is reported with its number, equal reasons once, and kept as it came, with its error,
    in FILE.rejected.csv (.xlsx, .jsonl), and the exit code is 1. Fix that file and run the command
    that is printed. Unchanged rows are rejected again. An earlier file of rejected rows is kept as
    FILE.rejected.csv~.

      sightline products import wines.csv --images photos/ --dry-run

      sightline products import wines.csv --images photos/

      sightline products import wines.parquet --mode full

      sightline products import theirs.csv --map guess --dry-run

      sightline products import theirs.csv --map Price_EUR=price --set currency=EUR

      sightline products import --folder clothing/

      sightline products import feed.xml --dry-run

      sightline products import --pages saved/ --dry-run
    """
    if sum(each is not None for each in (file if pages is None else None, folder, pages)) != 1:
        text = _("give one of FILE, --folder and --pages")
        raise typer.BadParameter(text, param_hint="FILE")
    if mode is Mode.FULL and file is not None and MARK in file.suffixes:
        raise typer.BadParameter(
            _("a file of rejected rows holds only part of a catalog: full would delete the rest"),
            param_hint="--mode",
        )
    source = _open(file, folder, pages, images, columns, scope=scope_of(suite))
    plan = importing.ImportPlan(
        ImportMode(mode.value.upper()), import_id, dry_run, force, despite_rejected, in_flight
    )
    work = importing.check if dry_run else importing.run
    try:
        outcome = suite.run(lambda client: work(client, source, plan), keeps=not dry_run)
    finally:
        source.table.close()
    remember(source.table, scope_of(suite), rows=outcome.rows, refused=outcome.refused)
    closing = running.facts(outcome.closing) if suite.json else {}
    fixing.show(
        suite,
        closing | _facts(source, outcome, dry_run=dry_run),
        _summary(source, outcome, dry_run=dry_run),
        outcome.rejected,
        _again(source, outcome, columns, folder or pages),
    )
    if outcome.refused or outcome.failed:
        raise typer.Exit(1)


def offers(
    *,
    file: options.File,
    market: Annotated[
        str,
        options.words(
            "--market",
            metavar="ID",
            help="Market whose values are set, of products that list it; default: the products'"
            " own.",
        ),
    ] = "",
    in_flight: options.InFlight = 4,
    columns: FileColumns,
    suite: Suite = PATIENT,
) -> None:
    """Set prices and stock only; all other fields stay unchanged.

    [bold]Columns[/bold]: id; price with currency; available. Empty cells leave the value unchanged.
    Answers and filters use the new values at once, without new vectors. Exports and feeds of
    products are read too.

      sightline products offers prices.csv

      sightline products offers prices-de.csv --market de
    """
    token = ""

    async def work(client: SightlineClient) -> bulk.SendOutcome:
        async def send(messages: Sequence[catalog_pb2.Offer]) -> catalog_pb2.UpdateOffersResponse:
            nonlocal token
            request = catalog_pb2.UpdateOffersRequest(
                catalog_id=suite.catalog, offers=messages, market_id=market
            )
            method = client.calls.catalog.UpdateOffers
            response = await client.calls(method, request, suite.timeout)
            token = response.index_token or token
            return response

        with SeenIds() as seen, closing(OFFERS.open(file, columns, scope=scope_of(suite))) as table:
            return await bulk.send_file(
                client,
                file,
                table,
                lambda row: _offer(row, seen),
                send,
                side_by_side=in_flight,
                words=_("setting offers"),
                id_column="id",
                scope=scope_of(suite),
            )

    outcome = suite.run(work, keeps=True)
    stored = outcome.rows - outcome.refused
    facts = {
        "storedCount": str(stored),
        "refusedCount": str(outcome.refused),
        "rejectedFile": str(outcome.rejected or ""),
        "indexToken": token,
    }
    summary = _(
        "{offers} set{refused}",
        offers=tables.counted(stored, "offer", "offers"),
        refused=fixing.refused(outcome.refused),
    )
    command = again(columns, outcome.rejected, outcome.reading) if outcome.rejected else ()
    fixing.show(suite, facts, summary, outcome.rejected, command)
    if outcome.refused:
        raise typer.Exit(1)


def _open(
    file: Path | None,
    folder: Path | None,
    pages: Path | None,
    images: Path | None,
    columns: FileColumns,
    *,
    scope: str,
) -> importing.ImportSource:
    def opened() -> importing.ImportSource:
        if pages is not None:
            return importing.open_pages(pages, file, images, columns)
        if file is not None:
            return importing.open_file(file, images, columns, scope)
        if folder is not None:
            return importing.open_folder(folder)
        raise FileRefused(_("there is nothing to import"), _("give FILE, --folder or --pages"))

    return running.guarded(opened)


def _again(
    source: importing.ImportSource,
    outcome: importing.ImportOutcome,
    columns: FileColumns,
    folder: Path | None,
) -> Sequence[str]:
    """Return the words of the command that imports the rejected rows."""
    if outcome.rejected is None:
        return ()
    photos = ["--images", str(folder)] if folder is not None else []
    read = options_of(source.path, source.table)
    own = ("mode", "force", "despite_rejected", "import_id", "folder", "pages")
    return again(columns, outcome.rejected, [*photos, *read], without=own)


def _offer(row: Row, seen: SeenIds) -> catalog_pb2.Offer:
    offer = offer_rows.offer(row.cells)
    error = twice(seen, row, offer.product_id)
    if error is not None:
        raise error
    return offer


def _facts(
    source: importing.ImportSource, outcome: importing.ImportOutcome, *, dry_run: bool
) -> dict[str, Any]:
    tree = source.table if isinstance(source.table, PhotoTree) else None
    return {
        "linksNotFollowed": str(tree.not_followed if tree else 0),
        "notPhotos": str(tree.not_photos if tree else 0),
        "pagesWithoutProduct": str(source.pages.without if source.pages else 0),
        "dryRun": dry_run,
        "rowsRead": str(outcome.rows),
        "rowsRefused": str(outcome.refused),
        "rejectedFile": str(outcome.rejected or ""),
        "indexToken": outcome.index_token,
        "seconds": round(outcome.seconds, 3),
    }


def _summary(
    source: importing.ImportSource, outcome: importing.ImportOutcome, *, dry_run: bool
) -> str:
    speed = outcome.rows / outcome.seconds if outcome.seconds else 0.0
    counted = tables.counted
    if dry_run:
        text = counted(outcome.stored, "product is valid", "products are valid")
    else:
        text = counted(outcome.stored, "product stored", "products stored")
    text += _(
        " ({rows} read, {speed:,.0f}/s)", rows=counted(outcome.rows, "row", "rows"), speed=speed
    )
    text += fixing.refused(outcome.refused)
    if not dry_run and outcome.closing.HasField("job"):
        gone = counted(outcome.closing.delete_count, "product", "products")
        text += _(" {gone} deleted (missing from the file).", gone=gone)
    if isinstance(source.table, PhotoTree):
        if source.table.not_followed:
            links = counted(source.table.not_followed, "link was", "links were")
            text += _(" {links} not followed.", links=links)
        if source.table.not_photos:
            files = counted(
                source.table.not_photos,
                "file is not a photo by its name",
                "files are not photos by their names",
            )
            text += f" {files}" + _(".")
    if source.pages is not None and source.pages.without:
        some = counted(source.pages.without, "page describes", "pages describe")
        text += _(" {some} no product.", some=some)
    return text + (f" {_(_CHECKED)}" if dry_run else "")
