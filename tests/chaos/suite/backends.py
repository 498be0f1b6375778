"""Embedder, retriever and ranker of known capacity: each has a number of places, and a call holds
one of them for a fixed time. They sleep instead of computing, so the machine's speed is not
measured.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from examples.wines.local import free_port_base, own
from local_suite.health import grpc_serving
from local_suite.model import Program
from local_suite.programs import ROOT, sightline
from local_suite.suite import Suite
from servicekit.config import ServerSettings
from servicekit.rpc.server import Binding, run, start
from tests.fakes.gateway_script import PRODUCTS, Script
from tests.fakes.gateway_wire_embedder import Embedding
from tests.fakes.gateway_wire_ranker import Answers, Ranking
from tests.fakes.gateway_wire_retriever import Keywords, Products, Vectors

PLACES: Final = 8
"""Places of each backend."""
SECONDS: Final = 0.08
"""Seconds for which a call holds its place."""
CALLS: Final = 2
"""Calls of one recommendation to the retriever, which gets the most: a search, and the read of
the page."""
CAPACITY: Final = PLACES / SECONDS / CALLS
"""Recommendations a second."""
BACKENDS: Final = ("embedder", "retriever", "ranker")
CATALOGS: Final = ("calm", "greedy")
QUIET: Final = {"GATEWAY_LOG_LEVEL": "warning"}
"""A line for each of thousands of calls is no part of the scenario."""


class Busy(Script):
    """Limit of concurrent calls of a backend, first come, first served."""

    def __init__(self) -> None:
        super().__init__()
        self._places = asyncio.Semaphore(PLACES)

    async def take(self, method: str, request: Any, context: Any) -> None:
        async with self._places:
            await asyncio.sleep(SECONDS)


async def serve(ports: Mapping[str, int]) -> None:
    """Answer on these ports until the process is ended."""
    embedding, retrieving, ranking = Busy(), Busy(), Busy()
    answers, products = Answers(ranking), list(PRODUCTS)
    servicers = {
        "embedder": [Embedding(embedding)],
        "retriever": [
            Vectors(retrieving, products),
            Keywords(retrieving),
            Products(retrieving, products),
        ],
        "ranker": [Ranking(ranking, answers), answers],
    }
    running = [
        await start([Binding.of(each) for each in servicers[name]], ServerSettings(port=port), name)
        for name, port in ports.items()
    ]
    try:
        await asyncio.Event().wait()
    finally:
        for each in running:
            await each.stop()


@contextlib.contextmanager
def before_backends(settings: Mapping[str, str]) -> Iterator[Suite]:
    """Run the gateway's own process with these settings and limited backends. Raise SuiteError or
    OSError."""

    def make(data: Path) -> Suite:
        programs = {each.name: each for each in sightline(data, free_port_base(), CATALOGS)}
        ports = {name: programs[name].ports["grpc"] for name in BACKENDS}
        gateway = programs["gateway"]
        environment = {**gateway.environment, **QUIET, **settings}
        chosen = [_backends(ports), replace(gateway, environment=environment)]
        return Suite(data, chosen, report=lambda _line: None)

    with own(make) as suite:
        yield suite


def _backends(ports: Mapping[str, int]) -> Program:
    """Return the program that runs all three backends in one process."""
    numbers = (str(ports[name]) for name in BACKENDS)
    return Program(
        name="backends",
        group="services",
        command=(str(ROOT / ".venv/bin/python"), "-m", "tests.chaos.suite.backends", *numbers),
        folder=ROOT,
        healthy=grpc_serving(ports[BACKENDS[-1]]),
        environment={"PYTHONPATH": str(ROOT / "deploy/local")},
        ports=ports,
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("ports", nargs=len(BACKENDS), type=int)
    run(serve(dict(zip(BACKENDS, parser.parse_args().ports, strict=True))))
