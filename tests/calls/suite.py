"""The running services, and what they learn before answers are counted."""

from __future__ import annotations

import asyncio
import random
import socket
import sqlite3
import time
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from sightline_all.services import SERVICES
from sqlalchemy.engine import make_url

from embedder.settings import EmbedderSettings
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
from retriever.settings import RetrieverSettings
from servicekit.config import LOCAL, ServerSettings
from servicekit.rpc import hosting
from servicekit.rpc.channel import connect
from servicekit.sql.database import Database
from sightline_client import SyncSightlineClient
from tests.calls.cases import Shop
from tests.calls.catalog import KINDS, PRODUCTS, UNTRAINED, product_id, shoppers_events

START_SECONDS = 120.0


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


async def learn(settings: Mapping[str, ServerSettings], seed: int = 0) -> str:
    """Count the events and train a model of them. Return its version."""
    ranker, retriever = settings["ranker"], settings["retriever"]
    assert isinstance(ranker, RankerSettings)
    database = Database(ranker.database_url.get_secret_value(), migrations=MIGRATIONS)
    channel = connect(f"127.0.0.1:{retriever.port}")
    try:
        await count_events(database, DEFAULTS, asyncio.Event())
        inputs = TrainingInputs(database, Catalog(channel), ModelStore(ranker.model_store))
        quick = {"epochs": 4, "dimension": 16}
        order = {"seed": seed, "recipe": quick, "ablation": False, "search_trials": 0}
        job = await inputs.jobs.create("train", "default", order)
        done = await run_training(job.id, TrainSettings().training, inputs, lambda *_: None)
        return done["model_version"]
    finally:
        await channel.close(None)
        database.close()


def wait(settings: ServerSettings, service: str = "") -> grpc.Channel:
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
    channel = wait(settings["gateway"], service)
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
