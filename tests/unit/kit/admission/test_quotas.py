from collections.abc import Iterator

import pytest

from servicekit.admission import quotas
from servicekit.admission.quotas import (
    MOST_ACCOUNTS,
    QuotaExhausted,
    QuotaKind,
    Quotas,
    QuotaSettings,
    QuotaState,
)
from tests.fakes.kit_clock import Seconds


@pytest.fixture(autouse=True)
def of_no_other_test() -> Iterator[None]:
    token = quotas.account.set(None)
    yield
    quotas.account.reset(token)


def made(clock: Seconds, **rates: float) -> Quotas:
    return Quotas(QuotaSettings(**rates), clock=clock)  # type: ignore[arg-type]


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


def test_the_quotas_of_a_caller_say_what_is_left_now() -> None:
    assert quotas.states() == []
    clock = Seconds()
    some = made(clock, quota_calls=2, quota_writes=1, quota_burst_seconds=5)
    calls(some, 4, writes=True)
    quotas.spend(QuotaKind.CALLS, 7)
    states = {each.kind: each for each in quotas.states()}
    assert states == {
        QuotaKind.CALLS: QuotaState(QuotaKind.CALLS, 2.0, 10.0, -1.0),
        QuotaKind.WRITES: QuotaState(QuotaKind.WRITES, 1.0, 5.0, 1.0),
    }
    clock.now += 2
    assert [each.available for each in quotas.states()] == [3.0, 3.0]


def test_a_stream_counts_as_five_calls_and_needs_only_one() -> None:
    clock = Seconds()
    some = made(clock, quota_calls=1, quota_burst_seconds=7)
    some.enter("shop", "wines", writes=False, stream=True)
    calls(some, 1)
    some.enter("shop", "wines", writes=False, stream=True)  # one call is left
    with pytest.raises(QuotaExhausted) as caught:
        calls(some, 1)
    assert caught.value.retry_after is not None
    assert caught.value.retry_after.total_seconds() == pytest.approx(5, abs=0.01)


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


def processor(clock: Seconds, rate: float, burst: float) -> quotas.CallerUsage:
    some = made(clock, quota_processor_seconds=rate, quota_burst_seconds=burst)
    some.enter("shop", "wines", writes=False)
    found = quotas.account.get()
    assert found is not None
    return found


def test_a_price_is_charged_before_the_work_and_corrected_after_it() -> None:
    usage = processor(Seconds(), 0.5, 4)
    assert usage.reserve(QuotaKind.PROCESSOR_SECONDS, 1.5) == 1.5
    with pytest.raises(QuotaExhausted) as caught:
        usage.reserve(QuotaKind.PROCESSOR_SECONDS, 1.0)
    assert caught.value.metadata == {"quota": "processor_seconds"}
    assert caught.value.retry_after is not None
    assert caught.value.retry_after.total_seconds() == pytest.approx(1.0, abs=0.01)
    usage.spend(QuotaKind.PROCESSOR_SECONDS, 0.25 - 1.5)
    assert usage.reserve(QuotaKind.PROCESSOR_SECONDS, 1.0) == 1.0


def test_a_price_above_all_that_a_quota_holds_waits_for_a_full_one() -> None:
    clock = Seconds()
    usage = processor(clock, 0.5, 4)
    assert usage.reserve(QuotaKind.PROCESSOR_SECONDS, 100.0) == 2.0
    with pytest.raises(QuotaExhausted):
        usage.reserve(QuotaKind.PROCESSOR_SECONDS, 100.0)
    clock.now += 4
    assert usage.reserve(QuotaKind.PROCESSOR_SECONDS, 100.0) == 2.0


def test_without_a_quota_nothing_is_reserved() -> None:
    assert quotas.reserve(QuotaKind.PROCESSOR_SECONDS, 100.0) == 0.0
    calls(made(Seconds(), quota_calls=1), 1)
    assert quotas.reserve(QuotaKind.PROCESSOR_SECONDS, 100.0) == 0.0


@pytest.mark.parametrize("kind", QuotaKind)
def test_quotas_are_on_in_production_and_off_elsewhere_unless_they_are_set(kind: QuotaKind) -> None:
    name = f"quota_{kind}"
    assert QuotaSettings().quota(kind) == 0
    assert QuotaSettings(mode="production").quota(kind) == quotas.PRODUCTION[kind] > 0
    assert QuotaSettings(mode="production", **{name: 0}).quota(kind) == 0  # type: ignore[arg-type]
    assert QuotaSettings(**{name: 7.0}).quota(kind) == 7  # type: ignore[arg-type]


def test_a_share_of_a_catalog_is_a_factor_of_each_quota() -> None:
    clock, shares = Seconds(), {"small": 0.5}
    settings = QuotaSettings(quota_calls=2.0)
    limited = Quotas(settings, lambda name: shares.get(name, 1.0), clock)
    for catalog, calls in (("whole", 20), ("small", 10)):
        for _ in range(calls):
            limited.enter("ann", catalog, writes=False)
        with pytest.raises(QuotaExhausted):
            limited.enter("ann", catalog, writes=False)
    shares["small"] = 1.0  # takes effect with the next call
    limited.enter("ann", "small", writes=False)
