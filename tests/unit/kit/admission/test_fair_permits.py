"""The order in which permits are granted."""

import asyncio

import pytest

from servicekit.admission import access
from servicekit.admission.fair_permits import FairSemaphore, Party

SOON, LATER = 0, 1
SHOP = Party("shop", "default")


class Line:
    """Tasks that wait for permits, and the order in which they got them."""

    def __init__(self, turns: FairSemaphore) -> None:
        self.turns = turns
        self.entered: list[str] = []
        self.tasks: dict[str, asyncio.Task[None]] = {}
        self.ends: dict[str, asyncio.Event] = {}
        self.costs: dict[str, float] = {}

    async def come(
        self,
        name: str,
        urgency: int = SOON,
        party: Party = SHOP,
        *,
        memory: int = 0,
        estimate: float = 0.0,
    ) -> None:
        self.ends[name] = asyncio.Event()
        work = self._pass(name, urgency, party, memory, estimate)
        self.tasks[name] = asyncio.create_task(work)
        await settle()

    async def _pass(
        self, name: str, urgency: int, party: Party, memory: int, estimate: float
    ) -> None:
        permit = await self.turns.acquire(party, urgency, memory, estimate=estimate)
        try:
            self.entered.append(name)
            await self.ends[name].wait()
        finally:
            self.turns.release(permit, self.costs.get(name, 0.0))

    async def go(self, name: str, cost: float = 0.0) -> None:
        """End the work of one that got a permit, at this cost."""
        self.costs[name] = cost
        self.ends[name].set()
        await self.tasks[name]
        await settle()

    async def run(self, costs: dict[str, float]) -> list[str]:
        """End the oldest work repeatedly, at the cost of its name's first letter, until none is
        left. Return the order in which permits were granted."""
        done = 0
        while done < len(self.entered):
            name = self.entered[done]
            await self.go(name, costs[name[0]])
            done += 1
        return self.entered


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_one_place_is_kept_from_bulk_work() -> None:
    line = Line(FairSemaphore(2, reserved=1))
    await line.come("bulk 1", LATER)
    await line.come("bulk 2", LATER)
    assert line.entered == ["bulk 1"]
    await line.come("shopper", SOON)
    assert line.entered == ["bulk 1", "shopper"]


async def test_a_shopper_who_comes_last_is_let_in_before_bulk_work_that_waits() -> None:
    line = Line(FairSemaphore(2, reserved=1))
    for name, priority in (("a", SOON), ("b", SOON), ("bulk", LATER)):
        await line.come(name, priority)
    await line.come("late", SOON)
    await line.go("a")
    assert line.entered == ["a", "b", "late"]
    await line.go("b")
    await line.go("late")
    assert line.entered[-1] == "bulk"


async def test_those_of_one_priority_are_let_in_in_the_order_of_their_coming() -> None:
    line = Line(FairSemaphore(2, reserved=1))
    names = [str(i) for i in range(12)]
    for name in names:
        await line.come(name, LATER)
    for name in names:
        await line.go(name)
    assert line.entered == names


async def test_a_cancelled_place_in_the_queue_is_not_lost() -> None:
    line = Line(FairSemaphore(2, reserved=1))
    for name in ("a", "b", "gives up", "c"):
        await line.come(name, SOON)
    line.tasks["gives up"].cancel()
    await settle()
    await line.go("a")
    assert line.entered == ["a", "b", "c"]


async def test_a_place_given_in_the_instant_of_a_cancellation_goes_to_the_next() -> None:
    line = Line(FairSemaphore(2, reserved=1))
    for name in ("a", "b", "gives up", "c", "d"):
        await line.come(name, SOON)
    line.tasks["gives up"].cancel()
    line.ends["a"].set()
    line.ends["b"].set()
    await settle()
    assert line.entered == ["a", "b", "c", "d"]
    for name in ("c", "d"):
        await line.go(name)
    for name in ("e", "f", "g"):
        await line.come(name, SOON)
    assert line.entered[-2:] == ["e", "f"]


async def test_cancelling_every_one_at_once_gives_all_places_back() -> None:
    # A deadline that many share ends them in one turn of the loop.
    line = Line(FairSemaphore(3))
    for i in range(20):
        await line.come(str(i), SOON)
    for task in line.tasks.values():
        task.cancel()
    done = await asyncio.gather(*line.tasks.values(), return_exceptions=True)
    assert all(isinstance(error, asyncio.CancelledError) for error in done)
    for name in ("x", "y", "z", "waits"):
        await line.come(name, SOON)
    assert line.entered[-3:] == ["x", "y", "z"]


def test_bulk_work_needs_a_place_of_its_own() -> None:
    with pytest.raises(ValueError, match="permit"):
        FairSemaphore(1, reserved=1)


def of(caller: str, catalog: str = "default") -> Party:
    return Party(caller, catalog)


async def queued(line: Line, name: str, party: Party, count: int) -> None:
    for number in range(count):
        await line.come(f"{name}{number}", party=party)


async def test_a_party_is_the_caller_of_the_current_call_in_a_catalog() -> None:
    access.caller.set(access.Caller("shop", frozenset()))
    assert Party.of("wine") == ("shop", "wine")


async def test_callers_get_the_same_time_whatever_their_items_cost() -> None:
    line = Line(FairSemaphore(1))
    await queued(line, "x", of("greedy"), 6)
    await queued(line, "y", of("other"), 30)
    entered = await line.run({"x": 1.0, "y": 0.1})
    assert entered[:2] == ["x0", "y0"]
    between = "".join(name[0] for name in entered).strip("y").split("x")
    assert all(9 <= len(each) <= 11 for each in between[1:3]), between


async def test_a_caller_that_comes_to_a_long_queue_waits_for_what_runs_and_nothing_else() -> None:
    line = Line(FairSemaphore(1))
    await queued(line, "x", of("greedy"), 20)
    await line.go("x0", 5.0)
    await line.go("x1", 5.0)
    await line.come("y0", party=of("other"))
    await line.go("x2", 5.0)
    assert line.entered == ["x0", "x1", "x2", "y0"]


async def test_a_caller_gets_no_more_by_asking_in_many_catalogs() -> None:
    line = Line(FairSemaphore(1))
    for number in range(10):
        await line.come(f"x{number}", party=of("greedy", f"catalog {number}"))
    await line.go("x0", 1.0)
    await queued(line, "y", of("other", "catalog 3"), 3)
    entered = await line.run({"x": 1.0, "y": 0.1})
    assert entered[:5] == ["x0", "x1", "y0", "y1", "y2"]


async def test_a_catalog_gets_no_more_by_having_many_callers() -> None:
    line = Line(FairSemaphore(1))
    for number in range(10):
        await line.come(f"x{number}", party=of(f"key {number}", "many"))
    await line.go("x0", 1.0)
    await queued(line, "y", of("alone", "few"), 3)
    entered = await line.run({"x": 1.0, "y": 1.0})
    assert entered[:6] == ["x0", "x1", "y0", "x2", "y1", "x3"]


async def test_two_floods_of_other_catalogs_and_callers_leave_a_third_its_turns() -> None:
    line = Line(FairSemaphore(2))
    await queued(line, "x", of("greedy", "wine"), 20)
    await queued(line, "z", of("greedier", "cheese"), 20)
    for number in range(3):
        await line.go(line.entered[number], 1.0)
    await queued(line, "y", of("other", "wine"), 2)
    before = len(line.entered)
    await line.go(line.entered[3], 1.0)
    await line.go(line.entered[4], 1.0)
    assert line.entered[before : before + 2] == ["y0", "y1"]


async def test_time_without_work_gives_no_claims() -> None:
    line = Line(FairSemaphore(1))
    await line.come("y0", party=of("rested"))
    await queued(line, "x", of("busy"), 8)
    await line.go("y0", 0.1)
    for number in range(4):
        await line.go(f"x{number}", 1.0)
    await queued(line, "y again ", of("rested"), 4)
    entered = await line.run({"x": 1.0, "y": 1.0})
    assert [name[0] for name in entered[5:]] == ["x", "y", "x", "y", "x", "y", "x", "y"]


async def test_of_one_caller_not_all_permits_go_to_the_first_while_others_wait() -> None:
    line = Line(FairSemaphore(2))
    await queued(line, "x", of("greedy"), 4)
    await queued(line, "y", of("other"), 1)
    await line.go("x0", 1.0)
    assert line.entered == ["x0", "x1", "y0"]


async def test_of_items_with_an_estimate_the_cheapest_goes_first_within_a_caller_and_between() -> (
    None
):
    line = Line(FairSemaphore(1))
    await line.come("x0", party=of("greedy"), estimate=1.0)
    for name, caller, estimate in (("y", "other", 3.0), ("z", "third", 1.0), ("z0", "third", 0.5)):
        await line.come(name, party=of(caller), estimate=estimate)
    assert await line.run({"x": 1.0, "y": 3.0, "z": 1.0}) == ["x0", "z0", "z", "y"]


async def test_many_cheap_items_of_a_caller_do_not_starve_an_expensive_one_of_another() -> None:
    line = Line(FairSemaphore(1))
    for number in range(10):
        await line.come(f"x{number}", party=of("busy"), estimate=1.0)
    await line.come("y", party=of("other"), estimate=3.0)
    entered = await line.run({"x": 1.0, "y": 3.0})
    assert entered.index("y") in (3, 4)


async def test_until_its_cost_is_known_a_running_item_counts_by_its_estimate() -> None:
    line = Line(FairSemaphore(2))
    await line.come("x0", party=of("one"), estimate=5.0)
    await line.come("y0", party=of("other"), estimate=1.0)
    await line.come("x1", party=of("one"), estimate=1.0)
    await line.come("y1", party=of("other"), estimate=1.0)
    await line.go("y0", 1.0)
    assert line.entered == ["x0", "y0", "y1"]


async def test_urgent_work_of_the_greediest_goes_before_what_can_wait() -> None:
    line = Line(FairSemaphore(1))
    await line.come("x0", party=of("greedy"))
    await line.come("later", LATER, of("other"))
    await line.come("x1", party=of("greedy"))
    await line.go("x0", 100.0)
    assert line.entered == ["x0", "x1"]


async def test_large_items_wait_for_memory_in_their_order_and_small_ones_pass() -> None:
    line = Line(FairSemaphore(4, memory=10))
    await line.come("a", memory=6)
    await line.come("b", memory=6)
    await line.come("c", memory=1)
    await line.come("small")
    assert line.entered == ["a", "small"]
    await line.go("a")
    assert line.entered == ["a", "small", "b", "c"]


async def test_a_caller_s_large_items_do_not_keep_memory_from_another_s() -> None:
    line = Line(FairSemaphore(4, memory=10))
    for name in ("x0", "x1", "x2"):
        await line.come(name, party=of("greedy"), memory=8)
    await line.come("y", party=of("other"), memory=8)
    await line.go("x0", 1.0)
    assert line.entered == ["x0", "y"]


async def test_a_large_item_that_is_given_up_holds_no_other_up() -> None:
    line = Line(FairSemaphore(4, memory=10))
    for name, size in (("a", 6), ("b", 8), ("c", 2)):
        await line.come(name, memory=size)
    line.tasks["b"].cancel()
    await settle()
    assert line.entered == ["a", "c"]


async def test_what_was_used_is_forgotten_when_nothing_waits_any_more() -> None:
    turns = FairSemaphore(1)
    line = Line(turns)
    for number in range(100):
        await line.come(f"x{number}", party=of(f"key {number}", f"catalog {number}"))
    await line.run({"x": 1.0})
    assert turns.accounts == 0
