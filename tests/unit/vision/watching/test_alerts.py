"""Alerts that are followed as they are stored."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import replace

import pytest

from servicekit.sql.database import Database
from tests.waiting import until
from vision.domain.errors import ResumeTokenInvalid, RetrieverUnavailable
from vision.domain.watches import Alert, AlertKind
from vision.record import Record
from vision.watching.alerts import AlertFollower, place_of, resume_token

ALERT = Alert("", "shelf", "gone", AlertKind.STARTED, 5, 4, 0.5)


class WatchedRecord(Record):
    """A record whose looks for alerts are counted, and fail as a test wants."""

    def __init__(self, db: Database) -> None:
        super().__init__(db)
        self.looks, self.down = 0, False

    async def store(self, sequence: int, watch_id: str = "shelf") -> None:
        alert = replace(ALERT, alert_id=f"a{sequence}", sequence=sequence, watch_id=watch_id)
        await self.restore_alerts("default", [alert])

    async def newest_alert(self, catalog_id: str) -> int:
        self.looks += 1
        if self.down:
            raise RetrieverUnavailable
        return await super().newest_alert(catalog_id)


@pytest.fixture
def record(db: Database) -> WatchedRecord:
    return WatchedRecord(db)


@pytest.fixture
def follower(record: WatchedRecord) -> AlertFollower:
    return AlertFollower(record, 0.0)


async def test_alerts_follow_from_now_on_each_once(
    record: WatchedRecord, follower: AlertFollower
) -> None:
    await record.store(1)
    async with aclosing(follower.follow("default", "", "")) as found:
        assert await anext(found) == (None, resume_token(1))
        for sequence in (2, 5):
            await record.store(sequence)
            alert, token = await anext(found)
            assert alert is not None
            assert (alert.sequence, place_of(token)) == (sequence, sequence)
    assert follower._newest._followed == {}


async def test_a_stream_goes_on_behind_its_token(
    record: WatchedRecord, follower: AlertFollower
) -> None:
    for sequence, watch_id in ((1, "shelf"), (2, "other"), (3, "shelf")):
        await record.store(sequence, watch_id)
    async with aclosing(follower.follow("default", "shelf", resume_token(1))) as found:
        await anext(found)
        alert, _ = await anext(found)
        assert alert is not None
        assert alert.sequence == 3


async def test_a_place_of_another_record_holds_no_alert_back(
    record: WatchedRecord, follower: AlertFollower
) -> None:
    """The catalog was created anew under its id, or its record restored."""
    await record.store(3)
    async with aclosing(follower.follow("default", "", resume_token(500))) as found:
        assert await anext(found) == (None, resume_token(3))
        await record.store(4)
        alert, _ = await anext(found)
        assert alert is not None
        assert alert.sequence == 4


async def test_a_store_that_does_not_answer_ends_no_stream(
    record: WatchedRecord, follower: AlertFollower
) -> None:
    async with aclosing(follower.follow("default", "", resume_token(0))) as found:
        await anext(found)
        following = asyncio.ensure_future(anext(found))
        record.down = True
        await until(lambda: record.looks >= 5)
        record.down = False
        await record.store(1)
        alert, _ = await following
        assert alert is not None


async def test_one_read_serves_all_followers(
    record: WatchedRecord, follower: AlertFollower
) -> None:
    streams = [follower.follow("default", "", resume_token(0)) for _ in range(3)]
    following = []
    for stream in streams:
        await anext(stream)
        following.append(asyncio.ensure_future(anext(stream)))
    for _ in range(9):
        await asyncio.sleep(0)
    assert len(follower._newest._followed) == 1
    await record.store(1)
    assert {token for _, token in await asyncio.gather(*following)} == {resume_token(1)}
    for stream in streams:
        await stream.aclose()
    assert follower._newest._followed == {}


@pytest.mark.parametrize("token", ["1", "after-", "after--1", "after-1 ", "after-" + "9" * 19])
async def test_a_token_of_something_else_is_rejected(follower: AlertFollower, token: str) -> None:
    with pytest.raises(ResumeTokenInvalid):
        await anext(follower.follow("default", "", token))
