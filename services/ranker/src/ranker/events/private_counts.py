"""Export of counts with differential privacy: a job, because there may be millions of events.

Only counts with noise are written. The budget was spent when the job was requested; an interrupted
job counts again, and releases nothing before it is done.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from ranker.adapters.export_store import ExportFolder
from ranker.domain.private_counts import DELTA, AddNoise, CountsOrder, NoisyCounts, order_of
from ranker.domain.selection import params
from ranker.record.private_counts import BudgetRecord
from servicekit.jobs.queue import Job, Jobs

FILE = "counts.json"
FORMAT = 1


@dataclass(frozen=True, slots=True)
class CountsWork:
    """What the job works with."""

    record: BudgetRecord
    jobs: Jobs
    add_noise: AddNoise
    floor: int
    """Minimum count that is written."""
    note: Callable[[Job], Awaitable[None]] | None = None
    """Notes the catalog's expenses beside the backups; `None` without backups."""


async def run(job: Job, work: CountsWork, files: ExportFolder) -> dict[str, str]:
    """Run the job and return its result. Raise NoiseUnavailable, ExportUnwritable, and the errors
    of `work.note` and `jobs.progress`."""
    jobs = work.jobs
    order = order_of(job.catalog_id, job.params)
    await jobs.progress(job, 0, 2)
    if FILE in await files.names():
        # A second draw of noise would show more than was paid for.
        found = json.loads(await files.get(FILE))
    else:
        if work.note is not None:
            await work.note(job)  # first: a restore would forget what was spent on what is released
        counts = await work.record.count(order)
        await jobs.progress(job, 1, 2)
        noisy = await asyncio.to_thread(work.add_noise, counts, order, work.floor)
        found = _content(job, order, noisy)
        await files.put(FILE, json.dumps(found, indent=2).encode())
    await jobs.progress(job, 2, 2)
    return {
        "folder": files.url,
        "count_count": str(len(found["counts"])),
        "threshold": str(found["threshold"]),
        "noise_scale": str(found["noise_scale"]),
    }


def _content(job: Job, order: CountsOrder, noisy: NoisyCounts) -> dict[str, object]:
    return {
        "format": FORMAT,
        "catalog_id": job.catalog_id,
        "job_id": job.id,
        "conditions": params(order.selection),
        "attribute": order.attribute,
        "epsilon": order.epsilon,
        "delta": DELTA,
        "most_products": order.most_products,
        "threshold": noisy.threshold,
        "noise_scale": noisy.scale,
        "counts": [
            {"value": value, "product_id": product_id, "shoppers": count}
            for (value, product_id), count in sorted(noisy.counts.items())
        ],
    }
