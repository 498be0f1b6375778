"""The steps of ``sightline products import``."""

import hashlib
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from sightline.common.v1 import import_pb2, product_pb2
from sightline.gateway.v1 import catalog_service_pb2 as catalog_pb2
from sightline_client.cli.base import progress, running
from sightline_client.cli.language import _
from sightline_client.cli.show.tables import counted
from sightline_client.cli.work import columns, following
from sightline_client.cli.work.columns import FileColumns, FileLayout
from sightline_client.cli.work.patience import Patience, reach
from sightline_client.cli.work.refusals import Refusals
from sightline_client.client import SightlineClient
from sightline_client.convert import from_wire, to_wire
from sightline_client.errors import SightlineError
from sightline_client.files import products
from sightline_client.files.accounts import accounted
from sightline_client.files.conversion import Shaped
from sightline_client.files.folder import PhotoTree
from sightline_client.files.forms import Formed, unformed
from sightline_client.files.mapping import Mapped
from sightline_client.files.model import Row, RowTable, bad
from sightline_client.files.opening import fingerprint, look
from sightline_client.files.pages import ProductPages
from sightline_client.files.photos import PhotoFolder
from sightline_client.files.rejected import Rejected
from sightline_client.files.seen import SeenIds, SharedPhotos, twice
from sightline_client.files.shapes import PRODUCTS
from sightline_client.transport.row_import import Line, Sender, read_ahead, send_all, too_large
from sightline_client.values.catalog import ImportMode

_MOST_RUNS = 10_000
_SAMPLE = 5
"""Number of products to delete that are named; --json names up to 20."""


@dataclass(frozen=True, slots=True)
class ImportSource:
    """Source of an import: a file or a folder."""

    path: Path
    table: RowTable
    photos: PhotoFolder
    fingerprint: str
    """Equal contents have equal hashes."""
    pages: ProductPages | None = None
    """Pages that the table is read from; None = it is read from something else."""


@dataclass(frozen=True, slots=True)
class ImportPlan:
    """Options of an import."""

    mode: ImportMode
    import_id: str = ""
    """Empty: derived from the content and the mode."""
    dry_run: bool = False
    force: bool = False
    despite_rejected: bool = False
    """Delete also if rows were rejected."""
    in_flight: int = 4


@dataclass(slots=True)
class ImportOutcome:
    """Counts and results of an import."""

    closing: catalog_pb2.CloseImportResponse = field(
        default_factory=catalog_pb2.CloseImportResponse
    )
    rows: int = 0
    """Rows that were read this time."""
    stored: int = 0
    refused: int = 0
    refusals: Refusals = field(default_factory=Refusals)
    unnamed: int = 0
    """Rejected rows without a readable id, or of several lines."""
    rejected: Path | None = None
    seconds: float = 0.0
    index_token: str = ""
    failed: bool = False
    """An error outside the rows was reported."""


ROWS = FileLayout(products.COLUMNS, products.NEEDED, PRODUCTS)


def open_file(path: Path, images: Path | None, given: FileColumns, scope: str) -> ImportSource:
    """Open a table of products. Photos are searched beside it unless ``images`` names their
    folder; if it does and the table names none, those named by the products' ids are taken."""
    table = ROWS.open(path, given, scope=scope)
    with progress.meter(_("looking at {name}", path), path.stat().st_size, stays=False) as bar:
        content = fingerprint(path, bar.at)
    content = _import_of(content, table)
    by_id = images is not None and not _names_photos(path, table, given)
    if by_id:
        where = _(
            "in {images} with their ids as names, such as 7.jpg or 7/front.jpg", images=images
        )
        running.tell("{name} names no photos: products get those {where}.", path, where=where)
    return ImportSource(path, table, PhotoFolder(images or path.parent, by_id=by_id), content)


def _import_of(content: str, table: RowTable) -> str:
    """Return what identifies an import: the file, and how its rows are read."""
    how = getattr(table, "how", "")
    if isinstance(table, Formed) and (found := table.forms().found):
        how += repr(sorted(found.items()))
    return hashlib.sha256(f"{content} {how}".encode()).hexdigest()[:32] if how else content


def _names_photos(path: Path, table: RowTable, given: FileColumns) -> bool:
    """Return whether a table has photos of its own; if each row has its own columns, the first rows
    decide."""
    if isinstance(unformed(table), Mapped | Shaped) and not table.columns:
        return True
    return "images" in (table.columns or look(path, ROWS.known, given.encoding)[0])


def open_folder(path: Path) -> ImportSource:
    """Open a folder of photos, one product a photo."""
    with progress.meter(_("looking for photos in {name}", path), stays=False) as bar:
        tree = PhotoTree(path, lambda found: bar.at(0, rows=found))
    return ImportSource(path.resolve(), tree, PhotoFolder(path), tree.fingerprint)


def open_pages(
    folder: Path, sitemap: Path | None, images: Path | None, given: FileColumns
) -> ImportSource:
    """Open the saved pages of a folder, or those that a sitemap names."""
    with progress.meter(_("looking for pages in {name}", folder), stays=False) as bar:
        pages = ProductPages(folder, None, sitemap, lambda found: bar.at(0, rows=found))
    table = ROWS.over(pages, given, "schema-org")
    content = pages.fingerprint
    content = _import_of(content, table)
    return ImportSource(folder.resolve(), table, PhotoFolder(images or folder), content, pages)


async def run(client: SightlineClient, source: ImportSource, plan: ImportPlan) -> ImportOutcome:
    """Import the rows that the suite does not have yet. SightlineError when the suite stays
    unavailable: acknowledged rows are kept, and the next run continues from there."""
    outcome, since = ImportOutcome(), time.monotonic()
    state = await _open(client, source, plan)
    if state.closed:
        running.tell("Import {import_id} is already complete: nothing to do.", state)
        outcome.closing.state.CopyFrom(state)
        return outcome
    if state.rows_done:
        running.tell("Continuing after row {rows_done:,} of an earlier run.", state)
    await _send(client, source, plan, state, outcome)
    if plan.mode is ImportMode.FULL and not await _may_close(
        client, state.import_id, plan, outcome
    ):
        outcome.failed = True
    else:
        await _close(client, state.import_id, plan, outcome)
    outcome.stored = outcome.closing.state.stored_count
    outcome.seconds = time.monotonic() - since
    await _advise(client)
    return outcome


async def _advise(client: SightlineClient) -> None:
    """Say what to do if the catalog has outgrown its engine."""
    with suppress(SightlineError):  # the import is over either way
        for line in (await client.status()).advice:
            running.tell("This catalog has outgrown its engine: {line}.", line=line)


async def check(client: SightlineClient, source: ImportSource, plan: ImportPlan) -> ImportOutcome:
    """Read and check every row, and write nothing to the suite. In FULL mode, compare the ids with
    the catalog's to say what would be deleted."""
    outcome, since = ImportOutcome(), time.monotonic()
    if plan.mode is ImportMode.FULL:
        await reach(client)
    rejected = Rejected(source.path, source.table)
    with SeenIds() as seen, SeenIds() as held, SharedPhotos() as shared:
        with progress.meter(_("checking"), source.table.total) as bar:
            lines = _lines(source, seen, shared, 0, ask_again=False, read=False)
            async for line in read_ahead(lines, _weight):
                outcome.rows += 1
                outcome.stored += line.error is None
                if line.product.product_id:
                    held.first(line.product.product_id, line.number)
                if line.error is not None:
                    _refuse(outcome, rejected, line.source, line.error)
                bar.at(source.table.done, rows=outcome.rows, refused=outcome.refused)
        rejected.close()
        outcome.refusals.say()
        _report_photos(source, shared)
        columns.report(source.table)
        if plan.mode is ImportMode.FULL:
            outcome.closing = await _absent(client, held)
            _report_deletion(outcome.closing)
    outcome.rejected = rejected.path if rejected.count else None
    outcome.seconds = time.monotonic() - since
    return outcome


async def _absent(client: SightlineClient, held: SeenIds) -> catalog_pb2.CloseImportResponse:
    """Count the products of the catalog that have none of these ids, and name some."""
    found = catalog_pb2.CloseImportResponse()
    with progress.meter(_("comparing with the catalog"), stays=False) as bar:
        seen = 0
        async for product in client.list_products():
            seen += 1
            bar.at(0, rows=seen)
            if product.product_id not in held:
                found.delete_count += 1
                if len(found.sample_product_ids) < 20:
                    found.sample_product_ids.append(product.product_id)
    return found


async def _open(
    client: SightlineClient, source: ImportSource, plan: ImportPlan
) -> import_pb2.ImportState:
    """Open the first import of this content that is not closed. The same file, imported again, is a
    new import: something else may have been imported in between."""
    base = plan.import_id or f"{source.fingerprint}-{plan.mode.value.lower()}"
    for run_number in range(1, _MOST_RUNS):
        import_id = base if run_number == 1 else f"{base}-{run_number}"
        request = catalog_pb2.OpenImportRequest(
            catalog_id=client.catalog, import_id=import_id, mode=to_wire.import_mode(plan.mode)
        )
        state = await client.calls(client.calls.catalog.OpenImport, request, client.timeout)
        if run_number == 2 and not plan.import_id:
            running.tell("This content was imported before: its products are written again.")
        if plan.import_id or not state.closed:
            return state
    raise bad("--import-id", _("this content was imported too often: give an id with --import-id"))


async def _send(
    client: SightlineClient,
    source: ImportSource,
    plan: ImportPlan,
    state: import_pb2.ImportState,
    outcome: ImportOutcome,
) -> None:
    patience = Patience()
    sender = Sender(
        client.calls,
        client.catalog,
        state.import_id,
        client.batch_timeout,
        patience.seconds,
        patience.report,
    )
    rejected = Rejected(source.path, source.table)
    again = state.refused_count > 0
    try:
        with (
            SeenIds() as seen,
            SharedPhotos() as shared,
            progress.meter(_("importing"), source.table.total) as bar,
        ):
            rows = _lines(source, seen, shared, state.rows_done, ask_again=again)
            lines = read_ahead(rows, _weight)
            async for batch in send_all(sender, lines, side_by_side=plan.in_flight):
                outcome.rows += len(batch.lines)
                outcome.index_token = batch.index_token or outcome.index_token
                for line, error in zip(batch.lines, batch.errors, strict=True):
                    if error is not None:
                        _refuse(outcome, rejected, line.source, error)
                bar.at(source.table.done, rows=outcome.rows, refused=outcome.refused)
            _report_photos(source, shared)
            columns.report(source.table)
    finally:
        rejected.close()
        outcome.refusals.say()
        outcome.rejected = rejected.path if rejected.count else None


def _lines(
    source: ImportSource,
    seen: SeenIds,
    shared: SharedPhotos,
    after: int,
    *,
    ask_again: bool,
    read: bool = True,
) -> Iterator[Line[Row]]:
    """Yield the rows to be sent. Rows up to ``after`` were decided before: with ``ask_again`` they
    are sent without photos, to report their outcome once more."""
    for row in accounted(source.table):
        past = row.number <= after
        product_id = products.product_id(row.cells)
        made, error = product_pb2.Product(product_id=product_id), row.error
        if error is None:
            try:
                made = products.product(row.cells, source.photos, read=read and not past)
                error = twice(seen, row, product_id) or too_large(made)
                if error is None and not made.images:
                    shared.lack(product_id)
                if error is None and not made.parent_id:
                    shared.look(row.number, products.photos(row.cells, source.photos))
            except SightlineError as refusal:
                error = refusal
        if not past or ask_again:
            yield Line(row.number, made, row, error)


def _report_photos(source: ImportSource, shared: SharedPhotos) -> None:
    """Warn about products without a photo named by their id, and about one photo shared by many
    products, which may be intended."""
    if source.photos.by_id and shared.lacking:
        have = counted(shared.lacking, "product has", "products have")
        names = ", ".join(shared.without)
        running.tell(
            "{have} no photo there with the id as its name: {names}.", have=have, names=names
        )
    if shared.count:
        have = counted(shared.count, "product has", "products have")
        running.tell(
            "{have} a photo that another one has ({example}): products with the same "
            "photo take one place in an answer. Give each its own, or leave images "
            "empty where the photo is a placeholder.",
            have=have,
            example=shared.example,
        )


def _weight(line: Line[Row]) -> int:
    return line.product.ByteSize()


def _refuse(outcome: ImportOutcome, rejected: Rejected, row: Row, error: SightlineError) -> None:
    outcome.refused += 1
    outcome.unnamed += not products.product_id(row.cells) or row.records != 1
    rejected.add(row, error)
    outcome.refusals.add(row, error, products.product_id(row.cells))


async def _may_close(
    client: SightlineClient, import_id: str, plan: ImportPlan, outcome: ImportOutcome
) -> bool:
    """Show what a FULL import deletes. Return whether it may continue."""
    request = catalog_pb2.CloseImportRequest(
        catalog_id=client.catalog, import_id=import_id, dry_run=True
    )
    with progress.meter(_("counting what is not in the file"), stays=False):
        outcome.closing = await _closed(client, request)
    _report_deletion(outcome.closing)
    wanted = plan.force or (plan.despite_rejected and not outcome.unnamed)
    if outcome.refused and outcome.closing.delete_count and not wanted:
        rows = counted(outcome.refused, "row was rejected", "rows were rejected")
        unnamed = counted(outcome.unnamed, "has no readable id", "have no readable id")
        running.tell(
            "Nothing is deleted: {rows}, of which {unnamed}, and these products may be "
            "theirs. Fix the file, or run the command again with {option}.",
            rows=rows,
            unnamed=unnamed,
            option="--force" if outcome.unnamed else "--despite-rejected",
        )
        return False
    return True


async def _close(
    client: SightlineClient, import_id: str, plan: ImportPlan, outcome: ImportOutcome
) -> None:
    request = catalog_pb2.CloseImportRequest(
        catalog_id=client.catalog, import_id=import_id, force=plan.force
    )
    outcome.closing = await _closed(client, request)
    if outcome.closing.HasField("job"):
        job = await following.follow(client, outcome.closing.job.job_id)
        outcome.closing.job.CopyFrom(job)
        outcome.failed = not following.ended_well(from_wire.job(job))


async def _closed(
    client: SightlineClient, request: catalog_pb2.CloseImportRequest
) -> catalog_pb2.CloseImportResponse:
    return await client.calls(client.calls.catalog.CloseImport, request, client.batch_timeout)


def _report_deletion(closing: catalog_pb2.CloseImportResponse) -> None:
    if not closing.delete_count:
        running.tell("Every product of the catalog is in the file: nothing to delete.")
        return
    some = ", ".join(closing.sample_product_ids[:_SAMPLE])
    gone = counted(closing.delete_count, "product", "products")
    running.tell(
        "To be deleted, as missing from the file: {gone}, e.g. {some}", gone=gone, some=some
    )
