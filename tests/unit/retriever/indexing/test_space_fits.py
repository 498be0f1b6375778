"""The input of a fit: photos, their products and their kinds."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import grpc
import pytest

from retriever.adapters.embedder import EmbedderClient
from retriever.domain.errors import (
    EmbedderUnavailable,
    PhotosUnavailable,
)
from retriever.domain.fit_plan import FitPhoto, FitPlan, FitProgress, Label
from retriever.indexing import fits
from retriever.indexing.fits import FIT, FitTools
from retriever.record import Record
from retriever.wiring import job_queue
from servicekit.errors import FailedPrecondition, ServiceError
from servicekit.jobs.queue import Job, JobState
from servicekit.rpc.interceptors import ObservedServer
from servicekit.rpc.requests import RequestInvalid
from servicekit.sql.database import Database
from sightline.common.v1 import photo_pb2
from sightline.embedder.v1 import embedding_service_pb2 as embedder_pb
from sightline.embedder.v1 import space_pb2, space_service_pb2, space_service_pb2_grpc
from sightline_rules.photos import image_id
from tests.fakes.embedder import FakeEmbedder
from tests.fakes.photo_store import FakePhotos
from tests.stores import each_engine
from tests.unit.retriever.conftest import write
from tests.unit.retriever.workers.conftest import Bench
from tests.waiting import SECONDS, until

ANY: dict[str, Any] = {
    "backbone": "",
    "max_dimension": 0,
    "seed": 1,
    "max_photos": 0,
    "shopper_photo_tags": (),
}


def plan(**fields: Any) -> FitPlan:
    return fits.plan(FitPlan(**{**ANY, **fields}))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("backbone", "x" * 129),
        ("max_dimension", 15),
        ("max_dimension", 257),
        ("max_dimension", -1),
        ("max_photos", 99),
        ("max_photos", 1_000_001),
        ("shopper_photo_tags", ["t"] * 17),
        ("shopper_photo_tags", [""]),
    ],
)
def test_what_is_out_of_range_is_named(field: str, value: object) -> None:
    with pytest.raises(RequestInvalid) as caught:
        plan(**{field: value})
    assert [violation.field for violation in caught.value.violations] == [field]


def test_zeros_are_the_defaults() -> None:
    assert (plan().max_dimension, plan().max_photos) == (256, 50_000)


@each_engine
async def test_labels_are_read_page_by_page_with_all_that_a_photo_shows(record: Record) -> None:
    await record.write(
        "default",
        [
            write("a", b"1", b"2", title="Oat milk", category_path=("Milk", "Oat"), tags=("own",)),
            write("b", parent_id="a"),
            write("c", b"3", parent_id="a"),
        ],
    )
    await record.write("other", [write("x", b"4")])

    first, after = await record.labels("default", "", 2)
    second, last = await record.labels("default", after or "", 2)

    assert [label.image_id for label in first] == [image_id(b"1"), image_id(b"2")]
    assert replace(first[0], stored=0) == Label(
        image_id(b"1"), "a", "", "Oat milk", ("Milk", "Oat"), frozenset({"own"}), 0, 0
    )
    assert first[0].stored == second[0].stored, "one write"
    assert [(label.product_id, label.family) for label in second] == [("c", "a")]
    assert (after, last) == ("b", "c")
    assert await record.labels("default", "c", 2) == ([], None)


class Shop:
    """A catalog, its job and the embedder that fits."""

    def __init__(self, db: Database) -> None:
        self.record, self.jobs, self.embedder = Record(db), job_queue(db), FakeEmbedder()
        self.photos = FakePhotos({})

    async def add(self, product: str, *photos: bytes, hash_of: int = 0, **content: object) -> None:
        made = write(product, *photos, **content)
        images, first = dict(made.new_images), image_id(photos[0])
        images[first] = replace(images[first], perceptual_hash=hash_of)
        await self.record.write("default", [replace(made, new_images=images)])
        self.photos.stored.update({("default", image_id(data)): data for data in photos})

    async def fit(self, **fields: Any) -> tuple[Job, list[FitPhoto]]:
        await fits.ask("default", plan(**fields), self.jobs, request_id="")
        job = await self.jobs.claim([FIT], "me", 60)
        assert job is not None
        deps = FitTools(self.record, self.photos, self.embedder, self.jobs)
        await self.jobs.finish(job, await fits.fit(job, deps))
        return await self.jobs.get(job.id), self.embedder.fitted[-1][1]


@pytest.fixture
def shop(db: Database) -> Shop:
    return Shop(db)


async def test_photos_go_with_their_family_title_category_and_camera(shop: Shop) -> None:
    await shop.add("a", b"1", title="Oat milk", category_path=("Milk",))
    await shop.add("a2", b"2", parent_id="a", tags=("phone",))

    job, sent = await shop.fit(shopper_photo_tags=["phone"])

    assert [(photo.data, photo.label.family, photo.shopper) for photo in sent] == [
        (b"1", "a", False),
        (b"2", "a", True),
    ]
    assert (sent[0].label.title, sent[0].label.category_path) == ("Oat milk", ("Milk",))
    assert job.state is JobState.SUCCEEDED
    assert dict(job.result) == {
        "space_version": "f" * 16,
        "model": "visual_0123456789ab",
        "verdict": "BETTER",
        "skipped": 0,
    }


async def test_the_same_picture_under_two_products_is_one_group(shop: Shop) -> None:
    await shop.add("a", b"1", hash_of=(0b1011 << 40) + 7)
    await shop.add("b", b"2", hash_of=(0b1010 << 40) + 7)
    await shop.add("c", b"3", hash_of=(0b0101_1111_0000 << 36) + (1 << 60))
    await shop.add("d", b"4")
    await shop.add("e", b"5")

    _, sent = await shop.fit()

    groups = {photo.label.product_id: photo.group for photo in sent}
    assert groups["a"] == groups["b"]
    assert len(set(groups.values())) == 4


async def test_a_shoppers_photos_of_one_upload_are_one_group(shop: Shop) -> None:
    await shop.add("wine", b"1", b"2", parent_id="p", tags=("phone",))
    await shop.add("wine", b"1", b"2", b"3", b"4", parent_id="p", tags=("phone",))
    await shop.add("studio", b"5", b"6", parent_id="p")

    _, sent = await shop.fit(shopper_photo_tags=("phone",))

    groups = {photo.data: photo.group for photo in sent}
    assert groups[b"1"] == groups[b"2"] != groups[b"3"] == groups[b"4"]
    assert len(set(groups.values())) == 4, "the catalog's own photos stay apart"


async def test_products_that_are_each_written_once_keep_their_photos_apart(shop: Shop) -> None:
    await shop.add("a", b"1", b"2", tags=("phone",))
    await shop.add("b", b"3", b"4", tags=("phone",))
    await shop.add("c", b"5", b"6", tags=("phone",), parent_id="p")
    await shop.add("c2", b"7", parent_id="p")

    _, sent = await shop.fit(shopper_photo_tags=("phone",))

    groups = {photo.data: photo.group for photo in sent}
    assert groups[b"5"] == groups[b"6"] != groups[b"7"], "an upload beside the catalog's photo"
    assert len(set(groups.values())) == 6


async def test_photos_of_an_import_are_not_one_upload(shop: Shop) -> None:
    wines = [write(name, name.encode(), name.encode() * 2, tags=("phone",)) for name in ("a", "b")]
    await shop.record.write("default", wines)
    shop.photos.stored.update(
        {("default", image_id(data)): data for data in (b"a", b"aa", b"b", b"bb")}
    )

    _, sent = await shop.fit(shopper_photo_tags=("phone",))

    assert len({photo.group for photo in sent}) == 4


async def test_an_upload_joins_the_groups_of_its_pictures(shop: Shop) -> None:
    picture = (0b1011 << 40) + 7
    await shop.add("a", b"1", hash_of=picture, tags=("phone",))
    await shop.add("b", b"2", b"3", hash_of=picture, tags=("phone",))
    await shop.add("b", b"2", b"3", b"5", hash_of=picture, tags=("phone",))
    await shop.add("c", b"4", tags=("phone",))

    _, sent = await shop.fit(shopper_photo_tags=("phone",))

    groups = {photo.data: photo.group for photo in sent}
    assert groups[b"1"] == groups[b"2"] == groups[b"3"] != groups[b"4"]


@pytest.mark.full
@pytest.mark.slow
async def test_of_too_many_photos_whole_families_are_drawn_by_the_seed(shop: Shop) -> None:
    for family in range(60):
        await shop.add(f"p{family}", b"a%d" % family, b"b%d" % family)
        await shop.add(f"v{family}", b"c%d" % family, parent_id=f"p{family}")

    drawn = []
    for seed in (1, 1, 2):
        _, sent = await shop.fit(seed=seed, max_photos=100)
        assert 98 <= len(sent) <= 100
        families = [photo.label.family for photo in sent]
        assert {families.count(family) for family in families} == {3}
        drawn.append(set(families))

    assert drawn[0] == drawn[1] != drawn[2]


async def test_a_photo_that_is_lost_is_left_out_and_counted(shop: Shop) -> None:
    await shop.add("a", b"1", b"2")
    del shop.photos.stored["default", image_id(b"1")]
    job, sent = await shop.fit()
    assert [photo.data for photo in sent] == [b"2"]
    assert job.result["skipped"] == 1


async def test_who_asks_while_a_fit_is_under_way_is_shown_it(shop: Shop) -> None:
    first = await fits.ask("default", plan(), shop.jobs, request_id="r1")
    again = await fits.ask("default", plan(seed=9), shop.jobs, request_id="r2")
    other = await fits.ask("other", plan(), shop.jobs, request_id="r1")
    assert first.id == again.id != other.id
    await shop.jobs.cancel(first.id)
    assert (await fits.ask("default", plan(), shop.jobs, request_id="r1")).id == first.id
    assert (await fits.ask("default", plan(), shop.jobs, request_id="r3")).id != first.id


@pytest.mark.full
@pytest.mark.slow
async def test_the_worker_waits_for_an_embedder_that_was_killed_and_fits_anew(db: Database) -> None:
    bench = Bench(db)
    jobs = job_queue(db)
    await bench.record.write("default", [write("a", b"1")])
    bench.embedder.unfit = [EmbedderUnavailable()]
    async with bench.working():
        job = await fits.ask("default", plan(), jobs, request_id="")

        async def done() -> bool:
            return (await jobs.get(job.id)).state is JobState.SUCCEEDED

        await until(done)
    assert len(bench.embedder.fitted) == 1


async def test_photos_that_teach_nothing_end_the_job_with_the_embedders_reason(
    db: Database,
) -> None:
    bench = Bench(db)
    jobs = job_queue(db)
    bench.embedder.unfit = [FailedPrecondition("too few photos", reason="FIT_INVALID")]
    async with bench.working():
        job = await fits.ask("default", plan(), jobs, request_id="")

        async def failed() -> bool:
            return (await jobs.get(job.id)).state is JobState.FAILED

        await until(failed)
    assert (await jobs.get(job.id)).error_reason == "FIT_INVALID"


async def test_a_fit_of_a_reference_of_an_earlier_release_ends_and_says_what_to_do(
    db: Database,
) -> None:
    jobs = job_queue(db)
    left = await jobs.create("fit_reference", "default", {"reference_id": "r", "product_id": ""})

    async def ended() -> bool:
        return (await jobs.get(left.id)).state is JobState.FAILED

    async with Bench(db).working():
        await until(ended)
    found = await jobs.get(left.id)
    assert found.error_reason == "FIT_UNAVAILABLE"
    assert "start the fit again" in found.error_message


# On the wire


class Trainer(space_service_pb2_grpc.SpaceServiceServicer):
    """Trainer that reads photos and fits nothing."""

    def __init__(self) -> None:
        self.asked: list[space_service_pb2.FitSpaceRequest] = []
        self.error: ServiceError | None = None
        self.ended = asyncio.Event()

    async def FitSpace(
        self, requests: AsyncIterator[space_service_pb2.FitSpaceRequest], context: object
    ) -> AsyncIterator[space_service_pb2.FitSpaceResponse]:
        try:
            async for request in requests:
                self.asked.append(request)
                if len(self.asked) % 8 != 1:
                    continue
                yield space_service_pb2.FitSpaceResponse(
                    done=len(self.asked) - 1, stage="features", skipped=1
                )
            if self.error:
                raise self.error
            space = embedder_pb.Space(version="f" * 16, model="visual_0123456789ab")
            space.evaluation.verdict = space_pb2.SpaceEvaluation.VERDICT_WORSE
            yield space_service_pb2.FitSpaceResponse(done=1, space=space)
        finally:
            self.ended.set()


@pytest.fixture
async def trainer() -> AsyncIterator[tuple[Trainer, EmbedderClient]]:
    made = Trainer()
    server = grpc.aio.server()
    space_service_pb2_grpc.add_SpaceServiceServicer_to_server(
        made, ObservedServer(server, "embedder")
    )
    client = EmbedderClient(f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}", seconds=5)
    await server.start()
    yield made, client
    await client.close()
    await server.stop(None)


def labelled(data: bytes = b"photo") -> FitPhoto:
    label = Label(image_id(data), "v", "p", "Oat milk", ("Milk",), frozenset(), 0, 0)
    return FitPhoto(data, label, "g", shopper=True)


async def some(*photos: FitPhoto, error: Exception | None = None) -> AsyncIterator[FitPhoto]:
    for photo in photos:
        yield photo
    if error is not None:
        raise error


async def test_the_embedder_is_given_the_settings_then_each_photo(
    trainer: tuple[Trainer, EmbedderClient],
) -> None:
    server, client = trainer
    wanted = plan(seed=7, shopper_photo_tags=("phone",))
    reported = [each async for each in client.fit("shop", wanted, 1, some(labelled()))]

    settings, photo = server.asked
    assert settings.settings == space_service_pb2.FitSettings(
        catalog_id="shop", max_dimension=256, seed=7, photos=1, shopper_photo_tags=["phone"]
    )
    assert photo.photo == space_service_pb2.FitPhoto(
        image=b"photo",
        product_id="p",
        title="Oat milk",
        category_path=["Milk"],
        kind=photo_pb2.PHOTO_KIND_SHOPPER,
        duplicate_group="g",
    )
    assert reported[0] == FitProgress(0, 1)
    assert reported[-1] == FitProgress(1, 0, "f" * 16, "visual_0123456789ab", "WORSE")


@pytest.mark.parametrize(
    ("reason", "kind"),
    [("FIT_INVALID", FailedPrecondition), ("FIT_IN_PROGRESS", EmbedderUnavailable)],
)
async def test_why_no_space_was_fitted_comes_back(
    trainer: tuple[Trainer, EmbedderClient], reason: str, kind: type[ServiceError]
) -> None:
    server, client = trainer
    server.error = FailedPrecondition("no", reason=reason)
    with pytest.raises(kind):
        [each async for each in client.fit("shop", plan(), 1, some(labelled()))]


async def test_eight_photos_are_sent_at_a_time_and_all_of_them(
    trainer: tuple[Trainer, EmbedderClient],
) -> None:
    server, client = trainer
    photos = [labelled(b"%d" % number) for number in range(21)]
    reported = [each.done async for each in client.fit("shop", plan(), 21, some(*photos))]
    assert [each.photo.image for each in server.asked[1:]] == [each.data for each in photos]
    assert reported == [0, 8, 16, 1]


async def test_a_photo_store_that_is_down_ends_the_fit_there_and_says_so_here(
    trainer: tuple[Trainer, EmbedderClient],
) -> None:
    server, client = trainer
    photos = some(labelled(), error=PhotosUnavailable())
    with pytest.raises(PhotosUnavailable):
        [each async for each in client.fit("shop", plan(), 2, photos)]
    await asyncio.wait_for(server.ended.wait(), SECONDS)
