"""Frames of a watch, on a real record, with photos and an embedder in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from types import ModuleType
from typing import ClassVar

import numpy as np
import pytest

from servicekit.tasks.supervision import FAILURES
from sightline_rules.photo_areas import PhotoArea
from tests.fakes.clock import Clock
from tests.fakes.photo_store import FakePhotos
from tests.fakes.photos import photo
from tests.waiting import until
from vision.domain import errors
from vision.domain.errors import (
    EmbedderUnavailable,
    FrameTimeInvalid,
    ImageRejected,
    ImageTakenDown,
    ProductNotFound,
    RetrieverUnavailable,
    WatchInvalid,
    WatchNotFound,
)
from vision.domain.objects import Floats, FoundObjects, SeenObject
from vision.domain.watch_state import FrameFacts, ProductReferences, WatchProgress
from vision.domain.watches import (
    DAY,
    SECOND,
    Alert,
    AlertKind,
    DetectedCondition,
    Direction,
    Fault,
    FaultCondition,
    PresenceCondition,
    Watch,
    WatchDraft,
    WatchRegion,
    WatchRule,
    WatchTarget,
)
from vision.record import Record
from vision.watching import frames as module
from vision.watching.expiry import expire
from vision.watching.frames import FrameChecks, FrameOutcome, FramesReport, SentFrame
from vision.watching.watches import Watches

WINE, OTHER, BROKEN = photo(seed=1), photo(seed=2), b"no photo"
BLURRED = b"blurred"
"""What a photo without faces ends with."""
GONE = WatchRule(
    "gone", PresenceCondition(WatchTarget(), Direction.GONE), hold=0, release=0, cool_down=0
)


@dataclass
class FakeFramePhotos(FakePhotos):
    """Photos whose parts are the whole file."""

    measured: int = 0
    errors: ClassVar[ModuleType] = errors

    async def measure_frame(
        self, catalog_id: str, data: bytes, boxes: Sequence[PhotoArea]
    ) -> tuple[FrameFacts, list[bytes]]:
        await self.inspect(catalog_id, data)
        self.measured += 1  # no frame is quite the same as the one before
        cells = (0.2 + self.measured % 100 / 1_000,) * 192
        return FrameFacts(cells, 0.9, 0.02), [data] * len(boxes)


@dataclass
class FakeFrameEmbedder:
    """Vectors by their photos: other photos are unlike."""

    down: bool = False
    wait: asyncio.Event | None = None
    calls: list[int] = field(default_factory=list)
    ready: bool = True
    """False: the model that finds objects is not."""
    searched: int = 0
    """Frames in which objects were looked for."""

    async def embed_parts(
        self, catalog_id: str, parts: Sequence[bytes], version: str
    ) -> tuple[str, list[Floats]]:
        self.calls.append(len(parts))
        if self.wait is not None:
            await self.wait.wait()
        if self.down:
            raise EmbedderUnavailable
        return "v1", [vector_of(each) for each in parts]

    async def find_objects(
        self, catalog_id: str, frame: bytes, version: str, *, vectors: bool
    ) -> FoundObjects | None:
        if self.down:
            raise EmbedderUnavailable
        self.searched += 1
        if not self.ready:
            return None
        half = PhotoArea(0.0, 0.0, 0.5, 1.0)
        if not vectors:
            return FoundObjects("v1", [SeenObject(half)], 0)
        return FoundObjects("v1", [SeenObject(half, vector_of(frame))], 2)


def vector_of(data: bytes) -> Floats:
    """Return the vector of a photo."""
    shown = data.removesuffix(BLURRED)
    return np.asarray(np.eye(8, dtype=np.float32)[{WINE: 0, OTHER: 1}.get(shown, 2)])


@dataclass
class FakeProducts:
    """A catalog without products."""

    gone: set[str] = field(default_factory=set)
    """Photos that were taken down."""
    shown: dict[str, bytes] = field(default_factory=dict)
    """Photos of products that the catalog has."""
    down: bool = False

    async def missing(self, catalog_id: str, product_ids: Sequence[str]) -> frozenset[str]:
        return frozenset(product_ids) - self.shown.keys()

    async def references(self, catalog_id: str, product_ids: Sequence[str]) -> ProductReferences:
        if self.down:
            raise RetrieverUnavailable
        if not self.shown:
            return ProductReferences()
        vectors = {each: [vector_of(self.shown[each])] for each in product_ids}
        return ProductReferences("v1", vectors)

    async def taken_down(self, catalog_id: str, image_ids: Sequence[str]) -> frozenset[str]:
        return frozenset(self.gone.intersection(image_ids))


class NoFaces:
    """Marks photos as searched for faces."""

    async def without_faces(
        self, catalog_id: str, data: bytes, box: PhotoArea | None = None
    ) -> bytes:
        return data + BLURRED + (b"" if box is None else repr(box).encode())


@dataclass
class Shop:
    """A watch of a bottle, and its camera."""

    record: Record
    clock: Clock
    photos: FakeFramePhotos
    embedder: FakeFrameEmbedder
    checks: FrameChecks
    watches: Watches

    async def send(self, *frames: SentFrame | bytes) -> FramesReport:
        """Send frames, those without a time a second after the one before."""
        sent = []
        for frame in frames:
            self.clock.now += SECOND
            timed = frame if isinstance(frame, SentFrame) else SentFrame(frame, self.clock.now)
            sent.append(timed)
        return await self.checks.check("default", "shelf", sent)

    async def counts(self) -> tuple[int, int, int]:
        _, state = await self.watches.get("default", "shelf")
        return state.processed, state.dropped, state.ignored


def outcomes(report: FramesReport) -> list[FrameOutcome]:
    return [frame.outcome for frame in report.frames]


def kinds(alerts: Sequence[Alert]) -> list[AlertKind]:
    return [alert.kind for alert in alerts]


@pytest.fixture
async def shop(record: Record, clock: Clock) -> Shop:
    clock.now = 10 * DAY
    photos, embedder = FakeFramePhotos(), FakeFrameEmbedder()
    checks = FrameChecks(record, photos, embedder, FakeProducts(), NoFaces(), clock)
    watches = Watches(record, photos, FakeProducts(), NoFaces(), clock, lambda _: None)
    made = Shop(record, clock, photos, embedder, checks, watches)
    draft = WatchDraft(Watch("shelf", rules=(GONE,)), images={"gone": WINE})
    await made.watches.create("default", draft)
    return made


async def test_an_alert_starts_and_ends_across_calls(shop: Shop) -> None:
    assert (await shop.send(WINE)).alerts == ()
    started = await shop.send(OTHER, OTHER)
    assert outcomes(started) == [FrameOutcome.PROCESSED] * 2
    assert kinds(started.alerts) == [AlertKind.STARTED]
    assert started.embedded == 3  # two frames and the photo that the rule looks for
    ended = await shop.send(WINE)
    assert kinds(ended.alerts) == [AlertKind.ENDED]
    stored = await shop.record.alerts_after("default", "", 0, 9)
    assert stored == [*started.alerts, *ended.alerts]
    assert await shop.counts() == (4, 0, 0)


async def test_repeated_and_late_frames_change_nothing(shop: Shop) -> None:
    await shop.send(WINE)
    now = shop.clock.now
    again = [SentFrame(OTHER, now), SentFrame(OTHER, now - 5), SentFrame(OTHER, now)]
    report = await shop.send(*again)
    assert outcomes(report) == [
        FrameOutcome.REPEATED,
        FrameOutcome.LATE,
        FrameOutcome.REPEATED,
    ]
    assert report.alerts == ()
    assert await shop.counts() == (1, 0, 3)


async def test_a_bad_frame_does_not_affect_the_others(shop: Shop) -> None:
    ahead = SentFrame(WINE, shop.clock.now + DAY)
    report = await shop.send(WINE, BROKEN, ahead, SentFrame(WINE, -1), OTHER)
    rejected = FrameOutcome.REJECTED
    assert outcomes(report) == [
        *(FrameOutcome.PROCESSED, rejected, rejected, rejected, FrameOutcome.PROCESSED)
    ]
    assert isinstance(report.frames[1].error, ImageRejected)
    assert isinstance(report.frames[2].error, FrameTimeInvalid)
    assert kinds(report.alerts) == [AlertKind.STARTED]


async def test_after_an_error_the_call_can_be_repeated(shop: Shop) -> None:
    await shop.send(WINE)
    shop.clock.now += SECOND
    frame = SentFrame(OTHER, shop.clock.now)
    shop.embedder.down = True
    with pytest.raises(EmbedderUnavailable):
        await shop.checks.check("default", "shelf", [frame])
    shop.embedder.down = False
    report = await shop.checks.check("default", "shelf", [frame])
    assert kinds(report.alerts) == [AlertKind.STARTED]
    assert await shop.counts() == (2, 0, 0)


@pytest.mark.parametrize("known", [True, False])
async def test_without_the_retriever_rules_know_what_was_read_last(shop: Shop, known: bool) -> None:
    products = FakeProducts(shown={"wine": WINE})
    there = replace(GONE, rule_id="wine", condition=PresenceCondition(
        WatchTarget(product_id="wine"), Direction.GONE
    ))  # fmt: skip
    watch = Watch("shelf-2", rules=(there, GONE))
    draft = WatchDraft(watch, images={"gone": WINE})
    await replace(shop.watches, products=products).create("default", draft)
    checks = replace(shop.checks, products=products, indexed={})
    if known:
        await checks.check("default", "shelf-2", [SentFrame(WINE)])
    products.down = True
    shop.clock.now += SECOND
    report = await checks.check("default", "shelf-2", [SentFrame(OTHER)])
    (frame,) = report.frames
    holds = {each.rule_id: each.holds for each in frame.readings}
    assert holds == {"wine": True if known else None, "gone": True}


async def test_old_calls_are_dropped_while_one_is_checked(shop: Shop) -> None:
    shop.embedder.wait = asyncio.Event()
    calls = []
    for _ in range(5):
        calls.append(asyncio.create_task(shop.send(WINE)))
        await asyncio.sleep(0)
    await asyncio.sleep(0)
    shop.embedder.wait.set()
    reports = [outcomes(await call) for call in calls]
    done, dropped = [FrameOutcome.PROCESSED], [FrameOutcome.DROPPED]
    assert reports == [done, dropped, dropped, done, done]
    assert await shop.counts() == (3, 2, 0)
    assert shop.checks._queues == {}


async def test_frames_that_their_sender_dropped_are_counted_once(shop: Shop) -> None:
    shop.embedder.down = True
    frame = SentFrame(WINE, shop.clock.now)
    with pytest.raises(EmbedderUnavailable):
        await shop.checks.check("default", "shelf", [frame], dropped=7)
    assert await shop.counts() == (0, 0, 0)
    shop.embedder.down = False
    await shop.checks.check("default", "shelf", [frame], dropped=7)
    assert await shop.counts() == (1, 7, 0)


async def test_a_cancelled_call_lets_the_next_begin(shop: Shop) -> None:
    shop.embedder.wait = asyncio.Event()
    first, second, third = [asyncio.create_task(shop.send(WINE)) for _ in range(3)]
    for _ in range(3):
        await asyncio.sleep(0)
    second.cancel()
    first.cancel()
    shop.embedder.wait.set()
    assert outcomes(await third) == [FrameOutcome.PROCESSED]


async def test_a_call_that_comes_as_another_is_cancelled_does_not_block_the_watch(
    shop: Shop,
) -> None:
    shop.embedder.wait = asyncio.Event()
    first, second, third = [asyncio.create_task(shop.send(WINE)) for _ in range(3)]
    go = asyncio.Event()

    async def arrive() -> FramesReport:
        await go.wait()
        return await shop.send(WINE)

    fourth = asyncio.create_task(arrive())
    for _ in range(3):
        await asyncio.sleep(0)
    go.set()  # the new call runs first
    second.cancel()  # and this one, in the same turn of the loop, after it
    await asyncio.sleep(0)
    shop.embedder.wait.set()
    for call in (first, third, fourth):
        assert outcomes(await call) == [FrameOutcome.PROCESSED]
    assert outcomes(await shop.send(WINE)) == [FrameOutcome.PROCESSED]
    assert shop.checks._queues == {}


DARK = WatchRule("dark", FaultCondition(Fault.BLACK), hold=0, release=0, cool_down=0)


async def test_a_lost_photo_of_a_target_silences_the_rules_that_look_for_it_alone(
    shop: Shop,
) -> None:
    stored, _ = await shop.watches.get("default", "shelf")
    both = replace(stored.watch, rules=(*stored.watch.rules, DARK))
    stored, _ = await shop.watches.update("default", WatchDraft(both))
    (target,) = {rule.target for rule in stored.watch.rules if rule.target is not None}
    await shop.photos.delete("default", target.image_id)
    before = FAILURES.labels(module.WATCHING, "IMAGE_NOT_FOUND")._value.get()

    (report,) = (await shop.send(WINE)).frames

    assert report.outcome is FrameOutcome.PROCESSED
    assert {each.rule_id: each.holds for each in report.readings} == {"gone": None, "dark": False}
    assert FAILURES.labels(module.WATCHING, "IMAGE_NOT_FOUND")._value.get() == before + 1


async def test_an_alert_shows_the_checked_one_of_two_frames_of_a_time(shop: Shop) -> None:
    stored, _ = await shop.watches.get("default", "shelf")
    await shop.watches.update("default", WatchDraft(replace(stored.watch, photo_days=1)))
    await shop.send(WINE)
    shop.clock.now += 10 * SECOND
    time = shop.clock.now - SECOND

    two = [SentFrame(OTHER, time), SentFrame(WINE, time)]
    report = await shop.checks.check("default", "shelf", two)

    assert outcomes(report) == [FrameOutcome.PROCESSED, FrameOutcome.REPEATED]
    (alert,) = report.alerts
    assert (await shop.photos.get("default", alert.image_id)).startswith(OTHER)


async def test_frames_of_few_watches_are_checked_at_once(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "AT_ONCE", 1)
    checks = FrameChecks(
        shop.record, shop.photos, shop.embedder, FakeProducts(), NoFaces(), shop.clock
    )
    await shop.watches.create(
        "default", WatchDraft(Watch("door", rules=(GONE,)), images={"gone": WINE})
    )
    shop.embedder.wait = asyncio.Event()
    first, second = (
        asyncio.create_task(checks.check("default", name, [SentFrame(WINE)]))
        for name in ("shelf", "door")
    )
    await until(lambda: len(shop.embedder.calls) == 1)
    await asyncio.sleep(0.05)
    assert len(shop.embedder.calls) == 1, "the other watch waits"
    first.cancel()
    shop.embedder.wait.set()
    assert outcomes(await second) == [FrameOutcome.PROCESSED]


async def test_frames_of_several_processes_are_all_counted(shop: Shop) -> None:
    """Another process stores a frame while this one measures its own."""
    other = FrameChecks(
        shop.record, shop.photos, FakeFrameEmbedder(), FakeProducts(), NoFaces(), shop.clock
    )
    await shop.send(WINE)
    shop.embedder.wait = asyncio.Event()
    mine = asyncio.create_task(shop.send(OTHER))
    await until(lambda: len(shop.embedder.calls) == 3)
    earlier = SentFrame(OTHER, shop.clock.now - SECOND // 2)
    theirs = await other.check("default", "shelf", [earlier])
    shop.embedder.wait.set()
    report = await mine
    assert kinds(theirs.alerts) == [AlertKind.STARTED]
    assert report.alerts == ()
    assert report.frames[0].readings[0].alerting
    assert await shop.counts() == (3, 0, 0)


async def test_the_frame_of_an_alert_is_kept_blurred_for_its_days(shop: Shop) -> None:
    stored, _ = await shop.watches.get("default", "shelf")
    kept = replace(stored.watch, photo_days=2)
    await shop.watches.update("default", WatchDraft(kept))
    (alert,) = (await shop.send(WINE, OTHER)).alerts
    assert shop.photos.stored["default", alert.image_id] == OTHER + BLURRED
    assert len(shop.photos.stored) == 2  # beside the photo that the rule looks for
    shop.photos.old = {alert.image_id}
    for days, left in ((1.9, 2), (0.1, 2), (0.1, 1)):
        shop.clock.now += int(days * DAY)
        await expire("default", 0, shop.record, shop.photos, shop.clock.now / 1e6)
        assert len(shop.photos.stored) == left


async def test_only_the_part_that_an_alert_is_about_is_kept_unless_whole_frames_are_wanted(
    shop: Shop,
) -> None:
    stored, _ = await shop.watches.get("default", "shelf")
    box = PhotoArea(0.5, 0.0, 1.0, 1.0)
    gone = replace(stored.watch.rules[0], rule_id="right")
    assert isinstance(gone.condition, PresenceCondition)
    rules = (
        stored.watch.rules[0],
        replace(gone, condition=replace(gone.condition, region_ids=("right",))),
    )
    watch = replace(stored.watch, photo_days=2, rules=rules, regions=(WatchRegion("right", box),))
    await shop.watches.update("default", WatchDraft(watch))
    whole, part = (await shop.send(WINE, OTHER)).alerts
    assert (whole.box, part.box) == (None, box)
    assert shop.photos.stored["default", whole.image_id] == OTHER + BLURRED
    assert shop.photos.stored["default", part.image_id] == OTHER + BLURRED + repr(box).encode()
    await shop.watches.update("default", WatchDraft(replace(watch, whole_frames=True)))
    ends = (await shop.send(WINE)).alerts
    assert {end.image_id for end in ends} == {ends[0].image_id}
    assert [end.box for end in ends] == [None, box]


async def test_the_photo_of_a_rule_is_stored_without_faces(shop: Shop) -> None:
    assert set(shop.photos.stored.values()) == {WINE + BLURRED}


async def test_a_photo_that_was_taken_down_is_not_stored_for_a_rule(shop: Shop) -> None:
    (image_id,) = (name for _, name in shop.photos.stored)
    shop.photos.stored.clear()
    watches = replace(shop.watches, products=FakeProducts({image_id}))
    draft = WatchDraft(Watch("door", rules=(GONE,)), images={"gone": WINE})
    with pytest.raises(ImageTakenDown) as raised:
        await watches.create("default", draft)
    (violation,) = raised.value.violations
    assert violation.field == "watch.rules[0].presence.target.image"
    assert not shop.photos.stored


async def test_without_days_no_frame_is_kept(shop: Shop) -> None:
    (alert,) = (await shop.send(WINE, OTHER)).alerts
    assert alert.image_id == ""
    assert len(shop.photos.stored) == 1


async def test_a_changed_rule_ends_its_alert(shop: Shop) -> None:
    await shop.send(WINE, OTHER)
    stored, _ = await shop.watches.get("default", "shelf")
    before = stored.watch.rules[0].condition
    assert isinstance(before, PresenceCondition)
    condition = replace(before, direction=Direction.APPEARS)
    changed = replace(stored.watch, rules=(replace(GONE, condition=condition),))
    await shop.watches.update("default", WatchDraft(changed, stored.etag))
    found = await shop.record.alerts_after("default", "", 0, 9)
    assert kinds(found) == [AlertKind.STARTED, AlertKind.ENDED]
    assert found[1].started_alert_id == found[0].alert_id
    assert kinds((await shop.send(WINE)).alerts) == [AlertKind.STARTED]


async def test_unknown_watches_and_products_are_errors(shop: Shop) -> None:
    with pytest.raises(WatchNotFound):
        await shop.checks.check("default", "none", [SentFrame(WINE)])
    with pytest.raises(WatchNotFound):
        await shop.watches.update("default", WatchDraft(Watch("none", rules=(GONE,))))
    condition = PresenceCondition(WatchTarget(product_id="none"), Direction.GONE)
    draft = WatchDraft(Watch("other", rules=(replace(GONE, condition=condition),)))
    with pytest.raises(ProductNotFound) as caught:
        await shop.watches.create("default", draft)
    assert caught.value.violations[0].field == "watch.rules[0].presence.target.product_id"


async def test_a_bad_photo_names_its_rule(shop: Shop) -> None:
    draft = WatchDraft(Watch("other", rules=(GONE,)), images={"gone": BROKEN})
    with pytest.raises(ImageRejected) as caught:
        await shop.watches.create("default", draft)
    assert caught.value.violations[0].field == "watch.rules[0].presence.target.image"


@pytest.mark.parametrize(
    ("watch", "field"),
    [
        (Watch("Not an id", rules=(GONE,)), "watch.watch_id"),
        (Watch("w"), "watch.rules"),
        (Watch("w", rules=(GONE, GONE)), "watch.rules"),
        (Watch("w", rules=(GONE,), photo_days=91), "watch.photo_days"),
        (Watch("w", rules=(replace(GONE, hold=8 * DAY),)), "watch.rules[0].hold"),
        (Watch("w", rules=(replace(GONE, hold=-1),)), "watch.rules[0].hold"),
        (
            Watch("w", rules=(GONE,), regions=(WatchRegion("a", PhotoArea(0, 0, 0.01, 1)),)),
            "watch.regions[0].box",
        ),
        (
            Watch("w", rules=(GONE,), regions=(WatchRegion("a", PhotoArea(0, 0, 1, np.nan)),)),
            "watch.regions[0].box",
        ),
        (
            Watch(
                "w",
                rules=(
                    replace(
                        GONE,
                        condition=PresenceCondition(WatchTarget(), Direction.GONE, ("none",)),
                    ),
                ),
            ),
            "watch.rules[0].presence.region_ids",
        ),
    ],
)
async def test_an_invalid_watch_names_the_field(shop: Shop, watch: Watch, field: str) -> None:
    with pytest.raises(WatchInvalid) as caught:
        await shop.watches.create("default", WatchDraft(watch, images={"gone": WINE}))
    assert [each.field for each in caught.value.violations] == [field]


async def test_a_rule_needs_either_a_product_or_a_photo(shop: Shop) -> None:
    both = PresenceCondition(WatchTarget(product_id="wine"), Direction.GONE)
    for draft in (
        WatchDraft(Watch("w", rules=(GONE,))),
        WatchDraft(Watch("w", rules=(replace(GONE, condition=both),)), images={"gone": WINE}),
    ):
        with pytest.raises(WatchInvalid, match="either a product_id or a photo"):
            await shop.watches.create("default", draft)


async def test_state_is_not_stored_twice(shop: Shop) -> None:
    found = await shop.record.watch("default", "shelf")
    assert found is not None
    stored, known = found
    progress = WatchProgress(stored, known.revision, known.state)
    assert await shop.record.save_checked("default", progress) == []
    assert await shop.record.save_checked("default", progress) is None


async def counting(shop: Shop, *more: WatchRule, alike: bool = True) -> None:
    """Replace the watch by one that counts objects. `alike`: those that look like a wine."""
    condition = DetectedCondition(WatchTarget() if alike else None, "", 1)
    few = WatchRule("few", condition, hold=0, release=0, cool_down=0)
    draft = WatchDraft(Watch("shelf", rules=(few, *more)), images={"few": WINE} if alike else {})
    await shop.watches.update("default", draft)


async def test_objects_of_a_frame_are_found_once_for_all_rules(shop: Shop) -> None:
    every = WatchRule("every", DetectedCondition(None, "", 2), hold=0)
    await counting(shop, every)
    report = await shop.send(WINE, OTHER)
    assert (report.detected, report.views, shop.embedder.searched) == (2, 4, 2)
    assert report.embedded == 1, "the photo of the target"
    assert [alert.rule_id for alert in report.alerts] == ["every", "few"]
    scores = [[each.score for each in frame.readings] for frame in report.frames]
    assert scores == [[1, 1], [0, 1]]


async def test_objects_are_not_embedded_if_no_rule_looks_for_a_target(shop: Shop) -> None:
    await counting(shop, alike=False)
    report = await shop.send(WINE, OTHER)
    assert (report.detected, report.views) == (2, 0)
    assert [frame.readings[0].score for frame in report.frames] == [1, 1]


async def test_without_the_model_that_finds_objects_other_rules_are_checked(shop: Shop) -> None:
    shop.embedder.ready = False
    seen = PresenceCondition(WatchTarget(product_id="", image_id=""), Direction.GONE)
    gone = replace(GONE, condition=seen)
    few = WatchRule("few", DetectedCondition(None, "", 1))
    draft = WatchDraft(Watch("shelf", rules=(gone, few)), images={"gone": WINE})
    await shop.watches.update("default", draft)
    (frame,) = (await shop.send(OTHER)).frames
    assert [each.holds for each in frame.readings] == [True, None]


async def test_a_lost_embedder_checks_no_frame(shop: Shop) -> None:
    await counting(shop, alike=False)
    shop.embedder.down = True
    with pytest.raises(EmbedderUnavailable):
        await shop.send(WINE)
    assert (await shop.counts())[0] == 0


@pytest.mark.parametrize("below", [0, 65])
async def test_a_count_of_objects_is_bounded(shop: Shop, below: int) -> None:
    few = WatchRule("few", DetectedCondition(None, "nowhere", below))
    with pytest.raises(WatchInvalid) as caught:
        await shop.watches.create("default", WatchDraft(Watch("other", rules=(few,))))
    paths = [each.field for each in caught.value.violations]
    assert paths == ["watch.rules[0].detected.region_id", "watch.rules[0].detected.below"]
