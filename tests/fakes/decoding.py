"""Decoding in this process."""

import asyncio
import importlib
from typing import Any

from servicekit.admission.fair_permits import FairSemaphore
from servicekit.decoding.decoders import DecodingFailed, DecodingRefused, Outcome, Turn
from servicekit.decoding.wire import ExpectedOutput, Refused


class FakeDecoders:
    """Fake of the decoding processes: runs work in this process, or fails as a test says."""

    def __init__(self, work: str) -> None:
        self.failure: DecodingFailed | None = None
        self.gate: asyncio.Event | None = None
        """If set, `run` waits for it."""
        self.processes = 1
        self.turns: list[Turn] = []
        """Turns of all items in order."""
        self.seconds = 0.01
        """Processor time of each item."""
        self._permits = FairSemaphore(1)
        self._work: Any = importlib.import_module(work)

    async def start(self) -> None:
        pass

    async def run(self, order: bytes, photo: bytes, wanted: ExpectedOutput, turn: Turn) -> Outcome:
        with turn.measure("intake_queue"):
            permit = await self._permits.acquire(turn.party, turn.urgency)
        try:
            with turn.measure("intake"):
                await (self.gate.wait() if self.gate else asyncio.sleep(0))
                return self._made(order, photo, wanted, turn)
        finally:
            self._permits.release(permit, self.seconds)

    def _made(self, order: bytes, photo: bytes, wanted: ExpectedOutput, turn: Turn) -> Outcome:
        self.turns.append(turn)
        if turn.stages is not None:
            turn.stages.decoding_seconds += self.seconds
        if self.failure is not None:
            raise self.failure
        try:
            made = self._work.answer(order, photo, 2**40)
        except Refused as error:
            raise DecodingRefused(error.code, str(error)) from error
        pixels = b"" if made.pixels is None else made.pixels.tobytes()
        return wanted.facts.unpack(made.facts), pixels

    def close(self) -> None:
        pass
