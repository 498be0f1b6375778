"""Three servers in one process: `python -m bench.harness.ranker_servers FOLDER PORT PORT PORT`.

The first is the ranker's RankingService with the shopper's history in memory. The second is the
same with the record in SQLite in FOLDER, which also contains events of other shoppers. The third is
the same server with an empty service: it returns the first one's answer to the same request.
"""

# ruff: noqa: N802, ARG002 (gRPC names the method; some arguments are not used)

import asyncio
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bench.datasets import shelves
from ranker.domain.arrays import Doubles
from ranker.domain.events import Event, EventType, History, Identity, Shopper
from ranker.domain.model import Model
from ranker.domain.pseudonyms import Pseudonyms
from ranker.events.intake import append
from ranker.record.events import EventRecord
from ranker.record.tables import MIGRATIONS
from ranker.servicer.ranking import RankingServicer
from ranker.wiring.server import calculate_alone
from servicekit import telemetry
from servicekit.config import ServerSettings
from servicekit.processes.memory import keep_objects
from servicekit.rpc.server import Binding, Context, RunningServer, run, start
from servicekit.sql.database import Database
from sightline.ranker.v1 import ranking_service_pb2 as pb
from sightline.ranker.v1 import ranking_service_pb2_grpc

KEY = Pseudonyms(bytes(range(32)))
ACTOR = KEY.of("default", Shopper(Identity.USER, shelves.SHOPPER))
OTHERS = 20_000
"""Number of events of other shoppers in the record."""
BATCH = 1_000
SERVICE = "sightline.ranker.v1.RankingService"


class _Held:
    """A reader of histories with a stored result."""

    def __init__(self, now_micros: int) -> None:
        self._history = History(recent=shelves.history(ACTOR, now_micros))

    async def history(self, catalog_id: str, actor: str, *, limit: int, with_seen: bool) -> History:
        return self._history

    async def popularity(self, catalog_id: str, product_ids: Sequence[str]) -> Doubles:
        return np.zeros(len(product_ids))

    async def most_popular(self, catalog_id: str, count: int) -> tuple[tuple[str, float], ...]:
        return ()


class _Serving:
    """A model registry with one serving model."""

    def __init__(self) -> None:
        self._model = shelves.drawn_model(ACTOR)

    def serving(self, catalog_id: str) -> Model | None:
        return self._model

    def pinned(self, catalog_id: str, version: str) -> Model | None:
        return None

    def refused(self, catalog_id: str) -> bool:
        """Return False: the model always serves. See Models.refused."""
        return False

    def former(self, catalog_id: str) -> Model | None:
        return None


class _Empty(RankingServicer):
    """A service that returns the first request's answer to each request."""

    _answer: pb.RankResponse | None = None

    async def Rank(self, request: pb.RankRequest, context: Context) -> pb.RankResponse:
        if self._answer is None:
            self._answer = await super().Rank(request, context)
        return self._answer


async def fill(record: EventRecord, now_micros: int, prefix: str = "") -> None:
    """Record the shopper's history and one event each of others. `prefix`: of the events' ids."""
    draw = np.random.default_rng(shelves.SEED + 5)
    rows = draw.integers(shelves.SIZE, size=OTHERS).tolist()
    given = [
        Event(
            f"{prefix}other-{n}",
            Shopper(Identity.VISITOR, f"v{n}"),
            EventType.VIEW,
            f"product-{row:06}",
        )
        for n, row in enumerate(rows)
    ]
    ann = Shopper(Identity.USER, shelves.SHOPPER)
    given += [
        Event(f"{prefix}{one.event_id}", ann, one.type, one.product_id, time_micros=one.time_micros)
        for one in shelves.history(ACTOR, now_micros)
    ]
    for first in range(0, len(given), BATCH):
        batch = given[first : first + BATCH]
        await append("default", batch, KEY, record.append, lambda: now_micros)


async def main(folder: Path, *ports: int) -> None:
    """Serve until killed."""
    telemetry.configure_logging("bench", "warning")
    calculate_alone()
    database = Database(f"sqlite:///{folder}/ranker.db", migrations=MIGRATIONS)
    await asyncio.to_thread(database.migrate)
    record, now, live = EventRecord(database), time.time_ns() // 1000, _Serving()
    await fill(record, now)
    servicers = (
        RankingServicer.of(("default",), KEY, _Held(now), live, shelves.SIZE),
        RankingServicer.of(("default",), KEY, record, live, shelves.SIZE),
        _Empty.of(("default",), KEY, _Held(now), live, shelves.SIZE),
    )
    servers: list[RunningServer] = []
    for servicer, port in zip(servicers, ports, strict=True):
        add = ranking_service_pb2_grpc.add_RankingServiceServicer_to_server
        settings = ServerSettings(host="127.0.0.1", port=port)
        servers.append(await start([Binding(add, servicer, SERVICE)], settings, "ranker"))
    keep_objects()  # as `serve` does
    await asyncio.Event().wait()


if __name__ == "__main__":
    run(main(Path(sys.argv[1]), *map(int, sys.argv[2:])))
