"""A cluster of the Kafka protocol for tests: the one that librdkafka carries for its own, in a
process that can be stopped and killed. It speaks the protocol over TCP, keeps topics, groups and
offsets in memory, and makes topics of four partitions as they are named.

With SIGHTLINE_KAFKA=host:port tests use that broker instead; those that stop it are skipped.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

_SERVE = """
import signal
from confluent_kafka import Producer
cluster = Producer({"test.mock.num.brokers": 1, "bootstrap.servers": "none", "log_level": 0})
brokers = cluster.list_topics(timeout=30).brokers.values()
print(",".join(f"{one.host}:{one.port}" for one in brokers), flush=True)
signal.pause()
"""


@dataclass(frozen=True)
class Cluster:
    brokers: tuple[str, ...]
    process: subprocess.Popen[str] | None

    @contextmanager
    def away(self) -> Iterator[None]:
        """Suspend the broker during the block."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)


@contextmanager
def cluster() -> Iterator[Cluster]:
    if given := os.environ.get("SIGHTLINE_KAFKA"):
        yield Cluster(tuple(given.split(",")), None)
        return
    command = [sys.executable, "-c", _SERVE]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield Cluster(tuple(process.stdout.readline().strip().split(",")), process)
        finally:
            process.kill()
