"""Frames of a camera go on while the service of cameras and its worker are killed, and the receiver
of a webhook rejects some of the messages.

Every frame turns the picture black or bright, so that each causes exactly one alert. What is
promised: no alert of an acknowledged frame is lost or doubled, and each is delivered at least once,
in order.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from PIL import Image

from local_suite.suite import Suite
from sightline_client import SightlineClient, SightlineError, verify_webhook
from sightline_client.values.watches import (
    Alert,
    FaultCondition,
    PictureFault,
    Watch,
    WatchFrame,
    WatchRule,
)
from tests.chaos.model import Report
from tests.chaos.stage import RETRIEVER, START_SECONDS, running, stage
from tests.fakes.photos import encoded
from tests.waiting import until

CATALOG: Final = "watched"
WATCH: Final = "till"
SERVER, WORKER = "vision", "vision-worker"
VICTIMS: Final = ((SERVER,), (WORKER,), (SERVER, WORKER))
"""Processes that are killed together, in turn."""
REJECTED: Final = 0.05
"""Share of the messages that the receiver answers with 503."""
LONGEST_WAIT: Final = 2.0
"""Seconds before a kill, at most."""
FRAME_SECONDS: Final = 0.1
"""Seconds between two frames: more would only wait for the receiver, which delays all that follow
by five seconds with each message that it rejects."""
RETRY_SECONDS: Final = 0.2
CALL_SECONDS: Final = 5.0
INSTANT: Final = timedelta(0)


@dataclass(slots=True)
class Receiver:
    """What a receiver accepted, in the order of arrival."""

    seed: int
    secret: str = ""
    accepted: list[str] = field(default_factory=list)
    """Ids of alerts."""
    rejected: int = 0
    _chance: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self._chance = random.Random(f"{self.seed}/receiver")

    def take(self, body: bytes, headers: Mapping[str, str]) -> int:
        """Return the status for a message. Raise WebhookRejected without a valid signature."""
        alert = verify_webhook(body, headers, self.secret).data
        if self._chance.random() < REJECTED:
            self.rejected += 1
            return 503
        self.accepted.append(alert["alert_id"])
        return 204

    @contextlib.contextmanager
    def serving(self) -> Iterator[int]:
        """Serve on a free port, and yield it."""
        take = self.take

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                size = int(self.headers["content-length"])
                if len(body := self.rfile.read(size)) < size:
                    return  # its sender was killed
                self.send_response(take(body, dict(self.headers.items())))
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()
            server.server_close()


@dataclass(slots=True)
class Camera:
    """Sends frames, each of which is acknowledged before the next."""

    client: SightlineClient
    sent: list[datetime] = field(default_factory=list)
    """Times of the acknowledged frames."""
    failed: int = 0
    """Calls that failed and were repeated."""

    async def run(self, stop: asyncio.Event) -> None:
        """Send frames until `stop` is set."""
        pictures = [
            encoded(Image.new("RGB", (64, 48), color)) for color in ("black", (190, 180, 170))
        ]
        start = datetime.now(UTC) - timedelta(hours=6)
        while not stop.is_set():
            at = start + timedelta(seconds=len(self.sent))
            await self._send(WatchFrame(pictures[len(self.sent) % 2], at))
            self.sent.append(at)
            await asyncio.sleep(FRAME_SECONDS)

    async def _send(self, frame: WatchFrame) -> None:
        while True:
            try:
                await self.client.send_frames(WATCH, [frame], timeout=CALL_SECONDS)
            except SightlineError:
                self.failed += 1
                await asyncio.sleep(RETRY_SECONDS)
            else:
                return


def watches(rounds: int, seed: int, report: Report) -> None:
    """Kill the service's processes `rounds` times. Raise SuiteError or OSError."""
    receiver = Receiver(seed)
    with TemporaryDirectory() as name, receiver.serving() as port:
        keys = Path(name) / "webhooks.keys"
        keys.write_text(os.urandom(32).hex())
        keys.chmod(0o600)
        settings = {
            "VISION_WEBHOOK_KEYS_FILE": str(keys),
            "VISION_WEBHOOK_HOSTS": f"127.0.0.1:{port}",
            "VISION_WEBHOOK_SCHEMES": "http",
            "VISION_WEBHOOK_NETWORKS": "127.0.0.0/8",
        }
        programs = (*RETRIEVER, SERVER, WORKER, "gateway")
        with stage("lite", [CATALOG], programs, settings=settings) as suite:
            asyncio.run(_watches(suite, receiver, f"http://127.0.0.1:{port}/", rounds, report))


async def _watches(
    suite: Suite, receiver: Receiver, address: str, rounds: int, report: Report
) -> None:
    chance, stop = random.Random(f"{receiver.seed}/watches"), asyncio.Event()
    fault = FaultCondition(PictureFault.BLACK)
    rule = WatchRule("black", fault=fault, hold=INSTANT, release=INSTANT, cool_down=INSTANT)
    async with SightlineClient(suite.addresses()["gateway"], catalog=CATALOG) as client:
        receiver.secret = (await client.create_webhook("ops", address)).secret
        await client.create_watch(Watch(WATCH, (rule,)))
        camera = Camera(client)
        async with asyncio.TaskGroup() as group:
            group.create_task(camera.run(stop))
            for number in range(rounds):
                victims = VICTIMS[number % len(VICTIMS)]
                await _kill(suite, victims, chance)
                report.say(f"watches: killed {', '.join(victims)}; {len(camera.sent)} frames")
            await _healthy(suite, (SERVER, WORKER))
            stop.set()
        alerts = [each async for each in client.list_alerts(watch_id=WATCH)][::-1]
        took = await _delivered(receiver, alerts)
        (webhook,) = await client.list_webhooks()
    judge(camera, alerts, receiver, report)
    report.say(f"watches: delivered {took:.1f} s after the last frame")
    report.add(
        "watches: no dead letters", not webhook.dead_letter_count, f"{webhook.dead_letter_count}"
    )


async def _kill(suite: Suite, victims: Sequence[str], chance: random.Random) -> None:
    await _healthy(suite, victims)
    await asyncio.sleep(chance.uniform(0, LONGEST_WAIT))
    programs = {running(suite, name) for name in victims}
    await asyncio.gather(*(asyncio.to_thread(suite.kill, name) for name in programs))


async def _healthy(suite: Suite, names: Sequence[str]) -> None:
    for name in names:
        await asyncio.to_thread(suite.wait_healthy, running(suite, name), START_SECONDS)


async def _delivered(receiver: Receiver, alerts: Sequence[Alert]) -> float:
    """Return the seconds until all alerts were accepted, or until three minutes have passed."""
    began, wanted = time.monotonic(), {each.alert_id for each in alerts}
    with contextlib.suppress(AssertionError):  # judged by what arrived
        await until(lambda: wanted <= {*receiver.accepted})
    return time.monotonic() - began


def judge(camera: Camera, alerts: Sequence[Alert], receiver: Receiver, report: Report) -> None:
    """Judge the alerts, oldest first, by the acknowledged frames, and the deliveries by the
    alerts."""
    told = [each.frame_time for each in alerts]
    report.add(
        "watches: one alert for each acknowledged frame",
        bool(told) and told == camera.sent,
        f"{len(told)} alerts of {len(camera.sent)} frames; {camera.failed} calls repeated",
    )
    first = list(dict.fromkeys(receiver.accepted))
    report.add(
        "watches: each alert delivered, in order",
        bool(first) and first == [each.alert_id for each in alerts],
        f"{len(first)} of {len(alerts)}; {len(receiver.accepted) - len(first)} more than once,"
        f" {receiver.rejected} rejected by the receiver",
    )
