"""Delivers alerts to webhooks: at least once, in order within a lane, lanes side by side.

A delivery is stored as done after the receiver accepted it, so one that was in progress when its
process died is made again. A webhook makes few attempts at a time, and after a failure waits for
permits of its own, so that receivers that hang do not hold up others.
"""

import asyncio
import random
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from weakref import WeakValueDictionary

from prometheus_client import Counter, Histogram

from servicekit.clock import Clock, now_micros
from servicekit.errors import ServiceError
from servicekit.keys.keyring import SigningKeys
from servicekit.outbound.fetch import UriForbidden, UriUnreadable
from servicekit.outbound.posting import Poster
from servicekit.tasks.supervision import Backoff, rest, supervised, tell
from servicekit.telemetry import get_logger
from vision.domain import webhooks
from vision.domain.deliveries import (
    AttemptOutcome,
    Delivery,
    DeliveryStep,
    Lane,
    RetryRules,
    headers,
    message,
    message_id,
    settle,
)
from vision.record import Record

LATEST_SECONDS = 30.0
"""Seconds between looks for alerts at most where commits are reported."""
POLL_SECONDS = 1.0
"""Seconds between looks where they are not."""
LEAST_SECONDS = 0.1
"""Seconds between two looks at least: many commits cause few."""
FAILED_SECONDS = 1.0
"""Seconds until another attempt while the record does not answer."""
UNREADABLE_SECONDS = 60.0
"""Seconds until another attempt to read an alert that this release can't read."""
MOST_LANES = 5_000
"""Lanes that deliver, or wait for a permit, at a time."""
AT_A_TIME = 4
"""Concurrent attempts to one webhook."""
TIDY_SECONDS = 3_600.0
DELIVERY = "delivery"
"""Name for servicekit.tasks.supervision."""
DEAD_LETTER_DAYS = 30
"""Days for which dead letters are kept."""

ATTEMPTS = Counter(
    "sightline_webhook_attempts_total",
    "Attempts to deliver an alert to a webhook, by what became of the delivery.",
    ("outcome",),
)
for _step in DeliveryStep:
    ATTEMPTS.labels(_step.value)  # start at 0: rates miss the first value

AGE = Histogram(
    "sightline_webhook_delivery_seconds",
    "Age of alerts when a webhook's receiver accepted them.",
    buckets=(0.1, 0.3, 1, 3, 10, 30, 100, 300, 1_000, 3_600, 10_800, 43_200, 259_200),
)

log = get_logger()


@dataclass(slots=True)
class Deliverer:
    """Deliveries of a process, while it leads."""

    catalogs: Collection[str]
    """Catalogs in use; alerts of others wait until theirs is in use again."""
    record: Record
    steady: Poster
    retrying: Poster
    """For receivers whose last attempt failed."""
    keys: SigningKeys
    rules: RetryRules = field(default_factory=RetryRules)
    clock: Clock = now_micros
    chance: Callable[[], float] = random.random
    _busy: set[Lane] = field(default_factory=set)
    _failing: set[tuple[str, str]] = field(default_factory=set)
    """Catalog and id of webhooks whose last attempt failed."""
    _places: WeakValueDictionary[tuple[str, str], asyncio.Semaphore] = field(
        default_factory=WeakValueDictionary
    )
    """Permits of webhooks, while attempts hold or await them."""
    _wake: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        """Deliver until cancelled."""
        commits = self.record.commits()
        self._wake = commits or asyncio.Event()
        most = POLL_SECONDS if commits is None else LATEST_SECONDS
        self._busy.clear()
        async with asyncio.TaskGroup() as group:

            async def look() -> None:
                self._wake.clear()  # before the look, so that a later commit is not missed
                seconds = min(most, await self._look(group))
                await asyncio.sleep(LEAST_SECONDS)
                await rest(seconds, self._wake)

            group.create_task(supervised(DELIVERY, self._tidy))
            await supervised(DELIVERY, look, Backoff(FAILED_SECONDS, FAILED_SECONDS))

    async def _look(self, group: asyncio.TaskGroup) -> float:
        """Start the lanes that are due. Return the seconds until the next one is."""
        now, latest = self.clock(), int(self.rules.longest_seconds * 10**6)
        room = MOST_LANES - len(self._busy)
        lanes, later = await self.record.due_lanes(
            now, now + latest, frozenset(self._busy), room, catalogs=list(self.catalogs)
        )
        for lane in lanes:
            self._busy.add(lane)
            group.create_task(self._work(lane))
        return max(0.0, (later - now) / 10**6) if later else float("inf")

    async def _work(self, lane: Lane) -> None:
        """Deliver the alerts of a lane until one is not accepted, or there are no more."""
        try:
            while (delivery := await self.record.next_delivery(lane)) is not None:
                if lane.catalog_id not in self.catalogs:
                    return
                if not delivery.state.due(self.clock(), self.rules):
                    return
                if await self._deliver(delivery) is not DeliveryStep.DELIVERED:
                    return
        except Exception as error:  # the record does not answer, or the alert is of a later release
            tell(DELIVERY, error, catalog=lane.catalog_id, watch=lane.watch_id)
            expected = isinstance(error, ServiceError)
            await asyncio.sleep(FAILED_SECONDS if expected else UNREADABLE_SECONDS)
        finally:
            self._busy.discard(lane)
            self._wake.set()

    async def _deliver(self, delivery: Delivery) -> DeliveryStep:
        outcome = await self._attempt(delivery)
        now = self.clock()
        step, state = settle(
            delivery.state,
            outcome,
            delivery.born_micros,
            now,
            rules=self.rules,
            chance=self.chance(),
        )
        await self.record.settle_delivery(delivery, step, state)
        ATTEMPTS.labels(step.value).inc()
        if step is DeliveryStep.DELIVERED:
            AGE.observe(max(0.0, (now - delivery.alert.create_micros) / 10**6))
        else:
            log.warning(
                "alert not delivered" if step is DeliveryStep.DEAD else "delivery failed",
                catalog=delivery.lane.catalog_id,
                webhook=delivery.lane.webhook_id,
                failure=outcome.failure,
                attempts=state.attempts,
            )
        return step

    async def _attempt(self, delivery: Delivery) -> AttemptOutcome:
        """Post an alert once."""
        lane, webhook = delivery.lane, delivery.webhook
        if webhooks.secret_bytes(webhook.secrets[0], *_about(lane), self.keys()) is None:
            return AttemptOutcome("VISION_WEBHOOK_KEYS_FILE lacks the key of its secret")
        about = _about(lane)
        async with self._places.setdefault(about, asyncio.Semaphore(AT_A_TIME)):
            # Looked up with the permit: others may have failed meanwhile.
            failing = delivery.state.attempts or about in self._failing
            outcome = await self._post(self.retrying if failing else self.steady, delivery)
            (self._failing.add if outcome.failure else self._failing.discard)(about)
        return outcome

    async def _post(self, sender: Poster, delivery: Delivery) -> AttemptOutcome:
        body = message(delivery.lane.catalog_id, delivery.alert)

        def signed() -> dict[str, str]:
            return self._signed(delivery, body)

        try:
            answer = await sender.post(delivery.webhook.uri, signed, body)
        except (UriForbidden, UriUnreadable) as error:
            return AttemptOutcome(error.message)
        if answer.accepted:
            return AttemptOutcome()
        return AttemptOutcome(f"status {answer.status}", answer.retry_after)

    def _signed(self, delivery: Delivery, body: bytes) -> dict[str, str]:
        """Return the headers of a message that is sent now."""
        now = self.clock()
        valid = webhooks.signing(delivery.webhook, delivery.lane.catalog_id, now, self.keys())
        return headers(message_id(delivery), now // 10**6, body, valid)

    async def _tidy(self) -> None:
        """Delete old dead letters, once an hour."""
        await self.record.drop_dead_letters(self.clock() - DEAD_LETTER_DAYS * webhooks.DAY_MICROS)
        await asyncio.sleep(TIDY_SECONDS)


def _about(lane: Lane) -> tuple[str, str]:
    return lane.catalog_id, lane.webhook_id
