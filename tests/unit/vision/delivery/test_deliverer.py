"""Deliveries, with virtual time: receivers that fail for a day, hang, redirect or point inside."""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from servicekit.keys.keyring import KeyRing
from servicekit.outbound.fetch import UriForbidden, UriUnreadable
from servicekit.outbound.posting import PostAnswer
from servicekit.sql.errors import StoreUnavailable
from tests import virtual_time
from tests.fakes.watch_alerts import made_alert
from vision.delivery.deliverer import Deliverer
from vision.domain import webhooks
from vision.domain.deliveries import (
    Delivery,
    DeliveryStep,
    Lane,
    LaneState,
    RetryRules,
)
from vision.domain.watches import Alert
from vision.domain.webhooks import Webhook

KEYS = KeyRing([b"k" * 32])
RULES = RetryRules()
DAY = 86_400.0


def now_micros() -> int:
    return int(asyncio.get_running_loop().time() * 10**6)


@dataclass
class Alerts:
    """Record of alerts and lanes, in memory."""

    hooks: dict[str, Webhook] = field(default_factory=dict)
    waiting: dict[Lane, list[Alert]] = field(default_factory=lambda: defaultdict(list))
    states: dict[Lane, LaneState] = field(default_factory=dict)
    dead: list[Delivery] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    down: bool = False

    def raise_alert(self, webhook_id: str, watch_id: str = "shelf") -> None:
        lane = Lane("default", webhook_id, watch_id)
        number = sum(map(len, self.waiting.values())) + len(self.dead) + 1
        alert = made_alert(watch_id, number, now_micros())
        self.waiting[lane].append(alert)
        self.changed.set()

    def add(self, webhook_id: str) -> None:
        secret = webhooks.new_secret(KEYS, 1)
        self.hooks[webhook_id] = Webhook(webhook_id, f"https://{webhook_id}.test/", (), (secret,))

    def commits(self) -> asyncio.Event:
        return self.changed

    async def due_lanes(
        self,
        now: int,
        latest: int,
        busy: Collection[Lane],
        limit: int,
        *,
        catalogs: Sequence[str],
    ) -> tuple[list[Lane], int]:
        if self.down:
            raise StoreUnavailable
        free = [
            lane
            for lane, alerts in self.waiting.items()
            if alerts and lane not in busy and lane.catalog_id in catalogs
        ]
        times = {lane: self.states.get(lane, LaneState()).next_micros for lane in free}
        due = [lane for lane in free if times[lane] <= now or times[lane] > latest]
        return due[:limit], min((times[lane] for lane in free if lane not in due), default=0)

    async def next_delivery(self, lane: Lane) -> Delivery | None:
        if self.down:
            raise StoreUnavailable
        if lane.watch_id == "unreadable":
            raise ValueError("a field is missing")
        if not self.waiting[lane] or lane.webhook_id not in self.hooks:
            return None
        alert = self.waiting[lane][0]
        hook, state = self.hooks[lane.webhook_id], self.states.get(lane, LaneState())
        return Delivery(lane, hook, alert, alert.create_micros, state)

    async def settle_delivery(
        self, delivery: Delivery, step: DeliveryStep, state: LaneState
    ) -> None:
        if self.down:
            raise StoreUnavailable
        self.states[delivery.lane] = state
        if step is not DeliveryStep.RETRIED:
            self.waiting[delivery.lane].pop(0)
        if step is DeliveryStep.DEAD:
            self.dead.append(replace(delivery, state=state))

    async def drop_dead_letters(self, before_micros: int) -> int:
        return 0


@dataclass
class Receivers:
    """Receivers by webhook: what each does with a message."""

    acts: dict[str, Callable[[], Any]] = field(default_factory=dict)
    calls: list[tuple[float, str, str]] = field(default_factory=list)
    """Time, webhook and id of each message."""
    signatures: list[str] = field(default_factory=list)
    places: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(4))

    async def post(
        self, uri: str, headers: Callable[[], Mapping[str, str]], body: bytes
    ) -> PostAnswer:
        name = uri.removeprefix("https://").partition(".")[0]
        async with self.places:
            sent = headers()
            self.signatures.append(sent["webhook-signature"])
            self.calls.append((asyncio.get_running_loop().time(), name, sent["webhook-id"]))
            found = self.acts.get(name, lambda: PostAnswer(204))()
            return await found if asyncio.iscoroutine(found) else found

    def check(self, uri: str) -> None:
        """Allow all."""

    def of(self, name: str) -> list[str]:
        """Return the ids of a webhook's messages, in order."""
        return [each for _, of, each in self.calls if of == name]


def deliverer(
    alerts: Alerts,
    steady: Receivers,
    retrying: Receivers | None = None,
    catalogs: Collection[str] = ("default",),
) -> Deliverer:
    return Deliverer(
        catalogs,
        alerts,
        steady,
        retrying or steady,
        lambda: KEYS,
        RULES,
        clock=now_micros,
        chance=random.Random(7).random,
    )


async def delivering(made: Deliverer, seconds: float) -> None:
    """Deliver for some seconds of virtual time."""
    try:
        async with asyncio.timeout(seconds):
            await made.run()
    except TimeoutError:
        pass


def test_alerts_of_a_watch_arrive_once_and_in_order() -> None:
    async def work() -> None:
        alerts, receivers = Alerts(), Receivers()
        alerts.add("ops")
        for _ in range(20):
            alerts.raise_alert("ops")
        await delivering(deliverer(alerts, receivers), 5)
        assert len(receivers.of("ops")) == 20
        assert len(set(receivers.of("ops"))) == 20
        assert not any(alerts.waiting.values())

    virtual_time.run(work())


def test_alerts_of_a_catalog_wait_while_it_is_not_known() -> None:
    async def work() -> None:
        alerts, receivers, catalogs = Alerts(), Receivers(), {"default"}
        alerts.add("ops")

        def accept() -> PostAnswer:
            catalogs.discard("default")  # deleted while the lane is being delivered
            return PostAnswer(204)

        receivers.acts["ops"] = accept
        for _ in range(2):
            alerts.raise_alert("ops")
        task = asyncio.create_task(delivering(deliverer(alerts, receivers, None, catalogs), 200))
        await asyncio.sleep(100)
        assert len(receivers.of("ops")) == 1
        catalogs.add("default")
        await task
        assert len(set(receivers.of("ops"))) == 2

    virtual_time.run(work())


def test_an_alert_leaves_within_a_second_of_its_commit() -> None:
    async def work() -> None:
        alerts, receivers = Alerts(), Receivers()
        alerts.add("ops")
        task = asyncio.create_task(delivering(deliverer(alerts, receivers), 100))
        await asyncio.sleep(50)
        begun = asyncio.get_running_loop().time()
        alerts.raise_alert("ops")
        await asyncio.sleep(1)
        ((time, _, _),) = receivers.calls
        assert time - begun < 1
        await task

    virtual_time.run(work())


def test_a_receiver_that_answers_500_for_a_day_gets_every_alert_afterwards_in_order() -> None:
    async def work() -> None:
        alerts, receivers = Alerts(), Receivers()
        alerts.add("ops")
        loop = asyncio.get_running_loop()
        healed = loop.time() + DAY
        receivers.acts["ops"] = lambda: PostAnswer(204 if loop.time() >= healed else 500)
        for _ in range(5):
            alerts.raise_alert("ops")
        await delivering(deliverer(alerts, receivers), DAY + 3_700)
        ids = receivers.of("ops")
        assert 20 < len(ids) < 70  # not hammered
        assert len(set(ids[:-5])) == 1  # the first holds the others up
        assert len(set(ids[-5:])) == 5
        assert not alerts.dead

    virtual_time.run(work())


@pytest.mark.full
def test_after_its_term_an_alert_is_a_dead_letter_and_the_next_ones_wait_as_before() -> None:
    async def work() -> None:
        alerts, receivers = Alerts(), Receivers()
        alerts.add("ops")
        receivers.acts["ops"] = lambda: PostAnswer(302)
        for _ in range(3):
            alerts.raise_alert("ops")
        await delivering(deliverer(alerts, receivers), 4 * DAY)
        assert [each.state.failure for each in alerts.dead] == ["status 302"] * 3
        last = [time for time, _, _ in receivers.calls[-3:]]
        assert last[1] - last[0] > 1_000

    virtual_time.run(work())


async def _hang() -> PostAnswer:
    await asyncio.sleep(10)
    raise UriUnreadable("the host did not answer within 10 s")


def test_receivers_that_hang_do_not_hold_up_others() -> None:
    async def work() -> None:
        alerts, steady, retrying = Alerts(), Receivers(), Receivers()
        for number in range(8):
            alerts.add(f"slow{number}")
            steady.acts[f"slow{number}"] = retrying.acts[f"slow{number}"] = _hang
            for watch in range(5):
                alerts.raise_alert(f"slow{number}", f"watch{watch}")
        task = asyncio.create_task(delivering(deliverer(alerts, steady, retrying), 2_000))
        await asyncio.sleep(300)  # each has failed once
        alerts.add("quick")
        begun = asyncio.get_running_loop().time()
        for number in range(50):
            alerts.raise_alert("quick", f"watch{number}")
            await asyncio.sleep(1)
        late = [
            time - begun - place
            for place, (time, name, _) in enumerate(
                each for each in steady.calls if each[1] == "quick"
            )
        ]
        assert len(late) == 50
        assert max(late) < 1
        await task

    virtual_time.run(work())


def test_a_webhook_that_hangs_leaves_permits_to_others_of_its_host() -> None:
    async def work() -> None:
        alerts, steady, retrying = Alerts(), Receivers(), Receivers()
        steady.places = asyncio.Semaphore(5)  # those of the host
        alerts.add("slow")
        alerts.add("quick")
        steady.acts["slow"] = retrying.acts["slow"] = _hang
        for watch in range(100):
            alerts.raise_alert("slow", f"watch{watch}")
        alerts.raise_alert("quick")
        await delivering(deliverer(alerts, steady, retrying), 100)
        assert len(steady.of("quick")) == 1
        assert len(steady.of("slow")) == 4  # then it counts as failing
        assert retrying.of("slow")

    virtual_time.run(work())


def test_an_address_that_points_inside_is_a_failure_like_another() -> None:
    async def work() -> None:
        alerts, receivers = Alerts(), Receivers()
        alerts.add("ops")

        def inside() -> PostAnswer:
            raise UriForbidden("its host is not on the public internet")

        receivers.acts["ops"] = inside
        alerts.raise_alert("ops")
        await delivering(deliverer(alerts, receivers), 100)
        (state,) = alerts.states.values()
        assert state.failure == "its host is not on the public internet"
        assert state.attempts > 1

    virtual_time.run(work())


def test_an_alert_that_its_receiver_never_takes_holds_up_its_own_watch_only() -> None:
    async def work() -> None:
        alerts, receivers = Alerts(), Receivers()
        alerts.add("ops")
        for watch in ("poison", "good"):
            for _ in range(3):
                alerts.raise_alert("ops", watch)
        poisoned: list[bool] = []

        def act() -> PostAnswer:
            poisoned.append(
                len(receivers.calls) == 1 or receivers.calls[0][2] == receivers.calls[-1][2]
            )
            return PostAnswer(400 if poisoned[-1] else 204)

        receivers.acts["ops"] = act
        await delivering(deliverer(alerts, receivers), 600)
        left = {lane.watch_id: len(rest) for lane, rest in alerts.waiting.items()}
        assert left == {"poison": 3, "good": 0}
        assert sum(poisoned) < 12  # successes of the other watch do not hurry it

    virtual_time.run(work())


def test_while_the_record_is_down_nothing_is_lost_and_afterwards_all_is_delivered() -> None:
    async def work() -> None:
        alerts, receivers = Alerts(), Receivers()
        alerts.add("ops")
        task = asyncio.create_task(delivering(deliverer(alerts, receivers), 300))
        await asyncio.sleep(1)
        alerts.down = True
        for _ in range(3):
            alerts.raise_alert("ops")
        await asyncio.sleep(60)
        assert not receivers.calls
        alerts.down = False
        await task
        assert len(set(receivers.of("ops"))) == 3

    virtual_time.run(work())


@pytest.mark.full
def test_an_alert_of_a_later_release_holds_up_its_own_watch_only() -> None:
    async def work() -> None:
        alerts, receivers = Alerts(), Receivers()
        alerts.add("ops")
        alerts.raise_alert("ops", "unreadable")
        alerts.raise_alert("ops", "shelf")
        await delivering(deliverer(alerts, receivers), 300)
        assert len(receivers.of("ops")) == 1

    virtual_time.run(work())


def test_a_process_that_died_after_an_answer_delivers_again_under_the_same_id() -> None:
    async def work() -> None:
        alerts, receivers = Alerts(), Receivers()
        alerts.add("ops")

        async def answer_late() -> PostAnswer:
            await asyncio.sleep(3)
            return PostAnswer(204)

        receivers.acts["ops"] = answer_late
        alerts.raise_alert("ops")
        await delivering(deliverer(alerts, receivers), 2)  # cancelled before the answer is stored
        await delivering(deliverer(alerts, receivers), 60)
        first, second = receivers.of("ops")
        assert first == second

    virtual_time.run(work())


def test_during_a_rotation_both_secrets_sign_and_afterwards_the_new_one() -> None:
    async def work() -> None:
        alerts, receivers = Alerts(), Receivers()
        alerts.add("ops")
        secret = webhooks.new_secret(KEYS, now_micros())
        alerts.hooks["ops"] = alerts.hooks["ops"].rotated(secret, 100 * 10**6)
        task = asyncio.create_task(delivering(deliverer(alerts, receivers), 200))
        for _ in range(2):
            alerts.raise_alert("ops")
            await asyncio.sleep(110)
        await task
        assert [len(each.split(" ")) for each in receivers.signatures] == [2, 1]

    virtual_time.run(work())


def test_without_the_key_of_a_secret_nothing_is_sent_unsigned() -> None:
    async def work() -> None:
        alerts, receivers = Alerts(), Receivers()
        alerts.add("ops")
        alerts.raise_alert("ops")
        made = deliverer(alerts, receivers)
        made.keys = lambda: KeyRing([b"o" * 32])
        await delivering(made, 60)
        assert not receivers.calls
        (state,) = alerts.states.values()
        assert "VISION_WEBHOOK_KEYS_FILE" in state.failure

    virtual_time.run(work())
