"""Sends bytes to the gateway and judges what comes back."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from typing import Any

import grpc

from servicekit.admission.access import rule
from tests.fuzz import callers, judge
from tests.fuzz.callers import Callers
from tests.fuzz.ledger import Ledger
from tests.fuzz.model import Answer, Call, Caller, Finding
from tests.fuzz.surface import METHODS, Method

_STREAMED = 3
"""Answers read of a stream."""
_SLACK_SECONDS = 5.0
"""Seconds after its deadline at which a call counts as hanging."""
_REFUSALS = 50
"""Different errors of a method that are counted."""
_SAME = 5
"""Findings of one kind and call that are kept."""


class Sender:
    """Channel that counts codes and keeps findings."""

    def __init__(
        self,
        channel: grpc.aio.Channel,
        ledger: Ledger,
        who: Callers | None = None,
        operators: grpc.aio.Channel | None = None,
    ) -> None:
        """Set channel and ledger; `operators`: channel to the port of operators' calls; None: the
        public one."""
        self._channel, self._operators = channel, operators or channel
        self._ledger = ledger
        self.callers = who or Callers()
        self.codes: Counter[tuple[str, str]] = Counter()
        """Answers by method name and code, without those to intruders."""
        self.intruders: Counter[tuple[Caller, str]] = Counter()
        """Their answers, by code."""
        self.unavailable: Counter[str] = Counter()
        """Answers of UNAVAILABLE although enough time was left."""
        self.refusals: dict[str, Counter[str]] = defaultdict(Counter)
        """Some of the errors of each method, by name."""
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
        for why in judge.complaints(answer, method):
            self.find(Finding("answers", why, call, answer))
        if call.caller in callers.REFUSED:
            self._judge_intruder(call, answer)
        else:
            self._count(method, call, answer)
            self._ledger.record(method, call.request, answer)
        return answer

    def _count(self, method: Method, call: Call, answer: Answer) -> None:
        self.codes[method.name, answer.code] += 1
        said = f"{answer.code} {answer.message[:80]}"
        refusals = self.refusals[method.name]
        if answer.code != "OK" and (said in refusals or len(refusals) < _REFUSALS):
            refusals[said] += 1
        if answer.code == "UNAVAILABLE" and call.seconds > 1:
            self.unavailable[f"{method.name}: {answer.message[:80]}"] += 1

    def _judge_intruder(self, call: Call, answer: Answer) -> None:
        self.intruders[call.caller, answer.code] += 1
        if why := callers.complaint(call, answer):
            self.find(Finding("intruders", why, call, answer))

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
        public = call.caller is Caller.OTHER_PORT or not rule(call.method[1:]).admin
        channel = self._channel if public else self._operators
        options: Any = {"timeout": call.seconds, "metadata": self.callers.headers(call)}
        parts = list[bytes]()
        try:
            if not method.streams:
                unary = channel.unary_unary(call.method, None, None)
                return Answer("OK", "", b"", (await unary(call.request, **options),))
            stream = channel.unary_stream(call.method, None, None)(call.request, **options)
            async for part in stream:
                parts.append(part)
                if len(parts) == _STREAMED:
                    stream.cancel()
                    break
            return Answer("OK", "", b"", tuple(parts))
        except grpc.aio.AioRpcError as error:
            if parts and error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
                return Answer("OK", "", b"", tuple(parts))  # a stream without an end
            return Answer(error.code().name, error.details() or "", _details(error), ())


def _details(error: grpc.aio.AioRpcError) -> bytes:
    """Return the serialized google.rpc.Status in the trailers; empty if there is none."""
    metadata: Any = error.trailing_metadata() or ()
    return b"".join(value for key, value in metadata if key == "grpc-status-details-bin")
