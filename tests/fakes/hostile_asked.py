"""Calls of the work of tests.fakes.hostile."""

from typing import Any

from servicekit.admission.fair_permits import Party
from servicekit.decoding.decoders import Decoders, Turn
from tests.fakes import hostile


def made(processes: int = 2, **options: Any) -> Decoders:
    return Decoders(hostile.__name__, processes, **options)


SHOP = Turn(Party("shop", "default"))


async def do(decoders: Decoders, name: str, given: object = "", turn: Turn = SHOP) -> int:
    """Run a function of tests.fakes.hostile in a decoding process. Return its answer."""
    (number,), _ = await decoders.run(name.encode(), str(given).encode(), hostile.NUMBER, turn)
    return int(number)


async def echo(decoders: Decoders, data: bytes = b"1") -> bytes:
    return (await decoders.run(b"echo", data, hostile.echoed(len(data)), SHOP))[1]


def links_of(decoders: Decoders) -> list[Any]:
    return [process._link for process in decoders._pool.all if process._link is not None]


def processes_of(decoders: Decoders) -> set[int]:
    """Return the ids of the current processes."""
    return {link.process for link in links_of(decoders)}
