"""Counts with differential privacy: what is counted, what it costs, and what OpenDP adds."""

import json
import math
import statistics
import subprocess
import sys
import weakref
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from ranker.adapters import opendp
from ranker.adapters.export_store import ExportStore
from ranker.domain.consent import Decision, Purpose
from ranker.domain.errors import BudgetSpent, NoiseUnavailable
from ranker.domain.events import EventType, Identity, Shopper
from ranker.domain.private_counts import (
    COUNTS,
    DELTA,
    BudgetLimit,
    CountsOrder,
    NoisyCounts,
    bounded,
    order_of,
)
from ranker.domain.selection import Selection
from ranker.events.private_counts import FILE, CountsWork, run
from ranker.record.consent_changes import ConsentRecord
from ranker.record.events import EventRecord
from ranker.record.private_counts import BudgetRecord, spend
from ranker.record.shoppers import ShopperRecord
from ranker.record.tables import JOBS
from servicekit.jobs.queue import Job, Jobs
from servicekit.sql.database import Database
from tests.fakes.ranker import KEY, NOW, stored

BUY = EventType.PURCHASE


def order(epsilon: float = 1.0, attribute: str = "", most: int = 8, **fields) -> CountsOrder:
    chosen = Selection("default", types=(BUY,), **fields)
    return CountsOrder(chosen, epsilon, attribute, most)


def person(number: int) -> Shopper:
    return Shopper(Identity.USER, f"p{number}")


async def shop(db: Database, people: int = 6) -> None:
    """Let each person buy `a` twice, and every other one `b`; half of them gave a country."""
    events = [
        stored(f"{who}-{n}", product_id=item, type=BUY, shopper=person(who))
        for who in range(people)
        for n, item in enumerate("aab" if who % 2 else "aa")
    ]
    await EventRecord(db).append([*events, stored("view", product_id="c")])
    for who in range(0, people, 2):
        await ShopperRecord(db).set_attributes(
            "default",
            KEY.of("default", person(who)),
            {"country": "FR" if who else "DE"},
            consent=True,
            key_id=KEY.key_id,
            now_micros=NOW,
        )


async def test_each_shopper_counts_once_in_a_product(db: Database) -> None:
    await shop(db)
    record = BudgetRecord(db)
    assert await record.count(order()) == {("", "a"): 6, ("", "b"): 3}
    by_country = await record.count(order(attribute="country"))
    assert by_country == {("DE", "a"): 1, ("FR", "a"): 2}
    assert sum((await record.count(order(most=1))).values()) == 6


async def test_who_refuses_trainings_is_not_counted(db: Database) -> None:
    await shop(db)
    refuses = [Decision(Purpose.TRAIN, False, "banner", NOW)]
    who = KEY.of("default", person(1))
    await ConsentRecord(db).decide("default", who, refuses, key_id=KEY.key_id)
    assert await BudgetRecord(db).count(order()) == {("", "a"): 5, ("", "b"): 2}


@pytest.mark.parametrize("most", [1, 3, 8])
def test_a_shopper_changes_at_most_so_many_counts_by_one(most: int) -> None:
    """The sensitivity that the noise is made for."""
    others = [(f"s{n % 7}", f"p{n % 11}") for n in range(60)]
    pairs = sorted(set(others))
    without = bounded(pairs, None, most)
    busy = [("busy", f"p{n}") for n in range(40)]
    differs = bounded([*pairs, *busy], None, most)
    changes = [differs.get(key, 0) - without.get(key, 0) for key in {*differs, *without}]
    assert sorted(changes)[-most:] == [1] * most
    assert sum(map(abs, changes)) == most
    again = bounded([*pairs, *reversed(busy)], None, most)
    assert again == differs, "their choice does not depend on the order"


@pytest.mark.parametrize(("epsilon", "most"), [(0.1, 1), (1.0, 8), (10.0, 100), (0.7, 3)])
def test_the_noise_has_the_scale_that_epsilon_needs(epsilon: float, most: int) -> None:
    true = {("", f"p{n}"): 1_000_000 for n in range(1_500)}
    found = opendp.add_noise(true, order(epsilon, most=most), 20)
    assert found.scale == pytest.approx(most / epsilon)
    errors = [count - 1_000_000 for count in found.counts.values()]
    assert len(errors) == len(true)
    deviation = math.sqrt(2) * found.scale
    assert statistics.fmean(errors) == pytest.approx(0, abs=max(0.2 * deviation, 0.2))
    assert statistics.pstdev(errors) == pytest.approx(deviation, rel=0.35)


def test_products_of_a_few_shoppers_are_left_out() -> None:
    one = {("", "rare"): 1, ("", "common"): 1_000_000}
    found = opendp.add_noise(one, order(1.0, most=8), 20)
    assert found.counts.keys() == {("", "common")}
    assert found.threshold == math.ceil(1 + 8 * math.log(8 / DELTA))
    assert opendp.add_noise(one, order(10.0, most=1), 500).threshold == 500, "the floor"


@pytest.mark.full
def test_noise_of_a_process_of_its_own_leaves_nothing_loaded_here() -> None:
    program = """
import sys
from ranker.adapters import opendp
from ranker.domain.private_counts import CountsOrder
from ranker.domain.selection import Selection

if __name__ == "__main__":
    true = {("", "common"): 1_000_000}
    found = opendp.add_noise_apart(true, CountsOrder(Selection("default"), 1.0, "", 8), 20)
    assert abs(found.counts["", "common"] - 1_000_000) < 1_000, found
    assert "opendp" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


def test_two_draws_differ() -> None:
    true = {("", f"p{n}"): 100_000 for n in range(50)}
    one, other = (opendp.add_noise(true, order(0.1), 20).counts for _ in range(2))
    assert one != other


async def test_the_budget_is_spent_and_returns_with_time(db: Database) -> None:
    record, jobs, day = BudgetRecord(db), Jobs(db, JOBS), 86_400_000_000

    async def request(epsilon: float, key: str, at: int = 0) -> None:
        wanted, limit = order(epsilon), BudgetLimit(1.0, 10.0)
        paid = partial(spend, order=wanted, limit=limit, now_micros=NOW + at)
        await jobs.create(COUNTS, "default", wanted.params(), key, beside=paid)

    await request(0.6, "a")
    await request(0.6, "a")  # the same request again
    with pytest.raises(BudgetSpent, match=r"epsilon 0\.4 .* 10\.0 days"):
        await request(0.5, "b")
    assert len(await jobs.list()) == 1, "nothing runs that was not paid for"
    await request(0.4, "c", at=day)
    with pytest.raises(BudgetSpent, match="epsilon 0 "):
        await request(0.1, "d", at=2 * day)
    await request(0.6, "e", at=10 * day)
    left = await record.spendings("default", NOW + day - 1)
    assert [(one.epsilon, one.delta) for one in left] == [(0.6, DELTA), (0.4, DELTA)]
    assert left[0].text == "shoppers by product, PURCHASE"
    assert await record.spendings("other", 0) == []


def test_an_order_comes_back_from_its_parameters() -> None:
    given = order(0.5, "country", 3, from_micros=1, last_sequence=9)
    assert order_of("default", json.loads(json.dumps(given.params()))) == given


async def test_a_repeated_job_draws_no_second_noise(db: Database, tmp_path: Path) -> None:
    await shop(db, people=30)
    draws = []

    def add(counts, order, floor) -> NoisyCounts:
        draws.append(floor)
        return NoisyCounts({key: count + len(draws) for key, count in counts.items()}, floor, 1.0)

    jobs, store = Jobs(db, JOBS), ExportStore(str(tmp_path))
    await jobs.create(COUNTS, "default", order().params())
    job = await jobs.claim((COUNTS,), "me", 30)
    assert job is not None
    files = store.folder("default", job.id)
    noted: list[str] = []

    async def note(job: Job) -> None:
        assert await files.names() == [], "before anything is written"
        noted.append(job.id)

    work = CountsWork(BudgetRecord(db), jobs, add, 7, note)
    done = await run(job, work, files)
    assert await run(job, work, files) == done
    assert (draws, noted) == ([7], [job.id])
    written = json.loads(await files.get(FILE))
    assert written["counts"] == [
        {"value": "", "product_id": "a", "shoppers": 31},
        {"value": "", "product_id": "b", "shoppers": 16},
    ]
    assert (written["epsilon"], written["delta"], written["threshold"]) == (1.0, DELTA, 7)
    assert "p1" not in json.dumps(written)


def test_without_the_extra_the_job_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opendp", None)
    monkeypatch.setitem(sys.modules, "opendp.prelude", None)
    with pytest.raises(NoiseUnavailable):
        opendp.add_noise({}, order(), 20)
    with pytest.raises(NoiseUnavailable):
        opendp.add_noise_apart({}, order(), 20)


class Held(str):
    """A product's id whose objects can be counted while they exist."""


@pytest.mark.parametrize("people", [10, 1_000])
def test_only_the_pairs_of_one_shopper_are_held(people: int) -> None:
    alive, most, products = [0], [0], 5

    def gone() -> None:
        alive[0] -= 1

    def pairs() -> Iterator[tuple[str, str]]:
        for who in range(people):
            for item in range(products):
                one = Held(f"{item}")
                weakref.finalize(one, gone)
                alive[0] += 1
                most[0] = max(most[0], alive[0])
                yield f"p{who:04}", one

    counts = bounded(pairs(), None, products)
    assert counts == {("", f"{item}"): people for item in range(products)}
    # Keys of the counts, those of a shopper and of the one before, and the next one.
    assert most[0] <= 3 * products + 1
