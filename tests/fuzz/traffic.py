"""All requests of a run, sent by several parallel senders."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections import Counter

from google.protobuf.message import DecodeError, Message

from sightline.common.v1 import product_pb2
from sightline.gateway.v1.catalog_service_pb2 import UpsertProductsRequest
from sightline.gateway.v1.recommendation_service_pb2 import QuerySignal, RecommendRequest
from tests.fuzz import oversizing, pictures
from tests.fuzz.composing import Composer
from tests.fuzz.importing import TURNS, OwnImport
from tests.fuzz.keeping import Unanswered
from tests.fuzz.ledger import Ledger
from tests.fuzz.model import PHOTOS, Answer, Call, Finding, Plan
from tests.fuzz.shop import sent
from tests.fuzz.surface import Method
from tests.fuzz.wire import Sender

INTRUDERS = 0.1
"""Share of the requests."""
OVERSIZED_EVERY = 100
"""One of so many requests is too large, so that even a short run sends some."""
PHOTOS_A_REQUEST = 8
_IMAGE_SENDERS = 2
_LEARNED, _LEARNED_BYTES = 0.3, 4_000


class Traffic:
    """Mutated requests and photos as a plan says, and the ledger's own import beside them."""

    def __init__(self, sender: Sender, ledger: Ledger, plan: Plan) -> None:
        self._sender, self._ledger, self._plan = sender, ledger, plan
        self.chance = random.Random(plan.seed)
        self.photos = pictures.seeds(plan.seed)
        small = tuple(photo for photo in plan.broken if len(photo) <= pictures.MAX_BYTES)
        self._harmed = (self.photos, small or self.photos)
        self.composer = Composer(self.chance, self.photos)
        self.own = OwnImport(sender, ledger, self.photos)
        self.requests = self.images = self.broken = 0
        self.oversized: Counter[str] = Counter()
        """Answers to requests that are too large, by code."""
        self._until = time.monotonic() + plan.seconds

    async def send_all(self) -> None:
        """Send until everything is sent or the time is over."""
        async with asyncio.TaskGroup() as group:
            for _ in range(self._plan.in_flight):
                group.create_task(self._requests_on())
            for _ in range(_IMAGE_SENDERS):
                group.create_task(self._images_on())
            group.create_task(self._broken_on())
            group.create_task(self._own_on())

    def share(self) -> float:
        """Return the share that was sent."""
        return min(
            self.requests / max(1, self._plan.requests), self.images / max(1, self._plan.images)
        )

    def line(self) -> str:
        """Return the progress as a line."""
        left = max(0.0, self._until - time.monotonic())
        return (
            f"  {self.requests:,} of {self._plan.requests:,} requests, "
            f"{self.images:,} of {self._plan.images:,} photos, "
            f"{len(self._sender.findings) + self._sender.more} findings, at most {left:.0f} s left"
        )

    def learn(self, response: Message, answer: Answer) -> None:
        """Keep the ids and tokens of an answer for later requests."""
        try:
            response.ParseFromString(answer.responses[0])
        except DecodeError:
            return  # judged already
        self.composer.learn(response)

    async def _requests_on(self) -> None:
        while self.requests < self._plan.requests and self._in_time():
            self.requests += 1
            if self.requests % OVERSIZED_EVERY == 1:
                await self._too_large()
            elif self._sender.callers.tokens and self.chance.random() < INTRUDERS:
                call = self._sender.callers.intruder(self.chance, *self.composer.draw())
                await self._sender.send(call)
            else:
                await self._composed(*self.composer.draw())

    async def _composed(self, method: Method, raw: bytes) -> None:
        raw = self._ledger.admit(method, raw, self.composer.fresh)
        patient = self.chance.random() > 0.03
        seconds = self._plan.deadline_seconds if patient else self.chance.uniform(0.001, 0.03)
        if method.streams:
            seconds = min(seconds, 0.3)
        answer = await self._sender.send(Call(method.path, raw, seconds, self.composer.metadata()))
        small = len(answer.responses[0]) < _LEARNED_BYTES if answer.responses else False
        if small and self.chance.random() < _LEARNED:
            self.learn(method.response(), answer)

    async def _too_large(self) -> None:
        method, raw = oversizing.draw(self.chance)
        call = Call(method.path, raw, 20.0)
        answer = await self._sender.send(call)
        self.oversized[answer.code] += 1
        if why := oversizing.complaint(answer):
            self._sender.find(Finding("oversized", why, call, answer))

    async def _images_on(self) -> None:
        while self.images < self._plan.images and self._in_time():
            if self.chance.random() < 0.5:
                count = min(PHOTOS_A_REQUEST, self._plan.images - self.images)
                self.images += count
                photos = [self._mutated() for _ in range(count)]
                await sent(self._sender, "UpsertProducts", self._with_photos(*photos))
            else:
                self.images += 1
                await sent(self._sender, "Recommend", _like(self._mutated()))

    async def _broken_on(self) -> None:
        """Send each broken photo as a query and as a product's photo."""
        for photo in self._plan.broken:
            if self._in_time():
                self.broken += 1
                await sent(self._sender, "Recommend", _like(photo))
                await sent(self._sender, "UpsertProducts", self._with_photos(photo))

    async def _own_on(self) -> None:
        """Send the ledger's own import at the pace of the other requests."""
        with contextlib.suppress(Unanswered):  # the look at the end says so
            await self.own.open()
            turn = 0
            while turn < TURNS and self._in_time():
                if self.share() < turn / TURNS:
                    await asyncio.sleep(0.05)
                    continue
                await self.own.turn(turn)
                turn += 1

    def _in_time(self) -> bool:
        return time.monotonic() < self._until

    def _mutated(self) -> bytes:
        return pictures.mutated(self.chance, self.chance.choice(self._harmed))

    def _with_photos(self, *photos: bytes) -> UpsertProductsRequest:
        request = UpsertProductsRequest(catalog_id=PHOTOS)
        for photo in photos:
            name = self.composer.fresh("photo")
            images = [product_pb2.ProductImage(content=photo)]
            request.products.append(product_pb2.Product(product_id=name, title="P", images=images))
        return request


def _like(photo: bytes) -> RecommendRequest:
    signals = [QuerySignal(image=photo)]
    return RecommendRequest(catalog_id=PHOTOS, page_size=3, signals=signals)
