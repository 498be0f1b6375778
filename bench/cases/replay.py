"""Replay: fraction of answers that are equal bit for bit when computed again from their records,
and the cost of recording.

In this process, on the ranker's own record in a file: a shop of shelves.py and answers of four
kinds. After half of the answers, events of other shoppers are written and another model serves; the
replay loads models from the model store. Cost: the processor time of Rank with and without a
record, which is encoded at once, in alternation; each is the first in every second round.
"""
# ruff: noqa: ARG002 (the model serves every catalog)

import asyncio
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeAlias, cast

import numpy as np

from bench.datasets import shelves
from bench.harness.model import BenchResult, BenchTable, Goal, Interval
from bench.harness.ranker_servers import ACTOR, KEY, fill
from bench.harness.statistics import median_ratio
from ranker.adapters.model_store import ModelStore
from ranker.domain.model import Model
from ranker.domain.signals import DEFAULTS
from ranker.ports import Models
from ranker.record.answers import AnswerLog, AnswerQueue, StoredAnswer, content_of
from ranker.record.events import EventRecord
from ranker.record.tables import MIGRATIONS
from ranker.servicer.answers import AnswerServicer
from ranker.servicer.ranking import RankingServicer
from ranker.servicer.replay import Replayer
from ranker.serving.replay_answer import ReplayAnswer
from servicekit.clock import now_micros
from servicekit.sql.database import Database
from sightline.common.v1 import event_pb2
from sightline.ranker.v1 import answer_service_pb2 as answers_pb
from sightline.ranker.v1 import ranking_service_pb2 as pb

Say: TypeAlias = Callable[[str], None]

ANSWERS = 1_000
CANDIDATES = 200
PAGE = 20
ROUNDS, WARM_UP = 300, 30
NEWCOMER = "bo"
DIVERSE = pb.Diversity(diversity=0.3, popularity=0.1, brand_cap=3, exploration_places=[5])
KINDS: Mapping[str, Mapping[str, Any]] = {
    "known shopper": {},
    "known shopper, diverse, collapsed": {"diversity": DIVERSE, "collapse": True},
    "newcomer": {"shopper": event_pb2.Shopper(user_id=NEWCOMER), "drop_seen": True},
    "nobody, popular": {"weights": [pb.PartWeight(part="popularity", weight=1)]},
}
Requests: TypeAlias = Mapping[str, pb.RankRequest]


@dataclass(eq=False)
class _Models(Models):
    """A model registry with one serving model."""

    now: Model

    def serving(self, catalog_id: str) -> Model | None:
        return self.now

    def pinned(self, catalog_id: str, version: str) -> Model | None:
        return None

    def refused(self, catalog_id: str) -> bool:
        return False

    def former(self, catalog_id: str) -> Model | None:
        return None


class _Weighed:
    """A record writer that stores only the size of the last record."""

    size = 0

    def offer(self, answer: StoredAnswer, /) -> bool:
        self.size = len(content_of(answer))
        return True


@dataclass
class ReplayFigures:
    """Figures by kind of request."""

    equal: dict[str, list[bool]] = field(default_factory=dict)
    recorded: dict[str, list[float]] = field(default_factory=dict)
    """Processor time of each call, ms."""
    without: dict[str, list[float]] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)
    """Bytes of a record."""
    replay_ms: list[float] = field(default_factory=list)


def run(say: Say) -> BenchResult:
    """Answer, change events and models, and compute again."""
    with tempfile.TemporaryDirectory() as folder:
        return result(asyncio.run(_measured(Path(folder), say)))


async def _measured(folder: Path, say: Say) -> ReplayFigures:  # noqa: PLR0915 - one run, in order
    database = Database(f"sqlite:///{folder}/ranker.db", migrations=MIGRATIONS)
    await asyncio.to_thread(database.migrate)
    record, found = EventRecord(database), ReplayFigures()
    await fill(record, now_micros())
    first = shelves.drawn_model(ACTOR)
    second = replace(first, version="lfm-other", item_biases=first.item_biases[::-1].copy())
    models = _Models(first)
    queue = AnswerQueue(AnswerLog(database), now_micros)
    ranker = RankingServicer.of(
        ("default",), KEY, record, models, shelves.SIZE, answers=queue, keep_micros=10**12
    )
    drawn = np.random.default_rng(shelves.SEED + 9)
    products = shelves.products()
    say(f"{ANSWERS} answers of {CANDIDATES} candidates, and each once more")
    for number in range(ANSWERS):
        if number == ANSWERS // 2:
            await fill(record, now_micros(), "later")
            models.now = second
        rows = drawn.choice(shelves.SIZE, CANDIDATES, replace=False).tolist()
        name = [*KINDS][number % len(KINDS)]
        asked = _request([products[row] for row in rows], name, f"a{number}")
        await ranker.Rank(asked, cast(Any, None))
    await queue.close(60)
    store = ModelStore(str(folder / "models"))
    hashes = {one.version: store.write("default", one, {}) for one in (first, second)}

    async def load(catalog_id: str, version: str) -> Model:
        return await asyncio.to_thread(store.read, catalog_id, version, hashes[version])

    nothing = _Models(replace(first, version="lfm-third"))
    replayer = Replayer(ReplayAnswer(KEY, record, nothing, load, DEFAULTS))
    answers = AnswerServicer(("default",), KEY, queue, 0, replayer, record)
    for number in range(ANSWERS):
        began = time.process_time()
        request = answers_pb.ReplayAnswerRequest(answer_id=f"a{number}", limit=PAGE)
        again = await answers.ReplayAnswer(request, cast(Any, None))
        found.replay_ms.append(1000 * (time.process_time() - began))
        found.equal.setdefault([*KINDS][number % len(KINDS)], []).append(again.equal)
    say(f"the cost of recording, {ROUNDS} rounds")
    shown = [products[row] for row in drawn.choice(shelves.SIZE, CANDIDATES, replace=False)]
    await _costs(ranker, {name: _request(shown, name, "c") for name in KINDS}, found)
    database.close()
    return found


def _request(shown: Sequence[Any], name: str, answer_id: str) -> pb.RankRequest:
    fields = dict(KINDS[name])
    asked = shelves.request(shown, top_k=2 * PAGE + 10, reason_top_k=PAGE)
    if "weights" in fields:
        asked.ClearField("weights")
        asked.ClearField("shopper")
    asked.MergeFrom(pb.RankRequest(**fields))
    asked.candidates.image_hashes.extend(hash(one.product_id) % 2**63 for one in shown)
    asked.record.answer_id = answer_id
    asked.record.branches.extend([1] * len(shown))
    asked.record.branch_names.append("visual")
    asked.record.answer_time_micros = now_micros()
    return asked


async def _costs(ranker: RankingServicer, asked: Requests, found: ReplayFigures) -> None:
    """Measure both ways in alternation, alternating the first one."""
    weighed = _Weighed()
    measured = replace(ranker, record=replace(ranker.record, answers=weighed))
    for number in range(WARM_UP + ROUNDS):
        for name, request in asked.items():
            data = request.SerializeToString()
            for way in ((0, 1), (1, 0))[number % 2]:
                again = pb.RankRequest.FromString(data)
                if way:
                    again.ClearField("record")
                began = time.process_time()
                await measured.Rank(again, cast(Any, None))
                spent = 1000 * (time.process_time() - began)
                if number >= WARM_UP:
                    costs = (found.recorded, found.without)[way]
                    costs.setdefault(name, []).append(spent)
            found.sizes[name] = weighed.size


def result(found: ReplayFigures) -> BenchResult:
    """Return the figures as tables and goals."""
    whole = [each for equal in found.equal.values() for each in equal]
    share = sum(whole) / len(whole)
    ratios = {name: median_ratio(found.recorded[name], found.without[name]) for name in found.sizes}
    rounds = [
        [sum(each) for each in zip(*costs.values(), strict=True)]
        for costs in (found.recorded, found.without)
    ]
    rows = [
        (
            name,
            f"{sum(found.equal[name])} of {len(found.equal[name])}",
            f"{ratio.value:.3f} ({ratio.low:.3f}–{ratio.high:.3f})",
            f"{float(np.median(found.without[name])):.2f}",
            f"{found.sizes[name]:,}",
        )
        for name, ratio in ratios.items()
    ]
    headers = ("answers", "bit-equal", "processor time ×", "ms without", "bytes of a record")
    caption = (
        f"{len(whole)} answers of {CANDIDATES} candidates, computed again after other events were"
        f" written and another model served; {float(np.median(found.replay_ms)):.1f} ms each."
        " Processor time: of Rank with a record, encoded at once, ÷ without; a whole answer takes"
        " two to four times that of Rank."
    )
    return BenchResult(
        tables=(BenchTable("Replay", headers, tuple(rows), caption, section=None),),
        goals=(
            Goal("answers that are bit-equal", None, "", Interval(share, share, share), 1.0),
            Goal(
                "processor time of Rank, all kinds, with a record ÷ without",
                1.25,
                "×",
                median_ratio(*rounds),
                by_figure=True,
            ),
        ),
        figures={
            "equal": {name: sum(equal) for name, equal in found.equal.items()},
            "answers": len(whole),
            "with_ms": found.recorded,
            "without_ms": found.without,
            "bytes": found.sizes,
            "replay_ms": found.replay_ms,
        },
    )
