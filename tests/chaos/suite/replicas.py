"""A whole suite on one PostgreSQL, as `deploy/k8s` runs it: two of each service that answers, or
all of them in one process.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from examples.wines.local import free_port_base, own
from local_suite.model import HOST, Program
from local_suite.programs import VISION, sightline
from local_suite.suite import Suite
from tests.chaos.stage import SETTINGS, target, with_settings
from tests.postgres import PostgreSQL, postgresql

REPLICATED: Final = ("embedder", "retriever", "ranker", VISION, "gateway")
DATABASES: Final = ("retriever", "ranker", VISION)
"""Services that have a database each."""
SECOND: Final = "-2"
"""Suffix of the name of a service's second process."""
_BESIDE: Final = (
    "one retriever-worker, ranker-worker, vision-worker, Triton and Milvus Lite; PostgreSQL"
)
SET_UP: Final = f"two each of {', '.join(REPLICATED)}; {_BESIDE}"
ONE_PROCESS: Final = f"one process of four services, vision; {_BESIDE}"


@contextlib.contextmanager
def replicated(settings: Mapping[str, Mapping[str, str]] = SETTINGS) -> Iterator[Suite]:
    """Run a suite with replicas during the block; `settings`: additional variables by program.
    Raise SuiteError, OSError or NoPostgreSQL."""
    with on_postgresql(settings) as (suite, _):
        yield suite


@contextlib.contextmanager
def on_postgresql(
    settings: Mapping[str, Mapping[str, str]] = SETTINGS,
    run_as: Callable[[Program], Program] = lambda program: program,
    prepare: Callable[[PostgreSQL], None] = lambda server: None,
    *,
    second: bool = True,
) -> Iterator[tuple[Suite, PostgreSQL]]:
    """Yield the same with its PostgreSQL, which is none of the suite's programs; the services run
    in one process if `target` says so.

    `run_as`: how a program is run, if not as this release runs it. `prepare`: called with the empty
    databases before the suite starts. `second`: whether there are two of what answers.
    """
    with postgresql() as server:
        for name in DATABASES:
            server.execute(f"CREATE DATABASE {name}")
        prepare(server)

        given = {**settings, **{f"{name}{SECOND}": each for name, each in settings.items()}}

        def make(data: Path) -> Suite:
            made = [run_as(with_settings(each, given)) for each in _programs(data, server, second)]
            return Suite(data, made, report=lambda _line: None)

        with own(make) as suite:
            yield suite, server


def front(suite: Suite) -> str:
    """Return the addresses of all gateways of a suite, as gRPC and our client accept them."""
    return _all(address for name, address in suite.addresses().items() if "gateway" in name)


def _programs(data: Path, server: PostgreSQL, second: bool) -> list[Program]:
    """Return the programs of the target, on the database server."""
    urls = {f"{name.upper()}_DATABASE_URL": server.url(name) for name in DATABASES}
    made = _twice(data) if second else _once(data, free_port_base())
    return [_given(each, urls) for each in made]


def _once(data: Path, base: int) -> Sequence[Program]:
    """Return the programs of one machine."""
    return sightline(data, base, target=target.get(), vision=True)


def _twice(data: Path) -> list[Program]:
    """Return the programs of one machine and a second one of each service, or of the process of all
    services; all of them call both replicas of every service."""
    first = second = free_port_base()
    while second == first:
        second = free_port_base()
    one = _once(data, first)
    two = [each for each in _once(data, second) if {each.name, *each.serves} & {*REPLICATED}]
    address, also = _addresses(one), _addresses(two)
    both = {name: _all((address[name], also[name])) for name in REPLICATED}
    shared = {
        **({"EMBEDDER_TRITON_TARGET": address["triton"]} if "triton" in address else {}),
        "RETRIEVER_MILVUS_URI": f"http://{address['milvus']}",
        "RETRIEVER_EMBEDDER_TARGET": both["embedder"],
        "RANKER_RETRIEVER_TARGET": both["retriever"],
        **{f"VISION_{name.upper()}_TARGET": both[name] for name in REPLICATED[:3]},
        **{f"GATEWAY_{name.upper()}_TARGET": both[name] for name in REPLICATED[:-1]},
    }
    return [_given(each, shared) for each in (*one, *map(_named_second, two))]


def _named_second(program: Program) -> Program:
    """Return a program whose name, and those of its services, end in SECOND."""
    serves = {f"{name}{SECOND}": port for name, port in program.serves.items()}
    return replace(program, name=f"{program.name}{SECOND}", serves=serves)


def _addresses(programs: Iterable[Program]) -> dict[str, str]:
    """Return `host:port` of each program and service that serves gRPC."""
    return {
        name: f"{HOST}:{port}"
        for each in programs
        for name, port in {each.name: each.ports.get("grpc"), **each.serves}.items()
        if port is not None
    }


def _given(program: Program, values: Mapping[str, str]) -> Program:
    """Replace the values of settings that a program has."""
    known = {name: values[name] for name in values.keys() & program.environment.keys()}
    return replace(program, environment={**program.environment, **known})


def _all(addresses: Iterable[str]) -> str:
    return f"ipv4:{','.join(addresses)}"
