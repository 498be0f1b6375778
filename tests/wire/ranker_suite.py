"""A ranker on each engine over real gRPC, and calls that many of its tests make."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from ranker.adapters.export_store import ExportStore
from ranker.adapters.model_store import ModelStore
from ranker.adapters.retriever import Catalog
from ranker.domain.erasure import ERASE
from ranker.domain.signals import DEFAULTS
from ranker.events import export, purge
from ranker.events.backups.content import record_backups
from ranker.events.backups.shopper_notes import ShopperNotes
from ranker.events.erase import ErasePerson
from ranker.learning.forget import ForgetInModels
from ranker.learning.training.job import TrainingInputs
from ranker.learning.training.job import run as run_training
from ranker.ports import EventSink
from ranker.record.answers import AnswerLog, AnswerQueue
from ranker.record.consent_changes import ConsentRecord
from ranker.record.erasures import ErasureRecord
from ranker.record.models import ModelRegistry
from ranker.record.selections import SelectionRecord
from ranker.record.tables import JOBS, MIGRATIONS
from ranker.serving.models.live import LiveModels
from ranker.settings import RankerSettings, TrainSettings
from ranker.wiring.server import bindings, open_key
from ranker.wiring.worker import noted, noted_erasure
from ranker.workers.counting import count
from ranker.workers.jobs import train_command, trainings, work
from servicekit.artefacts.backups import Backups
from servicekit.errors import ServiceError
from servicekit.jobs.queue import Jobs, now_micros
from servicekit.jobs.worker import Do
from servicekit.processes.background import Priority
from servicekit.rpc.channel import connect
from servicekit.rpc.server import Binding, start
from servicekit.sql.database import Database
from servicekit.status import from_rpc_error
from servicekit.tasks.loops import Loop
from sightline.common.v1 import event_pb2, job_pb2, job_service_pb2, job_service_pb2_grpc
from sightline.gateway.v1 import user_event_service_pb2 as gateway_pb
from sightline.gateway.v1.admin_service_pb2_grpc import AdminServiceStub
from sightline.ranker.v1 import (
    answer_service_pb2_grpc,
    event_service_pb2_grpc,
    experiment_service_pb2_grpc,
    model_service_pb2,
    ranking_service_pb2,
    ranking_service_pb2_grpc,
)
from tests import pseudonyms
from tests.fakes.ranker import FakeProducts, columns, product, serving
from tests.peer_stubs import peer_stub
from tests.stores import NewStore
from tests.waiting import until

PRODUCTS = [product(f"r{n}", "Red", brand="A") for n in range(6)] + [
    product(f"w{n}", "White", brand="B") for n in range(6)
]
WEIGHTS = {"visual": 1.0, "taste": 1.0, "session": 1.0, "popularity": 1.0}
USER = "ann-the-customer@example.org"
ANN = event_pb2.Shopper(user_id=USER)
HOUR = 3600


@dataclass
class Suite:
    """A running ranker and stubs to call it by."""

    folder: Path
    database: Database
    retriever: FakeProducts
    ranking: ranking_service_pb2_grpc.RankingServiceStub
    events: event_service_pb2_grpc.EventServiceStub
    answers: answer_service_pb2_grpc.AnswerServiceStub
    models: AdminServiceStub
    experiments: experiment_service_pb2_grpc.ExperimentServiceStub
    jobs: job_service_pb2_grpc.JobServiceStub
    target: str
    queue: AnswerQueue
    offered: Sequence[Binding]
    settings: RankerSettings

    async def stored(self) -> None:
        """Wait until no answer waits to be stored."""
        await until(lambda: not self.queue._queued._waiting)

    async def append(self, *events: event_pb2.Event, catalog: str = ""):
        request = gateway_pb.WriteEventsRequest(catalog_id=catalog, events=events)
        return await self.events.WriteEvents(request)

    async def rank(self, products=PRODUCTS, weights=WEIGHTS, **fields):
        request = ranking_service_pb2.RankRequest(
            candidates=columns(products),
            weights=[
                ranking_service_pb2.PartWeight(part=part, weight=weight)
                for part, weight in weights.items()
            ],
            **fields,
        )
        return await self.ranking.Rank(request)

    async def generate(self, **fields):
        return await self.ranking.Nominate(ranking_service_pb2.NominateRequest(**fields))

    async def train(self, **fields) -> job_pb2.Job:
        """Ask for a training and follow it to its end."""
        job = await self.models.TrainModel(model_service_pb2.TrainModelRequest(**fields))
        watch = job_service_pb2.WatchJobRequest(
            catalog_id=fields.get("catalog_id", ""), job_id=job.job_id
        )
        return [state async for state in self.jobs.WatchJob(watch)][-1]

    async def learn(self, seed: int = 0) -> str:
        """Train without a process of its own, which is quicker; the model's version."""
        settings = TrainSettings()
        channel = connect(settings.retriever_target)
        store = ModelStore(settings.model_store)
        workshop = TrainingInputs(self.database, Catalog(channel), store)
        job = await workshop.jobs.create("train", "default", {"seed": seed})
        try:
            done = await run_training(job.id, settings.training, workshop, lambda *_: None)
            return done["model_version"]
        finally:
            await channel.close(None)

    def notes(self) -> tuple[Backups, ShopperNotes]:
        """Return the backups, and the notes beside them that name shoppers."""
        backups = record_backups(str(self.folder / "backups"), None)
        records = ConsentRecord(self.database), ErasureRecord(self.database)
        return backups, ShopperNotes(backups, *records)

    async def promote(self, version: str, *, force: bool = True):
        request = model_service_pb2.PromoteModelRequest(model_version=version, force=force)
        return await self.models.PromoteModel(request)


@pytest.fixture
async def suite(
    tmp_path: Path,
    new_store: NewStore,
    monkeypatch: pytest.MonkeyPatch,
    event_sink: EventSink | None,
) -> AsyncIterator[Suite]:
    """Yield a ranker on a free port, with its record on each engine."""
    url, store_url = new_store(MIGRATIONS, "ranker.db"), str(tmp_path / "models")
    (tmp_path / "key").write_text(pseudonyms.KEY)
    settings = RankerSettings(
        auto_promote=True,  # by a worker that these tests do not start
        port=0,
        database_url=url,
        model_store=store_url,
        key_file=tmp_path / "key",
        create_key=True,
        catalogs=("default", "other"),
    )
    database = Database(url, migrations=MIGRATIONS)
    key = await open_key(database, settings)
    store = ModelStore(store_url)
    live = LiveModels(
        settings.catalogs, ModelRegistry(database), store.read, settings.nominate_in_memory_items
    )
    await live.start()
    retriever = FakeProducts(PRODUCTS, page=5)
    async with serving(retriever) as target:
        monkeypatch.setenv("RANKER_DATABASE_URL", url)
        monkeypatch.setenv("RANKER_MODEL_STORE", store_url)
        monkeypatch.setenv("RANKER_RETRIEVER_TARGET", target)
        recipe = tmp_path / "recipe" / "recipe.toml"  # tests read other files of tmp_path
        recipe.parent.mkdir()
        recipe.write_text("epochs = 10")
        monkeypatch.setenv("RANKER_RECIPE_FILE", str(recipe))
        queue = AnswerQueue(AnswerLog(database), now_micros)
        offered = bindings(settings, database, key, live, store, answers=queue, sink=event_sink)
        server = await start(offered, settings, "ranker")
        async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
            yield Suite(
                tmp_path,
                database,
                retriever,
                ranking_service_pb2_grpc.RankingServiceStub(channel),
                peer_stub("ranker", channel, event_service_pb2_grpc.EventServiceStub),
                answer_service_pb2_grpc.AnswerServiceStub(channel),
                peer_stub("ranker", channel),
                experiment_service_pb2_grpc.ExperimentServiceStub(channel),
                job_service_pb2_grpc.JobServiceStub(channel),
                f"127.0.0.1:{server.port}",
                queue,
                offered,
                settings,
            )
        await server.stop(0)
        await queue.close(1)
    await live.stop()
    database.close()


@asynccontextmanager
async def at_work(suite: Suite, exported_to: str = "exports") -> AsyncIterator[None]:
    """Run a worker for all kinds of jobs except publications during the block."""
    stop, jobs = asyncio.Event(), Jobs(suite.database, JOBS)
    selections = SelectionRecord(suite.database)
    exports = ExportStore(str(suite.folder / exported_to))
    backups, notes = suite.notes()
    does: dict[str, Do] = {
        **trainings(jobs, train_command(Priority.NORMAL), stop),
        purge.PURGE: noted(notes, lambda job: purge.run(job, selections, jobs, stop)),
        export.EXPORT: lambda job: export.run(
            job, selections, exports.folder(job.catalog_id, job.id), jobs, stop
        ),
        ERASE: lambda job: ErasePerson.of(
            suite.database,
            jobs,
            selections,
            (
                ForgetInModels(suite.database, ModelStore(str(suite.folder / "models")), 30.0),
                lambda person: export.erase(person, exports, jobs),
                partial(noted_erasure, backups, notes, job.id),
            ),
            stop,
        ).run(job),
    }
    counting = partial(count, suite.database, DEFAULTS, stop)
    tasks = [
        asyncio.create_task(work(jobs, does, 30.0, 0.02, stop)),
        asyncio.create_task(Loop("nothing counted", counting, 0.02).run(stop)),
    ]
    yield
    stop.set()
    await asyncio.gather(*tasks)


@pytest.fixture
async def working(suite: Suite) -> AsyncIterator[Suite]:
    """Yield the ranker with a running worker."""
    async with at_work(suite):
        yield suite


def event(product_id: str = "r0", what: str = "VIEW", ago: int = 0, **fields) -> event_pb2.Event:
    """Return Ann's view of a product `ago` seconds ago."""
    values = {
        "event_id": uuid.uuid4().hex,
        "shopper": ANN,
        "type": event_pb2.EventType.Value(f"EVENT_TYPE_{what}"),
        "product_id": product_id,
        "event_time": Timestamp(seconds=now_micros() // 1_000_000 - ago),
        **fields,
    }
    return event_pb2.Event(**values)


async def refusal(call) -> ServiceError:
    """Return the error of the call."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return from_rpc_error(caught.value)


def crowd() -> list[event_pb2.Event]:
    """Return the events of sixteen people, half of whom buy reds and half whites, within the last
    days."""
    return [
        event(
            f"{kind}{(person + n) % 5}",
            "PURCHASE",
            ago=(10 - n) * 24 * HOUR + person,
            shopper=event_pb2.Shopper(user_id=f"{kind}-{person}"),
            event_id=f"crowd-{kind}-{person}-{n}",  # the same model every time
        )
        for kind in "rw"
        for person in range(8)
        for n in range(4)
    ]
