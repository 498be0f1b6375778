"""The results of a training on the record's own answers and events."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from ranker.adapters.model_store import ModelStore
from ranker.domain.events import EventType, Identity, Shopper
from ranker.domain.model import ModelRecord
from ranker.domain.recipe import PartBlend
from ranker.learning.training.shown import about, read
from ranker.record.answer_feedback import FeedbackRecord
from ranker.record.answers import AnswerLog, StoredAnswer
from ranker.record.events import EventRecord
from ranker.record.models import ModelRegistry
from servicekit.sql.database import Database
from sightline.common.v1 import answer_pb2
from sightline.ranker.v1 import answer_service_pb2 as pb
from tests.fakes.answered import of_products
from tests.fakes.ranker import NOW, model, stored
from tests.stores import only_sqlite

ANSWERS, PLACES = 1_500, 7
SERVED = {"taste": 1.0, "session": 2.0}
DEFAULT = PartBlend({**SERVED, "popularity": 1.0}, "validation", 10)


async def write(db: Database, store: ModelStore) -> None:
    """Write answers of a model that overrates the session, while clicks depend on taste."""
    made = dataclasses.replace(model({"p0": [0.0]}, version="m1"), blend=SERVED)
    digest = store.write("default", made, {})
    await ModelRegistry(db).add(ModelRecord("default", "m1", digest, NOW, 1, 1, 1, 1, 1, ()))
    rng, answers, events = np.random.default_rng(1), [], []
    for n in range(ANSWERS):
        raw = rng.normal(size=(PLACES, 2))
        raw = raw[np.argsort(-(raw @ [1.0, 2.0]))]
        products = [
            pb.AnsweredProduct(
                product_id=f"p{place}",
                raw_score=taste + 2 * session,
                parts=[
                    answer_pb2.ScorePart(name="taste", value=taste),
                    answer_pb2.ScorePart(name="session", value=2 * session),
                ],
            )
            for place, (taste, session) in enumerate(raw.tolist())
        ]
        content = pb.AnswerRecord(
            answer_id=f"a{n}", columns=of_products(products)
        ).SerializeToString()
        answers.append(
            StoredAnswer("default", f"a{n}", "", "k", content, NOW * 2, NOW - n - 1, "m1")
        )
        like = 1 / (1 + np.exp(1.5 - raw @ [2.0, 0.3]))
        clicked = rng.random(PLACES) < like / np.arange(1, PLACES + 1) ** 0.7
        for place in range(PLACES):
            fields = {
                "product_id": f"p{place}",
                "answer_id": f"a{n}",
                "shopper": Shopper(Identity.USER, f"u{n}"),
                "time_micros": NOW - n,
            }
            events.append(stored(f"i{n}-{place}", type=EventType.IMPRESSION, **fields))
            if clicked[place]:
                events.append(stored(f"c{n}-{place}", type=EventType.CLICK, **fields))
    for start in range(0, len(answers), 700):
        await AnswerLog(db).write(answers[start : start + 700], NOW)
    for start in range(0, len(events), 4_000):
        await EventRecord(db).append(events[start : start + 4_000])


@pytest.mark.full
@pytest.mark.slow
@only_sqlite  # the queries are asked of both elsewhere
async def test_a_training_learns_blend_and_calibration_from_the_record(
    db: Database, tmp_path: Path
) -> None:
    store, registry = ModelStore(str(tmp_path / "models")), ModelRegistry(db)
    stores = {"answers": FeedbackRecord(db), "registry": registry, "store": store}
    nothing = await read("default", now_micros=NOW, **stores)
    assert nothing.learned(DEFAULT, NOW).blend is DEFAULT
    await write(db, store)
    shown = await read("default", now_micros=NOW, **stores)
    assert shown.learned(DEFAULT, NOW - ANSWERS).blend is DEFAULT, "it is of the time before"
    found = shown.learned(DEFAULT, NOW + 1)
    assert found.blend.learned_from == "impressions"
    assert found.blend.weights["taste"] > 3 * found.blend.weights["session"]
    assert found.calibration is not None
    reported = json.loads(json.dumps(about(found)))
    assert reported["impressions"] == ANSWERS * PLACES
    assert reported["gain"]["lower"] > 0
    assert len(reported["reliability"]) == 10
    assert reported["examination"]["1"] == 1.0
