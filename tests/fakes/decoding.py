"""Decoding in this process."""

import asyncio
from collections.abc import Callable
from typing import Any

from servicekit.decoding import DecodingFailed


class FakeDecoders:
    """Runs work here, or fails as a test says."""

    def __init__(self) -> None:
        self.failure: DecodingFailed | None = None
        self.gate: asyncio.Event | None = None
        """Waited for by run when set."""
        self.processes = 1

    async def start(self) -> None:
        pass

    async def run(self, function: Callable[..., Any], *args: Any) -> Any:
        await (self.gate.wait() if self.gate else asyncio.sleep(0))
        if self.failure is not None:
            raise self.failure
        return function(*args)

    def close(self) -> None:
        pass
