"""A space is refined by clicks: the matrix, its measurement, and the job."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from ranker.domain.errors import Interrupted, PhotoClicksTooFew
from ranker.domain.features import PhotoVectors
from ranker.domain.photo_clicks import PhotoClick
from ranker.domain.refinement import Refinement
from ranker.learning.feedback.answered import photo_clicks
from ranker.learning.refine_space import RefineSpace, learn
from ranker.record.photo_clicks import ClickedAnswer
from servicekit.errors import PermissionDenied, Unavailable
from servicekit.jobs.queue import Job, JobCancelled
from sightline.ranker.v1 import answer_service_pb2 as pb

PRODUCTS, SIZE = 60, 32


def shop(seed: int = 0) -> PhotoVectors:
    """Return products at random."""
    made = np.random.default_rng(seed).normal(size=(PRODUCTS, SIZE)).astype(np.float32)
    made /= np.linalg.norm(made, axis=1, keepdims=True)
    return PhotoVectors(tuple(f"p{n:02d}" for n in range(PRODUCTS)), made, "v1")


def clicks(products: PhotoVectors, count: int, *, noise: float = 0.25) -> list[PhotoClick]:
    """Return clicks of many shoppers, whose photos differ from the products in four directions."""
    draw = np.random.default_rng(1)
    camera = draw.normal(size=(4, SIZE))
    found = []
    for number in range(count):
        row = 17 * number % PRODUCTS  # another product with each click of a shopper
        photo = products.vectors[row] + noise * draw.normal(size=4) @ camera
        vector = (photo / np.linalg.norm(photo)).astype("<f4").tobytes()
        item, place = products.product_ids[row], int(draw.integers(1, 12))
        found.append(PhotoClick(f"s{number // 3}", item, place, number, vector))
    return found


def test_the_clicked_products_come_nearer_to_the_photos_of_shoppers_left_out() -> None:
    found = learn(clicks(shop(), 400), shop())
    assert (found.space_version, found.matrix.shape) == ("v1", (SIZE, SIZE))
    assert found.shopper_count == 134
    assert found.click_count == 400
    assert found.gain.gain_low > 0.1
    assert found.gain.hit_low <= found.gain.hit <= found.gain.hit_high
    # New photos, not measured by the refinement itself.
    new = clicks(shop(), 900)[400:]
    photos = np.stack([np.frombuffer(one.vector, "<f4") for one in new])
    wanted = [shop().product_ids.index(one.product_id) for one in new]
    assert share(photos @ found.matrix, shop().vectors @ found.matrix, wanted) > 0.1 + share(
        photos, shop().vectors, wanted
    )


def test_clicks_that_follow_the_present_order_do_not_hide_the_gain() -> None:
    """Shoppers look at a place with a chance of 1 / place, so most clicks are on what comes first
    already; the figure of the space in use is near the share of all photos that find theirs."""
    products, draw = shop(), np.random.default_rng(2)
    every = clicks(products, 6_000)
    photos = np.stack([np.frombuffer(one.vector, "<f4") for one in every])
    wanted = np.array([products.product_ids.index(one.product_id) for one in every])
    scores = photos @ products.vectors.T
    places = (scores >= scores[np.arange(len(every)), wanted, None]).sum(axis=1)
    seen = np.flatnonzero((places <= 10) & (draw.random(len(every)) < 1 / places))[:600]
    made = [
        PhotoClick(f"s{row}", every[row].product_id, int(places[row]), row, every[row].vector)
        for row in seen
    ]
    gain = learn(made, products).gain
    assert np.mean(places[seen] == 1) > 0.7, "of the clicks"
    assert gain.baseline == pytest.approx(np.mean(places[places <= 10] == 1), abs=0.1)
    assert gain.gain_low > 0.1


def share(photos: Any, products: Any, wanted: Sequence[int]) -> float:
    unit = products / np.linalg.norm(products, axis=1, keepdims=True)
    return float(((photos @ unit.T).argmax(axis=1) == wanted).mean())


def test_clicks_at_random_prove_nothing() -> None:
    """The interval is one of 95%, so that one of eight may be above 0."""
    products = shop()
    made = clicks(products, 400)
    proven = 0
    for seed in range(8):
        items = np.random.default_rng(seed).permutation([one.product_id for one in made])
        mixed = [
            PhotoClick(one.actor, str(item), one.place, one.time_micros, one.vector)
            for one, item in zip(made, items, strict=True)
        ]
        proven += learn(mixed, products).gain.gain_low > 0
    assert proven <= 1


def test_fewer_than_a_hundred_clicks_are_not_used_and_counted() -> None:
    products = shop()
    gone = [PhotoClick("x", "gone", 1, 0, b"\0" * 4 * SIZE)] * 50
    other = [PhotoClick(f"y{n}", "p00", 1, 0, b"\0" * 8) for n in range(50)]
    made = clicks(products, 99)
    with pytest.raises(PhotoClicksTooFew, match=r"^99 clicks of 33 shoppers can be used"):
        learn([*made, *gone, *other], products)


def answer(actor: str, item: str, *shown: str) -> ClickedAnswer:
    columns = pb.AnsweredColumns(product_ids=shown)
    content = pb.AnswerRecord(columns=columns).SerializeToString()
    return ClickedAnswer(actor, content, b"\0" * 8, item, 5)


async def batches(*rows: Sequence[ClickedAnswer]) -> AsyncIterator[Sequence[ClickedAnswer]]:
    for each in rows:
        yield each


async def test_the_place_is_that_of_the_record_whatever_the_event_says() -> None:
    shown = [f"p{n}" for n in range(30)]
    given = [[answer("a", "p4", *shown)], [answer("a", "x", *shown), answer("b", "p25", *shown)]]
    assert [(one.product_id, one.place) for one in await photo_clicks(batches(*given))] == [
        ("p4", 5)
    ]


class FakeRecord:
    """Clicks on recorded answers."""

    def __init__(self, rows: Sequence[ClickedAnswer]) -> None:
        self.rows, self.asked = rows, list[tuple[str, str]]()

    async def clicked(
        self, catalog_id: str, version: str, now_micros: int
    ) -> AsyncIterator[Sequence[ClickedAnswer]]:
        self.asked.append((catalog_id, version))
        yield self.rows


class FakeRetriever:
    """Products and fits."""

    def __init__(self, products: PhotoVectors | None) -> None:
        self.products, self.asked = products, list[tuple[str, Refinement, str]]()
        self.failures, self.looks = 1, 0
        self.cancelled, self.refusals = list[tuple[str, str]](), list[Exception]()

    async def vectors(self, catalog_id: str) -> PhotoVectors | None:
        if self.failures:
            self.failures -= 1
            raise Unavailable("down", reason="UNAVAILABLE")
        return self.products

    async def refine(self, catalog_id: str, found: Refinement, request_id: str) -> str:
        self.asked.append((catalog_id, found, request_id))
        return "retriever/1"

    async def result(self, catalog_id: str, job_id: str) -> dict[str, str] | None:
        self.looks += 1
        return {"space_version": "v2"} if self.looks > 1 else None

    async def cancel(self, catalog_id: str, job_id: str) -> None:
        self.cancelled.append((catalog_id, job_id))
        if self.refusals:
            raise self.refusals.pop()


class FakeJobs:
    """Takes reports of progress until a number of them, then the job is cancelled."""

    def __init__(self, most: float) -> None:
        self.left = most

    async def progress(self, job: Job, done: int, total: int) -> None:
        self.left -= 1
        if self.left < 0:
            raise JobCancelled(job.id)


def job_of(
    rows: Sequence[ClickedAnswer], products: PhotoVectors | None, reports: float = np.inf
) -> tuple[Any, Any, Any]:
    record, retriever = FakeRecord(rows), FakeRetriever(products)
    given = (record, retriever, retriever, FakeJobs(reports), asyncio.Event())
    return RefineSpace(*cast(Any, given)), record, retriever


JOB = cast(Job, SimpleNamespace(id="7", catalog_id="shop"))


def answers(made: Sequence[PhotoClick]) -> list[ClickedAnswer]:
    """Return the answers whose products were clicked."""
    return [
        ClickedAnswer(
            one.actor,
            answer(one.actor, one.product_id, one.product_id).content,
            one.vector,
            one.product_id,
            one.time_micros,
        )
        for one in made
    ]


async def test_the_job_waits_for_the_retriever_and_says_what_it_used() -> None:
    refine, record, retriever = job_of(answers(clicks(shop(), 200)), shop())
    result = await refine.run(JOB)
    ((catalog, sent, request_id),) = retriever.asked
    assert (catalog, request_id, record.asked) == ("shop", "7", [("shop", "v1")])
    assert result == {
        "space_version": "v2",
        "fit_job_id": "retriever/1",
        "click_count": str(sent.click_count),
        "shopper_count": "67",
    }


@pytest.mark.parametrize(
    ("refusals", "asked"),
    [
        ([], 1),
        ([Unavailable("down", reason="UNAVAILABLE")], 2),
        ([PermissionDenied("a retriever of before", reason="PEER_FORBIDDEN")], 1),
    ],
)
async def test_a_cancelled_job_cancels_its_fit(refusals: list[Exception], asked: int) -> None:
    refine, _, retriever = job_of(answers(clicks(shop(), 200)), shop(), reports=1)
    retriever.refusals = refusals
    with pytest.raises(JobCancelled):
        await refine.run(JOB)
    assert retriever.cancelled == [("shop", "retriever/1")] * asked


async def test_a_job_that_is_cancelled_before_its_fit_cancels_nothing() -> None:
    refine, _, retriever = job_of(answers(clicks(shop(), 200)), shop(), reports=0)
    with pytest.raises(JobCancelled):
        await refine.run(JOB)
    assert (retriever.asked, retriever.cancelled) == ([], [])


async def test_without_vectors_or_clicks_nothing_is_requested() -> None:
    for products in (None, shop()):
        refine, _, retriever = job_of((), products)
        with pytest.raises(PhotoClicksTooFew, match=r"^0 clicks of 0 shoppers"):
            await refine.run(JOB)
        assert retriever.asked == []


async def test_a_worker_that_stops_leaves_the_job() -> None:
    refine, _, _ = job_of((), shop())
    refine.stop.set()
    with pytest.raises(Interrupted):
        await refine.run(JOB)
