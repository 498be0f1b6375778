"""``sightline events``"""

import time
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from sightline.common.v1 import event_pb2
from sightline.gateway.v1 import user_event_service_pb2 as user_event
from sightline_client.cli.base import options
from sightline_client.cli.base.suite import LONG, PATIENT, Suite
from sightline_client.cli.language import _
from sightline_client.cli.show import listings, tables
from sightline_client.cli.show.grids import phrase
from sightline_client.cli.work import bulk, fixing, following, unmatched
from sightline_client.cli.work.columns import FileColumns, FileLayout, again
from sightline_client.cli.work.plain_commands import (
    BEFORE,
    SINCE,
    Given,
    PlainCommands,
    argument,
    flag,
    text,
)
from sightline_client.cli.work.remembered import scope_of
from sightline_client.client import SightlineClient
from sightline_client.convert import from_wire, requests, to_wire
from sightline_client.errors import SightlineError
from sightline_client.files import events as event_rows
from sightline_client.files import shapes
from sightline_client.files.model import Row
from sightline_client.values.events import EventType

Types = Annotated[
    list[EventType] | None,
    typer.Option(case_sensitive=False, help="Only this type. May be given several times."),
]

EVENTS = FileLayout(event_rows.COLUMNS, event_rows.NEEDED, shapes.EVENTS)

app = PlainCommands(help="Import, export and delete events.")


@dataclass(slots=True)
class _Counts:
    """Counts of sent events by what became of them."""

    written: int = 0
    duplicates: int = 0
    withheld: int = 0

    def add(self, response: user_event.WriteEventsResponse) -> None:
        """Add the counts of an answer."""
        self.written += response.written_count
        self.duplicates += response.duplicate_count
        self.withheld += response.withheld_count


@app.command("import")
def import_(
    *,
    file: options.File,
    dry_run: options.Flag = False,
    in_flight: options.InFlight = 4,
    columns: FileColumns,
    suite: Suite = LONG,
) -> None:
    """Import events. Each counts once, however often it is imported.

    [bold]Columns[/bold]: type (IMPRESSION, VIEW, CLICK, ADD_TO_CART, PURCHASE, RATING, HIDE,
    UNHIDE, SEARCH) and user_id or visitor_id are needed. event_id (default: derived from the row's
    content, so that equal rows count once), product_id, session_id, time (2026-03-01T12:00:00Z,
    seconds since 1970, or a local time with --time-zone), value (of a RATING: 0 to 5), quantity,
    unit_price with currency, order_id, position, scene, attribution_token, query.

    With --map guess, the column of products is the one whose values are ids of the catalog.

    An invalid row does not stop the import: it is reported with its number and kept as it came,
    with its error, in FILE.rejected.csv (.xlsx, .jsonl); fix that file and run the command that is
    printed. After an interrupt, run the command again: duplicates are not counted twice.

    sightline events import clicks.csv --dry-run
    sightline events import clicks.csv
    sightline events import clicks.parquet --json | jq .writtenCount

    Args:
        dry_run: Write nothing; check the columns and values of every row.
    """
    counts = _Counts()
    named = unmatched.Products()
    matches: Mapping[str, int] = {}
    since = time.monotonic()

    def made(row: Row) -> event_pb2.Event:
        event = event_rows.event(row.cells)
        named.add(event.product_id)
        return event

    async def work(client: SightlineClient) -> bulk.SendOutcome:
        nonlocal matches

        async def send(messages: Sequence[event_pb2.Event]) -> user_event.WriteEventsResponse:
            request = user_event.WriteEventsRequest(catalog_id=suite.catalog, events=messages)
            response = await client.calls(client.calls.events.WriteEvents, request, suite.timeout)
            counts.add(response)
            return response

        products: Mapping[str, str] = {}
        with suppress(*((SightlineError,) if dry_run else ())):  # the suite may be away
            products = await _products_column(client, file, columns)
        with closing(EVENTS.open(file, columns, products, scope=scope_of(suite))) as table:
            outcome = await bulk.send_file(
                client,
                file,
                table,
                made,
                send,
                side_by_side=in_flight,
                words=_("importing"),
                id_column="event_id",
                scope=scope_of(suite),
                dry_run=dry_run,
            )
        matches = await unmatched.report(client, named)
        return outcome

    outcome = suite.run(work, keeps=True)
    seconds = time.monotonic() - since
    facts = {
        "writtenCount": counts.written,
        "duplicateCount": counts.duplicates,
        "withheldCount": counts.withheld,
        "dryRun": dry_run,
        "validCount": outcome.rows - outcome.refused,
        "refusedCount": outcome.refused,
        "rejectedFile": str(outcome.rejected or ""),
        "seconds": round(seconds, 3),
        **matches,
    }
    summary = _checked(outcome) if dry_run else _summary(outcome, outcome.rows / seconds, counts)
    command = again(columns, outcome.rejected, outcome.reading) if outcome.rejected else ()
    fixing.show(suite, facts, summary, outcome.rejected, command)
    if outcome.refused:
        raise typer.Exit(1)


def _checked(outcome: bulk.SendOutcome) -> str:
    valid = tables.counted(outcome.rows - outcome.refused, "event is valid", "events are valid")
    rows = tables.counted(outcome.rows, "row", "rows")
    counts = _("{valid} ({rows}): nothing was written", valid=valid, rows=rows)
    return counts + fixing.refused(outcome.refused)


def _summary(outcome: bulk.SendOutcome, speed: float, counts: _Counts) -> str:
    withheld = counts.withheld
    unstored = (
        _(", {withheld:,} not stored for lack of consent", withheld=withheld) if withheld else ""
    )
    rows = tables.counted(outcome.rows, "row", "rows")
    pace = _(" ({rows}, {speed:,.0f}/s)", rows=rows, speed=speed)
    text = _(
        "{written:,} new, {duplicates:,} duplicates{unstored}{pace}",
        counts,
        unstored=unstored,
        pace=pace,
    )
    return text + fixing.refused(outcome.refused)


async def _products_column(
    client: SightlineClient, file: Path, columns: FileColumns
) -> Mapping[str, str]:
    """Return the column of a file with the most ids of the catalog, as a map to ours; none if no
    value is one."""
    counts = {}
    for name, values in EVENTS.candidates(file, columns).items():
        counts[name] = sum([await unmatched.known(client, value) for value in values])
    best = max(counts, key=counts.__getitem__, default="")
    return {best: "product_id"} if counts.get(best) else {}


@app.command()
def purge(
    *,
    before: Annotated[
        datetime | None, options.moment(f"Only events before this time{options.ZONE}")
    ] = None,
    type: Types = None,
    product: Annotated[str, options.words(metavar="ID")] = "",
    user: Annotated[str | None, options.words(metavar="ID")] = None,
    visitor: Annotated[str | None, options.words(metavar="ID")] = None,
    force: options.Force = False,
    suite: Suite = PATIENT,
) -> None:
    """Count the events that match every condition; with --force, delete them.

    sightline events purge --before 2024-01-01
    sightline events purge --type IMPRESSION --before 2024-01-01 --force

    Args:
        product: Only events with this product.
        user: Only events of this customer.
        visitor: Only events of this visitor.
    """
    options.one_shopper(user, visitor)
    if not (before or type or product or user or visitor):
        raise typer.BadParameter(_("give at least one condition"), param_hint="--before")
    request = user_event.PurgeEventsRequest(
        catalog_id=suite.catalog,
        request_id=requests.own_id(),
        before_time=None if before is None else options.timestamp(before, "--before"),
        types=[to_wire.event_type(kind) for kind in type or ()],
        product_id=product,
        shopper=to_wire.shopper(user, visitor),
        force=force,
    )
    following.purge(
        suite, lambda calls: calls.events.PurgeEvents, request, partial(_purged, force=force)
    )


app.job(
    "export",
    """Write events to Parquet files on the ranker's storage; users and visitors are pseudonymized.

    Data that may identify a person is left out unless an option includes it.""",
    ("events export --since 2026-01-01", "events export --type SEARCH --queries"),
    SightlineClient.export_events,
    SINCE,
    BEFORE,
    Given("type", Types, None, to="types"),
    flag("order_ids", "Write order ids in plain text instead of as hashes."),
    flag("queries", "Include search terms."),
    results=("folder", "event_count"),
)
app.call(
    "visitor",
    "Create an id for a visitor who has none yet, with the proof that `events merge` takes.",
    "events visitor --json",
    SightlineClient.create_visitor,
    shows=lambda made: phrase("visitor {visitor_id}\nproof {proof}", made),
)
app.call(
    "merge",
    """Merge a visitor into a customer after login: past and later events are the customer's.

    A suite with keys requires the visitor's proof, unless the caller's key has the role
    privacy.""",
    "events merge cookie-7 1209683",
    SightlineClient.merge_shopper,
    argument("visitor", "VISITOR", "The visitor to merge."),
    argument("user", "USER", "The customer to merge into."),
    text("proof", "PROOF", "The proof that `events visitor` printed with the id."),
    shows=lambda moved: phrase("{events} moved.", events=tables.counted(moved, "event", "events")),
)


def _purged(message: user_event.PurgeEventsResponse, *, force: bool) -> Text:
    value = from_wire.event_purge(message)
    events = tables.counted(value.event_count, "event", "events")
    end = _("{events} {purged}", events=events, purged=listings.purged(force=force))
    if value.first_event_time is None or value.last_event_time is None:
        return phrase("{end}.", end=end)
    span = _("from {first_event_time:%Y-%m-%d} to {last_event_time:%Y-%m-%d}", value)
    return phrase("{end}: {span}.", end=end, span=span)


app.call(
    "searches",
    "List what most shoppers searched for, and how many products have the words.",
    ("events searches", "events searches --top 200 --nothing-found --json"),
    SightlineClient.top_searches,
    Given(
        "top",
        Annotated[int, typer.Option("--top", min=1, max=200, help="Maximum number of texts.")],
        50,
    ),
    flag("nothing_found", "Only those that find no product by their words."),
    shows=listings.searched,
)
