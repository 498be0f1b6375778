"""Trainings by time: `python -m ranker.train --catalog`, on a record and a retriever of its own."""

import asyncio
import os
import sys
from pathlib import Path

import pytest

from ranker.domain.events import EventType, Identity, Shopper
from ranker.domain.model import ModelVerdict
from ranker.events.intake import _stored as to_stored
from ranker.record.events import EventRecord
from ranker.record.models import ModelRegistry
from ranker.record.tables import MIGRATIONS
from servicekit.sql.database import Database
from tests.fakes.ranker import HOUR, KEY, NOW, FakeProducts, FakeVectors, event, serving
from tests.fakes.trainings import PRODUCTS, drawn_vectors
from tests.waiting import SECONDS


async def bought(database: Database, people: range) -> None:
    """Write purchases of a wine by each person, two of one for all, then one of another."""
    events = [
        event(
            f"{person}-{step}",
            shopper=Shopper(Identity.USER, f"user-{person}"),
            type=EventType.PURCHASE,
            product_id=f"{'rw'[person % 2]}{step // 2 * (person // 2 % 4 + 1)}",
            time_micros=NOW + step * HOUR,
        )
        for person in people
        for step in range(3)
    ]
    await EventRecord(database).append([to_stored("default", one, KEY, NOW) for one in events])


async def train(target: str, url: str, folder: Path, *arguments: str) -> int:
    """Return the exit status of a training requested by a timer."""
    (folder.parent / "recipe.toml").write_text("epochs = 2\nablation = false")
    environment = os.environ | {
        "RANKER_TRAINING_PRIORITY": "normal",
        "RANKER_DATABASE_URL": url,
        "RANKER_MODEL_STORE": str(folder),
        "RANKER_RETRIEVER_TARGET": target,
        "RANKER_POLL_SECONDS": "0.05",
        "RANKER_RECIPE_FILE": str(folder.parent / "recipe.toml"),
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "ranker.train", "--catalog", *arguments), env=environment
    )
    return await asyncio.wait_for(process.wait(), SECONDS)


@pytest.mark.full
async def test_a_timer_asks_for_a_training_and_what_proves_itself_serves(tmp_path: Path) -> None:
    url, models = f"sqlite:///{tmp_path}/ranker.db", tmp_path / "models"
    drawn = drawn_vectors(PRODUCTS)
    looks = FakeVectors(dict(zip(drawn.product_ids, drawn.vectors.tolist(), strict=True)))
    async with serving(FakeProducts(PRODUCTS), looks) as target:
        database = Database(url, migrations=MIGRATIONS)
        try:
            database.migrate()
            await bought(database, range(16))
            assert await train(target, url, models, "default", "--promote") == 0
            registry = ModelRegistry(database)
            (made,) = await registry.list("default", limit=9, before=None)
            assert made.product_count == len(PRODUCTS)
            assert made.verdict is ModelVerdict.INCONCLUSIVE
            assert await registry.serving("default") is None
            assert await train(target, url, models, "default", "--incremental") == 1, "none serves"
            await bought(database, range(16, 216))
            assert await train(target, url, models, "default", "--promote") == 0
            serves = await registry.serving("default")
            assert serves is not None
            assert serves.verdict is ModelVerdict.PASSED
        finally:
            database.close()
