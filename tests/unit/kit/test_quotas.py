from collections.abc import Iterator

import pytest

from servicekit import quotas
from servicekit.quotas import MOST_ACCOUNTS, QuotaExhausted, QuotaKind, Quotas, QuotaSettings
from tests.fakes.kit_clock import Seconds


@pytest.fixture(autouse=True)
def of_no_other_test() -> Iterator[None]:
    token = quotas.account.set(None)
    yield
    quotas.account.reset(token)


def made(clock: Seconds, **rates: float) -> Quotas:
    return Quotas(QuotaSettings(**rates), clock)  # type: ignore[arg-type]


def calls(some: Quotas, count: int, caller: str = "shop", *, writes: bool = False) -> None:
    for _ in range(count):
        some.enter(caller, "wines", writes=writes)


def test_without_quotas_everybody_calls_as_often_as_they_like() -> None:
    calls(made(Seconds()), 1_000, writes=True)


def test_the_burst_is_used_up_and_comes_back_at_the_rate() -> None:
    clock = Seconds()
    some = made(clock, quota_calls=2, quota_burst_seconds=5)
    calls(some, 10)
    with pytest.raises(QuotaExhausted) as caught:
        calls(some, 1)
    assert caught.value.metadata == {"quota": "calls"}
    assert caught.value.retry_after is not None
    clock.now += caught.value.retry_after.total_seconds()
    calls(some, 1)
    with pytest.raises(QuotaExhausted):
        calls(some, 1)
    clock.now += 60
    calls(some, 10)
    with pytest.raises(QuotaExhausted):
        calls(some, 1)


def test_each_caller_and_each_catalog_has_its_own() -> None:
    some = made(Seconds(), quota_calls=1, quota_burst_seconds=1)
    calls(some, 1)
    calls(some, 1, "other shop")
    some.enter("shop", "shoes", writes=False)
    with pytest.raises(QuotaExhausted):
        calls(some, 1)


def test_writes_have_a_quota_of_their_own_and_a_refused_one_is_no_call() -> None:
    some = made(Seconds(), quota_calls=3, quota_writes=1, quota_burst_seconds=1)
    calls(some, 1, writes=True)
    for _ in range(5):
        with pytest.raises(QuotaExhausted) as caught:
            calls(some, 1, writes=True)
        assert caught.value.metadata == {"quota": "writes"}
    calls(some, 2)
    with pytest.raises(QuotaExhausted):
        calls(some, 1)


def test_what_is_known_afterwards_is_owed() -> None:
    clock = Seconds()
    some = made(clock, quota_decode_seconds=0.5, quota_burst_seconds=2)
    calls(some, 1)
    quotas.check(QuotaKind.DECODE_SECONDS)
    quotas.spend(QuotaKind.DECODE_SECONDS, 3.0)
    with pytest.raises(QuotaExhausted) as caught:
        quotas.check(QuotaKind.DECODE_SECONDS)
    assert caught.value.retry_after is not None
    assert 4 <= caught.value.retry_after.total_seconds() < 4.1
    clock.now += 4.1
    quotas.check(QuotaKind.DECODE_SECONDS)
    calls(some, 100)


def test_those_who_come_once_are_forgotten() -> None:
    some = made(Seconds(), quota_calls=1, quota_burst_seconds=1)
    calls(some, 1)
    for number in range(MOST_ACCOUNTS):
        calls(some, 1, f"caller {number}")
    calls(some, 1)


def test_decoding_has_a_quota_in_production_unless_it_is_set() -> None:
    kind = QuotaKind.DECODE_SECONDS
    assert QuotaSettings(mode="production").rate(kind) == 1.0
    assert QuotaSettings().rate(kind) == 0.0
    assert QuotaSettings(mode="production", quota_decode_seconds=0).rate(kind) == 0.0
    assert QuotaSettings(mode="production", quota_decode_seconds=3).rate(kind) == 3.0
    for other in QuotaKind:
        assert other is kind or QuotaSettings(mode="production").rate(other) == 0.0
