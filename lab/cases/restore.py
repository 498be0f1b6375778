"""Disaster recovery, timed: a suite with the wines loses everything and is brought back (drill.py);
then the rate of backing up and restoring events on each database, and an extrapolation to a shop of
20 million products.
"""

import asyncio
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from bench.harness.model import BenchResult, BenchTable
from examples.wines.local import own
from ranker.adapters.model_store import ModelStore
from ranker.domain.events import Event, EventType, Identity, Shopper
from ranker.domain.pseudonyms import Pseudonyms
from ranker.events.backups import restore
from ranker.events.backups.content import record_backups
from ranker.events.backups.create import create
from ranker.events.intake import append
from ranker.record.events import EventRecord
from ranker.record.tables import CHECKPOINT_PAGES, MIGRATIONS
from servicekit.clock import now_micros
from servicekit.sql.database import Database
from tests import drill
from tests.postgres import NoPostgreSQL, postgresql

Say: TypeAlias = Callable[[str], None]

EVENTS, BATCH = 50_000, 1_000
SHOPPERS, PRODUCTS = 5_000, 2_000
KEY = Pseudonyms(bytes(range(32)))
CATALOG_RATE = 200_000 / 120
"""Products a second of a restore (services/retriever/README.md, measured 2026-11 on SQLite)."""
LARGE, LARGE_EVENTS = 20_000_000, 1_000_000_000
"""A shop of 20 million products, and its events of a year: 50 of each product."""


@dataclass(frozen=True, slots=True)
class Rates:
    """Rates of one database."""

    engine: str
    create_seconds: float
    restore_seconds: float
    size: int
    """Bytes of the backup."""


def run(say: Say) -> BenchResult:
    """Start a suite, lose it, restore it and measure."""
    with tempfile.TemporaryDirectory(prefix="sightline-drill-") as name:
        kept = Path(name) / "kept"
        kept.mkdir()
        with own(lambda data: drill.suite_with_backups(data, kept)) as suite:
            found = asyncio.run(drill.drill(suite, kept, say))
        rates = list(_rates(Path(name), say))
    return result(found, rates)


def _rates(folder: Path, say: Say) -> Iterator[Rates]:
    for engine, opened in (("SQLite", _sqlite), ("PostgreSQL", _postgresql)):
        say(f"{EVENTS:,} events on {engine}")
        try:
            with opened(folder) as (source, target):
                yield asyncio.run(_rate(engine, source, target, folder / engine))
        except NoPostgreSQL as error:
            say(str(error))


@contextmanager
def _sqlite(folder: Path) -> Iterator[tuple[str, str]]:
    yield f"sqlite:///{folder}/from.db", f"sqlite:///{folder}/to.db"


@contextmanager
def _postgresql(_: Path) -> Iterator[tuple[str, str]]:
    with postgresql() as server:
        for name in ("source", "target"):
            server.execute(f"CREATE DATABASE {name}")
        yield server.url("source"), server.url("target")


async def _rate(engine: str, source: str, target: str, folder: Path) -> Rates:
    files, models = record_backups(str(folder), None), ModelStore(str(folder / "models"))
    record, fresh = _opened(source), _opened(target)
    try:
        record.migrate()
        await _fill(record)
        began = time.monotonic()
        backup_id, manifest = await asyncio.to_thread(create, record, models, files, "bench")
        made = time.monotonic()
        await asyncio.to_thread(restore.restore_record, files.open("", backup_id), fresh)
        return Rates(engine, made - began, time.monotonic() - made, manifest.size)
    finally:
        record.close()
        fresh.close()


def _opened(url: str) -> Database:
    return Database(url, migrations=MIGRATIONS, checkpoint_pages=CHECKPOINT_PAGES)


async def _fill(record: Database) -> None:
    """Write clicks of many shoppers on many products."""
    now, events = now_micros(), EventRecord(record)
    for start in range(0, EVENTS, BATCH):
        batch = [
            Event(
                event_id=f"event-{n}",
                shopper=Shopper(Identity.USER, f"shopper-{n * 7919 % SHOPPERS}"),
                type=EventType.CLICK,
                product_id=f"product-{n * 104_729 % PRODUCTS}",
                time_micros=now - n * 1_000_000,
            )
            for n in range(start, start + BATCH)
        ]
        await append("default", batch, KEY, events.append, now_micros)


def result(found: drill.DrillFigures, rates: Sequence[Rates]) -> BenchResult:
    """Return tables and figures of the measurements, and the extrapolation."""
    steps = tuple((step, f"{seconds:.1f} s") for step, seconds in found.seconds.items())
    return BenchResult(
        tables=(
            BenchTable(
                title="Everything lost and restored",
                headers=("step", "measured"),
                rows=(
                    *steps,
                    ("RTO: all steps of the restore", f"{found.recovery_seconds:.1f} s"),
                    ("RPO: events since the backup", f"{found.lost} of {found.lost} lost"),
                ),
                caption=f"100 wines, {found.kept:,} events, a model, a scene, keys; one machine.",
                section=None,
            ),
            _rate_table(rates),
        ),
        figures={
            "drill": {"seconds": found.seconds, "rto": found.recovery_seconds, "sizes": found.sizes}
            | {"kept_events": found.kept, "lost_events": found.lost},
            "events": EVENTS,
            "rates": {
                one.engine: {
                    "create_seconds": one.create_seconds,
                    "restore_seconds": one.restore_seconds,
                    "bytes": one.size,
                    "extrapolated_restore_hours": _hours(one.restore_seconds),
                }
                for one in rates
            },
            "extrapolated_catalog_hours": LARGE / CATALOG_RATE / 3600,
        },
    )


def _hours(seconds: float) -> float:
    """Return the hours for LARGE_EVENTS, given the seconds for EVENTS."""
    return seconds / EVENTS * LARGE_EVENTS / 3600


def _rate_table(rates: Sequence[Rates]) -> BenchTable:
    catalog = LARGE / CATALOG_RATE / 3600
    return BenchTable(
        title="Events",
        headers=("record", "backup", "restore", "bytes an event", "a billion (extrapolated)"),
        rows=tuple(
            (
                one.engine,
                f"{EVENTS / one.create_seconds:,.0f}/s",
                f"{EVENTS / one.restore_seconds:,.0f}/s",
                f"{one.size / EVENTS:.0f}",
                f"{_hours(one.create_seconds):.1f} h, back in {_hours(one.restore_seconds):.1f} h",
            )
            for one in rates
        ),
        caption=(
            f"{EVENTS:,} events. The catalog of {LARGE:,} products: back in {catalog:.1f} h"
            f" (extrapolated from {CATALOG_RATE:,.0f} products/s)."
        ),
        section=None,
    )
