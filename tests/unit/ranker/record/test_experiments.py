"""Experiments in SQL."""

import asyncio
import threading
from contextlib import suppress

from ranker.record.experiments import ExperimentRecord, Kept
from ranker.record.tables import MIGRATIONS
from servicekit.sql.database import Database


async def test_of_two_that_register_at_once_the_second_sees_what_the_first_kept(new_store) -> None:
    url = new_store(MIGRATIONS, "ranker.db")
    databases = [Database(url, migrations=MIGRATIONS) for _ in range(2)]
    both, seen = threading.Barrier(2), []

    def decide(kept):
        seen.append(len(kept))
        with suppress(threading.BrokenBarrierError):  # the other one waits, as it is to
            both.wait(0.3)
        return [Kept("order", 1, str(len(seen)).encode())]

    await asyncio.gather(*(ExperimentRecord(one).keep("default", decide) for one in databases))

    assert sorted(seen) == [0, 1]
    for one in databases:
        one.close()
