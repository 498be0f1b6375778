"""Requests that a changed scene is tried on: in memory, few, for an hour."""

import asyncio
import time
from dataclasses import replace

from gateway.model.query import GivenCandidate, RequestQuery, Signal, SignalKind
from gateway.state.recent_requests import MOST_BYTES, MOST_EACH, SECONDS, RecentRequests
from sightline_core.shoppers import Identity, Shopper
from tests.fakes.kit_clock import Seconds as Clock

MIB = 2**20


def photo(size: int, name: str = "") -> RequestQuery:
    signal = Signal(0, SignalKind.IMAGE, image=bytes(size))
    return RequestQuery(signals=(signal,), request_id=name)


def names(kept: RecentRequests, scene: str) -> list[str]:
    return [each.request_id for each in kept.of("default", scene, 0, MOST_EACH)]


async def test_the_newest_come_first_and_the_oldest_go() -> None:
    kept = RecentRequests()
    for number in range(1, MOST_EACH + 6):
        kept.note("home", RequestQuery(request_id=str(number)), number)
    found = names(kept, "home")
    assert (len(found), found[0], found[-1]) == (MOST_EACH, str(MOST_EACH + 5), "6")
    assert len(kept.of("default", "home", MOST_EACH, 3)) == 3
    assert len(kept.of("default", "home", MOST_EACH, 9)) == 6
    assert kept.of("default", "cart", 0, 9) == kept.of("other", "home", 0, 9) == []


async def test_they_leave_memory_after_an_hour_without_a_further_call(monkeypatch) -> None:
    timers = []
    loop = asyncio.get_running_loop()
    monkeypatch.setattr(loop, "call_later", lambda *given, **_: timers.append(given) or True)
    clock = Clock()
    kept = RecentRequests(clock)
    kept.note("home", photo(10, "first"), 1)
    clock.now += 60
    kept.note("home", photo(10, "second"), 1)
    ((seconds, expire),) = timers
    assert seconds == SECONDS
    clock.now += SECONDS - 60
    expire()
    assert names(kept, "home") == ["second"]
    assert timers[1:] == [(60, expire)]
    clock.now += 60
    expire()
    assert (kept._kept, kept._bytes.total(), len(timers)) == ({}, 0, 2)


async def test_above_the_most_bytes_the_oldest_of_the_largest_scene_go() -> None:
    kept = RecentRequests()
    kept.note("home", photo(MIB, "home"), 1)
    for name in "abcde":
        kept.note("similar", photo(8 * MIB, name), 1)
    assert names(kept, "similar") == ["e", "d", "c"]
    assert names(kept, "home") == ["home"]
    kept.note("cart", photo(MOST_BYTES), 1)
    assert names(kept, "cart") == []
    assert 0 < kept._bytes.total() <= MOST_BYTES


async def test_whatever_makes_a_request_large_is_counted() -> None:
    ids = tuple(f"{number:0128}" for number in range(2_000))
    given = tuple(GivenCandidate(each, 1.0) for each in ids)
    text = (Signal(0, SignalKind.TEXT, text="x" * 200_000),)
    whole = RequestQuery()
    for large in (
        replace(whole, candidates=given),
        replace(whole, exclude_product_ids=ids),
        replace(whole, anchors=ids),
        replace(whole, signals=text),
    ):
        kept = RecentRequests()
        kept.note("home", large, 1)
        assert kept._bytes.total() > 200_000


async def test_those_of_a_catalog_are_forgotten() -> None:
    kept = RecentRequests()
    kept.note("home", photo(10), 1)
    kept.forget("default")
    assert (kept._kept, kept._bytes.total()) == ({}, 0)


async def test_those_of_an_erased_shopper_are_forgotten_with_those_under_way() -> None:
    kept = RecentRequests()
    alice, bob = (Shopper(Identity.USER, name) for name in ("alice", "bob"))
    for shopper in (alice, bob, alice):
        kept.note("home", replace(photo(10), shopper=shopper), 1)
    began = time.time_ns() // 1_000
    kept.forget_shopper("other", alice)
    assert len(kept.of("default", "home", 0, 9)) == 3
    kept.forget_shopper("default", alice)
    kept.note("home", replace(photo(10), shopper=alice), began)
    assert [each.shopper for each in kept.of("default", "home", 0, 9)] == [bob]
    kept.note("home", replace(photo(10), shopper=alice), began + 60_000_000)
    assert len(kept.of("default", "home", 0, 9)) == 2
