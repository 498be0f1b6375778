"""Events through the client: rate, and growth of memory with the file's length."""

import asyncio
import csv
import json
import random
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeAlias

from bench.cases.photos import SIGHTLINE
from bench.harness import processes
from bench.harness.model import BenchTable, Goal, Interval
from bench.harness.statistics import percentile
from examples.wines.loading import LoadingFailed
from local_suite.suite import Suite
from sightline_client import Event, EventType, SightlineClient

Say: TypeAlias = Callable[[str], None]

SEED = 5
ROWS = 100_000
CHUNK = 10_000
IN_FLIGHT = 4
AT_LEAST = 5_000
SMALL_FILES = 2
LONG, SHORTER = 1_000_000, 200_000
"""Rows of the long file: with --full, and in `make bench`."""
FLAT = 1.1
_TYPES = (EventType.VIEW, EventType.CLICK, EventType.ADD_TO_CART, EventType.PURCHASE)
_FIRST = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class FileImport:
    """An import of a file by the command."""

    rows: int
    seconds: float
    peak_bytes: int
    """Largest resident memory of the command."""
    ranker_bytes: int
    """Largest proportional memory (PSS) of the ranker meanwhile, which stores these events."""


@dataclass(frozen=True, slots=True)
class EventFigures:
    """Figures of event imports."""

    rates: Sequence[float]
    """Events a second, chunk by chunk."""
    small: Sequence[FileImport]
    long: FileImport


def measure(suite: Suite, long: int, say: Say) -> EventFigures:
    """Write events by the Python client, then import files by the command, one of `long` rows."""
    target = suite.addresses()["gateway"]
    say(f"{ROWS:,} events by the Python client")
    rates = asyncio.run(_rates(target))
    with tempfile.TemporaryDirectory(prefix="sightline-events-") as name:
        folder = Path(name)
        say(f"a file of {ROWS:,} events that is not counted: the ranker's caches fill once")
        _file(suite, folder, "uncounted", ROWS)
        small = []
        for number in range(SMALL_FILES):
            say(f"a file of {ROWS:,} events, {number + 1} of {SMALL_FILES}")
            small.append(_file(suite, folder, f"small-{number}", ROWS))
        say(f"a file of {long:,} events")
        return EventFigures(rates, small, _file(suite, folder, "long", long))


def make(name: str, count: int) -> Iterator[Event]:
    """Yield `count` events by 5,000 customers about 3,000 products; ids begin with ``name``."""
    draw = random.Random(f"{SEED}/{name}")
    for number in range(count):
        yield Event(
            event_id=f"{name}-{number}",
            type=draw.choice(_TYPES),
            product_id=f"product-{draw.randrange(3_000)}",
            user=f"customer-{draw.randrange(5_000)}",
            session=f"session-{number // 8}",
            time=_FIRST + timedelta(seconds=draw.randrange(200 * 86_400)),
        )


async def _rates(target: str) -> list[float]:
    events = list(make("client", ROWS))
    rates = []
    async with SightlineClient(target) as client:
        await client.write_events(make("warm", CHUNK), in_flight=IN_FLIGHT)
        for start in range(0, ROWS, CHUNK):
            since = time.perf_counter()
            report = await client.write_events(events[start : start + CHUNK], in_flight=IN_FLIGHT)
            rates.append(CHUNK / (time.perf_counter() - since))
            if report.written_count != CHUNK:
                raise LoadingFailed(f"{report.written_count} of {CHUNK} events were taken in")
    return rates


def _file(suite: Suite, folder: Path, name: str, rows: int) -> FileImport:
    path = folder / f"{name}.csv"
    write(path, name, rows)
    target = suite.addresses()["gateway"]
    command = [SIGHTLINE, "events", "import", str(path), "--target", target, "--json"]
    ended = processes.run(command, beside=suite.pid("ranker"))
    path.unlink()
    if (written := json.loads(ended.output)["writtenCount"]) != rows:
        raise LoadingFailed(f"{written} of {rows} events were taken in")
    return FileImport(rows, ended.seconds, ended.peak_bytes, ended.beside_bytes)


def write(path: Path, name: str, rows: int) -> None:
    """Write a CSV file of events."""
    with path.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(("event_id", "type", "product_id", "user_id", "session_id", "time"))
        for event in make(name, rows):
            when = event.time.isoformat() if event.time else ""
            row = (event.event_id, event.type, event.product_id, event.user, event.session, when)
            table.writerow(row)


def goals(found: EventFigures) -> tuple[Goal, Goal]:
    """Return the goals with their verdicts."""
    return (
        Goal(
            f"events imported per second on SQLite, {ROWS:,} rows by the client",
            None,
            "events/s",
            percentile(found.rates, 0.5),
            at_least=AT_LEAST,
        ),
        Goal(
            f"memory of an import of {found.long.rows:,} event rows over one of {ROWS:,}, of the"
            " command or the ranker, whichever grew more",
            FLAT,
            "×",
            max(command_growth(found), ranker_growth(found), key=lambda each: each.value),
        ),
    )


def command_growth(found: EventFigures) -> Interval:
    """Return the growth of the command's peak memory."""
    return _growth([file.peak_bytes for file in found.small], found.long.peak_bytes)


def ranker_growth(found: EventFigures) -> Interval:
    """Return the growth of the ranker's peak memory."""
    return _growth([file.ranker_bytes for file in found.small], found.long.ranker_bytes)


def _growth(small: Sequence[int], long: int) -> Interval:
    """Divide the long import's peak by the median, largest and smallest of the small ones."""
    peaks = sorted(small)
    return Interval(
        value=long / peaks[len(peaks) // 2],
        low=long / peaks[-1],
        high=long / peaks[0],
    )


def table(found: EventFigures) -> BenchTable:
    """Return the table for people."""
    rate = percentile(found.rates, 0.5)
    spread = f"{rate.value:,.0f} ({rate.low:,.0f}–{rate.high:,.0f})"
    rows = [("Python client", f"{ROWS:,}", spread, "", "")]
    rows += [
        (
            "sightline events import",
            f"{file.rows:,}",
            f"{file.rows / file.seconds:,.0f}",
            f"{file.peak_bytes / 2**20:.0f}",
            f"{file.ranker_bytes / 2**20:.0f}",
        )
        for file in (*found.small, found.long)
    ]
    return BenchTable(
        title="Events",
        headers=("by", "rows", "events/s", "command MiB", "ranker MiB"),
        rows=tuple(rows),
        caption=f"New events into SQLite. Client: median of chunks of {CHUNK:,} with its 95%"
        " interval, 1,000 a call, 4 calls at once. Command: its start and the file included. MiB:"
        " the command's peak of resident memory, and the ranker's of proportional memory meanwhile;"
        f" the longest import over the median of the short ones: ×{command_growth(found).value:.2f}"
        f" and ×{ranker_growth(found).value:.2f}.",
    )


def figures(found: EventFigures) -> dict[str, object]:
    """Return all figures, for programs."""
    return {
        "seed": SEED,
        "client_rates": list(found.rates),
        "files": [asdict(file) for file in (*found.small, found.long)],
        "memory_growth": asdict(command_growth(found)),
        "ranker_memory_growth": asdict(ranker_growth(found)),
    }
