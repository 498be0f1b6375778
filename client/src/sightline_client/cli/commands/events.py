"""``sightline events``"""

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc import status_pb2
from rich.text import Text

from sightline.common.v1 import event_pb2, job_pb2
from sightline.gateway.v1 import user_event_service_pb2 as user_event
from sightline_client.cli.base import options, running
from sightline_client.cli.base.group import Commands
from sightline_client.cli.base.suite import Suite
from sightline_client.cli.show import listings, tables
from sightline_client.cli.work import bulk, following
from sightline_client.cli.work import fixing as mending
from sightline_client.cli.work.columns import FileColumns, Rows
from sightline_client.cli.work.patience import Patience, reach
from sightline_client.client import SightlineClient
from sightline_client.convert import from_wire, to_wire
from sightline_client.errors import SightlineError
from sightline_client.files import events as event_rows
from sightline_client.files import shapes
from sightline_client.values.events import EventType

_TIMES = ["%Y-%m-%dT%H:%M:%S%z", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d"]

EVENTS = Rows(event_rows.COLUMNS, event_rows.NEEDED, shapes.EVENTS)

app = Commands(no_args_is_help=True, help="Tell what shoppers did, and take it back.")


@app.command("import")
def import_(
    *,
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", exists=True, dir_okay=False, help="A .csv, .jsonl or .parquet file."
        ),
    ],
    in_flight: options.InFlight = 4,
    columns: FileColumns,
    target: options.Target = options.DEFAULT_TARGET,
    catalog: options.Catalog = "default",
    timeout: options.Timeout = 60.0,
    json: options.Json = False,
) -> None:
    """Import events. Each counts once, however often it is imported.

    [bold]Columns[/bold]: event_id, type (IMPRESSION, VIEW, CLICK, ADD_TO_CART, PURCHASE, RATING,
    HIDE, UNHIDE, SEARCH) and user_id or visitor_id are needed. product_id, session_id, time
    (2026-03-01T12:00:00Z, or seconds since 1970), value (of a RATING: 0 to 5), quantity, unit_price
    with currency, order_id, position, scene, attribution_token, query.

    A bad row never stops the rest: it is told with its number and kept in FILE.rejected.csv (or
    .jsonl) with what is wrong; mend that file and import it. Interrupted, run it again: what is
    there already counts as such.

    [bold]Examples[/bold]

      sightline events import clicks.csv

      sightline events import clicks.parquet --json | jq .writtenCount
    """
    written = duplicates = 0
    since = time.monotonic()

    async def work(client: SightlineClient) -> bulk.Outcome:
        patience = Patience()

        async def send(messages: Sequence[event_pb2.Event]) -> Sequence[status_pb2.Status]:
            nonlocal written, duplicates
            request = user_event.WriteEventsRequest(catalog_id=catalog, events=messages)
            response = await patience.wait(lambda: client.calls.write_events(request, timeout))
            written += response.written_count
            duplicates += response.duplicate_count
            return response.statuses

        table = EVENTS.open(file, columns)
        try:
            await reach(client)
            return await bulk.send_file(
                file,
                table,
                lambda row: event_rows.event(row.cells),
                send,
                side_by_side=in_flight,
                words="importing",
                id_column="event_id",
            )
        finally:
            table.close()

    outcome = running.run(work, target=target, catalog=catalog, timeout=timeout, keeps=True)
    seconds = time.monotonic() - since
    if json:
        running.show_facts(
            {
                "writtenCount": written,
                "duplicateCount": duplicates,
                "refusedCount": outcome.refused,
                "rejectedFile": str(outcome.rejected or ""),
                "seconds": round(seconds, 3),
            }
        )
    else:
        told = f"{written:,} new, {duplicates:,} there already"
        rows = tables.counted(outcome.rows, "row", "rows")
        speed = f" ({rows}, {outcome.rows / seconds:,.0f}/s)"
        running.show(Text(told + speed + mending.refused(outcome.refused)))
        mending.show(
            outcome.rejected,
            ("events", "import"),
            target=target,
            catalog=catalog,
            ignore=columns.ignore or (),
        )
    if outcome.refused:
        raise typer.Exit(1)


@app.command()
def purge(
    *,
    before: Annotated[
        datetime | None,
        typer.Option(
            formats=_TIMES,
            metavar="TIME",
            help="Only events before this time, e.g. 2026-03-01T12:00:00Z; without a zone UTC.",
        ),
    ] = None,
    type: Annotated[
        list[EventType] | None,
        typer.Option(case_sensitive=False, help="Only this type. May be given several times."),
    ] = None,
    product: Annotated[
        str,
        typer.Option(metavar="ID", help="Only events with this product.", callback=options.text),
    ] = "",
    user: Annotated[
        str | None,
        typer.Option(metavar="ID", help="Only events of this customer.", callback=options.text),
    ] = None,
    visitor: Annotated[
        str | None,
        typer.Option(metavar="ID", help="Only events of this visitor.", callback=options.text),
    ] = None,
    force: options.Force = False,
    target: options.Target = options.DEFAULT_TARGET,
    catalog: options.Catalog = "default",
    timeout: options.Timeout = 30.0,
    json: options.Json = False,
) -> None:
    """Count the events that fit every condition; with --force, delete them.

    [bold]Examples[/bold]

      sightline events purge --before 2024-01-01

      sightline events purge --type IMPRESSION --before 2024-01-01 --force
    """
    if user and visitor:
        raise typer.BadParameter("give --user or --visitor, not both", param_hint="--visitor")
    if not (before or type or product or user or visitor):
        raise typer.BadParameter("give at least one condition", param_hint="--before")
    request = user_event.PurgeEventsRequest(
        catalog_id=catalog,
        request_id=options.new_request_id(),
        before_time=None if before is None else _timestamp(before),
        types=[to_wire.event_type(kind) for kind in type or ()],
        product_id=product,
        shopper=to_wire.shopper(user, visitor),
        force=force,
    )

    async def ask(client: SightlineClient) -> user_event.PurgeEventsResponse:
        response = await client.calls.purge_events(request, timeout)
        if response.HasField("job"):
            response.job.CopyFrom(await following.follow(client, response.job.job_id))
        return response

    response = running.run(ask, target=target, catalog=catalog, timeout=timeout)
    if json:
        running.show_json(response)
    else:
        running.show(Text(_words(response, force=force)))
    if response.HasField("job") and not following.ended_well(from_wire.job(response.job)):
        raise typer.Exit(1)


@app.command()
def export(
    *,
    since: Annotated[
        datetime | None,
        typer.Option(
            formats=_TIMES,
            metavar="TIME",
            help="Only events from this time on, e.g. 2026-03-01T12:00:00Z; without a zone UTC.",
        ),
    ] = None,
    before: Annotated[
        datetime | None,
        typer.Option(formats=_TIMES, metavar="TIME", help="Only events before this time."),
    ] = None,
    type: Annotated[
        list[EventType] | None,
        typer.Option(case_sensitive=False, help="Only this type. May be given several times."),
    ] = None,
    wait: Annotated[bool, typer.Option(help="Follow the job to its end, or only start it.")] = True,
    suite: Suite,
) -> None:
    """Write events to Parquet files, on the ranker's side; people are pseudonyms in them.

    [bold]Example[/bold]

      sightline events export --since 2026-01-01
    """

    async def ask(client: SightlineClient) -> job_pb2.Job:
        job = await client.export_events(
            since=None if since is None else _in_zone(since),
            before=None if before is None else _in_zone(before),
            types=type or (),
        )
        return await (following.follow if wait else following.get)(client, job.job_id)

    message = suite.run(ask)
    value = from_wire.job(message)
    if suite.json:
        running.show_json(message)
    else:
        running.show(listings.jobs([value]))
        for name in ("folder", "event_count"):
            if name in value.results:
                running.show(Text(f"{name} {value.results[name]}"))
    if wait and not following.ended_well(value):
        raise typer.Exit(1)


@app.command()
def merge(
    *,
    visitor: Annotated[
        str, typer.Argument(metavar="VISITOR", help="Whose events move.", callback=options.named)
    ],
    user: Annotated[
        str, typer.Argument(metavar="USER", help="To which customer.", callback=options.named)
    ],
    suite: Suite,
) -> None:
    """Make a visitor's events, and those to come, a customer's: after a login.

    [bold]Example[/bold]

      sightline events merge cookie-7 1209683
    """
    request = user_event.MergeShopperRequest(
        catalog_id=suite.catalog, to=to_wire.shopper(user, None)
    )
    getattr(request, "from").visitor_id = visitor

    response = suite.run(lambda client: client.calls.merge_shopper(request, suite.timeout))
    suite.show(
        response, lambda: Text(f"{tables.counted(response.moved_count, 'event', 'events')} moved.")
    )


def _in_zone(value: datetime) -> datetime:
    return value if value.tzinfo else value.replace(tzinfo=UTC)


def _timestamp(value: datetime) -> Timestamp:
    try:
        return to_wire.timestamp(_in_zone(value))
    except SightlineError as error:
        raise typer.BadParameter(error.message, param_hint="--before") from None


def _words(response: user_event.PurgeEventsResponse, *, force: bool) -> str:
    value = from_wire.event_purge(response)
    events = tables.counted(value.event_count, "event", "events")
    verb = "deleted" if force else "would be deleted; --force deletes them"
    if value.first_event_time is None or value.last_event_time is None:
        return f"{events} {verb}."
    span = f"from {value.first_event_time:%Y-%m-%d} to {value.last_event_time:%Y-%m-%d}"
    return f"{events} {verb}: {span}."
