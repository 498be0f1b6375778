"""Webhooks over real gRPC: a worker, which is killed meanwhile, delivers to a real HTTP server."""

from __future__ import annotations

import asyncio
import json
import re
import secrets
from collections.abc import AsyncIterator
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from servicekit.outbound.fetch import FetchPolicy
from servicekit.outbound.posting import Poster
from sightline.gateway.v1.webhook_service_pb2_grpc import WebhookServiceStub
from sightline.vision.v1 import webhook_service_pb2 as pb
from sightline_client import verify_webhook
from tests.fakes.watch_alerts import raise_alert
from tests.fakes.web import FakeWeb, Writer, answer
from tests.receivers import page_receiver
from tests.stores import Stores
from tests.waiting import SECONDS, until
from tests.wire.retriever_shop import refused
from tests.wire.vision_shop import VisionShop, seeing

LOOPBACK = (ip_network("127.0.0.0/8"),)


class Receiver(FakeWeb):
    """Receiver of messages, which does what a test wants with each."""

    def taken(self, secret: str) -> list[int]:
        """Return the sequences of its messages, in order, once all are verified."""
        found = []
        for head, body in zip(self.requests, self.bodies, strict=True):
            lines = head.decode().split("\r\n")[1:]
            headers = dict(line.split(": ", 1) for line in lines if line)
            found.append(verify_webhook(body, headers, secret).data["sequence"])
        return found


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with Receiver({"/alerts": answer(status="204 No Content")}).serving() as served:
        yield served


@pytest.fixture
def environment(receiver: Receiver, tmp_path: Path) -> dict[str, str]:
    """Return settings by which the receiver is allowed."""
    keys = tmp_path / "webhooks.keys"
    keys.write_text(secrets.token_hex(32))
    return {
        # A worker that loses its lease on a busy machine delivers again what it had just delivered.
        "VISION_WORKER_LEASE_SECONDS": "10",
        "VISION_WEBHOOK_HOSTS": f'["127.0.0.1:{receiver.port}"]',
        "VISION_WEBHOOK_SCHEMES": '["http"]',
        "VISION_WEBHOOK_NETWORKS": '["127.0.0.0/8"]',
        "VISION_WEBHOOK_KEYS_FILE": str(keys),
    }


@pytest.fixture
async def shop(
    environment: dict[str, str], stores: Stores, tmp_path: Path
) -> AsyncIterator[VisionShop]:
    async with seeing(stores, tmp_path, **environment) as made:
        yield made


@pytest.fixture
def webhooks(shop: VisionShop) -> WebhookServiceStub:
    return shop.stub


async def create(webhooks: WebhookServiceStub, receiver: Receiver, **fields: Any) -> str:
    """Create a webhook; return its secret."""
    given = {"webhook_id": "ops", "uri": f"http://127.0.0.1:{receiver.port}/alerts", **fields}
    made = await webhooks.CreateWebhook(pb.CreateWebhookRequest(**given))
    return str(made.secret)


async def only(webhooks: WebhookServiceStub) -> pb.Webhook:
    """Return the state of the one webhook."""
    (state,) = (await webhooks.ListWebhooks(pb.ListWebhooksRequest())).webhooks
    return state


async def test_alerts_arrive_signed_in_order_and_once(
    shop: VisionShop, webhooks: WebhookServiceStub, receiver: Receiver
) -> None:
    secret = await create(webhooks, receiver)
    async with shop.worker():
        raised = [await raise_alert(shop.db, "shelf") for _ in range(3)]
        await until(lambda: len(receiver.bodies) >= 3)
        assert receiver.taken(secret) == raised
        state = await only(webhooks)
        assert (state.failing_watch_count, state.dead_letter_count) == (0, 0)


@pytest.mark.full
async def test_kill_9_between_commit_and_delivery_loses_nothing(
    shop: VisionShop, webhooks: WebhookServiceStub, receiver: Receiver
) -> None:
    async def hang(_: Writer) -> None:
        await asyncio.Event().wait()

    ok = receiver.pages["/alerts"]
    receiver.pages["/alerts"] = hang
    secret = await create(webhooks, receiver)
    async with shop.worker() as worker:
        raised = [await raise_alert(shop.db, "shelf")]
        await until(lambda: receiver.bodies)  # committed, sent, and not answered
        worker.kill()
        await worker.wait()
    raised += [await raise_alert(shop.db, "shelf") for _ in range(2)]  # no worker runs
    receiver.pages["/alerts"] = ok
    async with shop.worker():
        await until(lambda: len(receiver.bodies) >= 4)
    assert receiver.taken(secret) == [raised[0], *raised]
    first, second = (re.findall(rb"webhook-id: (\S+)", head) for head in receiver.requests[:2])
    assert first == second != []  # the receiver can tell that it is the same message


@pytest.mark.full
async def test_a_failing_receiver_is_shown_and_gets_the_alert_once_it_recovers(
    shop: VisionShop, webhooks: WebhookServiceStub, receiver: Receiver
) -> None:
    ok = receiver.pages["/alerts"]
    receiver.pages["/alerts"] = answer(status="500 Internal Server Error")
    secret = await create(webhooks, receiver)
    async with shop.worker():
        sequence = await raise_alert(shop.db, "shelf")
        await until(lambda: receiver.bodies)
        await until(lambda: _fails(webhooks))
        state = await only(webhooks)
        assert (state.failing_watch_count, state.failure) == (1, "status 500")
        assert state.HasField("next_attempt_time")
        receiver.pages["/alerts"] = ok
        await until(lambda: _recovers(webhooks))
    assert set(receiver.taken(secret)) == {sequence}


async def _fails(webhooks: WebhookServiceStub) -> bool:
    return bool((await only(webhooks)).failing_watch_count)


async def _recovers(webhooks: WebhookServiceStub) -> bool:
    return not (await only(webhooks)).failing_watch_count


@pytest.mark.full
async def test_what_is_not_accepted_in_time_is_a_dead_letter_that_can_be_replayed(
    shop: VisionShop, webhooks: WebhookServiceStub, receiver: Receiver
) -> None:
    shop.environment["VISION_WEBHOOK_RETRY_HOURS"] = "0"
    receiver.pages["/alerts"] = answer(status="410 Gone")
    secret = await create(webhooks, receiver)
    listing = pb.ListDeadLettersRequest(webhook_id="ops")

    async def dead() -> list[pb.DeadLetter]:
        return list((await webhooks.ListDeadLetters(listing)).dead_letters)

    async with shop.worker():
        sequence = await raise_alert(shop.db, "shelf")
        await until(dead)
        (letter,) = await dead()
        assert (letter.sequence, letter.failure) == (sequence, "status 410")
        assert not letter.replaying
        receiver.pages["/alerts"] = answer()
        replayed = await webhooks.ReplayDeliveries(pb.ReplayDeliveriesRequest(webhook_id="ops"))
        assert replayed.replayed_count == 1

        async def gone() -> bool:
            return not await dead()

        await until(gone)
    assert receiver.taken(secret) == [sequence, sequence]


@pytest.mark.full
async def test_after_a_rotation_messages_are_signed_with_both_secrets(
    shop: VisionShop, webhooks: WebhookServiceStub, receiver: Receiver
) -> None:
    first = await create(webhooks, receiver)
    rotated = await webhooks.RotateWebhookSecret(pb.RotateWebhookSecretRequest(webhook_id="ops"))
    assert rotated.secret not in ("", first)
    assert rotated.webhook.HasField("former_secret_expire_time")
    async with shop.worker():
        sequence = await raise_alert(shop.db, "shelf")
        await until(lambda: receiver.bodies)
    assert receiver.taken(first) == receiver.taken(rotated.secret) == [sequence]


async def test_a_test_message_is_signed_and_its_answer_shown(
    webhooks: WebhookServiceStub, receiver: Receiver
) -> None:
    secret = await create(webhooks, receiver)
    request = pb.SendTestDeliveryRequest(webhook_id="ops")
    sent = await webhooks.SendTestDelivery(request)
    assert (sent.accepted, sent.http_status, sent.failure) == (True, 204, "")
    lines = receiver.requests[0].decode().split("\r\n")[1:]
    headers = dict(line.split(": ", 1) for line in lines if line)
    message = verify_webhook(receiver.bodies[0], headers, secret)
    assert (message.type, message.message_id) == ("webhook.test", sent.message_id)
    assert message.data == {"catalog_id": "default", "webhook_id": "ops"}
    receiver.pages["/alerts"] = answer(status="302 Found", location="http://169.254.169.254/")
    sent = await webhooks.SendTestDelivery(request)
    assert (sent.accepted, sent.http_status, sent.failure) == (False, 302, "status 302")
    receiver.stop()
    sent = await webhooks.SendTestDelivery(request)
    assert (sent.http_status, sent.failure) == (0, "the host can't be reached")
    with refused("NOT_FOUND", "WEBHOOK_NOT_FOUND"):
        await webhooks.SendTestDelivery(pb.SendTestDeliveryRequest(webhook_id="x"))


@pytest.mark.full
async def test_a_changed_webhook_delivers_what_failed_to_its_new_address(
    shop: VisionShop, webhooks: WebhookServiceStub, receiver: Receiver
) -> None:
    receiver.pages["/new"] = answer()
    receiver.pages["/alerts"] = answer(status="500 Internal Server Error")
    await create(webhooks, receiver, watch_ids=["shelf"])
    new = f"http://127.0.0.1:{receiver.port}/new"
    async with shop.worker():
        failed = await raise_alert(shop.db, "shelf")
        await raise_alert(shop.db, "till")  # of a watch that it does not have yet

        async def fails() -> bool:
            return bool((await only(webhooks)).failing_watch_count)

        await until(fails)
        change = pb.UpdateWebhookRequest(webhook_id="ops", uri=new, watch_ids=["shelf", "till"])
        changed = await webhooks.UpdateWebhook(change)
        assert (changed.uri, changed.failure) == (new, "")
        assert await webhooks.UpdateWebhook(change) == changed
        later = await raise_alert(shop.db, "till")

        def taken() -> list[int]:
            return [json.loads(body)["data"]["sequence"] for body in receiver.bodies]

        await until(lambda: {failed, later} <= set(taken()))
    assert set(taken()) == {failed, later}
    await webhooks.UpdateWebhook(pb.UpdateWebhookRequest(webhook_id="ops", uri=new))
    assert not (await only(webhooks)).watch_ids


async def test_a_bad_change_changes_nothing(
    webhooks: WebhookServiceStub, receiver: Receiver
) -> None:
    await create(webhooks, receiver)
    before = await only(webhooks)
    allowed = before.uri
    for fields, reason, field in (
        ({"uri": "https://evil.test/"}, "URI_FORBIDDEN", "uri"),
        ({"uri": ""}, "WEBHOOK_INVALID", "uri"),
        ({"uri": allowed, "watch_ids": ["a"] * 101}, "WEBHOOK_INVALID", "watch_ids"),
    ):
        with refused("INVALID_ARGUMENT", reason, field):
            await webhooks.UpdateWebhook(pb.UpdateWebhookRequest(webhook_id="ops", **fields))
    with refused("NOT_FOUND", "WEBHOOK_NOT_FOUND"):
        await webhooks.UpdateWebhook(pb.UpdateWebhookRequest(webhook_id="x", uri=allowed))
    assert await only(webhooks) == before


async def test_the_secret_is_shown_once_and_stored_nowhere(
    shop: VisionShop, webhooks: WebhookServiceStub, receiver: Receiver, tmp_path: Path
) -> None:
    secret = await create(webhooks, receiver)
    assert secret.startswith("whsec_")
    assert await create(webhooks, receiver) == ""
    assert secret.removeprefix("whsec_").encode() not in _stored(tmp_path)


def _stored(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.glob("vision.db*"))


@pytest.mark.full
async def test_the_receiver_of_the_page_prints_messages_and_rejects_what_is_not_signed(
    shop: VisionShop, webhooks: WebhookServiceStub, receiver: Receiver, tmp_path: Path
) -> None:
    secret = await create(webhooks, receiver)
    receiver.stop()
    async with page_receiver(secret, receiver.port, tmp_path) as printed, shop.worker():
        await webhooks.SendTestDelivery(pb.SendTestDeliveryRequest(webhook_id="ops"))
        assert await asyncio.wait_for(printed.readline(), SECONDS) == b"webhook.test\n"
        await raise_alert(shop.db, "shelf")
        line = await asyncio.wait_for(printed.readline(), SECONDS)
        assert line == b"watch.alert.started shelf gone started 1970-01-01T00:00:06Z\n"
        forged = Poster(FetchPolicy((f"127.0.0.1:{receiver.port}",), ("http",), private=LOOPBACK))
        uri, headers = f"http://127.0.0.1:{receiver.port}/", {"webhook-id": "m", "x": "y"}
        answer = await forged.post(uri, lambda: headers, b"{}")
        assert answer.status == 400
        await forged.close()


@pytest.mark.parametrize(
    ("fields", "code", "reason", "field"),
    [
        ({"uri": "https://evil.test/"}, "INVALID_ARGUMENT", "URI_FORBIDDEN", "uri"),
        ({"uri": "http://169.254.169.254/"}, "INVALID_ARGUMENT", "URI_FORBIDDEN", "uri"),
        ({"uri": ""}, "INVALID_ARGUMENT", "WEBHOOK_INVALID", "uri"),
        ({"webhook_id": ""}, "INVALID_ARGUMENT", "WEBHOOK_INVALID", "webhook_id"),
        ({"watch_ids": ["a"] * 101}, "INVALID_ARGUMENT", "WEBHOOK_INVALID", "watch_ids"),
    ],
)
async def test_bad_input_is_named(
    webhooks: WebhookServiceStub,
    receiver: Receiver,
    fields: dict[str, Any],
    code: str,
    reason: str,
    field: str,
) -> None:
    with refused(code, reason, field):
        await create(webhooks, receiver, **fields)
    assert not (await webhooks.ListWebhooks(pb.ListWebhooksRequest())).webhooks


async def test_calls_about_a_webhook_that_does_not_exist_or_has_other_values_are_refused(
    webhooks: WebhookServiceStub, receiver: Receiver
) -> None:
    with refused("NOT_FOUND", "WEBHOOK_NOT_FOUND"):
        await webhooks.RotateWebhookSecret(pb.RotateWebhookSecretRequest(webhook_id="x"))
    with refused("NOT_FOUND", "WEBHOOK_NOT_FOUND"):
        await webhooks.ListDeadLetters(pb.ListDeadLettersRequest(webhook_id="x"))
    with refused("NOT_FOUND", "WEBHOOK_NOT_FOUND"):
        await webhooks.ReplayDeliveries(pb.ReplayDeliveriesRequest(webhook_id="x"))
    assert not (await webhooks.DeleteWebhook(pb.DeleteWebhookRequest(webhook_id="x"))).deleted
    await create(webhooks, receiver)
    with refused("ALREADY_EXISTS", "WEBHOOK_EXISTS"):
        await create(webhooks, receiver, watch_ids=["till"])
    rotating = pb.RotateWebhookSecretRequest(webhook_id="ops")
    rotating.overlap.seconds = 8 * 86_400
    with refused("INVALID_ARGUMENT", "WEBHOOK_INVALID", "overlap"):
        await webhooks.RotateWebhookSecret(rotating)
    with refused("INVALID_ARGUMENT", "PAGE_SIZE_INVALID"):
        await webhooks.ListDeadLetters(pb.ListDeadLettersRequest(webhook_id="ops", page_size=501))
    with refused("INVALID_ARGUMENT", "PAGE_TOKEN_INVALID"):
        await webhooks.ListDeadLetters(pb.ListDeadLettersRequest(webhook_id="ops", page_token="x"))
