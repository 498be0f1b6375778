"""The ranker's store under stress, over real gRPC: many writers, a killed PostgreSQL, a full disk,
sampling and exports.
"""

import asyncio
import contextlib
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import grpc
import pytest

from ranker.adapters.model_store import ModelStore
from ranker.record.models import ModelRegistry
from ranker.record.tables import MIGRATIONS
from ranker.serving.models.live import LiveModels
from ranker.settings import RankerSettings
from ranker.wiring.server import bindings, open_key
from servicekit.rpc.server import start
from servicekit.sql.database import Database
from servicekit.status import from_rpc_error
from sightline.common.v1 import event_pb2, job_pb2, job_service_pb2
from sightline.gateway.v1 import user_event_service_pb2 as gateway_pb
from sightline.ranker.v1 import event_service_pb2 as pb
from sightline.ranker.v1 import event_service_pb2_grpc
from tests.engines import free_port
from tests.peer_stubs import peer_stub
from tests.postgres import NoPostgreSQL, PostgreSQL, postgresql
from tests.stores import migrate
from tests.tools import tool
from tests.waiting import SECONDS, until
from tests.wire.ranker_suite import ANN, Suite, at_work, event, refusal, suite

__all__ = ["suite"]

Events = event_service_pb2_grpc.EventServiceStub


@contextlib.asynccontextmanager
async def serving(url: str, folder: Path, **given: object) -> AsyncIterator[Events]:
    """Run a ranker on this record. Yield its event service."""
    settings = RankerSettings(
        port=0, database_url=url, key_file=folder / "key", create_key=True, **given
    )
    database = Database(url, migrations=MIGRATIONS)
    store, registry = ModelStore(str(folder / "models")), ModelRegistry(database)
    live = LiveModels(settings.catalogs, registry, store.read, 0)
    key = await open_key(database, settings)
    server = await start(bindings(settings, database, key, live, store), settings, "ranker")
    async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        yield peer_stub("ranker", channel, Events)
    await server.stop(0)
    database.close()


async def ids(events: Events, shopper: event_pb2.Shopper = ANN) -> list[str]:
    """Return a shopper's events, newest first."""
    request, found = pb.GetEventsRequest(shopper=shopper, page_size=1000), []
    while True:
        page = await events.GetEvents(request)
        found += [one.event_id for one in page.events]
        request.page_token = page.next_page_token
        if not request.page_token:
            return found


# ---- writers side by side


@pytest.mark.full
async def test_what_many_callers_write_at_once_is_there_once(suite: Suite) -> None:
    batches = [[event(event_id=f"e{n}-{m}", ago=n) for m in range(3)] for n in range(30)]
    bad = event(event_id="bad", value=float("nan"))
    answers = await asyncio.gather(*(suite.append(*batch, bad) for batch in batches))
    assert {answer.written_count for answer in answers} == {3}
    assert {len([one for one in answer.statuses if one.code]) for answer in answers} == {1}
    assert sorted(await ids(suite.events)) == sorted(
        f"e{n}-{m}" for n in range(30) for m in range(3)
    )
    again = await asyncio.gather(*(suite.append(*batch) for batch in batches))
    assert {answer.duplicate_count for answer in again} == {3}


# ---- PostgreSQL dies


@pytest.fixture
def own_postgresql() -> Iterator[PostgreSQL]:
    """Yield a server that a test may kill."""
    try:
        with postgresql(durable=False) as server:
            yield server
    except NoPostgreSQL as error:
        pytest.skip(str(error))


@pytest.mark.full
async def test_a_killed_postgresql_is_shown_and_what_was_acknowledged_is_there_afterwards(
    own_postgresql: PostgreSQL, tmp_path: Path
) -> None:
    own_postgresql.execute("CREATE DATABASE ranker")
    migrate(own_postgresql.url("ranker"), MIGRATIONS)
    acknowledged, refusals, stop = set(), set(), asyncio.Event()

    async def writer(events: Events, name: str) -> None:
        number = 0
        while not stop.is_set():
            one = event(event_id=f"{name}-{number}", ago=number)
            try:
                await events.WriteEvents(gateway_pb.WriteEventsRequest(events=[one]))
            except grpc.aio.AioRpcError as error:
                refusals.add(from_rpc_error(error).reason)
                await asyncio.sleep(0.02)
            else:
                acknowledged.add(one.event_id)
                number += 1

    async with serving(own_postgresql.url("ranker"), tmp_path) as events:
        writers = [asyncio.create_task(writer(events, name)) for name in "abcd"]
        for _ in range(2):
            await more(acknowledged)
            refusals.clear()
            await asyncio.to_thread(own_postgresql.kill)
            await until(lambda: refusals)
            await asyncio.to_thread(own_postgresql.start)
            await more(acknowledged)
            assert refusals == {"STORE_UNAVAILABLE"}
        stop.set()
        await asyncio.gather(*writers)
        found = await ids(events)
    assert acknowledged <= set(found)
    assert len(found) == len(set(found))


async def more(acknowledged: set[str]) -> None:
    """Wait until twenty more are."""
    enough = len(acknowledged) + 20
    await until(lambda: len(acknowledged) >= enough)


# ---- a full disk


PRIVATE = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--mount", "-r"]
NOT_ROOT = [] if os.geteuid() == 0 else ["--user", "--preserve-credentials"]
ON_SMALL_DISK = """
mount -t tmpfs -o size=6m tmpfs "$1" || exit 77
exec "$2" -m ranker
"""


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[tuple[int, int, Path]]:
    """Yield a ranker whose record is on a separate disk of 6 MiB: port, process, folder."""
    disk, port = tmp_path / "disk", free_port()
    disk.mkdir()
    environment = os.environ | {
        "RANKER_PORT": str(port),
        "RANKER_DATABASE_URL": f"sqlite:///{disk}/ranker.db",
        "RANKER_MODEL_STORE": str(tmp_path / "models"),
        "RANKER_KEY_FILE": str(tmp_path / "key"),
        "RANKER_CREATE_KEY": "true",
    }
    tool("unshare")
    command = [*PRIVATE, "sh", "-c", ON_SMALL_DISK, "sh", str(disk), sys.executable]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stderr=log)
    try:
        yield port, process.pid, disk
    finally:
        process.kill()
        process.wait()


@pytest.mark.full
async def test_a_full_disk_refuses_writes_keeps_reads_and_goes_on_when_there_is_room(
    small_disk: tuple[int, int, Path],
) -> None:
    port, pid, disk = small_disk
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        events = peer_stub("ranker", channel, Events)
        try:
            await asyncio.wait_for(channel.channel_ready(), SECONDS)
        except TimeoutError:
            pytest.skip("NOT RUN: this user can't mount a small disk")
        acknowledged, full = [], None
        for number in range(100):
            batch = [
                event(event_id=f"{number}-{n}", ago=n, query="x" * 500, scene="y" * 60)
                for n in range(100)
            ]
            try:
                await events.WriteEvents(gateway_pb.WriteEventsRequest(events=batch))
            except grpc.aio.AioRpcError as error:
                full = from_rpc_error(error)
                break
            acknowledged += [one.event_id for one in batch]
        assert full is not None
        assert full.reason == "STORE_FULL"
        assert set(await ids(events)) == set(acknowledged)

        inside = ["nsenter", "--target", str(pid), "--mount", *NOT_ROOT]
        larger = ["mount", "-o", "remount,size=16m", str(disk)]
        await asyncio.to_thread(subprocess.run, [*inside, *larger], check=True)
        await events.WriteEvents(gateway_pb.WriteEventsRequest(events=[event(event_id="room")]))
        assert "room" in await ids(events)


# ---- sampling and exports


async def test_of_a_share_of_the_shoppers_impressions_are_stored_and_all_are_acknowledged(
    new_store, tmp_path: Path
) -> None:
    url = new_store(MIGRATIONS, "ranker.db")
    shoppers = [event_pb2.Shopper(user_id=f"u{n}") for n in range(40)]
    shown = [
        event(
            *(f"p{m}", "IMPRESSION"),
            event_id=f"i{n}-{m}",
            shopper=shopper,
        )
        for n, shopper in enumerate(shoppers)
        for m in range(5)
    ]
    async with serving(url, tmp_path, impression_share=0.5) as events:
        request = gateway_pb.WriteEventsRequest(events=[*shown, event(event_id="v")])
        answer = await events.WriteEvents(request)
        assert answer.written_count == 201
        assert {one.code for one in answer.statuses} == {0}
        found = [each for one in (ANN, *shoppers) for each in await ids(events, one)]
        again = await events.WriteEvents(request)
        assert again.written_count + again.duplicate_count == 201
        after = [each for one in (ANN, *shoppers) for each in await ids(events, one)]
        assert after == found
    kept = {name.partition("-")[0] for name in found} - {"v"}
    assert "v" in found
    assert 5 <= len(kept) <= 35
    assert len(found) == 1 + 5 * len(kept)


async def test_an_export_is_a_job_that_can_be_asked_for_twice(suite: Suite) -> None:
    await suite.append(*(event(event_id=f"e{n}", ago=n) for n in range(5)))
    await suite.append(event("p", "IMPRESSION", event_id="shown"))
    request = pb.ExportEventsRequest(request_id="r", types=[event_pb2.EVENT_TYPE_VIEW])
    first = await suite.events.ExportEvents(request)
    await suite.append(event(event_id="later"))
    assert (await suite.events.ExportEvents(request)).job_id == first.job_id
    watch = job_service_pb2.WatchJobRequest(job_id=first.job_id)
    async with at_work(suite):
        job = [state async for state in suite.jobs.WatchJob(watch)][-1]
    assert job.state == job_pb2.Job.STATE_SUCCEEDED
    results = {one.name: one.value for one in job.results}
    manifest = json.loads(
        (Path(results["folder"].removeprefix("file://")) / "manifest.json").read_text()
    )
    assert (manifest["event_count"], results["event_count"], job.done) == (5, "5", 5)


async def test_an_export_of_no_sound_time_is_refused(suite: Suite) -> None:
    request = pb.ExportEventsRequest()
    request.from_time.seconds = 2**62
    error = await refusal(suite.events.ExportEvents(request))
    assert (error.reason, error.violations[0].field) == ("REQUEST_INVALID", "from_time")


async def test_an_export_that_can_not_be_written_ends_with_its_reason(suite: Suite) -> None:
    await suite.append(event())
    (suite.folder / "file").write_text("no folder")
    asked = await suite.events.ExportEvents(pb.ExportEventsRequest())
    watch = job_service_pb2.WatchJobRequest(job_id=asked.job_id)
    async with at_work(suite, exported_to="file"):
        job = [state async for state in suite.jobs.WatchJob(watch)][-1]
    assert job.state == job_pb2.Job.STATE_FAILED
    assert "EXPORT_UNWRITABLE" in str(job.error)
