"""A degraded network: 200 ms of delay in each direction between the gateway and its peers, then cut
connections, also of the callers.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from examples.wines.local import free_port_base, own
from local_suite.model import HOST
from local_suite.programs import sightline
from local_suite.suite import Suite
from sightline_client import SightlineClient
from tests.chaos.model import Report
from tests.chaos.stage import SETTINGS
from tests.chaos.suite.crowd import p99
from tests.chaos.suite.shop import (
    GRACE_SECONDS,
    SECONDS,
    Got,
    Load,
    answered,
    counted,
    open_shop,
    shoppers,
)
from tests.chaos.suite.wire import Wire

PEERS: Final = ("embedder", "retriever", "ranker")
WIRED: Final = (*PEERS, "gateway")
DELAY_SECONDS: Final = 0.2
CUT: Final = 0.05
RATE: Final = 3.0
"""Requests a second, of each of four kinds."""
USUAL_SECONDS, SLOW_SECONDS, CUT_SECONDS = 15.0, 25.0, 60.0
ANSWERED: Final = 0.999
RETRIES: Final = 1.5
"""Calls for each that is wanted, at most: a third of all may fail before none is tried again."""

Wires = Mapping[str, Wire]


@dataclass(frozen=True, slots=True)
class Spell:
    """Requests and outcomes while the network was in one state."""

    got: Sequence[Got]
    calls: Mapping[str, int]
    """Number of calls that began at each peer."""


def proxy(seed: int, report: Report) -> None:
    """Slow the network down, then cut connections. Raise SuiteError, OSError or NotMeasured."""
    with _wired(random.Random(seed)) as (suite, ports, wires):
        asyncio.run(_proxy(suite, ports, wires, seed, report))


@contextlib.contextmanager
def _wired(chance: random.Random) -> Iterator[tuple[Suite, Mapping[str, int], Wires]]:
    """Run a suite whose gateway reaches its peers through proxies. Yield the suite, its ports and
    the proxies; one proxy is before the gateway."""
    base, first = free_port_base(), free_port_base()
    while first == base:
        first = free_port_base()
    ports = dict(zip(WIRED, range(first, first + len(WIRED)), strict=True))
    targets = {f"GATEWAY_{peer.upper()}_TARGET": f"{HOST}:{ports[peer]}" for peer in PEERS}

    def make(data: Path) -> Suite:
        made = []
        for each in sightline(data, base):
            more = targets if each.name == "gateway" else SETTINGS.get(each.name, {})
            made.append(replace(each, environment={**each.environment, **more}))
        return Suite(data, made, report=lambda _line: None)

    with own(make) as suite:
        reached = {name: suite.programs[name].ports["grpc"] for name in WIRED}
        yield suite, ports, {name: Wire(port, chance) for name, port in reached.items()}


async def _proxy(
    suite: Suite, ports: Mapping[str, int], wires: Wires, seed: int, report: Report
) -> None:
    async with contextlib.AsyncExitStack() as stack:
        for name, wire in wires.items():
            await stack.enter_async_context(wire.listening(ports[name]))
        async with SightlineClient(suite.addresses()["gateway"]) as client:
            await open_shop(client)
        target = f"{HOST}:{ports['gateway']}"
        client = await stack.enter_async_context(SightlineClient(target))
        usual = await _spell(client, wires, USUAL_SECONDS, seed)
        with _state(wires, PEERS, delay=DELAY_SECONDS):
            slow = await _spell(client, wires, SLOW_SECONDS, seed + 1)
        judge(f"{DELAY_SECONDS * 1e3:.0f} ms more each way", slow, usual, report)
        with _state(wires, WIRED, cut=CUT):
            broken = await _spell(client, wires, CUT_SECONDS, seed + 2)
        report.say("cut: " + ", ".join(f"{name} {wire.cuts}" for name, wire in wires.items()))
        judge(f"connections cut, for {CUT:.0%} of calls", broken, usual, report)
        well = await _spell(client, wires, USUAL_SECONDS, seed + 3)
    held = bool(well.got) and all(each.whole for each in well.got[-len(well.got) // 2 :])
    report.add("then all is well again", held, counted(well.got))


@contextlib.contextmanager
def _state(
    wires: Wires, names: Sequence[str], *, delay: float = 0.0, cut: float = 0.0
) -> Iterator[None]:
    """Put the network into this state during the block."""
    for name in names:
        wires[name].delay, wires[name].cut = delay, cut
    yield
    for name in names:
        wires[name].delay, wires[name].cut = 0.0, 0.0


async def _spell(client: SightlineClient, wires: Wires, seconds: float, seed: int) -> Spell:
    """Send requests of all kinds for this time."""
    before = {peer: wires[peer].calls for peer in PEERS}
    asks = shoppers(client, seed)
    load = Load(asks, dict.fromkeys(asks, RATE))
    async with load.running():
        await asyncio.sleep(seconds)
    return Spell(load.got, {peer: wires[peer].calls - before[peer] for peer in PEERS})


def judge(name: str, spell: Spell, usual: Spell, report: Report) -> None:
    """Judge whether the time and retry budgets held."""
    share = answered(spell.got)
    seconds = [each.ended - each.began for each in spell.got]
    usually = p99(each.ended - each.began for each in usual.got)
    degraded = sum(bool(each.causes) for each in spell.got)
    unflagged = [
        each for each in spell.got if not each.error and not each.causes and not each.whole
    ]
    report.add(
        f"{name}: ≥ {ANSWERED:.1%} answered, within {SECONDS:.0f} s",
        share >= ANSWERED and max(seconds) <= SECONDS + GRACE_SECONDS,
        f"{counted(spell.got)}; p99 {p99(seconds):.2f} s, before {usually:.2f} s",
    )
    report.add(
        f"{name}: what is degraded says so",
        bool(spell.got) and not unflagged,
        f"{degraded} degraded, {len(unflagged)} of others not whole",
    )
    ratios = {
        peer: count / max(1, len(spell.got)) / (usual.calls[peer] / len(usual.got))
        for peer, count in spell.calls.items()
    }
    shown = ", ".join(f"{peer} {ratio:.2f} ×" for peer, ratio in ratios.items())
    report.add(
        f"{name}: no storm of retries", max(ratios.values()) <= RETRIES, f"{shown} the calls"
    )
