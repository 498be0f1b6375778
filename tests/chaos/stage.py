"""Processes of a scenario: the required part of the suite's, under the suite's supervisor."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import replace
from pathlib import Path

import grpc

from examples.wines.local import free_port_base, own
from local_suite.model import Program
from local_suite.programs import APART, sightline
from local_suite.suite import Suite
from retriever.record import Record
from servicekit.sql.database import Database

RETRIEVER = ("milvus", "retriever", "retriever-worker")
"""Programs that suffice if no photo has to be embedded."""
SETTINGS = {
    # The engine answers every search, small as the catalog is: its loss is what is looked at.
    "retriever": {"RETRIEVER_DECODE_PROCESSES": "1", "RETRIEVER_EXACT_ROWS": "0"},
    "retriever-worker": {"RETRIEVER_WORKER_LEASE_SECONDS": "3"},
    "embedder": {"EMBEDDER_DECODE_PROCESSES": "1"},
}
"""A killed worker is succeeded after 3 s instead of 10, so that it can be killed more often. Few
photos come in: one process that decodes them is enough, and starts sooner than two."""

START_SECONDS = 180.0
"""Maximum seconds for a process to come back, many because the machine is busy."""

target: ContextVar[str] = ContextVar("target", default=APART)
"""Whether the services of a scenario run apart or in one process; see local_suite.programs."""

Prepare = Callable[[Path], None]


def nothing(_data: Path) -> None:
    """Leave a suite's folder as it is."""


@contextlib.contextmanager
def stage(
    engine: str,
    catalogs: Collection[str],
    programs: Collection[str] = RETRIEVER,
    prepare: Prepare = nothing,
    settings: Mapping[str, str] | None = None,
) -> Iterator[Suite]:
    """Run a separate suite during the block; `prepare` is called with its folder before the start.
    `settings`: further ones, of all programs. Raise SuiteError or OSError."""

    def make(data: Path) -> Suite:
        prepare(data)
        made = sightline(
            data,
            free_port_base(),
            tuple(catalogs),
            engine=engine,
            target=target.get(),
            vision="vision" in programs,
        )
        chosen = [
            hasty(replace(each, environment={**each.environment, **(settings or {})}))
            for each in made
            if {each.name, *each.serves} & set(programs)
        ]
        return Suite(data, chosen, report=lambda _line: None)

    with own(make) as suite:
        yield suite


def hasty(program: Program) -> Program:
    """Return a program with SETTINGS, or with those of the services inside."""
    return with_settings(program, SETTINGS)


def with_settings(program: Program, settings: Mapping[str, Mapping[str, str]]) -> Program:
    """Return a program with its own of the settings, which are by program, or with those of the
    services inside."""
    more = [settings.get(name, {}) for name in (program.name, *program.serves)]
    environment = {key: value for each in more for key, value in each.items()}
    return replace(program, environment={**program.environment, **environment})


def running(suite: Suite, service: str) -> str:
    """Return the program in which a service runs."""
    return next(name for name, each in suite.programs.items() if service in (name, *each.serves))


def engine_uri(suite: Suite) -> str:
    """Return the engine's address, as pymilvus expects it."""
    return f"http://{suite.addresses()['milvus']}"


@contextlib.asynccontextmanager
async def channel_to(suite: Suite, program: str) -> AsyncIterator[grpc.aio.Channel]:
    """Yield a channel that reconnects to a killed server at once."""
    options = [
        ("grpc.enable_http_proxy", 0),
        ("grpc.use_local_subchannel_pool", 1),
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 200),
        ("grpc.max_receive_message_length", 64 * 2**20),
    ]
    async with grpc.aio.insecure_channel(suite.addresses()[program], options=options) as opened:
        yield opened


@contextlib.contextmanager
def record_of(suite: Suite) -> Iterator[Record]:
    """Open the retriever's record for reading."""
    file = suite.layout.data / "retriever" / "record.db"
    database = Database(f"sqlite:///{file}", migrations="retriever.record.migrations")
    try:
        yield Record(database)
    finally:
        database.close()
