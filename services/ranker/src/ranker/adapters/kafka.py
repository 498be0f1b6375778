"""Event log by the Kafka protocol, with confluent-kafka, which only this module knows. Needs the
extra `kafka`.

The client has its own threads: one polls for delivery reports, and reading blocks the calling
thread.
"""

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition

from ranker.domain.errors import LogUnavailable
from ranker.domain.events import StoredEvent, Written
from ranker.domain.logged import SIGNATURE, LogSignatures, key, packed
from servicekit import deadlines, telemetry
from servicekit.keys.keyring import SigningKeys
from servicekit.tasks.promise import Promise
from servicekit.watched_files import Unreadable

LOGGER = logging.getLogger("confluent_kafka")
POLL_SECONDS = 0.1
RESERVE_SECONDS = 0.05
"""Seconds of a call's time reserved to report that the log did not answer."""
MOST_WAITING = 100_000
"""Maximum number of events waiting to be sent; further ones are rejected immediately."""


@dataclass(frozen=True, slots=True)
class Access:
    """Address of the log and credentials."""

    brokers: Sequence[str]
    """host:port of some brokers, separated by commas."""
    topic: str
    folder: Path | None = None
    """Folder with files for TLS and login, see `client`; `None`: plain text."""
    login: str = "SCRAM-SHA-512"
    """SASL mechanism."""
    keys: SigningKeys | None = None
    """What signs messages; `None`: nothing."""
    unsigned: bool = False
    """True: unsigned messages are accepted too."""

    def client(self) -> dict[str, Any]:
        """Return the client's settings. Raise Unreadable. `ca.crt` of the folder (else the system's
        authorities), `tls.crt` with `tls.key`, and `username` with `password` are used where they
        exist."""
        found = {"bootstrap.servers": ",".join(self.brokers), "client.id": "sightline-ranker"}
        if self.folder is None:
            return found
        if not self.folder.is_dir():
            raise Unreadable(f"{self.folder}: the folder does not exist")
        found["security.protocol"] = "SSL"
        files = {"ca.crt": "ssl.ca.location", "tls.crt": "ssl.certificate.location"}
        for name, setting in {**files, "tls.key": "ssl.key.location"}.items():
            if (path := self.folder / name).exists():
                found[setting] = str(path)
        if (self.folder / "username").exists():
            found |= {
                "security.protocol": "SASL_SSL",
                "sasl.mechanism": self.login,
                "sasl.username": self._secret("username"),
                "sasl.password": self._secret("password"),
            }
        return found

    @property
    def signatures(self) -> LogSignatures:
        """Return how messages of the topic are signed."""
        return LogSignatures(self.topic, self.keys, self.unsigned)

    def check(self) -> None:
        """Raise Unreadable if the client library rejects these settings."""
        try:
            Producer({**self.client(), "log_level": 0}).close()
        except KafkaException as error:
            raise Unreadable(f"the log's client: {_of(error).str()}") from None

    def _secret(self, name: str) -> str:
        assert self.folder is not None  # noqa: S101 - asked before
        try:
            return (self.folder / name).read_text("utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            raise Unreadable(f"{self.folder / name}: {type(error).__name__}") from None


class _Sent:
    """Events of one call being sent."""

    def __init__(self, count: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._left = count
        self._error: KafkaError | None = None
        self.done = Promise[KafkaError | None]()

    def reported(self, error: KafkaError | None, _message: Message) -> None:
        """Note the delivery of one message; runs in the polling thread."""
        self._left -= 1
        self._error = self._error or error
        if not self._left:
            with contextlib.suppress(RuntimeError):  # the event loop has been closed
                self._loop.call_soon_threadsafe(self._end)

    def _end(self) -> None:
        self.done.keep(self._error)


class KafkaSink:
    """Producer of events to a topic; a ports.EventSink.

    An acknowledged event is stored by all in-sync replicas; retries of the client neither duplicate
    nor reorder events. Duplicate ids are detected when the record is written.
    """

    deferred = True

    def __init__(
        self,
        access: Access,
        seconds: float,
        make: Callable[[dict[str, Any]], Producer] = Producer,
    ) -> None:
        """`seconds`: timeout for the acknowledgement of events."""
        self._topic, self._seconds, self._sign = access.topic, seconds, access.signatures.sign
        self._settings = access.client() | {
            "logger": LOGGER,
            "acks": "all",
            "enable.idempotence": True,
            "linger.ms": 2,
            "compression.type": "lz4",
            "partitioner": "murmur2_random",  # as in Java clients
            "delivery.timeout.ms": int(seconds * 1000),
            "queue.buffering.max.messages": MOST_WAITING,
        }
        self._make = make
        self._producer = make(self._settings)
        self._stopped = threading.Event()
        self._polling = threading.Thread(target=self._poll, name="event-log", daemon=True)
        self._polling.start()

    async def append(self, events: Sequence[StoredEvent]) -> tuple[Written, ...]:
        """Append events; each is NEW once the brokers have it. Raise LogUnavailable,
        DeadlineExceeded."""
        seconds = deadlines.budget(RESERVE_SECONDS, self._seconds)
        sent = _Sent(len(events))
        try:
            for stored in events:
                self._produce(stored, sent)
            async with asyncio.timeout(seconds):
                error = await sent.done.value()
        except (BufferError, KafkaException, TimeoutError) as failed:
            error = _of(failed) if isinstance(failed, KafkaException) else None
            self._renew(error)
            raise LogUnavailable from failed
        if error is not None:
            self._renew(error)
            telemetry.get_logger().warning("events not logged", error=error.name())
            raise LogUnavailable
        return (Written.NEW,) * len(events)

    def _produce(self, stored: StoredEvent, sent: _Sent) -> None:
        message = packed(stored)
        signature = self._sign(message)
        self._producer.produce(
            self._topic,
            message,
            key(stored),
            headers=[(SIGNATURE, signature.encode())] if signature else None,
            on_delivery=sent.reported,
        )

    def _renew(self, error: KafkaError | None) -> None:
        """Replace a client that lost its sequence of messages."""
        if error is not None and error.fatal():
            telemetry.get_logger().warning("client of the log recreated", error=error.name())
            self._producer = self._make(self._settings)

    def _poll(self) -> None:
        while not self._stopped.is_set():
            self._producer.poll(POLL_SECONDS)

    def close(self, seconds: float) -> None:
        """Send waiting events for at most `seconds`. Blocking."""
        self._producer.flush(seconds)
        self._stopped.set()
        self._polling.join()


class EventLog:
    """Consumer of the topic in a group whose members share its partitions. Blocking."""

    def __init__(
        self,
        access: Access,
        group: str,
        make: Callable[[dict[str, Any]], Consumer] = Consumer,
        more: Mapping[str, Any] = {},
    ) -> None:
        """`more`: client settings that override the defaults."""
        self._away: KafkaError | None = None
        self._read: dict[int, int] = {}
        """By partition: offset after the last message read."""
        self._topic = access.topic
        self._consumer = make(
            {
                **access.client(),
                "logger": LOGGER,
                "group.id": group,
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "isolation.level": "read_committed",
                "session.timeout.ms": 10_000,
                "fetch.wait.max.ms": 100,
                "queued.max.messages.kbytes": 16_384,
                "error_cb": self._failed,
                **more,
            }
        )
        self._consumer.subscribe([access.topic])

    def next(self, most: int, seconds: float) -> list[Message]:
        """Return the next messages as soon as there are any, none after `seconds`;
        LogUnavailable."""
        first = self._consumer.poll(seconds)
        found = [] if first is None else [first, *self._consumer.consume(most - 1, 0)]
        errors = [error for one in found if (error := one.error()) is not None]
        good = [one for one in found if one.error() is None]
        for one in good:
            self._read[one.partition() or 0] = (one.offset() or 0) + 1
        if not good and (error := errors[0] if errors else self._still_away()) is not None:
            raise LogUnavailable(f"the log of events can't be read: {error.name()}")
        return good

    def commit(self) -> None:
        """Commit everything that was read; LogUnavailable, after which it may be read again."""
        places = [TopicPartition(self._topic, *one) for one in self._read.items()]
        self._read.clear()
        try:
            self._consumer.commit(offsets=places, asynchronous=False)
        except KafkaException as error:
            name = _of(error).name()
            raise LogUnavailable(f"the log of events rejected the offsets: {name}") from None

    def close(self) -> None:
        """Leave the group, so that its partitions are reassigned immediately."""
        self._consumer.close()

    def _failed(self, error: KafkaError) -> None:
        if error.code() == KafkaError._ALL_BROKERS_DOWN:
            self._away = error

    def _still_away(self) -> KafkaError | None:
        """Return the error if no broker responds, else None."""
        if self._away is not None:
            with contextlib.suppress(KafkaException):
                self._consumer.list_topics(self._topic, timeout=POLL_SECONDS)
                self._away = None
        return self._away


def _of(error: KafkaException) -> KafkaError:
    found = error.args[0]
    assert isinstance(found, KafkaError)  # noqa: S101 - its only argument
    return found
