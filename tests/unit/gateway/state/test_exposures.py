"""Today's exposures: the ranker's counts plus the gateway's own."""

import asyncio
from collections.abc import Sequence

import pytest

from gateway.state import exposures as state
from gateway.state.exposures import LOOK_SECONDS, MOST_NAMES, Exposures
from servicekit.errors import Unavailable

NAMES = ("home/hero", "./pin", "hero")


class Ranker:
    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self.days: list[int] = []
        self.away = False

    async def __call__(self, catalog_id: str, day: int, names: Sequence[str]) -> dict[str, int]:
        self.days.append(day)
        self.names = names
        if self.away:
            raise Unavailable("away", reason="RANKER_UNAVAILABLE")
        return {name: self.counts[name] for name in names if name in self.counts}


class Time:
    def __init__(self) -> None:
        self.now = 86_400.0 * 20_000

    def __call__(self) -> float:
        return self.now


async def settled() -> None:
    for _ in range(3):
        await asyncio.sleep(0)


async def test_ours_count_at_once_and_only_until_the_ranker_has_counted_them():
    time, ranker = Time(), Ranker()
    ranker.counts = {"home/hero": 5}
    exposures = Exposures(time)
    assert await exposures.of("default", NAMES, ranker) == {"home/hero": 5}
    exposures.add("default", ["home/hero", "./pin"])
    assert await exposures.of("default", NAMES, ranker) == {"home/hero": 6, "./pin": 1}
    assert await exposures.of("other", NAMES, ranker) == {"home/hero": 5}
    assert len(ranker.days) == 2

    ranker.counts = {"home/hero": 8, "./pin": 1}
    time.now += LOOK_SECONDS + 0.1
    assert await exposures.of("default", NAMES, ranker) == {"home/hero": 6, "./pin": 1}
    await settled()
    assert await exposures.of("default", NAMES, ranker) == {"home/hero": 8, "./pin": 1}


async def test_while_the_ranker_is_away_ours_are_added_to_what_was_known_last():
    time, ranker = Time(), Ranker()
    ranker.counts = {"hero": 5}
    exposures = Exposures(time)
    await exposures.of("default", NAMES, ranker)
    ranker.away = True
    for expected in (6, 7, 8):
        exposures.add("default", ["hero"])
        time.now += LOOK_SECONDS + 0.1
        await exposures.of("default", NAMES, ranker)
        await settled()
        assert await exposures.of("default", NAMES, ranker) == {"hero": expected}
    assert not exposures._own["default"][1:]


async def test_a_new_day_begins_anew_and_is_looked_up_first():
    time, ranker = Time(), Ranker()
    ranker.counts = {"hero": 5}
    exposures = Exposures(time)
    await exposures.of("default", NAMES, ranker)
    time.now += 86_400
    ranker.counts = {}
    assert await exposures.of("default", NAMES, ranker) == {}
    assert ranker.days == [20_000, 20_001]


async def test_a_control_that_was_not_asked_for_before_is_looked_up_first():
    time, ranker = Time(), Ranker()
    ranker.counts = {"a": 1, "b": 2}
    exposures = Exposures(time)
    assert await exposures.of("default", ["a"], ranker) == {"a": 1}
    assert await exposures.of("default", ["b"], ranker) == {"a": 1, "b": 2}
    assert ranker.names == ["a", "b"]
    many = [f"c{n}" for n in range(MOST_NAMES)]
    await exposures.of("default", many, ranker)
    assert len(ranker.names) == MOST_NAMES


async def test_a_ranker_that_never_answers_delays_one_request_and_ours_do_not_pile_up(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(state, "CALL_SECONDS", 0.01)
    time, asked = Time(), []

    async def hangs(_catalog_id: str, day: int, _names: Sequence[str]) -> dict[str, int]:
        asked.append(day)
        return await asyncio.Event().wait() and {}

    exposures = Exposures(time)
    for _ in range(5):
        exposures.add("default", ["hero"])
        await exposures.of("default", NAMES, hangs)
    assert len(asked) == 1
    assert await exposures.of("default", NAMES, hangs) == {"hero": 5}
