"""Calls to a peer that is late, hangs, or is gone."""

import asyncio

import grpc
import pytest
from google.protobuf.wrappers_pb2 import StringValue

from gateway.clients.peer_calls import PeerCaller
from gateway.model.causes import Peer
from gateway.model.errors import PeerUnavailable
from servicekit import deadlines
from servicekit.admission import costs
from servicekit.admission.memory_budget import ByteBudget
from servicekit.errors import DeadlineExceeded, Internal, InvalidArgument, Unavailable
from servicekit.rpc import equal_calls
from servicekit.rpc.call_turns import one_at_a_time
from servicekit.rpc.loans import Loan
from tests.waiting import until


class Suspicious:
    """Breaker that counts suspicions."""

    def __init__(self) -> None:
        self.hangs = False
        self.suspected = 0

    def suspect(self) -> None:
        self.suspected += 1


class Call:
    """A call under way, with its trailers."""

    def __init__(self, answer, trailers=()) -> None:
        self._answer, self._trailers = answer, trailers

    def __await__(self):
        return self._answer.__await__()

    async def trailing_metadata(self):
        return grpc.aio.Metadata(*self._trailers)


class Method:
    """Method of a stub whose answers take these seconds or fail with these codes, one after
    another."""

    def __init__(self, *answers: float | grpc.StatusCode) -> None:
        self._answers = iter(answers)
        self.asked = 0

    def __call__(self, request, timeout):
        self.asked += 1
        return Call(self._answer(self.asked, next(self._answers)))

    async def _answer(self, number, answer):
        if isinstance(answer, grpc.StatusCode):
            nothing = grpc.aio.Metadata()
            raise grpc.aio.AioRpcError(answer, nothing, nothing)
        await asyncio.sleep(answer)
        return number


def caller(breaker=None) -> PeerCaller:
    return PeerCaller(Peer.RANKER, reserve=0.0, longest=10.0, breaker=breaker)


async def test_a_peer_that_hangs_is_not_called():
    breaker, method = Suspicious(), Method(0)
    breaker.hangs = True
    with pytest.raises(PeerUnavailable):
        await caller(breaker).call(method, None)
    assert method.asked == 0
    breaker.hangs = False
    assert await caller(breaker).call(method, None) == 1


async def test_only_a_call_that_ran_out_of_time_raises_suspicion():
    breaker = Suspicious()
    for code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED):
        with pytest.raises(PeerUnavailable):
            await caller(breaker).call(Method(code), None)
    assert breaker.suspected == 0
    with pytest.raises(DeadlineExceeded):
        await caller(breaker).call(Method(grpc.StatusCode.DEADLINE_EXCEEDED), None)
    assert breaker.suspected == 1
    with pytest.raises(TimeoutError), deadlines.within(0.01):
        async with asyncio.timeout(0.01):
            await caller(breaker).call(Method(60), None)
    assert breaker.suspected == 2


async def test_a_caller_who_leaves_raises_no_suspicion():
    breaker = Suspicious()
    with deadlines.within(60):
        leaving = asyncio.create_task(caller(breaker).call(method := Method(60), None))
        await until(lambda: method.asked)
        leaving.cancel()
        await asyncio.wait([leaving])
    assert leaving.cancelled()
    assert breaker.suspected == 0


async def test_idempotent_calls_of_a_request_that_are_equal_ask_the_peer_once():
    asking, method = caller(), Method(0, 0)
    names = ("red", "white", "red")
    with equal_calls.shared():
        calls = [asking.call_idempotent(method, StringValue(value=name)) for name in names]
        assert await asyncio.gather(*calls) == [1, 2, 1]


async def test_idempotent_calls_of_an_expensive_request_run_one_at_a_time():
    running, most = 0, 0

    async def answer() -> int:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.001)
        running -= 1
        return 7

    asking, method = caller(), lambda request, timeout: Call(answer())
    calls = [lambda: asking.call_idempotent(method, None)] * 3
    await asyncio.gather(*(call() for call in calls))
    assert most == 3
    bound, most = one_at_a_time.set(asyncio.Lock()), 0
    try:
        assert await asyncio.gather(*(call() for call in calls)) == [7, 7, 7]
    finally:
        one_at_a_time.reset(bound)
    assert most == 1


async def test_what_a_peers_answer_cost_counts_for_the_call():
    spent = costs.Cost()
    costs.current.set(spent)

    async def answer() -> int:
        return 7

    method = lambda request, timeout: Call(answer(), [(costs.COST_KEY, "2000")])  # noqa: E731
    assert await caller().call(method, None) == 7
    assert spent.seconds == 0.002


class Lent:
    """What a peer of the process lends; it works for these seconds, or fails."""

    def __init__(self, answer: float | Exception = 0.0) -> None:
        self.answer, self.asked, self.busy = answer, 0, 0

    async def work(self) -> int:
        self.asked = number = self.asked + 1
        self.busy += 1
        assert self.busy == 1 or one_at_a_time.get() is None
        try:
            if isinstance(self.answer, Exception):
                raise self.answer
            await asyncio.sleep(self.answer)
        finally:
            self.busy -= 1
        return number


def lending(answer: float | Exception = 0.0) -> Loan[Lent]:
    return Loan("ranker", Lent(answer), ByteBudget(0))


async def test_a_peer_of_the_process_that_lends_nothing_is_unavailable():
    breaker = Suspicious()
    with pytest.raises(PeerUnavailable) as raised:
        await caller(breaker).borrow(None, "work", Lent.work)
    assert raised.value.reason == "RANKER_UNAVAILABLE"
    loan = lending()
    assert await caller(breaker).borrow(loan, "work", Lent.work) == 1
    await loan.end()
    with pytest.raises(PeerUnavailable):
        await caller(breaker).borrow(loan, "work", Lent.work)
    breaker.hangs = True
    with pytest.raises(PeerUnavailable):
        await caller(breaker).borrow(lending(), "work", Lent.work)
    assert breaker.suspected == 0


async def test_errors_of_what_is_lent_are_those_of_calls():
    refused = InvalidArgument("no", reason="FILTER_INVALID")
    with pytest.raises(InvalidArgument) as kept:
        await caller().borrow(lending(refused), "work", Lent.work)
    assert kept.value is refused
    with pytest.raises(PeerUnavailable):
        await caller().borrow(lending(Unavailable("gone", reason="UNAVAILABLE")), "work", Lent.work)
    with pytest.raises(Internal) as raised:
        await caller().borrow(lending(ValueError("personal data")), "work", Lent.work)
    assert "personal" not in raised.value.message


async def test_what_is_lent_and_takes_too_long_raises_suspicion():
    breaker = Suspicious()
    with pytest.raises(DeadlineExceeded), deadlines.within(0.01):
        await caller(breaker).borrow(lending(60), "work", Lent.work)
    assert breaker.suspected == 1


async def test_equal_work_of_a_request_is_done_once_and_that_of_an_expensive_one_in_turn():
    asking, lent = caller(), Lent(0.001)
    loan, keys = Loan("ranker", lent, ByteBudget(0)), ("red", "white", "red")

    async def ask(key: str) -> int:
        return await asking.borrow_idempotent(loan, "work", Lent.work, lambda: key)

    with equal_calls.shared():
        assert await asyncio.gather(*map(ask, keys)) == [1, 2, 1]
    assert await asyncio.gather(*map(ask, keys)) == [3, 4, 5]
    bound = one_at_a_time.set(asyncio.Lock())
    try:
        assert await asyncio.gather(*map(ask, keys)) == [6, 7, 8]
    finally:
        one_at_a_time.reset(bound)
