"""Counts all shoppers' events again after the catalog's default for trainings has changed: a job.

It goes through all products and shoppers. Each step replaces sums by those over the present events,
so that the job can be repeated after an interruption.
"""

import asyncio
from collections.abc import Awaitable, Callable

from ranker.record.recounting import RecountRecord
from servicekit.jobs.queue import Job, Jobs
from servicekit.jobs.worker import leave_on

RECOUNT = "recount"
PRODUCTS, SHOPPERS = 20, 100
"""Products and shoppers of a transaction."""


async def run(job: Job, record: RecountRecord, jobs: Jobs, stop: asyncio.Event) -> dict[str, str]:
    """Run the job and return its result. Raise the errors of `jobs.progress`, and JobLeft on
    `stop`."""
    total = sum(await record.sizes(job.catalog_id))
    done = 0

    async def through(step: Callable[[str, str, int], Awaitable[tuple[str, int]]], of: int) -> int:
        nonlocal done
        after, all_of_them = "", 0
        while True:
            leave_on(stop)
            last, count = await step(job.catalog_id, after, of)
            all_of_them, done = all_of_them + count, done + count
            await jobs.progress(job, min(done, total), total)
            if count < of:
                return all_of_them
            after = last

    products = await through(record.products, PRODUCTS)
    shoppers = await through(record.shoppers, SHOPPERS)
    return {"product_count": str(products), "shopper_count": str(shoppers)}
