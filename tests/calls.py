"""Counts of Python and C calls of an answer, which unlike times are the same on every machine.

The four services run in this process as with `TARGET=all`, on SQLite and without engines: a small
catalog with generated vectors, which are compared in memory, and a model that LightFM trains on
generated events. `python -m tests.calls` prints a table, with `--top` also the functions that are
called most. With `--apart` each service has a process of its own, as on several machines, and its
calls are counted there.

cProfile counts in the event loop's thread from just before a request until its record is written.
The caller has a thread of its own. Counts of idle windows are subtracted. Threads that the services
use, such as those of SQL, are not counted.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import gc
import json
import multiprocessing
import os
import random
import signal
import socket
import sqlite3
import sys
import tempfile
import threading
import time
import tomllib
from collections import Counter, defaultdict
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

import grpc
import numpy as np
from grpc_health.v1 import health_pb2, health_pb2_grpc
from sightline_all.services import SERVICES
from sqlalchemy.engine import make_url

from embedder.settings import EmbedderSettings
from gateway.clients.peer_calls import PeerCaller
from gateway.settings import GatewaySettings
from ranker.adapters.model_store import ModelStore
from ranker.adapters.retriever import Catalog
from ranker.domain.signals import DEFAULTS
from ranker.learning.training.job import TrainingInputs
from ranker.learning.training.job import run as run_training
from ranker.record.tables import MIGRATIONS
from ranker.settings import RankerSettings
from ranker.settings.process_settings import TrainSettings
from ranker.workers.counting import count as count_events
from retriever.domain.collection_names import shaped
from retriever.domain.generation import EXACT, Generation, GenerationState
from retriever.domain.product import Attribute, Image, ProductContent, ProductWrite
from retriever.domain.vectors import VectorWrite
from retriever.record import Record
from retriever.settings import RetrieverSettings
from servicekit import telemetry
from servicekit.config import LOCAL, ServerSettings
from servicekit.rpc import hosting, server
from servicekit.rpc.channel import connect
from servicekit.sql.database import Database
from sightline.common.v1 import answer_pb2, event_pb2
from sightline.gateway.v1 import catalog_service_pb2 as catalog_pb
from sightline.gateway.v1 import recommendation_service_pb2 as pb
from sightline.gateway.v1.catalog_service_pb2_grpc import CatalogServiceStub
from sightline.gateway.v1.recommendation_service_pb2_grpc import RecommendationServiceStub
from sightline_client import Event, EventType, SyncSightlineClient
from sightline_rules.filters import Money

LIMITS: Final = Path(__file__).with_suffix(".toml")
MARGIN: Final = 1.03
"""Limit of a count, as a factor of what was counted when it was set."""
PRODUCTS, KINDS, DIMENSION, SHOPPERS, EVENTS = 600, 12, 64, 60, 1_500
UNTRAINED = "untrained"
"""A catalog of the same products without a model."""
TYPES = {EventType.VIEW: 60, EventType.CLICK: 20, EventType.ADD_TO_CART: 12, EventType.PURCHASE: 8}
"""Types of events, and their shares."""
PAGE = 10
WARM, ROUNDS = 6, 7
SETTLE_SECONDS = 0.02
"""Seconds after an answer, and the writing of its record, that are counted too."""
RECORD_SECONDS = 20.0
"""Seconds in which the record of an answer is written, at most."""
START_SECONDS = 120.0
ORPHANED_SECONDS = 5.0
"""Seconds after which the process of a service notes that its parent is gone."""
FULL = answer_pb2.ANSWER_QUALITY_FULL
TOGETHER: Final = "all"
"""Name of the process that runs all services."""
APART: Final = "_apart"
"""End of the names of the limits of services with processes of their own."""

CROSSED: Final = {
    "product_apart": ["retriever.Search", "ranker.Rank", "retriever.BatchGetProducts"],
    "user_apart": [
        *("ranker.Nominate", "retriever.BatchGetProducts"),
        *("ranker.Rank", "retriever.BatchGetProducts"),
    ],
}
"""The gateway's calls to other services for an answer, the last one for the page's products."""

T = TypeVar("T")
Crossing = tuple[str, int, int]
"""A call to another service, with the bytes of its request and of its answer."""
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Counted:
    """Calls of one answer."""

    python: int
    c: int

    @property
    def total(self) -> int:
        """Return the number that is limited."""
        return self.python + self.c

    def __add__(self, other: Counted) -> Counted:
        return Counted(self.python + other.python, self.c + other.c)

    def __sub__(self, other: Counted) -> Counted:
        return Counted(self.python - other.python, self.c - other.c)


Found = dict[str, dict[str, Counted]]
"""Calls of each case by process."""


@dataclass(frozen=True, slots=True)
class Shop:
    """The running suite, as its caller sees it."""

    channel: grpc.Channel
    product: str
    other: str
    user: str
    records: sqlite3.Connection
    """The ranker's store, in which answers are recorded."""

    def recorded(self) -> int:
        """Return the number of recorded answers."""
        ((found,),) = self.records.execute("SELECT count(*) FROM answers").fetchall()
        return int(found)

    def after_record(self, call: Callable[[], Any]) -> Callable[[], None]:
        """Return a call that ends when the record of its answer is written."""

        def calling() -> None:
            before, until = self.recorded(), time.monotonic() + RECORD_SECONDS
            call()
            while self.recorded() == before:
                if time.monotonic() > until:
                    raise TimeoutError("the answer was not recorded")
                time.sleep(0.005)

        return calling

    def cases(self) -> dict[str, Callable[[], Any]]:
        """Return the calls that are counted, by the names of their limits."""
        recommending = RecommendationServiceStub(self.channel)
        catalog, health = CatalogServiceStub(self.channel), health_pb2_grpc.HealthStub(self.channel)
        near = [pb.QuerySignal(product_id=self.product)]
        user = event_pb2.Shopper(user_id=self.user)

        def recommend(**fields: Any) -> Callable[[], Any]:
            request = pb.RecommendRequest(page_size=PAGE, **fields)
            return self.after_record(lambda: _whole(recommending.Recommend(request, timeout=10)))

        search = pb.SearchRequest(signals=near, page_size=PAGE)
        product = catalog_pb.GetProductRequest(product_id=self.product)
        listed = pb.ListRequest(page_size=PAGE, sort=pb.SORT_PRICE_RISING)
        typed = pb.SuggestRequest(prefix="product of ki", page_size=PAGE)
        return {
            "health": lambda: health.Check(health_pb2.HealthCheckRequest(), timeout=10),
            "get_product": lambda: catalog.GetProduct(product, timeout=10),
            "search": lambda: _whole(recommending.Search(search, timeout=10)),
            "product": recommend(signals=near),
            "user": recommend(shopper=user),
            "similar": recommend(scene="similar", anchor_product_ids=[self.product]),
            "for_you": recommend(scene="for-you", shopper=user),
            "newcomer": recommend(
                catalog_id=UNTRAINED, scene="for-you", shopper=event_pb2.Shopper(user_id="newcomer")
            ),
            "cart": recommend(scene="cart", anchor_product_ids=[self.product, self.other]),
            "list": lambda: _whole(recommending.List(listed, timeout=10)),
            "later_page": self._later_page(recommending, near),
            "suggest": lambda: recommending.Suggest(typed, timeout=10).suggestions[0],
        }

    def _later_page(
        self, recommending: RecommendationServiceStub, near: Sequence[pb.QuerySignal]
    ) -> Callable[[], Any]:
        """Return the call for the second page of an answer, which is recorded."""
        request = pb.RecommendRequest(page_size=PAGE, signals=near)
        answers: list[Any] = []
        self.after_record(lambda: answers.append(recommending.Recommend(request, timeout=10)))()
        request.page_token = answers[0].next_page_token
        return lambda: _whole(recommending.Recommend(request, timeout=10))


def _whole(answer: Any) -> Any:
    """Return an answer. Raises RuntimeError if it is poor: it would make fewer calls."""
    if len(answer.results) != PAGE or answer.degradations:
        raise RuntimeError(f"the answer is poor: {len(answer.results)}, {answer.degradations}")
    if (
        isinstance(answer, pb.RecommendResponse)
        and answer.quality != answer_pb2.ANSWER_QUALITY_FULL
    ):
        raise RuntimeError(f"the answer has quality {answer.quality}")
    return answer


@dataclass(frozen=True, slots=True)
class Shown:
    """What is printed beside the counts."""

    top: int = 0
    """Number of files and functions with most calls; 0: none."""
    callers: str = ""
    """Part of the names of functions whose callers are printed; empty: of none."""

    def of(self, window: Window) -> Iterator[tuple[str, Counter[str]]]:
        """Yield lists of calls, each with its title."""
        if self.top:
            yield "files", window.files
            yield "functions", window.functions
        for name, callers in window.callers.items():
            if self.callers and self.callers in name:
                yield f"callers of {name}", callers


class Profiler(Protocol):
    """Counts calls in the thread of an event loop."""

    def start(self) -> None:
        """Begin to count."""

    def stop(self) -> Window:
        """Return what was called since `start`."""

    def quiet(self) -> None:
        """Let no finalizer run from now on: it runs at times of its own."""


class LoopProfiler:
    """Counts calls in the thread of an event loop of this process, from another thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._profile = cProfile.Profile()
        self._call: Callable[..., Any] | None = None
        self._noted = list[Crossing]()

    def _in_loop(self, work: Callable[[], object]) -> None:
        done = Future[None]()

        def run() -> None:
            work()
            done.set_result(None)

        self._loop.call_soon_threadsafe(run)
        done.result()

    def start(self) -> None:
        self._profile = cProfile.Profile()
        self._in_loop(self._profile.enable)

    def stop(self) -> Window:
        self._in_loop(self._profile.disable)
        return Window.of(self._profile)

    def quiet(self) -> None:
        gc.collect()
        gc.disable()

    def crossed(self) -> list[Crossing]:
        """Return the gateway's calls to peers since this was asked before."""
        noted, self._noted = self._noted, []
        if self._call is None:
            self._call = call = PeerCaller.call

            async def noting(caller: PeerCaller, method: Any, request: Any, **options: Any) -> Any:
                answer: Any = await call(caller, method, request, **options)
                name = f"{caller.peer}.{request.DESCRIPTOR.name.removesuffix('Request')}"
                self._noted.append((name, request.ByteSize(), answer.ByteSize()))
                return answer

            PeerCaller.call = noting  # type: ignore[assignment, method-assign]
        return noted


class ServiceProcess:
    """A service in a process of its own, with the profiler of its event loop."""

    def __init__(self, name: str, settings: ServerSettings, log: Path) -> None:
        """Fork the process, which serves after `serve`: before this one has threads."""
        forking = multiprocessing.get_context("fork")
        self._pipe, theirs = forking.Pipe()
        self._process = forking.Process(target=_run_alone, args=(name, settings, log, theirs))
        self._process.start()

    def serve(self) -> None:
        self._pipe.send("serve")

    def _ask(self, what: str) -> Any:
        self._pipe.send(what)
        return self._pipe.recv()

    def start(self) -> None:
        self._ask("start")

    def stop(self) -> Window:
        window: Window = self._ask("stop")
        return window

    def quiet(self) -> None:
        self._ask("quiet")

    def crossed(self) -> list[Crossing]:
        found: list[Crossing] = self._ask("crossed")
        return found

    def end(self) -> None:
        """End the service, and wait for it."""
        self._process.terminate()
        self._process.join()


def _run_alone(name: str, settings: ServerSettings, log: Path, pipe: Connection) -> None:
    """Run a service, and do with its profiler what the other end of `pipe` asks for."""
    parent = os.getppid()

    def listen(profiler: LoopProfiler) -> None:
        while os.getppid() == parent:
            if pipe.poll(ORPHANED_SECONDS):
                pipe.send(getattr(profiler, pipe.recv())())
        os.kill(os.getpid(), signal.SIGTERM)

    async def serve() -> None:
        profiler = LoopProfiler(asyncio.get_running_loop())
        threading.Thread(target=listen, args=(profiler,), daemon=True).start()
        await SERVICES[name].main(settings)

    pipe.recv()
    with log.open("a", buffering=1) as sys.stderr:
        telemetry.configure_logging(name)
        server.run(serve())


@dataclass(frozen=True, slots=True)
class Window:
    """Calls in a time."""

    counted: Counted
    functions: Counter[str]
    files: Counter[str]
    """By file: calls of its functions, and those of C that it makes."""
    callers: Mapping[str, Counter[str]]
    """By function: which functions call it."""

    @classmethod
    def of(cls, profile: cProfile.Profile) -> Window:
        """Return the calls that a profile has counted."""
        functions, files, python = Counter[str](), Counter[str](), 0
        callers = defaultdict[str, Counter[str]](Counter)
        for entry in profile.getstats():
            name = _name(entry.code)
            functions[name] += entry.callcount
            for each in entry.calls or ():
                callers[_name(each.code)][name] += each.callcount
            if not isinstance(entry.code, str):
                python += entry.callcount
                made = (each.callcount for each in entry.calls or () if isinstance(each.code, str))
                files[name.partition(":")[0]] += entry.callcount + sum(made)
        return cls(Counted(python, functions.total() - python), functions, files, callers)


def _name(code: Any) -> str:
    """Return the name of a function, with its file and line if it is Python's."""
    if isinstance(code, str):
        return code
    file = "/".join(Path(code.co_filename).parts[-4:])
    return f"{file}:{code.co_firstlineno} {code.co_qualname}"


def product_id(number: int) -> str:
    """Return the id of a product."""
    return f"sku-{number:05}"


def kind_of(number: int) -> str:
    """Return the category of a product."""
    return f"Kind {number % KINDS}"


def write_catalog(data: Path) -> None:
    """Write generated products and vectors into the record of a retriever that has not started."""
    (data / "retriever").mkdir()
    url = f"sqlite:///{data}/retriever/record.db"
    database = Database(url, migrations="retriever.record.migrations")
    database.migrate()
    try:
        asyncio.run(_write_products(Record(database)))
        asyncio.run(_write_products(Record(database), UNTRAINED))
    finally:
        database.close()


async def _write_products(record: Record, catalog_id: str = "default") -> None:
    generation = await record.create_generation(
        Generation(
            catalog_id=catalog_id,
            name="made",
            space="visual",
            space_version="made",
            dimension=DIMENSION,
            collection=shaped(f"calls_{catalog_id}"),
            state=GenerationState.READY,
            active=True,
            created=0,
            applied_seq=0,
            applied_time=0,
            check_wanted=False,
            parameters=EXACT,
            of_products=False,
        )
    )
    draw = np.random.default_rng(1)
    looks = draw.standard_normal((KINDS, DIMENSION))[np.arange(PRODUCTS) % KINDS]
    looks += 0.7 * draw.standard_normal(looks.shape)
    looks /= np.linalg.norm(looks, axis=1, keepdims=True)
    await record.write(catalog_id, [_product(number) for number in range(PRODUCTS)])
    vectors = [VectorWrite(_image(n), looks[n].astype(np.float32)) for n in range(PRODUCTS)]
    await record.save_vectors(generation, vectors)


def _image(number: int) -> str:
    return f"{number:064x}"


def _product(number: int) -> ProductWrite:
    draw, image = random.Random(number), _image(number)
    content = ProductContent(
        product_id=product_id(number),
        title=f"Product {number} of {kind_of(number)}",
        description="A product with a sentence that says what it is made of.",
        category_path=("Others" if number >= PRODUCTS - 3 else "Things", kind_of(number)),
        brand=f"Brand {draw.randrange(40)}",
        price=Money("EUR", draw.randrange(5, 200) * 1_000_000),
        tags=("organic", "sale"),
        attributes=(Attribute("color", draw.choice(("red", "blue", "green"))),),
        image_ids=(image,),
    )
    # Random hashes are never of the same picture, so no product collapses.
    return ProductWrite(
        content, {image: Image(image, "image/jpeg", 10, 4, 3, draw.getrandbits(64))}
    )


def shoppers_events(now: datetime) -> list[Event]:
    """Return events of shoppers who prefer two categories each, of the days before this one: on
    which days they are must not depend on the hour, as counts by day would."""
    draw, types = random.Random(1), list(TYPES)
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    found = []
    for number in range(EVENTS):
        shopper = draw.randrange(SHOPPERS)
        kind = (shopper + draw.randrange(2)) % KINDS
        found.append(
            Event(
                event_id=f"event-{number}",
                type=draw.choices(types, list(TYPES.values()))[0],
                product_id=product_id(kind + KINDS * draw.randrange(PRODUCTS // KINDS)),
                user=f"shopper-{shopper}",
                time=midnight - timedelta(minutes=10 * (EVENTS - number)),
            )
        )
    return found


def free_port() -> int:
    """Return a port that is free now, below those that the system gives to connections."""
    for port in random.sample(range(12_000, 30_000), 100):
        with suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port
    raise OSError("no free port on 127.0.0.1")


def settings_of(data: Path, *, apart: bool = False) -> dict[str, ServerSettings]:
    """Return the settings of four services in one process, or each in its own, on free ports."""
    ports = {name: free_port() for name in SERVICES}
    here: dict[str, Any] = {
        f"{name}_target": f"127.0.0.1:{ports[name]}" if apart else f"{LOCAL}{name}"
        for name in ("embedder", "retriever", "ranker")
    }
    beside: dict[str, Any] = {"host": "127.0.0.1", "metrics_port": 0}
    beside["catalogs"] = ("default", UNTRAINED)
    return {
        "gateway": GatewaySettings(port=ports["gateway"], **here, **beside),
        "embedder": EmbedderSettings(
            port=ports["embedder"],
            retriever_target=here["retriever_target"],
            triton_target=f"127.0.0.1:{free_port()}",
            **beside,
        ),
        "retriever": RetrieverSettings(
            port=ports["retriever"],
            database_url=f"sqlite:///{data}/retriever/record.db",
            photos_url=str(data / "photos"),
            backups=str(data / "backups"),
            milvus_uri=f"http://127.0.0.1:{free_port()}",
            embedder_target=here["embedder_target"],
            **beside,
        ),
        "ranker": RankerSettings(
            port=ports["ranker"],
            database_url=f"sqlite:///{data}/ranker.db",
            model_store=str(data / "models"),
            key_file=data / "pseudonym.key",
            create_key=True,
            retriever_target=here["retriever_target"],
            **beside,
        ),
    }


async def learn(settings: Mapping[str, ServerSettings]) -> str:
    """Count the events and train a model of them. Return its version."""
    ranker, retriever = settings["ranker"], settings["retriever"]
    assert isinstance(ranker, RankerSettings)
    database = Database(ranker.database_url.get_secret_value(), migrations=MIGRATIONS)
    channel = connect(f"127.0.0.1:{retriever.port}")
    try:
        await count_events(database, DEFAULTS, asyncio.Event())
        inputs = TrainingInputs(database, Catalog(channel), ModelStore(ranker.model_store))
        quick = {"epochs": 4, "dimension": 16}
        order = {"seed": 0, "recipe": quick, "ablation": False, "search_trials": 0}
        job = await inputs.jobs.create("train", "default", order)
        done = await run_training(job.id, TrainSettings().training, inputs, lambda *_: None)
        return done["model_version"]
    finally:
        await channel.close(None)
        database.close()


def _wait(settings: ServerSettings, service: str = "") -> grpc.Channel:
    """Return a channel to a service once it, or all of its process, serve. Raises TimeoutError."""
    channel = grpc.insecure_channel(f"127.0.0.1:{settings.port}")
    stub, asked = (
        health_pb2_grpc.HealthStub(channel),
        health_pb2.HealthCheckRequest(service=service),
    )
    until = time.monotonic() + START_SECONDS
    while (
        stub.Check(asked, wait_for_ready=True, timeout=START_SECONDS).status
        != health_pb2.HealthCheckResponse.SERVING
    ):
        if time.monotonic() > until:
            raise TimeoutError("the services did not start")
        time.sleep(0.05)
    return channel


def filled(
    settings: Mapping[str, ServerSettings],
    in_loop: Callable[[Coroutine[Any, Any, str]], str],
    service: str = hosting.EVERY,
) -> Shop:
    """Wait for the gateway's service, by default all of its process; write events, and let a model
    learn from them."""
    channel = _wait(settings["gateway"], service)
    events = shoppers_events(datetime.now(UTC))
    target = f"127.0.0.1:{settings['gateway'].port}"
    with SyncSightlineClient(target, timeout=START_SECONDS) as client:
        client.write_events(events)
        client.promote_model(in_loop(learn(settings)), force=True)
    last = zip(events[-6:], range(PRODUCTS - 6, PRODUCTS), strict=True)
    with SyncSightlineClient(target, timeout=START_SECONDS, catalog=UNTRAINED) as client:
        client.write_events(
            [replace(each, product_id=product_id(n), user="newcomer") for each, n in last]
        )
    url = make_url(settings["ranker"].database_url.get_secret_value())  # type: ignore[attr-defined]
    records = sqlite3.connect(f"file:{url.database}?mode=ro", uri=True, check_same_thread=False)
    return Shop(channel, product_id(0), product_id(KINDS), "shopper-0", records)


Profilers = Mapping[str, Profiler]


def _windows(profilers: Profilers, call: Callable[[], object]) -> dict[str, Window]:
    """Return what each process called from the start of `call` until SETTLE_SECONDS after its
    end."""
    for each in profilers.values():
        each.start()
    try:
        call()
        time.sleep(SETTLE_SECONDS)
    finally:
        found = {name: each.stop() for name, each in profilers.items()}
    return found


def _least(profilers: Profilers, call: Callable[[], object]) -> dict[str, Window]:
    """Return the least of several windows of each process: what runs beside the answer only adds to
    it."""
    windows = [_windows(profilers, call) for _ in range(ROUNDS)]
    return {
        name: min((each[name] for each in windows), key=lambda each: each.counted.total)
        for name in profilers
    }


def measured(
    profilers: Profilers, cases: Mapping[str, Callable[[], object]], shown: Shown, say: Say
) -> Found:
    """Count all cases, with caches filled."""
    for each in profilers.values():
        each.quiet()
    idle = _least(profilers, lambda: None)
    found: Found = {}
    for name, call in cases.items():
        for _ in range(WARM):
            call()
        windows = _least(profilers, call)
        found[name] = {
            process: window.counted - idle[process].counted for process, window in windows.items()
        }
        for process, window in windows.items():
            for title, counts in shown.of(window):
                say(f"\n{name}, {process}: {title}")
                for what, times in counts.most_common(shown.top or None):
                    say(f"{times:6} {what}")
    return found


async def _serve(
    settings: Mapping[str, ServerSettings], measure: Callable[[asyncio.AbstractEventLoop], T]
) -> T:
    """Return what `measure` returns in a thread while the services run."""
    host, loop = hosting.Host(), asyncio.get_running_loop()
    serving = asyncio.create_task(
        host.run({name: SERVICES[name].main(own) for name, own in settings.items()})
    )
    measuring = asyncio.ensure_future(asyncio.to_thread(measure, loop))
    await asyncio.wait({serving, measuring}, return_when=asyncio.FIRST_COMPLETED)
    if not serving.done():
        host.stop()
    await serving
    return await measuring


def _count_together(data: Path, shown: Shown, say: Say) -> Found:
    """Count the cases with the four services in this process."""
    telemetry.configure_logging(TOGETHER)
    write_catalog(data)
    settings = settings_of(data)

    def measure(loop: asyncio.AbstractEventLoop) -> Found:
        def in_loop(work: Coroutine[Any, Any, str]) -> str:
            return asyncio.run_coroutine_threadsafe(work, loop).result()

        shop = filled(settings, in_loop)
        return measured({TOGETHER: LoopProfiler(loop)}, shop.cases(), shown, say)

    return server.run(_serve(settings, measure))


def _count_apart(data: Path, shown: Shown, say: Say) -> Found:
    """Count the cases that have a limit apart, with a process for each service."""
    settings = settings_of(data, apart=True)
    running = {name: ServiceProcess(name, each, data / "log") for name, each in settings.items()}
    try:
        write_catalog(data)
        for name in ("retriever", "embedder", "ranker"):
            running[name].serve()
        for name in ("retriever", "ranker"):  # a channel waits before it tries again
            _wait(settings[name])
        running["gateway"].serve()
        shop = filled(settings, asyncio.run, "")
        cases = shop.cases()
        limited = [name for name in limits() if name.endswith(APART)]
        wanted = {name: cases[name.removesuffix(APART)] for name in limited}
        found = measured(running, wanted, shown, say)
        for name, call in wanted.items():
            _check_crossed(running["gateway"], name, call, say if shown.top else lambda _: None)
        return found
    finally:
        for each in running.values():
            each.end()


def _check_crossed(
    gateway: ServiceProcess, name: str, call: Callable[[], object], say: Say
) -> None:
    """Raise RuntimeError unless the calls to other services of a case are those of CROSSED."""
    rounds = list[list[Crossing]]()
    for _ in range(ROUNDS):
        gateway.crossed()
        call()
        rounds.append(gateway.crossed())
    found = min(rounds, key=len)  # others hold what is read now and then
    if [each for each, _, _ in found] != CROSSED[name]:
        raise RuntimeError(f"{name}: an answer makes other calls between services: {found}")
    for each, sent, received in found:
        say(f"{name}: {each}, {sent:,} bytes, answered by {received:,}")


def count_calls(shown: Shown, say: Say = print, *, apart: bool = False) -> Found:
    """Return the counts of all cases. For a process of its own: it changes this one."""
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder)
        with (data / "log").open("a") as log:
            sys.stderr = log
            try:
                return (_count_apart if apart else _count_together)(data, shown, say)
            except BaseException:
                log.flush()
                sys.stdout.write((data / "log").read_text()[-20_000:])
                raise
            finally:
                sys.stderr = sys.__stderr__


def limits() -> dict[str, int]:
    """Return the limits of the cases."""
    return tomllib.loads(LIMITS.read_text("utf-8"))


def total(processes: Mapping[str, Counted]) -> Counted:
    """Return the calls of all processes."""
    return sum(processes.values(), Counted(0, 0))


def lower(found: Found) -> None:
    """Lower the limits of the cases to their counts and MARGIN; none is raised."""
    head = [line for line in LIMITS.read_text("utf-8").splitlines() if line.startswith("#")]
    lower = {
        name: min(most, round(total(found[name]).total * MARGIN)) if name in found else most
        for name, most in limits().items()
    }
    lines = [*head, *(f"{name} = {most:_}" for name, most in lower.items())]
    LIMITS.write_text("\n".join(lines) + "\n", "utf-8")


def main() -> None:
    """Print the counts beside their limits."""
    parser = argparse.ArgumentParser(prog="python -m tests.calls", description=__doc__)
    parser.add_argument(
        "--top", type=int, default=0, metavar="N", help="print N files and functions of each"
    )
    parser.add_argument("--callers", default="", metavar="PART", help="print who calls a function")
    parser.add_argument("--apart", action="store_true", help="run each service in its own process")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--lower", action="store_true", help="lower the limits to the counts")
    given = parser.parse_args()
    found = count_calls(Shown(given.top, given.callers), apart=given.apart)
    if given.lower:
        lower(found)
    if given.json:
        totals = {name: total(processes) for name, processes in found.items()}
        print(json.dumps({name: {"python": x.python, "c": x.c} for name, x in totals.items()}))
        return
    print(f"{'':22}{'Python':>8}{'C':>8}{'total':>8}{'limit':>10}")
    for name, processes in found.items():
        print(_row(name, total(processes)) + f"{limits()[name]:10,}")
        for process, each in processes.items() if len(processes) > 1 else ():
            print(_row(f"  {process}", each))


def _row(name: str, counted: Counted) -> str:
    return f"{name:22}{counted.python:8,}{counted.c:8,}{counted.total:8,}"


if __name__ == "__main__":
    main()
