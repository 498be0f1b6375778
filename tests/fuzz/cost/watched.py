"""Run a service with a watch on its event loop: `python -m tests.fuzz.cost.watched FILE MODULE`.

A heartbeat on the loop notes how late it comes. A part of that is the machine's: the loop's thread
waits for a processor that other processes have. Blocked is what remains, and at most the processor
time that this process used meanwhile, in any thread, as one that holds the interpreter blocks the
loop too. So other load on the machine does not count; neither does a wait for a disk, which is in
`late`.
"""

from __future__ import annotations

import asyncio
import mmap
import runpy
import struct
import sys
import threading
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

EVERY_SECONDS = 0.01
_LAYOUT = struct.Struct("=dd")


class LoopWatch:
    """The longest times for which a loop was blocked and late, in a file that is shared."""

    def __init__(self, path: Path) -> None:
        if not path.exists():
            path.write_bytes(bytes(_LAYOUT.size))
        with path.open("r+b") as file:
            self._shared = mmap.mmap(file.fileno(), _LAYOUT.size)

    def worst(self) -> tuple[float, float]:
        """Return the seconds, blocked and late, since the last reset."""
        blocked, late = _LAYOUT.unpack_from(self._shared)
        return blocked, late

    def reset(self) -> None:
        """Reset the recorded times."""
        _LAYOUT.pack_into(self._shared, 0, 0.0, 0.0)

    def note(self, blocked: float, late: float) -> None:
        """Keep the longest of each."""
        before = self.worst()
        _LAYOUT.pack_into(self._shared, 0, max(before[0], blocked), max(before[1], late))

    async def run(self) -> None:
        """Note how late the current loop's heartbeat is, until cancelled."""
        waits = Path(f"/proc/self/task/{threading.get_native_id()}/schedstat")
        while True:
            began, used, waited = time.monotonic(), time.process_time(), _waited(waits)
            await asyncio.sleep(EVERY_SECONDS)
            late = time.monotonic() - began - EVERY_SECONDS
            own = late - (_waited(waits) - waited)
            self.note(max(0.0, min(own, time.process_time() - used)), late)


def _waited(schedstat: Path) -> float:
    """Return the seconds for which a thread waited for a processor; 0 where it is not counted."""
    try:
        return int(schedstat.read_text().split()[1]) / 1e9
    except (OSError, IndexError, ValueError):
        return 0.0


async def watched(main: Coroutine[Any, Any, Any], watch: LoopWatch) -> Any:
    """Run `main` with a watch."""
    watching = asyncio.create_task(watch.run())
    try:
        return await main
    finally:
        watching.cancel()


def main(path: str, module: str) -> None:
    """Run a module as `python -m` does, with a watch on the loop that uvloop runs."""
    import uvloop

    watch, run = LoopWatch(Path(path)), uvloop.run
    uvloop.run = lambda main, **options: run(watched(main, watch), **options)  # type: ignore[assignment]
    sys.argv = sys.argv[2:]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(*sys.argv[1:3])
