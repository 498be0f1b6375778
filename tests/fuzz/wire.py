"""Sends bytes to the gateway and judges what comes back."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import grpc

from tests.fuzz import judge
from tests.fuzz.ledger import Ledger
from tests.fuzz.model import Answer, Call, Finding
from tests.fuzz.surface import METHODS

_STREAMED = 3
"""Answers read of a stream."""
_SLACK_SECONDS = 5.0
"""After its deadline a call has to be over; else it hangs."""
_SAME = 5
"""Findings of one kind and call that are kept."""


class Sender:
    """One channel; counts codes and keeps findings."""

    def __init__(self, channel: grpc.aio.Channel, ledger: Ledger) -> None:
        self._channel = channel
        self._ledger = ledger
        self.codes: Counter[tuple[str, str]] = Counter()
        """By method's name and code."""
        self.unavailable: Counter[str] = Counter()
        """What was said with UNAVAILABLE though there was time enough."""
        self.findings: list[Finding] = []
        self.more = 0
        """Findings beyond those kept."""
        self._kinds: Counter[tuple[str, str]] = Counter()

    async def send(self, call: Call) -> Answer:
        """Send, count, judge and record."""
        method = METHODS[call.method]
        try:
            async with asyncio.timeout(call.seconds + _SLACK_SECONDS):
                answer = await self._send(call)
        except TimeoutError:
            answer = Answer("HANGS", "no answer after its deadline", b"", ())
            self.find(Finding("answers", "hangs beyond its deadline", call, answer))
        self.codes[method.name, answer.code] += 1
        if answer.code == "UNAVAILABLE" and call.seconds > 1:
            self.unavailable[f"{method.name}: {answer.message[:80]}"] += 1
        for why in judge.complaints(answer, method):
            self.find(Finding("answers", why, call, answer))
        self._ledger.record(method, call.request, answer)
        return answer

    def find(self, finding: Finding) -> None:
        """Keep a finding; of many alike only a few."""
        kind = (finding.call.method if finding.call else "", finding.why[:40])
        self._kinds[kind] += 1
        if self._kinds[kind] <= _SAME:
            self.findings.append(finding)
        else:
            self.more += 1

    async def _send(self, call: Call) -> Answer:
        method = METHODS[call.method]
        try:
            if not method.streams:
                unary = self._channel.unary_unary(call.method, None, None)
                response = await unary(call.request, timeout=call.seconds, metadata=call.metadata)
                return Answer("OK", "", b"", (response,))
            parts = []
            stream = self._channel.unary_stream(call.method, None, None)(
                call.request, timeout=call.seconds, metadata=call.metadata
            )
            async for part in stream:
                parts.append(part)
                if len(parts) == _STREAMED:
                    stream.cancel()
                    break
            return Answer("OK", "", b"", tuple(parts))
        except grpc.aio.AioRpcError as error:
            return Answer(error.code().name, error.details() or "", _details(error), ())


def _details(error: grpc.aio.AioRpcError) -> bytes:
    """The serialised google.rpc.Status in the trailers; empty = none."""
    metadata: Any = error.trailing_metadata() or ()
    return b"".join(value for key, value in metadata if key == "grpc-status-details-bin")
