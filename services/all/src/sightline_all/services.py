"""Several services in one process.

The gateway calls the others without a network (servicekit.rpc.hosting). Each has its own settings,
and still listens on its own port, for the workers. A service that the gateway is to call elsewhere,
such as by GATEWAY_RANKER_TARGET, does not run here. This package alone may import all four
services.
"""

import argparse
import asyncio
import os
import signal
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from embedder import __main__ as embedder
from embedder.settings import EmbedderSettings
from gateway import __main__ as gateway
from gateway.http import __main__ as gateway_http
from gateway.http.serving import SERVICE as HTTP
from gateway.http.settings import HttpSettings
from gateway.settings import GatewaySettings
from ranker import __main__ as ranker
from ranker.settings import RankerSettings
from retriever import __main__ as retriever
from retriever.settings import RetrieverSettings
from servicekit import config, startup, telemetry
from servicekit.config import LOCAL, ServerSettings
from servicekit.processes import respawn
from servicekit.rpc import hosting, server
from sightline_all.settings import AllSettings

NAME: Final = "all"
LEVELS: Final = ("debug", "info", "warning", "error")
"""Levels of logs: the process logs what any of its services is to log."""


@dataclass(frozen=True, slots=True)
class Service:
    """A service that can run here."""

    settings: type[ServerSettings]
    checks: Sequence[Callable[[Any], object]]
    main: Callable[[Any], Coroutine[Any, Any, None]]


SERVICES: Final[Mapping[str, Service]] = {
    "gateway": Service(GatewaySettings, gateway.CHECKS, gateway.main),
    "embedder": Service(EmbedderSettings, embedder.CHECKS, embedder.main),
    "retriever": Service(RetrieverSettings, retriever.CHECKS, retriever.main),
    "ranker": Service(RankerSettings, ranker.CHECKS, ranker.main),
}
"""Services by name, in the order in which they end: the gateway first, as it calls the others."""


def main(arguments: Sequence[str]) -> None:
    """Run the services that are named; without names, all but those that run elsewhere.

    They run in a child process, which is forked again when it dies.
    """
    names = _named(arguments)
    last = None if startup.CHECK in arguments else respawn.in_child()
    own = config.load(AllSettings)
    _set_targets(names)
    services = {name: SERVICES[name] for name in names}
    chosen = {name: startup.checked(each.settings, *each.checks) for name, each in services.items()}
    http = _http(own, names)
    if problems := [*_impossible(chosen), *_different(chosen)]:
        startup.refuse(problems)
    if startup.CHECK in arguments:
        print("settings and files are valid")
        return
    first = next(iter(chosen.values()))
    startup.observe(
        NAME, first, min((each.log_level for each in chosen.values()), key=LEVELS.index)
    )
    if last is not None:
        telemetry.get_logger().error("the process ended, and was started again", status=last)
    server.run(_run(chosen, http), blocked_seconds=own.blocked_seconds or None)


def _named(arguments: Sequence[str]) -> Sequence[str]:
    """Return the services to run, in the order of SERVICES. Exits when one is unknown."""
    parser = argparse.ArgumentParser(prog="python -m sightline_all", description=__doc__)
    parser.add_argument(
        "--target",
        default=",".join(name for name in SERVICES if not _elsewhere(name)),
        help=f"some of {','.join(SERVICES)}: the others are reached by their targets (default: all"
        " that the gateway does not call elsewhere)",
    )
    parser.add_argument(startup.CHECK, action="store_true", help="check the settings, and exit")
    target: str = parser.parse_args(arguments).target
    names = list(SERVICES) if target == NAME else target.split(",")
    if unknown := set(names) - set(SERVICES):
        parser.error(f"--target: {', '.join(sorted(unknown))}: no such service")
    return [name for name in SERVICES if name in names]


def _elsewhere(name: str) -> bool:
    """Return whether a setting of the gateway names another place of a service."""
    return not os.environ.get(f"GATEWAY_{name}_TARGET".upper(), LOCAL).startswith(LOCAL)


def _set_targets(names: Sequence[str]) -> None:
    """Let the services of this process call one another without a network, and others where the
    gateway calls them, unless a setting names another target; and let one of them serve the metrics
    of all."""
    for name in SERVICES:
        beside = os.environ.get(f"GATEWAY_{name}_TARGET".upper())
        target = f"{LOCAL}{name}" if name in names else beside
        for caller in names if target else ():
            os.environ.setdefault(f"{caller}_{name}_TARGET".upper(), str(target))
    for name in names[1:]:
        os.environ[f"{name}_METRICS_PORT".upper()] = "0"


def _http(own: AllSettings, names: Sequence[str]) -> HttpSettings | None:
    """Return the settings of the gateway's HTTP face, which runs where the gateway does; None: it
    does not run here."""
    if not own.http or "gateway" not in names:
        return None
    os.environ.setdefault("GATEWAY_HTTP_GATEWAY_TARGET", f"{LOCAL}gateway")
    os.environ["GATEWAY_HTTP_METRICS_PORT"] = "0"  # they are among those of the process
    return startup.checked(HttpSettings, *gateway_http.CHECKS)


def _impossible(chosen: Mapping[str, ServerSettings]) -> Iterator[str]:
    """Yield the settings that one process can't fulfil."""
    for name, settings in chosen.items():
        if getattr(settings, "processes", 1) > 1:
            yield (
                f"{settings.variable('processes')}: one process runs several services here: run"
                f" {name} alone, or set it to 1"
            )
        if settings.peer_tls_folder is not None and len(chosen) > 1:
            yield (
                f"{settings.variable('peer_tls_folder')}: calls in one process have no"
                " certificates: run the services apart, or unset it"
            )


def _different(chosen: Mapping[str, ServerSettings]) -> Iterator[str]:
    """Yield the settings of which one process has one, where services have others."""
    first = next(iter(chosen.values()))
    for settings in chosen.values():
        for field in ("traces_endpoint", "traces_share"):
            if getattr(settings, field) != getattr(first, field):
                yield (
                    f"{settings.variable(field)}: one process sends its traces to one place: set"
                    f" it as {first.variable(field)}, or run the services apart"
                )


async def _run(chosen: Mapping[str, ServerSettings], http: HttpSettings | None) -> None:
    """Run services; the HTTP face, which calls the gateway, ends first."""
    host, loop = hosting.Host(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, host.stop)
    works = {HTTP: gateway_http.main(http)} if http is not None else {}
    works |= {name: SERVICES[name].main(settings) for name, settings in chosen.items()}
    await host.run(works)
