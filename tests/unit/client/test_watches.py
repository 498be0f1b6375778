"""Watches in the client and the command."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from google.rpc import code_pb2

from sightline_client import (
    AlertKind,
    Box,
    CountCondition,
    DetectedCondition,
    FaultCondition,
    FrameOutcome,
    PictureFault,
    PresenceCondition,
    SightlineClient,
    UnusualCondition,
    Watch,
    WatchDirection,
    WatchFrame,
    WatchRegion,
    WatchRule,
    WatchTarget,
)
from sightline_client.cli.commands import watch as watch_command
from tests.fakes.gateway import FakeGateway
from tests.fakes.gateway_messages import status
from tests.fakes.gateway_watches import IMAGE_ID
from tests.unit.client.command_line import Line, flat, line

__all__ = ["line"]  # fixtures

WINE = WatchTarget(product_id="wine-1", min_similarity=0.5)
RULES = (
    WatchRule("gone", presence=PresenceCondition(WINE, WatchDirection.GONE, ("a",))),
    WatchRule("few", count=CountCondition(WINE, ("a",), below=1), hold=timedelta(seconds=3)),
    WatchRule("empty", detected=DetectedCondition(5, WINE, "a")),
    WatchRule("any", detected=DetectedCondition(1)),
    WatchRule("odd", unusual=UnusualCondition(min_frames=50)),
    WatchRule("dark", fault=FaultCondition(PictureFault.BLACK)),
)
SHELF = Watch("shelf", RULES, (WatchRegion("a", Box(0, 0, 0.5, 0.5)),), photo_days=3)
WATCH: dict[str, Any] = {
    "watch_id": "shelf",
    "rules": [
        {
            "rule_id": "gone",
            "presence": {
                "target": {"image_file": "bottle.jpg"},
                "direction": "DIRECTION_GONE",
            },
            "hold": "5s",
        }
    ],
}


async def test_watches_are_created_changed_and_deleted(
    client: SightlineClient, gateway: FakeGateway
) -> None:
    made = await client.create_watch(SHELF)
    assert (made.rules, made.regions, made.photo_days) == (RULES, SHELF.regions, 3)
    assert made.counts is not None
    assert made.counts.processed == 7
    assert await client.get_watch("shelf") == made
    assert await client.list_watches() == [made]
    await client.update_watch(made)
    (sent,) = gateway.requests["UpdateWatch"]
    assert (sent.watch.etag, sent.watch.rules[1].hold.seconds) == ("e1", 3)
    assert not sent.watch.HasField("counts")
    assert await client.delete_watch("shelf")
    assert not await client.delete_watch("shelf")


async def test_frames_are_sent_with_their_times(
    client: SightlineClient, gateway: FakeGateway
) -> None:
    noon = datetime(2026, 3, 1, 12, tzinfo=UTC)
    frames = [WatchFrame(b"one", noon), WatchFrame(b"two")]
    answer = await client.send_frames("shelf", frames, dropped_count=3)
    assert [each.outcome for each in answer.results] == [FrameOutcome.PROCESSED] * 2
    assert answer.alerts[0].kind is AlertKind.STARTED
    (sent,) = gateway.requests["SendFrames"]
    assert [each.HasField("frame_time") for each in sent.frames] == [True, False]
    assert sent.frames[0].frame_time.ToDatetime(UTC) == noon
    assert sent.dropped_count == 3


async def test_alerts_are_listed_and_followed(
    client: SightlineClient, gateway: FakeGateway
) -> None:
    assert [each.sequence async for each in client.list_alerts()] == [2, 1]
    gateway.fail("WatchAlerts", status(code_pb2.UNAVAILABLE, "draining", reason="DRAINING"))
    found = []
    async for each in client.watch_alerts(watch_id="shelf", resume_token="5"):
        found.append((each.alert.sequence, each.resume_token))
        if len(found) == 3:
            break
    assert found == [(6, "6"), (7, "7"), (8, "8")]
    assert await client.get_alert_photo(IMAGE_ID) == b"a frame"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return the file of a watch."""
    (tmp_path / "bottle.jpg").write_bytes(b"a bottle")
    made = tmp_path / "shelf.json"
    made.write_text(json.dumps(WATCH))
    return made


def test_a_watch_is_created_from_a_file_and_replaced(
    line: Line, gateway: FakeGateway, file: Path
) -> None:
    assert "watch shelf: 1 rules, etag e1" in line("watch", "create", str(file)).stdout
    (sent,) = gateway.requests["CreateWatch"]
    assert sent.watch.rules[0].presence.target.image == b"a bottle"
    line("watch", "create", str(file), "--replace")
    assert len(gateway.requests["UpdateWatch"]) == 1
    listed = line("watch", "list").stdout
    assert "shelf" in listed
    assert "gone" in listed
    assert json.loads(line("watch", "list", "--json").stdout)["watches"][0]["etag"] == "e1"
    assert "deleted" in line("watch", "delete", "shelf").stdout
    assert "there was no such watch" in line("watch", "delete", "shelf").stdout
    assert "No watches." in line("watch", "list").stdout


@pytest.mark.parametrize("text", ["no json", "[]", '{"unknown": 1}', '{"rules": [1]}', "[" * 9_999])
def test_a_file_that_is_no_watch_is_named(line: Line, file: Path, text: str) -> None:
    file.write_text(text)
    done = line("watch", "create", str(file))
    assert done.exit_code == 1
    assert "is not a watch" in flat(done.stderr)


def test_a_missing_photo_is_named(line: Line, file: Path) -> None:
    (file.parent / "bottle.jpg").unlink()
    done = line("watch", "create", str(file))
    assert done.exit_code == 1
    assert "bottle.jpg" in flat(done.stderr)


def test_a_folder_is_sent_by_names_and_in_time(
    line: Line, gateway: FakeGateway, tmp_path: Path
) -> None:
    for number in range(10):
        (tmp_path / f"{number:02}.jpg").write_bytes(b"%d" % number)
    (tmp_path / "notes.txt").write_text("no photo")
    done = line(
        *("watch", "send", "shelf", str(tmp_path), "--interval", "2"),
        *("--start", "2026-03-01T12:00:00Z"),
    )
    assert "10 frames checked, 0 dropped, 0 ignored, 0 rejected" in flat(done.stdout)
    assert "STARTED" in done.stdout
    requests = gateway.requests["SendFrames"]
    assert [len(each.frames) for each in requests] == [8, 2]
    frames = [frame for each in requests for frame in each.frames]
    assert [frame.image for frame in frames] == [b"%d" % number for number in range(10)]
    times = [frame.frame_time.ToSeconds() for frame in frames]
    assert times == [times[0] + 2 * place for place in range(10)]


def test_a_folder_without_photos_is_refused(line: Line, tmp_path: Path) -> None:
    done = line("watch", "send", "shelf", str(tmp_path))
    assert done.exit_code == 1
    assert "has no photos" in flat(done.stderr)
    with (tmp_path / "large.jpg").open("wb") as large:
        large.truncate(10 * 2**20 + 1)
    assert "more than 10 MiB" in flat(line("watch", "send", "shelf", str(tmp_path)).stderr)


def test_alerts_are_shown_followed_and_saved(
    line: Line, gateway: FakeGateway, tmp_path: Path
) -> None:
    shown = line("watch", "alerts", "--watch", "shelf", "--top", "1").stdout
    assert "ENDED" in shown
    (asked,) = gateway.requests["ListAlerts"]
    assert (asked.watch_id, asked.page_size) == ("shelf", 1)
    gone = status(code_pb2.NOT_FOUND, "no such watch", reason="WATCH_NOT_FOUND")
    gateway.after["WatchAlerts"] = (2, gone)
    done = line("watch", "alerts", "--follow", "--json")
    facts = [json.loads(each) for each in done.stdout.splitlines()]
    assert [each["alert"]["sequence"] for each in facts] == [1, 2]
    photo = tmp_path / "now.jpg"
    assert "7 bytes" in line("watch", "photo", IMAGE_ID, str(photo)).stdout
    assert photo.read_bytes() == b"a frame"


def test_photos_are_sent_as_they_appear(
    line: Line, gateway: FakeGateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until the watch is gone. A photo is sent again while the suite does not answer; one that
    can't be read is named, and the others are sent."""
    monkeypatch.setattr(watch_command, "LOOK_SECONDS", 0.02)
    (tmp_path / "old.jpg").write_bytes(b"old")
    down = status(code_pb2.UNAVAILABLE, "draining", reason="DRAINING")
    gateway.fail("SendFrames", *[down] * 5)  # the client itself tries again four times
    gone = status(code_pb2.NOT_FOUND, "no such watch", reason="WATCH_NOT_FOUND")
    gateway.after["SendFrames"] = (7, gone)

    def camera() -> None:
        (tmp_path / "unreadable.jpg").write_bytes(b"whole")
        for name in ("1.jpg", "2.jpg", "3.jpg"):
            (tmp_path / name).write_bytes(name.encode())
            time.sleep(0.2)

    taking, look = Thread(target=camera), watch_command._photos

    def first_look(folder: Path) -> list[Path]:
        """Let the camera begin after the command has seen which photos are there."""
        found = look(folder)
        if not taking.ident:
            taking.start()
        return found

    def frame_of(file: Path) -> WatchFrame | None:
        if file.name == "unreadable.jpg":
            raise PermissionError(13, "Permission denied", str(file))
        return read(file)

    read = watch_command._frame_of
    monkeypatch.setattr(watch_command, "_frame_of", frame_of)
    monkeypatch.setattr(watch_command, "_photos", first_look)
    done = line("watch", "folder", "shelf", str(tmp_path))
    taking.join()
    assert done.exit_code == 1
    assert "WATCH_NOT_FOUND" in done.stderr
    assert done.stderr.count("FILE_UNUSABLE") == 1
    assert done.stdout.count("shelf/gone STARTED wine-1") == 2
    sent = [each.frames[0] for each in gateway.requests["SendFrames"]]
    assert {frame.image for frame in sent} == {b"1.jpg", b"2.jpg", b"3.jpg"}
    first = datetime.fromtimestamp((tmp_path / "1.jpg").stat().st_mtime, UTC)
    assert abs(sent[0].frame_time.ToDatetime(UTC) - first) < timedelta(milliseconds=1)
