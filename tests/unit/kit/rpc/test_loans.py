"""What a service lends to the others of its process: work in the borrower's task and context."""

import asyncio
import contextvars

import pytest

from servicekit import deadlines, telemetry
from servicekit.admission.memory_budget import ByteBudget
from servicekit.config import ServerSettings
from servicekit.errors import DeadlineExceeded
from servicekit.rpc import channel, hosting, server
from servicekit.rpc.hosting import Host
from servicekit.rpc.loans import Loan, Use, Withdrawn
from tests.fakes.kit_echo import Echo, binding
from tests.waiting import SECONDS, until


class Lent:
    """Keeps what it saw of its borrowers."""

    def __init__(self) -> None:
        self.began, self.ended = 0, 0

    async def wait(self, seconds: float = SECONDS) -> str:
        self.began += 1
        try:
            await asyncio.sleep(seconds)
        finally:
            self.ended += 1
        return telemetry.service_name.get()

    async def left(self) -> float | None:
        return deadlines.remaining()


async def use(loan: Loan[Lent], seconds: float = 60) -> str:
    with Use(loan, "work", seconds, 0) as lent:
        return await lent.wait()


async def test_work_has_the_borrowers_context_and_the_lenders_name() -> None:
    loan, mark = Loan("ranker", Lent(), ByteBudget(0)), contextvars.ContextVar("mark", default="")
    mark.set("kept")

    with Use(loan, "work", 60, 0) as lent:
        assert (await lent.wait(0), mark.get()) == ("ranker", "kept")
    assert telemetry.service_name.get() == ""
    with deadlines.within(60):
        with Use(loan, "work", 5, 0) as lent:
            left = await lent.left()
        assert left is not None
        assert 0 < left <= 5


async def test_work_ends_with_its_deadline() -> None:
    lent = Lent()
    with pytest.raises(DeadlineExceeded) as raised:
        await use(Loan("ranker", lent, ByteBudget(0)), 0.01)
    assert raised.value.reason == "DEADLINE_EXCEEDED"
    assert (lent.began, lent.ended) == (1, 1)


async def test_a_time_out_of_the_work_itself_stays_one() -> None:
    with pytest.raises(TimeoutError), Use(Loan("ranker", Lent(), ByteBudget(0)), "work", 60, 0):
        raise TimeoutError


async def test_a_borrower_that_is_cancelled_cancels_the_work() -> None:
    lent = Lent()
    leaving = asyncio.create_task(use(Loan("ranker", lent, ByteBudget(0))))
    await until(lambda: lent.began)
    leaving.cancel()
    await asyncio.wait([leaving])
    assert leaving.cancelled()
    assert lent.ended == 1


async def test_a_service_that_ends_ends_the_work_and_waits_for_it() -> None:
    lent = Lent()
    loan = Loan("ranker", lent, ByteBudget(0))
    using = [asyncio.create_task(use(loan, each)) for each in (30, 60)]
    await until(lambda: lent.began == 2)
    await loan.end()
    assert lent.ended == 2
    for each in using:
        with pytest.raises(Withdrawn):
            await each
    with pytest.raises(Withdrawn):
        await use(loan)
    await loan.end()


async def test_a_loan_lasts_as_long_as_its_service_serves() -> None:
    host, lent, found = Host(), Lent(), list[object]()

    async def lending() -> None:
        async def on_stop() -> None:
            found.append(lent.ended)

        await server.serve(
            [binding(Echo())],
            ServerSettings(port=0),
            service="lending",
            lent=lent,
            on_stop=on_stop,
        )

    async def borrowing() -> None:
        borrowed = channel.borrowing("local:lending")
        assert borrowed is not None
        await until(lambda: borrowed() is not None)
        loan = borrowed()
        assert loan is not None
        with pytest.raises(Withdrawn):
            await use(loan)
        found.append(borrowed())
        await host.end_of("borrowing").wait()

    running = asyncio.create_task(host.run({"lending": lending(), "borrowing": borrowing()}))
    await until(lambda: lent.began)
    host.stop()
    await running
    assert sorted(found, key=str) == [1, None]


async def test_what_runs_elsewhere_lends_nothing() -> None:
    assert channel.borrowing("local:ranker") is None, "no host"
    hosted = hosting.running.set(Host())
    try:
        assert channel.borrowing("ranker:8603") is None
        borrowed = channel.borrowing("local:ranker")
        assert borrowed is not None
        assert borrowed() is None
    finally:
        hosting.running.reset(hosted)
