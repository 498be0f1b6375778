"""Overhead of a call between services over bare gRPC, in all and by part.

One unary call of a few kilobytes there and back, by one process to another, in processor time of
both: grpc.aio as it comes; with our channel, with our server, with both; and with both but without
one part. Variants alternate, so that a slow minute affects all of them.

`python -m lab.cases.hops PORT without,these` is the server.
"""

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from statistics import median
from typing import Any

import grpc
import uvloop

from bench.harness.model import BenchResult, BenchTable, Interval
from bench.harness.statistics import ratio
from servicekit import deadlines, telemetry, trace_export
from servicekit.config import ServerSettings, TraceSettings
from servicekit.processes.memory import keep_objects
from servicekit.rpc import channel, server
from tests.collector import collecting
from tests.engines import free_port
from tests.waiting import SECONDS

CALL, SPENT = "/bench.Hop/Call", "/bench.Hop/Spent"
PAYLOAD = b"x" * 4096
CALLERS = (1, 8)
CALLS = 600
ROUNDS = 9
"""Number of rounds after one that warms up."""
_ALL = "everything"
_COLLECTOR = "BENCH_COLLECTOR"
"""Variable with the address of the trace collector, which runs in the callers' process."""
_TRACE = (("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),)


@dataclass(frozen=True, slots=True)
class HopVariant:
    """A pair of processes, and the parts that they omit."""

    name: str
    without: str
    """Parts that the server omits; see `_serve`."""
    ours: bool = True
    """True if our channel is used, with the current call's deadline and request id."""
    traced: bool = False


VARIANTS = (
    HopVariant("bare grpc.aio", _ALL, ours=False),
    HopVariant("our channel alone", _ALL),
    HopVariant("our server alone", "", ours=False),
    HopVariant("both", ""),
    HopVariant("both, and a trace comes in", "", traced=True),
    HopVariant("both, traces of 1%", "share-0.01"),
    HopVariant("both, traces of all", "share-1"),
    HopVariant("without the log line", "log"),
    HopVariant("without the metric", "metrics"),
    HopVariant("without the deadline", "deadline"),
    HopVariant("without the request id", "request-id"),
    HopVariant("without all four", "log,metrics,deadline,request-id"),
)


@dataclass(slots=True)
class HopFigures:
    """Microseconds of processor time per call, one figure per round."""

    server: list[float] = field(default_factory=list)
    client: list[float] = field(default_factory=list)

    @property
    def both(self) -> list[float]:
        """Sum of both processes."""
        return [sum(pair) for pair in zip(self.server, self.client, strict=True)]


def run(say: Callable[[str], None]) -> BenchResult:
    """Measure every variant."""
    return result(uvloop.run(_measure(say)))


def result(found: dict[int, dict[str, HopFigures]]) -> BenchResult:
    """Return the result by callers and variant."""
    rows, figures = [], []
    for callers, variants in found.items():
        bare = variants[VARIANTS[0].name]
        for name, measured in variants.items():
            times = ratio(list(zip(measured.both, bare.both, strict=True)))
            figures.append({"callers": callers, "variant": name, **_figures(measured, times)})
            rows.append((str(callers), name, *_cells(measured, times)))
    table = BenchTable(
        "A hop",
        ("callers", "variant", "server µs", "client µs", "both µs", "÷ bare"),
        tuple(rows),
        "Processor time of a unary call of 4 KB there and back, medians of alternating rounds; in "
        "brackets the 95% interval of the ratio.",
    )
    return BenchResult((table,), {"hops": figures})


def _figures(measured: HopFigures, times: Interval) -> dict[str, object]:
    return {
        "server_us": median(measured.server),
        "client_us": median(measured.client),
        "both_us": median(measured.both),
        "over_bare": [times.value, times.low, times.high],
    }


def _cells(measured: HopFigures, times: Interval) -> tuple[str, ...]:
    each = (measured.server, measured.client, measured.both)
    spread = f"{times.value:.2f} ({times.low:.2f}–{times.high:.2f})"
    return *(f"{median(values):.0f}" for values in each), spread


async def _measure(say: Callable[[str], None]) -> dict[int, dict[str, HopFigures]]:
    telemetry.request_id.set("0123456789abcdef" * 2)
    found = {callers: {variant.name: HopFigures() for variant in VARIANTS} for callers in CALLERS}
    with _servers({variant.without for variant in VARIANTS}) as ports:
        peers = [(variant, _connected(variant, ports[variant.without])) for variant in VARIANTS]
        for callers in CALLERS:
            say(f"hops by {callers} callers")
            for turn in range(ROUNDS + 1):
                for variant, peer in peers:
                    spent = await _round(variant, peer, callers)
                    if turn:
                        found[callers][variant.name].server.append(spent[0])
                        found[callers][variant.name].client.append(spent[1])
        for _, peer in peers:
            await peer.close(None)
    return found


def _connected(variant: HopVariant, port: int) -> grpc.aio.Channel:
    address = f"127.0.0.1:{port}"
    if not variant.ours:
        return grpc.aio.insecure_channel(address)
    return channel.connect(address, service_configs=[("bench.Hop", "Call")])


async def _round(variant: HopVariant, peer: grpc.aio.Channel, callers: int) -> tuple[float, float]:
    call: Any = peer.unary_unary(CALL, None, None)
    spent: Any = peer.unary_unary(SPENT, None, None)
    options: dict[str, Any] = {"metadata": _TRACE} if variant.traced else {}

    async def calls() -> None:
        for _ in range(CALLS // callers):
            timeout = deadlines.budget(0.02, 5.0) if variant.ours else 5.0
            await call(PAYLOAD, timeout=timeout, **options)

    before = int(await spent(b"", timeout=SECONDS, wait_for_ready=True))
    since = time.process_time_ns()
    await asyncio.gather(*(calls() for _ in range(callers)))
    client = time.process_time_ns() - since
    after = int(await spent(b"", timeout=SECONDS))
    return (after - before) / CALLS / 1000, client / CALLS / 1000


@contextmanager
def _servers(kinds: Collection[str]) -> Iterator[dict[str, int]]:
    """Start a process of each kind. Yield the port of each."""
    ports = {without: free_port() for without in sorted(kinds)}
    with ExitStack() as stack, collecting() as collector:
        given = os.environ | {_COLLECTOR: collector.endpoint}
        for without, port in ports.items():
            log = stack.enter_context(tempfile.TemporaryFile())
            command = [sys.executable, "-m", "lab.cases.hops", str(port), without]
            process = subprocess.Popen(command, stderr=log, env=given)
            stack.callback(process.wait)
            stack.callback(process.kill)
        yield ports


async def _call(_request: bytes, _context: object) -> bytes:
    return PAYLOAD


async def _spent(_request: bytes, _context: object) -> bytes:
    return str(time.process_time_ns()).encode()


def _add(_servicer: object, to: Any) -> None:
    handlers = {
        "Call": grpc.unary_unary_rpc_method_handler(_call),
        "Spent": grpc.unary_unary_rpc_method_handler(_spent),
    }
    to.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("bench.Hop", handlers),))
    to.add_registered_method_handlers("bench.Hop", handlers)


class _NoMetric:
    def labels(self, *_values: str) -> "_NoMetric":
        return self

    def observe(self, _seconds: float, _exemplar: object = None) -> None:
        pass


async def _serve(port: int, without: Sequence[str]) -> None:
    if _ALL in without:
        bare = grpc.aio.server()
        _add(None, bare)
        bare.add_insecure_port(f"127.0.0.1:{port}")
        await bare.start()
        keep_objects()
        await bare.wait_for_termination()
    telemetry.configure_logging("bench", "warning" if "log" in without else "info")
    if "metrics" in without:
        setattr(telemetry, "RPC_SECONDS", _NoMetric())  # noqa: B010 - its type is not ours
    if "deadline" in without:
        setattr(deadlines, "start", lambda _seconds: None)  # noqa: B010
    if "request-id" in without:
        setattr(telemetry, "accept_request_id", lambda _given: "")  # noqa: B010
    for share in (part.removeprefix("share-") for part in without if part.startswith("share-")):
        traces = TraceSettings(traces_endpoint=os.environ[_COLLECTOR], traces_share=float(share))
        trace_export.start("bench", traces)
    binding = server.Binding(_add, None, "bench.Hop")
    await server.serve([binding], ServerSettings(port=port), service="bench")


if __name__ == "__main__":
    server.run(_serve(int(sys.argv[1]), sys.argv[2].split(",")))
