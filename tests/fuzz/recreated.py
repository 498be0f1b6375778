"""Names that are deleted and made again: no answer shows anything of who had the name before."""

from __future__ import annotations

import asyncio
import random
import re
import time
from collections import Counter
from collections.abc import Sequence
from typing import Protocol

from google.protobuf.message import Message

from local_suite.suite import Suite
from tests.fuzz.keeping import Unanswered
from tests.fuzz.model import Answer, Call, Finding, Outcome
from tests.fuzz.names import AliasName, Asking, CatalogName, Read, ShopperName, WebhookName
from tests.fuzz.surface import METHODS, named
from tests.fuzz.wire import Sender

SECONDS = 120.0
READERS = 3
"""Readers of a name at the same time, during all its incarnations."""
LIFE_SECONDS = (0.0, 0.5, 3.0)
"""How long an incarnation is left alone."""
_DEADLINE = 10.0
_NONCE = re.compile(rb"zq[0-9a-f]{12}e")


class Subject(Protocol):
    """A name that is given, taken away and given again."""

    name: str

    def planned(self, nonce: str) -> str:
        """Return the nonce of the next content: this one, or that of content it had before."""

    async def begin(self, nonce: str) -> None:
        """Make the name, with the nonce in all its content. Raises Unanswered."""

    async def end(self) -> None:
        """Delete the name. Raises Unanswered."""

    def reads(self) -> Sequence[Read]:
        """Return requests whose answers are about the name, without a nonce in them."""


class Lives:
    """The incarnations of one name, and those who read of it."""

    def __init__(self, subject: Subject, sender: Sender, chance: random.Random) -> None:
        self._subject, self._sender, self._chance = subject, sender, chance
        self._now = b""
        """The nonce of the incarnation that may be shown. While its successor is being made, both
        may be."""
        self._next = b""
        self.count = 0
        """Incarnations."""
        self.seen: Counter[str] = Counter()
        """Answers that show the present incarnation, by call."""
        self.wrong = 0

    async def live(self, until: float) -> None:
        """Give and take the name until that reading of the clock, with readers all the time."""
        readers = [asyncio.create_task(self._read_on(until)) for _ in range(READERS)]
        try:
            while time.monotonic() < until:
                await self.one_life()
            await asyncio.gather(*readers)
        finally:
            for reader in readers:
                reader.cancel()
            await asyncio.gather(*readers, return_exceptions=True)

    async def one_life(self) -> None:
        """Make the name, leave it for a while, look at it, and delete it."""
        nonce = f"zq{self._chance.getrandbits(48):012x}e"
        nonce = self._subject.planned(nonce)
        self._next = nonce.encode()
        await self._subject.begin(nonce)
        self._now = self._next
        self.count += 1
        await asyncio.sleep(self._chance.choice(LIFE_SECONDS))
        for read in self._subject.reads():
            await self.read(read)
        await self._subject.end()

    async def _read_on(self, until: float) -> None:
        while time.monotonic() < until:
            await self.read(self._chance.choice(self._subject.reads()))
            await asyncio.sleep(self._chance.uniform(0, 0.05))

    async def read(self, read: Read) -> None:
        """Ask, and look for other incarnations than those of the time of the call."""
        name, request = read
        call = Call(named(name).path, request.SerializeToString(), _DEADLINE)
        allowed = {self._now, self._next}
        answer = await self._sender.send(call)
        allowed |= {self._now, self._next}
        shown = set(_NONCE.findall(b"".join((*answer.responses, answer.details))))
        shown |= set(_NONCE.findall(answer.message.encode()))
        self.seen[name] += self._now in shown
        if former := shown - allowed:
            self.wrong += 1
            why = f"shows another {type(self._subject).__name__}: {min(former).decode()}"
            self._sender.find(Finding("recreated", why, call, answer))
        elif answer.code == "OK":
            self.learn(call, answer)

    def learn(self, call: Call, answer: Answer) -> None:
        """Keep the tokens of an answer, with which later incarnations are asked."""
        response: Message = METHODS[call.method].response()
        response.ParseFromString(answer.responses[0])
        if isinstance(asking := getattr(self._subject, "asking", None), Asking):
            asking.learn(response)


async def check(suite: Suite, sender: Sender, seed: int, seconds: float = SECONDS) -> Outcome:
    """Give and take names of every kind, all at the same time."""
    del suite
    until, asking = time.monotonic() + seconds, Asking(sender, random.Random(seed))
    subjects: list[Subject] = [CatalogName(asking, f"fuzz-again-{n}") for n in range(2)]
    subjects += [AliasName(asking), WebhookName(asking), ShopperName(asking)]
    lives = [Lives(each, sender, random.Random(f"{seed} {each.name}")) for each in subjects]
    ended = await asyncio.gather(*(each.live(until) for each in lives), return_exceptions=True)
    for error in ended:
        if isinstance(error, BaseException) and not isinstance(error, Unanswered):
            raise error
    stuck = [f"{error}" for error in ended if error]
    said = [
        f"{each.name} {life.count} times, shown by {life.seen.total():,} answers"
        for each, life in zip(subjects, lives, strict=True)
    ]
    wrong = sum(life.wrong for life in lives)
    held = not wrong and not stuck and all(life.count > 1 and life.seen.total() for life in lives)
    return Outcome(held, "; ".join([*said, f"{wrong} of a former one", *stuck]))
