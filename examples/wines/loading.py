"""Loads the example catalog into a suite: products, ratings, a trained model.

Every step verifies its result and raises LoadingFailed if it failed.
"""

import asyncio
import time
from collections.abc import Callable, Sequence

from examples.wines import shop
from examples.wines.catalogue import Rating, Wine, load_ratings, load_wines
from sightline_client import JobState, SightlineClient

__all__ = ["Rating", "Wine", "load_ratings", "load_wines"]
"""The loaded data, by this module's own steps."""

Progress = Callable[[int, int], None]
"""Called with the number done and the total."""

TRAINING_SEED = 7
_INDEX_SECONDS = 180.0
TRAIN_SECONDS = 900.0


class LoadingFailed(Exception):
    """A step failed; the message names what is missing."""


def ignore(done: int, total: int) -> None:
    """Show no progress."""


async def import_wines(
    client: SightlineClient, wines: Sequence[Wine], progress: Progress = ignore
) -> str:
    """Write the wines with their photos. Return the index token of the last write."""
    token = ""
    products = (shop.product(wine) for wine in wines)
    async for batch in client.upsert_products(products, batch_size=10):
        for outcome in batch.outcomes:
            if outcome.error is not None:
                raise LoadingFailed(f"wine {outcome.product_id} was rejected: {outcome.error}")
        token = batch.index_token
        progress(batch.done, len(wines))
    return token


async def wait_indexed(client: SightlineClient, photos: int, progress: Progress = ignore) -> float:
    """Wait until every photo's vector is in the index. Return the seconds that it took."""
    since = time.monotonic()
    while True:
        status = await client.status()
        if status.failed_images:
            raise LoadingFailed(f"{status.failed_images} photos could not be embedded")
        progress(min(status.indexed_images or 0, photos), photos)
        if (status.indexed_images or 0) >= photos and status.pending_images == 0:
            return time.monotonic() - since
        if time.monotonic() - since > _INDEX_SECONDS:
            raise LoadingFailed(
                f"{status.indexed_images} of {photos} photos are in the index after"
                f" {_INDEX_SECONDS:.0f} s, {status.pending_images} wait"
            )
        await asyncio.sleep(0.2)


async def import_ratings(
    client: SightlineClient, ratings: Sequence[Rating], progress: Progress = ignore
) -> None:
    """Write the ratings as events."""
    written = 0
    events = (shop.event(rating) for rating in ratings)
    async for batch in client.write_events(events, batch_size=100):
        for failure in batch.failures:
            raise LoadingFailed(f"event {failure.event_id} was rejected: {failure.error}")
        written += batch.written_count + batch.duplicate_count
        progress(batch.done, len(ratings))
    if written != len(ratings):
        raise LoadingFailed(f"{written} of {len(ratings)} events were taken in")


async def train(
    client: SightlineClient, progress: Progress = ignore, seconds: float = TRAIN_SECONDS
) -> str:
    """Train a model on all events, within `seconds`. Return its version."""
    job = await client.train_model(seed=TRAINING_SEED)
    async for state in client.watch_job(job.job_id, timeout=seconds):
        progress(state.done, state.total)
        job = state
    if job.state is not JobState.SUCCEEDED:
        raise LoadingFailed(f"training ended as {job.state}: {job.error or 'no reason given'}")
    return job.results["model_version"]


async def promote(client: SightlineClient, model_version: str) -> None:
    """Promote the model regardless of its evaluation, as so few ratings prove little."""
    model = await client.promote_model(model_version, force=True)
    if not model.promoted:
        raise LoadingFailed(f"model {model_version} is not the serving one")


async def load_all(client: SightlineClient) -> str:
    """Import all wines and ratings, wait until the photos are found, and train and promote a model.
    Return its version."""
    wines = load_wines()
    await import_wines(client, wines)
    await import_ratings(client, load_ratings())
    await wait_indexed(client, len(wines))
    version = await train(client)
    await promote(client, version)
    return version
