"""Photos of a small file and a huge declared size, sent to each call that takes a camera's photos:
a typed error, before the pixels are decoded, and nothing stored."""

import io
from collections.abc import Awaitable, Callable, Iterable, Iterator
from datetime import timedelta
from functools import cache, partial
from http.server import HTTPServer
from pathlib import Path
from threading import Thread

import pytest
from PIL import Image

from local_suite.programs import ALL
from local_suite.suite import Suite
from sightline_client import (
    FaultCondition,
    FrameOutcome,
    InvalidRequest,
    PictureFault,
    SightlineClient,
    SyncSightlineClient,
    Watch,
    WatchFrame,
    WatchRule,
)
from tests.fakes.pieces import piece
from tests.live.test_watch import Picture
from tests.stored_files import stored_files
from tests.waiting import SECONDS, until

pytestmark = pytest.mark.full

SIDES = (8_000, 6_500)
"""Above the most of a photo of the catalog, 50 megapixels."""
DECODED = SIDES[0] * SIDES[1] * 3
CATALOG, GOOD = "huge", 12
RULE = WatchRule("dark", fault=FaultCondition(PictureFault.BLACK), hold=timedelta())


@cache
def huge() -> bytes:
    """Return a grey PNG of 52 megapixels."""
    Image.new("L", SIDES, 128).save(file := io.BytesIO(), "PNG")
    assert file.tell() < 200_000
    return file.getvalue()


async def _detect(client: SightlineClient, _: int) -> str:
    with pytest.raises(InvalidRequest) as caught:
        await client.detect_products(huge())
    return caught.value.reason


async def _inspect(client: SightlineClient, _: int) -> str:
    with pytest.raises(InvalidRequest) as caught:
        await client.inspect(huge(), reference_id="good")
    return caught.value.reason


async def _add(client: SightlineClient, _: int) -> str:
    added = await client.add_reference_photos("huge", [huge()])
    assert added.photo_count == 0
    assert await client.list_references("huge") == []
    ((_place, why),) = added.failures
    return why


async def _send(client: SightlineClient, _: int) -> str:
    await client.create_watch(Watch("sent", (RULE,), photo_days=1))
    answer = await client.send_frames("sent", [WatchFrame(huge())])
    assert [each.outcome for each in answer.results] == [FrameOutcome.REJECTED]
    assert not answer.alerts
    assert await client.delete_watch("sent")
    (status,) = (each.status for each in answer.results)
    assert status is not None
    return status.reason


async def _fetch(client: SightlineClient, port: int) -> str:
    camera = HTTPServer(("127.0.0.1", port), partial(Picture, huge()))
    Thread(target=camera.serve_forever, daemon=True).start()
    try:
        uri = f"http://127.0.0.1:{port}/now.png"
        await client.create_watch(Watch("seen", (RULE,), snapshot_uri=uri, snapshot_seconds=1))

        async def reason() -> str:
            status = (await client.get_watch("seen")).snapshot
            return "" if status is None else status.error_reason

        await until(reason)
        found = await reason()
        assert [each async for each in client.list_alerts(watch_id="seen")] == []
        assert await client.delete_watch("seen")
        return found
    finally:
        camera.shutdown()
        camera.server_close()


@pytest.fixture(scope="module")
def shop(gateway: str) -> str:
    """Make a catalog with a reference, by which the decoders have worked before."""
    with SyncSightlineClient(gateway, catalog=CATALOG, timeout=SECONDS) as client:
        client.create_catalog(CATALOG)
        client.add_reference_photos("good", [piece(seed) for seed in range(GOOD)])
        client.fit_reference("good")
        client.promote_reference("good")
    return gateway


@pytest.mark.parametrize("call", [_detect, _inspect, _add, _send, _fetch])
async def test_a_photo_of_a_huge_declared_size_is_rejected_before_it_is_decoded(
    call: Callable[[SightlineClient, int], Awaitable[str]], shop: str, suite: Suite
) -> None:
    hosts = suite.programs["vision"].environment["VISION_FETCH_HOSTS"]
    port = int(hosts.split(",")[0].rpartition(":")[2])
    before = {pid: _resident(pid) for pid in _all(suite)}
    _forget_peaks(before)
    async with SightlineClient(shop, catalog=CATALOG, timeout=SECONDS) as client:
        assert "IMAGE_TOO_LARGE" in await call(client, port)
    usual = max(before.values())
    for pid in _all(suite):
        assert _resident(pid, "VmHWM") - before.get(pid, usual) < DECODED
    stored = stored_files(suite.layout.data)
    assert not [path for path, stat in stored if stat.st_size == len(huge())]


def _all(suite: Suite) -> Iterator[int]:
    """Yield the processes that decode photos."""
    for name in (ALL, "vision", "vision-worker"):
        yield from _family(suite.pid(name))


def _family(pid: int) -> Iterator[int]:
    """Yield a process and all that it has started."""
    yield pid
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in path.read_text().split():
            yield from _family(int(child))


def _forget_peaks(pids: Iterable[int]) -> None:
    """Let the greatest memory of processes begin anew."""
    for pid in pids:
        Path(f"/proc/{pid}/clear_refs").write_text("5")


def _resident(pid: int, name: str = "VmRSS") -> int:
    """Return bytes of a process's memory; 0: it has ended."""
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return 0
    found = [line.split()[1] for line in text.splitlines() if line.startswith(name)]
    return int(found[0]) * 1024 if found else 0
