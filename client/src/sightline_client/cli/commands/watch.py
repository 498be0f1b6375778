"""``sightline watch``"""

import asyncio
import base64
import json
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer
from google.protobuf import json_format
from rich.console import Group, RenderableType
from rich.text import Text

from sightline.vision.v1 import watch_pb2
from sightline.vision.v1 import watch_service_pb2 as pb
from sightline_client.cli.base import options, running
from sightline_client.cli.base.suite import LONG, Suite
from sightline_client.cli.language import _, later
from sightline_client.cli.show.grids import phrase, plain
from sightline_client.cli.show.value_tables import ValueTable, written
from sightline_client.cli.work.plain_commands import Given, PlainCommands, deleted
from sightline_client.client import SightlineClient
from sightline_client.convert import from_wire
from sightline_client.errors import DeadlineExceeded, Unavailable
from sightline_client.files.model import FileRefused
from sightline_client.files.texts import PHOTOS
from sightline_client.values.watches import Alert, FrameOutcome, FramesAnswer, Watch, WatchFrame

app = PlainCommands(
    help="Watch shelves by cameras: rules about frames, and the alerts that follow. Not for"
    " people.",
)

MOST_BYTES = 10 * 2**20
BATCH, BATCH_BYTES = 8, 30 * 2**20
"""Frames, and their bytes, of one call."""
LOOK_SECONDS = 1.0
"""Seconds between two looks at a folder."""
IMAGE_FILE = "image_file"
"""Key of a target: path of its photo, relative to the file of the watch."""

FRAME_TIME = "frame_time:%Y-%m-%d %H:%M:%S"

WatchId = Annotated[str, options.argument("WATCH", "Watch id, as shown by `watch list`.")]
OfWatch = Annotated[
    str, options.words("--watch", metavar="WATCH", help="Only alerts of this watch; default: all.")
]


@app.command()
def create(
    *,
    file: Annotated[Path, typer.Argument(metavar="FILE", exists=True, dir_okay=False)],
    replace: options.Flag = False,
    suite: Suite,
) -> None:
    """Create a watch: a camera's rules, such as that a product is gone.

    sightline watch create shelf.json

    Args:
        file: The watch as JSON, as in the HTTP API. A target may name its photo as `image_file`,
            relative to this file.
        replace: Replace the watch of this id if there is one.
    """
    watch = running.guarded(lambda: _read(file))

    async def store(client: SightlineClient) -> watch_pb2.Watch:
        calls = client.calls
        if replace:
            held = await calls(
                calls.watches.ListWatches,
                pb.ListWatchesRequest(catalog_id=suite.catalog),
                suite.timeout,
            )
            if watch.watch_id in {each.watch_id for each in held.watches}:
                update = pb.UpdateWatchRequest(catalog_id=suite.catalog, watch=watch)
                return await calls(calls.watches.UpdateWatch, update, suite.timeout)
        request = pb.CreateWatchRequest(catalog_id=suite.catalog, watch=watch)
        return await calls(calls.watches.CreateWatch, request, suite.timeout)

    made = suite.run(store)
    suite.show(
        made,
        lambda: phrase(
            "watch {watch_id}: {rules} rules, etag {etag}",
            made,
            rules=len(made.rules),
        ),
    )


def _address(watch: Watch) -> str:
    """Return how the address of a watch works: its last failure while it fails."""
    status = watch.snapshot
    if not watch.snapshot_uri or status is None:
        return "–"
    if status.failure_count:
        return f"{status.error_reason} ×{status.failure_count:,}"
    return _("works") if status.fetch_time else _("not fetched yet")


_watches = ValueTable(
    Watch,
    {
        "watch": "watch_id",
        "name": "display_name",
        "rules": lambda each: ", ".join(rule.rule_id for rule in each.rules),
        "checked": lambda each: "0" if each.counts is None else f"{each.counts.processed:,}",
        "dropped": lambda each: "0" if each.counts is None else f"{each.counts.dropped:,}",
        "newest frame": f"counts.{FRAME_TIME}",
        "address": _address,
    },
    empty="No watches.",
)
app.rows(
    "list",
    "List the watches of the catalog.",
    "watch list",
    "watches.ListWatches",
    reads=from_wire.watch,
    shows=_watches,
)


@app.command()
def send(
    *,
    watch: WatchId,
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", exists=True, file_okay=False)],
    interval: Annotated[float, options.number("SECONDS", 0.001, 86_400.0)] = 1.0,
    start: Annotated[
        datetime | None,
        options.moment(
            "When the first frame was taken, e.g. 2026-03-01T12:00:00Z; default: so that the last"
            " one is taken now."
        ),
    ] = None,
    suite: Suite = LONG,
) -> None:
    """Send the photos of a folder to a watch as frames of its camera, and show the alerts.

    sightline watch send shelf frames

    Args:
        folder: Photos, sent by their names.
        interval: Seconds from one frame to the next.
    """
    files = running.guarded(lambda: _frames(folder))
    step = timedelta(seconds=interval)
    first = datetime.now(UTC) - step * len(files) if start is None else options.in_zone(start)
    summary = pb.SendFramesResponse()

    async def sent(client: SightlineClient) -> None:
        for places in _batches(files):
            frames = [
                watch_pb2.WatchFrame(
                    image=files[place].read_bytes(),
                    frame_time=options.timestamp(first + place * step, "--start"),
                )
                for place in places
            ]
            request = pb.SendFramesRequest(catalog_id=suite.catalog, watch_id=watch, frames=frames)
            summary.MergeFrom(
                await client.calls(client.calls.watches.SendFrames, request, suite.timeout)
            )

    suite.run(sent)
    suite.show(summary, lambda: _sent(from_wire.frames_answer(summary)))


@app.command()
def folder(
    *,
    watch: WatchId,
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", exists=True, file_okay=False)],
    suite: Suite = LONG,
) -> None:
    """Send the photos that a camera writes into a folder, as they appear, until Ctrl-C.

    A photo that is there already is not sent. The time of a frame is that of its file.

    sightline watch folder shelf /srv/camera

    Args:
        folder: Folder that the camera fills.
    """
    suite.run(lambda client: _send_new(client, watch, folder, suite))


@app.command()
def alerts(
    *,
    watch: OfWatch = "",
    top: options.Newest = 20,
    follow: options.Flag = False,
    suite: Suite,
) -> None:
    """List alerts, newest first.

    sightline watch alerts --watch shelf

    Args:
        follow: Print new alerts as they are stored, until Ctrl-C.
    """
    if follow:
        suite.run(lambda client: _follow(client, watch, suite))
        return
    suite.call(
        lambda calls: calls.watches.ListAlerts,
        pb.ListAlertsRequest(catalog_id=suite.catalog, watch_id=watch, page_size=top),
        lambda answer: _alerts([from_wire.alert(each) for each in answer.alerts]),
    )


@app.command()
def photo(
    *,
    image: Annotated[str, options.argument("IMAGE")],
    file: Annotated[Path, typer.Argument(metavar="FILE", dir_okay=False)],
    suite: Suite,
) -> None:
    """Save the frame of an alert, with faces blurred.

    sightline watch photo 0a5f0c7bd4a8a9d0a1d8a4c9e9cf4b3e2d1c0b9a8f7e6d5c4b3a291807f6e5d4 now.jpg

    Args:
        image: Photo of an alert, as shown by `alerts`.
        file: JPEG to write.
    """
    data = suite.run(lambda client: client.get_alert_photo(image))
    running.guarded(lambda: file.write_bytes(data))
    running.show(phrase("{file}: {size:,} bytes", file=file, size=len(data)))


async def _send_new(client: SightlineClient, watch: str, folder: Path, suite: Suite) -> None:
    """Send the photos that appear in a folder, once their size no longer changes."""
    done = set(_photos(folder))
    sizes = dict[Path, int]()
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        found = {file: _facts_of(file) for file in _photos(folder) if file not in done}
        whole = [file for file, (size, _) in found.items() if size and sizes.get(file) == size]
        sizes = {file: size for file, (size, _) in found.items()}
        for file in sorted(whole, key=lambda each: (found[each][1], each.name))[:BATCH]:
            if await _is_sent(client, watch, file, suite):
                done.add(file)


def _facts_of(file: Path) -> tuple[int, int]:
    """Return a file's size, 0 if it was deleted meanwhile, and the time (ns) of its last change."""
    try:
        facts = file.stat()
    except OSError:
        return 0, 0
    return facts.st_size, facts.st_mtime_ns


async def _is_sent(client: SightlineClient, watch: str, file: Path, suite: Suite) -> bool:
    """Send a photo and print its alerts. Return False if the suite does not answer: it is sent
    again."""
    try:
        frame = await asyncio.to_thread(_frame_of, file)
    except OSError as error:  # the others of the folder are sent
        running.complain(error)
        return True
    if frame is None:
        running.tell("{file} has more than 10 MiB", file=file)
        return True
    try:
        answer = await client.send_frames(watch, [frame], timeout=suite.timeout)
    except (Unavailable, DeadlineExceeded) as error:
        running.say(Text(str(error)))
        return False
    for result in answer.results:
        if result.status is not None:
            running.say(Text(f"{file.name}: {result.status}"))
    for alert in answer.alerts:
        _print(alert, {"alert": _facts(alert)}, suite)
    return True


def _frame_of(file: Path) -> WatchFrame | None:
    """Return the frame of a file; None: it is too large."""
    facts = file.stat()
    if facts.st_size > MOST_BYTES:
        return None
    return WatchFrame(file.read_bytes(), datetime.fromtimestamp(facts.st_mtime, UTC))


def _print(alert: Alert, facts: dict[str, Any], suite: Suite) -> None:
    """Print an alert as a line, or as a line of JSON."""
    if suite.json:
        typer.echo(running.as_json(facts))
    else:
        running.show(Text(_line(alert)), whole_lines=True)


async def _follow(client: SightlineClient, watch: str, suite: Suite) -> None:
    """Print alerts, a line each, as they are stored."""
    async for each in client.watch_alerts(watch_id=watch):
        facts = {"alert": _facts(each.alert), "resumeToken": each.resume_token}
        _print(each.alert, facts, suite)


def _facts(alert: Alert) -> dict[str, Any]:
    time = alert.frame_time
    return {
        "alertId": alert.alert_id,
        "watchId": alert.watch_id,
        "ruleId": alert.rule_id,
        "sequence": alert.sequence,
        "kind": alert.kind.value,
        "frameTime": None if time is None else time.isoformat(),
        "score": alert.score,
        "productId": alert.product_id,
        "startedAlertId": alert.started_alert_id,
        "imageId": alert.image_id,
    }


def _line(alert: Alert) -> str:
    product = f" {plain(alert.product_id)}" if alert.product_id else ""
    return (
        f"{written(alert, FRAME_TIME)} {plain(alert.watch_id)}/{plain(alert.rule_id)}"
        f" {alert.kind.value}{product} {alert.score:.3g}"
    )


_alerts = ValueTable(
    Alert,
    {
        "frame": FRAME_TIME,
        "watch": "watch_id",
        "rule": "rule_id",
        "alert": "kind",
        "product": "product_id or –",
        "score": "score:.3g",
        "photo": "image_id or –",
    },
    empty="No alerts.",
)


def _sent(answer: FramesAnswer) -> RenderableType:
    counts = Counter(result.outcome for result in answer.results)
    line = _(
        "{checked:,} frames checked, {dropped:,} dropped, {ignored:,} ignored,"
        " {rejected:,} rejected",
        checked=counts[FrameOutcome.PROCESSED],
        dropped=counts[FrameOutcome.DROPPED],
        ignored=counts[FrameOutcome.REPEATED] + counts[FrameOutcome.LATE],
        rejected=counts[FrameOutcome.REJECTED],
    )
    return Group(Text(line), _alerts(answer.alerts))


def _batches(files: Sequence[Path]) -> list[list[int]]:
    """Return the places of the files of each call."""
    batches, size = [list[int]()], 0
    for place, file in enumerate(files):
        size += file.stat().st_size
        if len(batches[-1]) == BATCH or (batches[-1] and size > BATCH_BYTES):
            batches.append([])
            size = file.stat().st_size
        batches[-1].append(place)
    return batches


def _photos(folder: Path) -> list[Path]:
    """Return the photos of a folder by their names."""
    return sorted(each for each in folder.iterdir() if each.suffix.lower() in PHOTOS)


def _frames(folder: Path) -> list[Path]:
    found = _photos(folder)
    if not found:
        raise FileRefused(
            _("{folder} has no photos", folder=folder), _("Give a folder of JPEG or PNG files.")
        )
    for each in found:
        if each.stat().st_size > MOST_BYTES:
            raise FileRefused(
                _("{file} has more than 10 MiB", file=each), _("Give smaller photos.")
            )
    return found


def _read(file: Path) -> watch_pb2.Watch:
    """Return the watch of a file."""
    try:
        values = _object(json.loads(file.read_text(encoding="utf-8-sig")))
        _fill(values, file.parent)
        return json_format.ParseDict(values, watch_pb2.Watch())
    except (ValueError, RecursionError, json_format.ParseError) as error:
        raise FileRefused(
            _("{file} is not a watch: {error}", file=file, error=plain(str(error))),
            _("See docs/integrate/watch.md for an example."),
        ) from error


def _object(values: Any) -> dict[str, Any]:
    """Return a JSON object. ParseError for any other value, which a message would ignore."""
    if not isinstance(values, dict):
        raise json_format.ParseError("{…} is expected")
    return values


def _fill(values: Any, folder: Path) -> None:
    """Replace the path of each target's photo by the photo."""
    if isinstance(values, dict):
        if isinstance(path := values.pop(IMAGE_FILE, None), str):
            values["image"] = base64.b64encode((folder / path).read_bytes()).decode()
        for each in values.values():
            _fill(each, folder)
    elif isinstance(values, list):
        for each in values:
            _fill(each, folder)


app.call(
    "delete",
    "Delete a watch with its alerts and photos.",
    "watch delete shelf",
    SightlineClient.delete_watch,
    Given("watch", WatchId, to="watch_id"),
    shows=deleted(later("there was no such watch")),
)
