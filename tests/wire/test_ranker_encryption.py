"""The commands of docs/operate/encryption.md, typed around a real ranker and its worker."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import grpc
import pytest

from sightline.gateway.v1 import user_event_service_pb2 as gateway_pb
from sightline.ranker.v1 import event_service_pb2 as pb
from sightline.ranker.v1 import event_service_pb2_grpc
from tests import pseudonyms
from tests.engines import ROOT, free_port
from tests.peer_stubs import peer_stub
from tests.waiting import SECONDS, until
from tests.wire.ranker_suite import ANN, event

pytestmark = pytest.mark.full

PAGE = (ROOT / "docs/operate/encryption.md").read_text("utf-8")
MAKE, CHANGE, DELETE, ADD, REKEY = re.findall(r"^ *\$ (.*)$", PAGE, re.MULTILINE)
WORDS = "teal corduroy dungarees"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "pseudonym.key").write_text(f"{pseudonyms.KEY}\n")
    return tmp_path


def settings(folder: Path, *, encrypted: bool = True, **others: str) -> Mapping[str, str]:
    given = {
        "RANKER_DATABASE_URL": f"sqlite:///{folder}/ranker.db",
        "RANKER_MODEL_STORE": f"{folder}/models",
        "RANKER_EXPORT_STORE": f"{folder}/exports",
        "RANKER_KEY_FILE": f"{folder}/pseudonym.key",
        "RANKER_RETRIEVER_TARGET": "127.0.0.1:9",
        "RANKER_SWEEP_SECONDS": "0.1",
        **others,
    }
    if encrypted:
        given["RANKER_ENCRYPTION_KEYS_FILE"] = f"{folder}/wrapping.keys"
    return {**os.environ, **given}


def typed(line: str, folder: Path) -> None:
    """Type a command of the page in the folder, with the settings of the ranker."""
    line = line.replace("python ", f"{sys.executable} ")
    environment = settings(folder)
    subprocess.run(["bash", "-c", line], cwd=folder, env=environment, check=True, timeout=SECONDS)


@contextmanager
def process(module: str, folder: Path, log: Path, **others: str) -> Iterator[subprocess.Popen]:
    """Run a process of the ranker during the block."""
    with log.open("w") as said:
        environment = settings(folder, **others)
        running = subprocess.Popen(
            [sys.executable, "-m", module], env=environment, cwd=folder, stdout=said, stderr=said
        )
        try:
            yield running
        finally:
            running.terminate()
            running.wait(SECONDS)


@asynccontextmanager
async def ranker(folder: Path) -> AsyncIterator[event_service_pb2_grpc.EventServiceStub]:
    """Run the ranker during the block."""
    port = free_port()
    with process("ranker", folder, folder / "ranker.log", RANKER_PORT=str(port)):
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            await asyncio.wait_for(channel.channel_ready(), SECONDS)
            yield peer_stub("ranker", channel, event_service_pb2_grpc.EventServiceStub)


async def search(folder: Path) -> None:
    """Let Ann search."""
    async with ranker(folder) as events:
        one = event("", "SEARCH", query=WORDS)
        answer = await events.WriteEvents(gateway_pb.WriteEventsRequest(events=[one]))
        assert answer.written_count == 1


async def searched(folder: Path) -> list[str]:
    """Return the words that Ann searched, as the ranker reads them."""
    async with ranker(folder) as events:
        found = await events.GetEvents(pb.GetEventsRequest(shopper=ANN))
        return [one.query for one in found.events]


def refused(folder: Path, **given: bool) -> str:
    """Return why the ranker does not start."""
    done = subprocess.run(
        [sys.executable, "-m", "ranker"],
        env=settings(folder, **given),
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    return done.stderr


def at_rest(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.glob("ranker.db*"))


async def test_the_page_encrypts_and_changes_the_key(folder: Path) -> None:
    typed(MAKE, folder)
    assert (folder / "wrapping.keys").stat().st_mode & 0o077 == 0
    await search(folder)
    assert WORDS.encode() not in at_rest(folder)
    assert b"SEARCH" in at_rest(folder), "the search is there"
    assert "the record is encrypted" in refused(folder, encrypted=False)

    typed(CHANGE, folder)
    log = folder / "worker.log"
    with process("ranker.worker", folder, log):
        await until(lambda: "data key wrapped again" in log.read_text())
    typed(DELETE, folder)
    assert len((folder / "wrapping.keys").read_text().split()) == 1
    assert await searched(folder) == [WORDS]


async def test_the_page_changes_the_key_of_the_pseudonyms(folder: Path) -> None:
    typed(MAKE, folder)
    await search(folder)
    typed(ADD, folder)
    assert "python -m ranker.rekey" in refused(folder)
    typed(REKEY, folder)
    assert await searched(folder) == [WORDS]
