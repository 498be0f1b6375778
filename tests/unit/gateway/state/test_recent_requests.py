"""Requests that a changed scene is tried on: in memory, few, for an hour."""

from dataclasses import replace

from gateway.model.query import Identity, RequestQuery, Shopper, Signal, SignalKind
from gateway.state.recent_requests import MOST_BYTES, MOST_EACH, SECONDS, RecentRequests


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def photo(size: int) -> RequestQuery:
    return RequestQuery(signals=(Signal(0, SignalKind.IMAGE, image=bytes(size)),))


def test_the_newest_come_first_and_the_oldest_go() -> None:
    kept = RecentRequests()
    for number in range(MOST_EACH + 5):
        kept.note("home", RequestQuery(request_id=str(number)), number)
    found = [each.request_id for each in kept.of("default", "home", 0, MOST_EACH * 2)]
    assert (len(found), found[0], found[-1]) == (MOST_EACH, str(MOST_EACH + 4), "5")
    assert len(kept.of("default", "home", MOST_EACH, 3)) == 3
    assert len(kept.of("default", "home", MOST_EACH, 9)) == 5
    assert kept.of("default", "cart", 0, 9) == kept.of("other", "home", 0, 9) == []


def test_they_are_forgotten_after_an_hour_and_with_their_catalog() -> None:
    clock = Clock()
    kept = RecentRequests(clock)
    kept.note("home", photo(10), 0)
    clock.now = SECONDS - 1
    assert len(kept.of("default", "home", 0, 9)) == 1
    clock.now = SECONDS
    assert kept.of("default", "home", 0, 9) == []
    assert (kept._kept, kept._bytes) == ({}, 0)
    kept.note("home", photo(10), 0)
    kept.forget("default")
    assert (kept._kept, kept._bytes) == ({}, 0)


def test_photos_are_kept_while_they_fit() -> None:
    clock = Clock()
    kept = RecentRequests(clock)
    kept.note("home", photo(MOST_BYTES - 1), 0)
    kept.note("cart", photo(2), 0)
    kept.note("cart", RequestQuery(), 0)
    assert len(kept.of("default", "cart", 0, 9)) == 1
    clock.now = SECONDS
    kept.note("cart", photo(2), 0)
    assert kept._bytes == 2


def test_those_of_an_erased_shopper_are_forgotten() -> None:
    kept = RecentRequests()
    alice, bob = (Shopper(Identity.USER, name) for name in ("alice", "bob"))
    for shopper in (alice, bob, alice):
        kept.note("home", replace(photo(10), shopper=shopper), 0)
    kept.forget_shopper("other", alice)
    kept.forget_shopper("default", alice)
    assert [each.shopper for each in kept.of("default", "home", 0, 9)] == [bob]
    assert kept._bytes == 10
