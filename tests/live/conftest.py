"""One whole suite for live tests: real models, real Milvus Lite, real LightFM, real SQLite."""

import asyncio
import os
import re
import secrets
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import pytest
import pytest_asyncio

from examples.wines import loading
from examples.wines.local import free_port_base
from local_suite.model import Program
from local_suite.programs import ALL, APART, sightline
from local_suite.suite import Suite
from sightline_client import SightlineClient
from tests import pseudonyms
from tests.collector import Collector, collecting
from tests.engines import ROOT, free_port
from tests.waiting import SECONDS

CONNECTION_AGE = "3"
"""Seconds."""
PRIORITIES = {"RANKER_TRAINING_PRIORITY": "normal", "EMBEDDER_FIT_PRIORITY": "normal"}
"""By default they wait for a free core, which a busy machine does not have."""
CATALOGS = (
    *("default", "rubbish", "isolated", "beside", "restored"),
    *("learned", "suggested", "variants", "placeholders", "people", "shell"),
)
"""No more than are used: each costs the workers looks at the record and at the engine. At most 20
with those that tests create: metrics show more of them as one.

The wines; what bad input is sent to; two shops that have the same ids and must know nothing of each
other; what the wines are restored into; whose photos a space is learned from; what is suggested;
many variants of few products; products of which most show one photo; photos whose faces are
blurred; what the commands of a shop's first days are tried on."""


RUNNING = ExitStack()
"""The suites of this process."""


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """Stop the suite after the last test of its folder: while the other tests run, an idle suite
    would take 7% of a core."""
    if nextitem is not None and nextitem.path.parent != item.path.parent:
        RUNNING.close()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put folders one after the other, since each has a suite, and in each the tests of clicks
    first, which the events of others on the same shop would blur."""
    items.sort(key=lambda item: (item.path.parent, item.path.name != "test_feedback.py"))


@pytest.fixture(scope="session")
def collector() -> Iterator[Collector]:
    """Yield a collector of the suite's traces: of the sampled calls, and of jobs."""
    with collecting() as started:
        yield started


@pytest.fixture(scope="session")
def suite(tmp_path_factory: pytest.TempPathFactory, collector: Collector) -> Iterator[Suite]:
    """Run the services in one process, as `make up` does; apart/ runs them apart."""
    scenes = tmp_path_factory.mktemp("scenes")
    (scenes / "learned").mkdir()
    (scenes / "learned" / "kinds.toml").write_text("category_weight = 0.1\n")
    name, content = scene_of("integrate/detect.md")
    (scenes / name).write_text(content)
    given = {"RETRIEVER_BLUR_FACES": "people", "GATEWAY_SCENES_FOLDER": str(scenes)}
    yield from shared(tmp_path_factory.mktemp("suite"), CATALOGS, collector, ALL, given)


def scene_of(page: str) -> tuple[str, str]:
    """Return the name and the content of the scene's file that a page shows."""
    found = re.search(
        r"```toml\n# (\S+\.toml)\n(.*?)```", (ROOT / "docs" / page).read_text("utf-8"), re.DOTALL
    )
    assert found is not None
    return found[1], found[2]


def shared(
    data: Path,
    catalogs: Sequence[str],
    collector: Collector,
    target: str,
    environment: Mapping[str, str] = MappingProxyType({}),
) -> Iterator[Suite]:
    """Run a suite for the tests of a session."""
    traces = {"TRITON_TRACES_URL": collector.url, "OTEL_BSP_SCHEDULE_DELAY": "200"}  # of Triton's
    for service in ("GATEWAY", "EMBEDDER", "RETRIEVER", "RANKER", "VISION"):
        traces[f"{service}_TRACES_ENDPOINT"] = collector.endpoint
        traces[f"{service}_TRACES_SHARE"] = "0"
    given = {
        **traces,
        **webhooks(data.with_name(f"{data.name}-webhooks.keys")),
        **cameras(),
        **environment,
    }
    with RUNNING:
        yield RUNNING.enter_context(running(data, catalogs, given, target))


def webhooks(keys: Path) -> dict[str, str]:
    """Return settings that allow the receivers of tests and of docs/integrate/webhooks.md."""
    keys.write_text(secrets.token_hex(32))
    return {
        "VISION_WEBHOOK_KEYS_FILE": str(keys),
        "VISION_WEBHOOK_HOSTS": f"127.0.0.1:{free_port()},alerts.shop.example",
        "VISION_WEBHOOK_SCHEMES": "http,https",
        "VISION_WEBHOOK_NETWORKS": "127.0.0.0/8",
    }


def cameras() -> dict[str, str]:
    """Return settings that allow the cameras of tests and of docs/integrate/watch.md."""
    return {
        "VISION_FETCH_HOSTS": f"127.0.0.1:{free_port()},camera.shop.example",
        "VISION_FETCH_SCHEMES": "http,https",
        "VISION_SNAPSHOT_NETWORKS": "127.0.0.0/8",
    }


@contextmanager
def running(
    data: Path,
    catalogs: Sequence[str],
    environment: Mapping[str, str] = MappingProxyType({}),
    target: str = APART,
    commands: Mapping[str, tuple[str, ...]] = MappingProxyType({}),
) -> Iterator[Suite]:
    """Run a suite during the block; `commands` replace those of programs."""
    key = data / "ranker" / "pseudonym.key"
    key.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    key.touch(mode=0o600)
    key.write_text(pseudonyms.KEY)
    made = sightline(data, free_port_base(), catalogs, target=target, vision=True)
    programs = [
        replace(
            aged,
            environment={**aged.environment, **PRIORITIES, **environment},
            command=commands.get(aged.name, aged.command),
        )
        for aged in map(_aging, made)
    ]
    with _survived_by_no_process(data), Suite(data, programs) as started:
        yield started


def _aging(program: Program) -> Program:
    """Set a short connection age, as Kubernetes may: connections keep ending, and no call may
    fail."""
    if program.group == "engines" or "grpc" not in program.ports:
        return program
    services = program.serves or [program.name]
    given = {f"{each.upper()}_CONNECTION_AGE_SECONDS": CONNECTION_AGE for each in services}
    if "retriever" in services:
        given["RETRIEVER_MILVUS_PROBE_SECONDS"] = "60"  # a busy machine is no lost engine
        given["RETRIEVER_CATALOG_SETTLE_SECONDS"] = "2"
    return replace(program, environment={**program.environment, **given})


@contextmanager
def _survived_by_no_process(data: Path) -> Iterator[None]:
    """Stop the suite in `data` even if this process is killed."""
    environment = os.environ | {
        "DATA": str(data),
        "PYTHONPATH": str(ROOT / "deploy/local"),
        "PYTHON": sys.executable,
    }
    guard = subprocess.Popen(
        ["/bin/sh", "-c", 'read -r _ || exec "$PYTHON" -m local_suite down'],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        start_new_session=True,  # it outlives Ctrl-C
    )
    try:
        yield
    finally:
        guard.communicate(b"stopped already\n")


@pytest.fixture(scope="session")
def gateway(suite: Suite) -> str:
    """Return the gateway's address."""
    return suite.addresses()["gateway"]


@pytest.fixture(scope="session")
def shop_is_open(gateway: str) -> None:
    """Load 100 wines and 1,000 ratings, train a model on them and promote it."""
    asyncio.run(open_shop(gateway))


async def open_shop(gateway: str) -> None:
    async with SightlineClient(gateway, timeout=SECONDS) as client:
        await until_serving(client, await loading.load_all(client))


async def until_indexed(client: SightlineClient, images: int, seconds: float = SECONDS) -> None:
    """Wait until at least this many photos are indexed and none is pending."""
    until = time.monotonic() + seconds
    while True:
        status = await client.status()
        caught_up = (
            status.pending_images == 0
            and (status.indexed_images or 0) >= images
            and status.freshness is not None
            and not status.freshness.lag
        )
        if caught_up:
            return
        assert time.monotonic() < until, f"the index does not catch up: {status}"
        await asyncio.sleep(0.25)


async def until_serving(client: SightlineClient, version: str, seconds: float = SECONDS) -> None:
    """Wait until the ranker answers with a model."""
    until = time.monotonic() + seconds
    while (await client.status()).model_version != version:
        assert time.monotonic() < until, f"model {version} does not serve"
        await asyncio.sleep(0.25)


@pytest_asyncio.fixture
async def client(gateway: str, shop_is_open: None) -> AsyncIterator[SightlineClient]:
    """Yield a client of a loaded shop."""
    async with SightlineClient(gateway) as opened:
        yield opened
