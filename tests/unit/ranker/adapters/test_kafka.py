"""The event log's adapter: settings, and the client's errors."""

import asyncio
import hashlib
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trustme
from confluent_kafka import KafkaError, KafkaException

from ranker.adapters.kafka import Access, EventLog, KafkaSink
from ranker.domain.errors import LogUnavailable
from ranker.domain.events import Written
from ranker.domain.logged import Forged
from ranker.settings import RankerSettings, WorkerSettings
from ranker.wiring.backend import log_access
from ranker.wiring.server import open_sink
from servicekit import deadlines
from servicekit.errors import DeadlineExceeded
from servicekit.keys.keyring import KeyRing
from servicekit.watched_files import Unreadable
from tests.fakes.ranker import stored
from tests.waiting import SECONDS

ACCESS = Access(("127.0.0.1:9",), "events")
Reported = Callable[[KafkaError | None, None], None]


class FakeProducer:
    """Producer that acknowledges each event at the next poll, with its entry in `errors`."""

    def __init__(self, *errors: KafkaError | None) -> None:
        self.errors = list(errors)
        self.sent: list[Reported] = []
        self.written: list[tuple[bytes, list[tuple[str, bytes]] | None]] = []
        self.raises: Exception | None = None
        self.silent = False
        self.polled = threading.Event()

    def produce(
        self,
        topic: str,
        value: bytes,
        key: bytes,
        headers: list[tuple[str, bytes]] | None,
        on_delivery: Reported,
    ) -> None:
        if self.raises is not None:
            raise self.raises
        self.written.append((value, headers))
        self.sent.append(on_delivery)

    def poll(self, seconds: float) -> int:
        self.polled.wait(0.01)
        while self.sent and not self.silent:
            self.sent.pop(0)(self.errors.pop(0) if self.errors else None, None)
        return 0

    def flush(self, seconds: float) -> int:
        return 0


def sink(*producers: FakeProducer, seconds: float = 30.0) -> KafkaSink:
    made = iter(producers)
    return KafkaSink(ACCESS, seconds, lambda settings: next(made))  # type: ignore[arg-type,return-value]


async def test_events_are_new_once_all_of_them_are_acknowledged() -> None:
    made = sink(FakeProducer())
    assert await made.append([stored("e1"), stored("e2")]) == (Written.NEW, Written.NEW)
    made.close(0)


@pytest.mark.parametrize("ring", [None, KeyRing([b"k" * 32])])
async def test_an_entry_has_the_signature_of_the_rankers_key(ring: KeyRing | None) -> None:
    producer = FakeProducer()
    access = replace(ACCESS, keys=None if ring is None else lambda: ring)
    made = KafkaSink(access, 30.0, lambda settings: producer)  # type: ignore[arg-type,return-value]
    await made.append([stored("e1")])
    ((content, headers),) = producer.written
    if ring is None:
        assert headers is None
    else:
        assert headers is not None
        ((name, signature),) = headers
        assert name == "signature"
        access.signatures.check(content, signature.decode())
        with pytest.raises(Forged):
            access.signatures.check(content + b" ", signature.decode())
    made.close(0)


async def test_one_that_is_not_acknowledged_fails_the_call_and_not_the_next_one() -> None:
    made = sink(FakeProducer(None, KafkaError(KafkaError._MSG_TIMED_OUT)))
    with pytest.raises(LogUnavailable):
        await made.append([stored("e1"), stored("e2")])
    assert await made.append([stored("e1")]) == (Written.NEW,)
    made.close(0)


async def test_a_full_queue_is_reported_at_once() -> None:
    producer = FakeProducer()
    producer.raises = BufferError("Local: Queue full")
    made = sink(producer)
    with pytest.raises(LogUnavailable):
        await made.append([stored("e1")])
    made.close(0)


async def test_silence_is_reported_within_the_calls_own_time() -> None:
    producer = FakeProducer()
    producer.silent = True
    made = sink(producer)
    with deadlines.within(2.0), pytest.raises(LogUnavailable):
        await asyncio.wait_for(made.append([stored("e1")]), SECONDS)
    with deadlines.within(0.01), pytest.raises(DeadlineExceeded):
        await made.append([stored("e1")])
    made.close(0)


async def test_a_client_that_lost_count_is_made_anew() -> None:
    fatal = KafkaError(KafkaError._FATAL, "lost count", fatal=True)
    failing, raising = FakeProducer(fatal), FakeProducer()
    raising.raises = KafkaException(fatal)
    made = sink(failing, raising, FakeProducer())
    for _ in range(2):
        with pytest.raises(LogUnavailable):
            await made.append([stored("e1")])
    assert await made.append([stored("e1")]) == (Written.NEW,)
    made.close(0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder of files as Kubernetes mounts Secrets."""
    authority = trustme.CA()
    ours = authority.issue_cert("ranker")
    authority.cert_pem.write_to_path(tmp_path / "ca.crt")
    ours.private_key_pem.write_to_path(tmp_path / "tls.key")
    ours.cert_chain_pems[0].write_to_path(tmp_path / "tls.crt")
    (tmp_path / "username").write_text("ranker\n")
    (tmp_path / "password").write_text("s3cret\n")
    return tmp_path


def test_the_files_that_are_there_decide_how_brokers_are_called(folder: Path) -> None:
    access = Access(("a:9092", "b:9092"), "events", folder, "PLAIN")
    access.check()  # the client takes them
    assert access.client() == {
        "bootstrap.servers": "a:9092,b:9092",
        "client.id": "sightline-ranker",
        "security.protocol": "SASL_SSL",
        "ssl.ca.location": str(folder / "ca.crt"),
        "ssl.certificate.location": str(folder / "tls.crt"),
        "ssl.key.location": str(folder / "tls.key"),
        "sasl.mechanism": "PLAIN",
        "sasl.username": "ranker",
        "sasl.password": "s3cret",
    }
    (folder / "username").unlink()
    assert access.client()["security.protocol"] == "SSL"
    assert "s3cret" not in repr(access)
    assert "security.protocol" not in ACCESS.client()


@pytest.mark.parametrize("name", ["ca.crt", "tls.key", "password", ""])
def test_files_that_can_not_be_used_are_reported_before_the_start(folder: Path, name: str) -> None:
    if name == "password":
        (folder / name).unlink()
    elif name:
        (folder / name).write_text("nonsense")
    with pytest.raises(Unreadable) as caught:
        Access(("a:9092",), "events", folder if name else folder / "none").check()
    assert "s3cret" not in str(caught.value)


class FakeMessage:
    def __init__(self, partition: int, offset: int, error: KafkaError | None = None) -> None:
        self.partition, self.offset = (lambda: partition), (lambda: offset)
        self.error = lambda: error


class FakeConsumer:
    def __init__(self, settings: dict[str, Any]) -> None:
        self.settings = settings
        self.coming: list[FakeMessage] = []
        self.committed: list[tuple[int, int]] = []
        self.answers = False

    def subscribe(self, topics: list[str]) -> None: ...

    def poll(self, seconds: float) -> FakeMessage | None:
        return self.coming.pop(0) if self.coming else None

    def consume(self, most: int, seconds: float) -> list[FakeMessage]:
        found, self.coming = self.coming[:most], self.coming[most:]
        return found

    def commit(self, offsets: list[Any], asynchronous: bool) -> None:
        if not self.answers:
            raise KafkaException(KafkaError(KafkaError.ILLEGAL_GENERATION))
        self.committed = [(one.partition, one.offset) for one in offsets]

    def list_topics(self, topic: str, timeout: float) -> None:
        if not self.answers:
            raise KafkaException(KafkaError(KafkaError._TRANSPORT))


@pytest.fixture
def consumer() -> FakeConsumer:
    return FakeConsumer({})


@pytest.fixture
def log(consumer: FakeConsumer) -> EventLog:
    def make(settings: dict[str, Any]) -> Any:
        consumer.settings = settings
        return consumer

    return EventLog(ACCESS, "group", make)


def test_what_was_read_is_committed_by_partition(log: EventLog, consumer: FakeConsumer) -> None:
    consumer.answers = True
    consumer.coming = [FakeMessage(0, 4), FakeMessage(1, 9), FakeMessage(0, 5), FakeMessage(0, 6)]
    assert len(log.next(3, 0)) == 3
    log.commit()
    assert consumer.committed == [(0, 6), (1, 10)]


def test_brokers_that_are_away_are_no_empty_log(log: EventLog, consumer: FakeConsumer) -> None:
    assert log.next(9, 0) == []
    consumer.settings["error_cb"](KafkaError(KafkaError._ALL_BROKERS_DOWN))
    for _ in range(2):
        with pytest.raises(LogUnavailable):
            log.next(9, 0)
    consumer.answers = True
    assert log.next(9, 0) == []


def test_errors_between_events_lose_none(log: EventLog, consumer: FakeConsumer) -> None:
    missing = FakeMessage(0, -1, KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART))
    consumer.coming = [FakeMessage(0, 4), missing]
    assert len(log.next(9, 0)) == 1
    consumer.coming = [missing]
    with pytest.raises(LogUnavailable, match="UNKNOWN_TOPIC_OR_PART"):
        log.next(9, 0)
    with pytest.raises(LogUnavailable, match="ILLEGAL_GENERATION"):
        log.commit()


def test_a_ranker_without_brokers_has_no_log_and_one_with_brokers_has(tmp_path: Path) -> None:
    assert open_sink(RankerSettings()) is None
    made = open_sink(RankerSettings(kafka_brokers=("127.0.0.1:9",)))
    assert isinstance(made, KafkaSink)
    made.close(0)
    with pytest.raises(Unreadable):
        log_access(WorkerSettings(kafka_brokers=("a:9092",), kafka_folder=tmp_path / "none"))
    keys = tmp_path / "events.keys"
    with pytest.raises(Unreadable, match=r"events\.keys"):
        log_access(WorkerSettings(kafka_brokers=("a:9092",), kafka_keys_file=keys))
    keys.write_text(hashlib.sha256(b"key").hexdigest())
    access = log_access(WorkerSettings(kafka_brokers=("a:9092",), kafka_keys_file=keys))
    assert access is not None
    assert access.signatures.sign(b"event")
