"""Frames of a watch: queued, measured, checked, and stored with their alerts."""

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

from prometheus_client import Counter

from servicekit.errors import ServiceError
from servicekit.tasks.supervision import tell
from servicekit.tasks.turns import Turns
from servicekit.telemetry import get_logger
from sightline_rules.photo_areas import PhotoArea
from vision.domain.errors import (
    FrameTimeInvalid,
    ImageDamaged,
    ImageNotFound,
    ImageRejected,
    RetrieverUnavailable,
    WatchContended,
    WatchNotFound,
)
from vision.domain.objects import Floats
from vision.domain.watch_state import ProductReferences, WatchProgress, WatchState
from vision.domain.watches import (
    DAY,
    SECOND,
    SILENT,
    Alert,
    StoredWatch,
    Watch,
    WatchPhoto,
    WatchTarget,
)
from vision.ports.watching import FrameEmbedder, FramePhotos, ProductVectors
from vision.record import Record
from vision.watching.checking import MeasuredFrame, Reading, References, check_frame, is_dark
from vision.watching.faces import BlurredFrames

WATCHING: Final = "watching"
"""Name for servicekit.tasks.supervision."""
SPACE: Final = "visual"
MOST_FRAMES: Final = 8
"""Frames of a call."""
MOST_WAITING: Final = 2
"""Calls of a watch that wait in a process; older ones are dropped."""
AT_ONCE: Final = max(1, (os.cpu_count() or 1) // 2)
"""Watches whose frames a process checks at once: half of the cores are left to answers."""
AHEAD: Final = 300 * SECOND
"""Most that the time of a frame may be ahead, in microseconds."""
ATTEMPTS: Final = 5
"""Attempts to store frames while other processes store frames of the same watch."""
MOST_KNOWN: Final = 1_000
"""Photos that rules look for whose vectors are kept in memory."""
MOST_INDEXED: Final = 100
"""Watches of whose products the vectors are kept in memory, of 5 KB a photo."""
FRAME_BOX: Final = PhotoArea(0.0, 0.0, 1.0, 1.0)

FRAMES = Counter(
    "sightline_watch_frames_total",
    "Frames of watches by outcome: processed, dropped, repeated, late or rejected.",
    ("outcome",),
)
ALERTS = Counter("sightline_watch_alerts_total", "Alerts of watches by kind.", ("kind",))

log = get_logger()


class FrameOutcome(StrEnum):
    """Outcome of a frame."""

    PROCESSED = "processed"
    DROPPED = "dropped"
    REPEATED = "repeated"
    LATE = "late"
    REJECTED = "rejected"


for _outcome in FrameOutcome:
    FRAMES.labels(_outcome)  # start at 0: rates miss the first value


@dataclass(frozen=True, slots=True)
class SentFrame:
    """A frame as a caller sent it."""

    data: bytes
    micros: int = 0
    """Time (microseconds since 1970, UTC); 0: now."""


@dataclass(frozen=True, slots=True)
class FrameReport:
    """Outcome of a frame."""

    outcome: FrameOutcome
    error: ServiceError | None = None
    """Reason for a rejection."""
    readings: tuple[Reading, ...] = ()


@dataclass(frozen=True, slots=True)
class FramesReport:
    """Outcomes of the frames of a call."""

    frames: tuple[FrameReport, ...]
    alerts: tuple[Alert, ...] = ()
    embedded: int = 0
    """Pictures that were embedded."""
    detected: int = 0
    """Frames in which objects were looked for."""
    views: int = 0
    """Views of these objects that were embedded."""


@dataclass(slots=True)
class _Queue:
    """Calls of one watch: one at a time, few wait."""

    turns: Turns = field(default_factory=lambda: Turns(MOST_WAITING))
    dropped: int = 0
    """Dropped frames that the record does not know yet."""


@dataclass(slots=True)
class FrameChecks:
    """Checks frames by the rules of their watches. Not for several event loops."""

    record: Record
    photos: FramePhotos
    embedder: FrameEmbedder
    products: ProductVectors
    private: BlurredFrames
    clock: Callable[[], int]
    """Microseconds since 1970 (UTC)."""
    known: dict[tuple[str, str, str], Sequence[Floats]] = field(default_factory=dict)
    """Vectors of photos that rules look for, by catalog, photo and version of the space."""
    indexed: dict[tuple[str, str, int], ProductReferences] = field(default_factory=dict)
    """Last vectors of the products that rules look for, by catalog, and etag and creation of
    the watch."""
    _queues: dict[tuple[str, str], _Queue] = field(default_factory=dict)
    _permits: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))

    async def check(
        self,
        catalog_id: str,
        watch_id: str,
        frames: Sequence[SentFrame],
        note: Callable[[WatchState], WatchState] = lambda state: state,
        dropped: int = 0,
    ) -> FramesReport:
        """Check 1 to MOST_FRAMES frames, and return once their state and alerts are stored.

        `note`: adds to the state that is stored with them. `dropped`: frames before them that their
        sender dropped.

        Raises WatchNotFound, WatchContended, EmbedderUnavailable, PhotosUnavailable.
        """

        def noted(state: WatchState) -> WatchState:
            return note(replace(state, dropped=state.dropped + dropped))

        queue = self._queues.setdefault((catalog_id, watch_id), _Queue())
        try:
            async with queue.turns.turn() as granted:
                if not granted:
                    queue.dropped += len(frames) + dropped
                    FRAMES.labels(FrameOutcome.DROPPED).inc(len(frames) + dropped)
                    return FramesReport((FrameReport(FrameOutcome.DROPPED),) * len(frames))
                timed = self._timed(frames)
                async with self._permits:
                    report = await self._checked(catalog_id, watch_id, timed, queue, noted)
                FRAMES.labels(FrameOutcome.DROPPED).inc(dropped)
                return report
        except WatchNotFound:
            queue.dropped = 0
            raise
        finally:
            if queue.turns.idle and not queue.dropped:
                self._queues.pop((catalog_id, watch_id), None)

    def _timed(self, frames: Sequence[SentFrame]) -> list[SentFrame]:
        """Give frames without a time that of their arrival, in order."""
        now = self.clock()
        return [
            frame if frame.micros else replace(frame, micros=now + place)
            for place, frame in enumerate(frames)
        ]

    async def _checked(
        self,
        catalog_id: str,
        watch_id: str,
        frames: Sequence[SentFrame],
        queue: _Queue,
        note: Callable[[WatchState], WatchState],
    ) -> FramesReport:
        measured = _Measurements(self, catalog_id)
        for _ in range(ATTEMPTS):
            found = await self.record.watch(catalog_id, watch_id)
            if found is None:
                raise WatchNotFound
            stored, known = found
            await measured.measure(stored, frames, known.state)
            folded = _fold(stored.watch, known.state, frames, measured)
            dropped = queue.dropped
            state = note(replace(folded.state, dropped=folded.state.dropped + dropped))
            alerts, photos = await self._with_photos(
                catalog_id, stored.watch, folded.checked, folded.alerts
            )
            progress = WatchProgress(stored, known.revision, state, alerts, photos)
            saved = await self.record.save_checked(catalog_id, progress)
            if saved is not None:
                queue.dropped -= dropped
                return _counted(measured.report(folded.frames, saved))
        raise WatchContended

    async def _with_photos(
        self,
        catalog_id: str,
        watch: Watch,
        checked: Mapping[int, bytes],
        alerts: Sequence[Alert],
    ) -> tuple[list[Alert], list[WatchPhoto]]:
        """Store what alerts are about as photos if the watch wants them. An alert of which no photo
        can be stored has none. `checked`: the checked frames by their times."""
        if not watch.photo_days:
            return list(alerts), []
        photos, placed = dict[tuple[int, PhotoArea | None], WatchPhoto | None](), list[Alert]()
        silent = {rule.rule_id for rule in watch.rules if rule.condition == SILENT}
        for alert in alerts:
            if alert.rule_id in silent:  # it is about no frame
                placed.append(alert)
                continue
            box = None if watch.whole_frames else alert.box
            key = alert.frame_micros, box
            if key not in photos:
                photos[key] = await self._photo(catalog_id, watch, checked[key[0]], box)
            photo = photos[key]
            placed.append(replace(alert, image_id="" if photo is None else photo.image_id))
        return placed, [photo for photo in photos.values() if photo is not None]

    async def _photo(
        self, catalog_id: str, watch: Watch, data: bytes, box: PhotoArea | None
    ) -> WatchPhoto | None:
        try:
            return await self._kept(catalog_id, watch, data, box)
        except ServiceError as error:
            log.warning("frame not kept", catalog=catalog_id, reason=error.reason)
            return None

    async def _kept(
        self, catalog_id: str, watch: Watch, data: bytes, box: PhotoArea | None
    ) -> WatchPhoto:
        """Store a frame, or a part of it, with its faces blurred."""
        kept = await self.photos.as_stored(catalog_id, data)
        kept = await self.private.without_faces(catalog_id, kept, box)
        info = await self.photos.inspect(catalog_id, kept)
        await self.photos.put(catalog_id, info.image_id, kept)
        expiry = self.clock() + watch.photo_days * DAY
        return WatchPhoto(info.image_id, info.media_type, info.width, info.height, expiry)


@dataclass(slots=True)
class _Measurements:
    """Measurements of the frames of a call. They are made again only if the watch, or the
    version of the space, has changed."""

    checks: FrameChecks
    catalog_id: str
    etag: str = ""
    frames: dict[int, MeasuredFrame | ServiceError] = field(default_factory=dict)
    """By place in the call."""
    references: References = field(default_factory=dict)
    embedded: int = 0
    detected: int = 0
    views: int = 0

    def report(self, frames: tuple[FrameReport, ...], alerts: Sequence[Alert]) -> FramesReport:
        """Return what happened to the frames."""
        counts = self.embedded, self.detected, self.views
        return FramesReport(frames, tuple(alerts), *counts)

    async def measure(
        self, stored: StoredWatch, frames: Sequence[SentFrame], state: WatchState
    ) -> None:
        """Measure the frames that are newer than those of a state."""
        if self.etag != stored.etag:
            self.etag, self.frames = stored.etag, {}
            self.references, version = await self._references(stored)
        else:
            measured = [each for each in self.frames.values() if isinstance(each, MeasuredFrame)]
            version = measured[0].version if measured else ""
        ahead, newest = self.checks.clock() + AHEAD, state.newest
        for place, frame in enumerate(frames):
            if not 0 < frame.micros <= ahead:
                self.frames[place] = FrameTimeInvalid()
            elif place not in self.frames and frame.micros > newest:
                self.frames[place] = await self._measured(stored.watch, frame, version)
            newest = max(newest, frame.micros if frame.micros <= ahead else 0)

    async def _measured(
        self, watch: Watch, frame: SentFrame, version: str
    ) -> MeasuredFrame | ServiceError:
        parts, places = watch.compared, watch.boxes()
        boxes = [FRAME_BOX if (box := places[part]) is None else box for part in parts]
        try:
            facts, cut = await self.checks.photos.measure_frame(self.catalog_id, frame.data, boxes)
            now = self.checks.clock()
            measured = MeasuredFrame(frame.micros, facts, version=version, received=now)
            if is_dark(facts):
                return measured
            if cut:
                embed = self.checks.embedder.embed_parts
                version, vectors = await embed(self.catalog_id, cut, version)
                self.embedded += len(vectors)
                named = dict(zip(parts, vectors, strict=True))
                measured = replace(measured, vectors=named, version=version)
            return await self._with_objects(watch, measured, frame) if watch.detects else measured
        except ImageRejected as error:
            return error

    async def _with_objects(
        self, watch: Watch, measured: MeasuredFrame, frame: SentFrame
    ) -> MeasuredFrame:
        """Return the measurements with the objects in a frame."""
        find = self.checks.embedder.find_objects
        version, vectors = measured.version, watch.recognises
        found = await find(self.catalog_id, frame.data, version, vectors=vectors)
        self.detected += 1
        if found is None:
            log.warning("objects not looked for", catalog=self.catalog_id)
            return measured
        self.views += found.views
        return replace(measured, objects=found.objects, version=found.version)

    async def _references(self, stored: StoredWatch) -> tuple[References, str]:
        """Return the vectors of what rules look for, and their version; empty: the default one."""
        targets = {rule.target for rule in stored.watch.rules if rule.target is not None}
        if not targets:
            return {}, ""
        named = sorted({target.product_id for target in targets if not target.image_id})
        indexed = await self._indexed(stored, named)
        version, found = indexed.version, dict[WatchTarget, Sequence[Floats]]()
        for target in sorted(targets, key=repr):
            if target.image_id:
                try:
                    version, found[target] = await self._of_photo(target.image_id, version)
                except (ImageNotFound, ImageDamaged, ImageRejected) as error:
                    # The rules that look for it can't tell; the others can.
                    tell(WATCHING, error, catalog=self.catalog_id, image=target.image_id)
            elif indexed.version:
                found[target] = indexed.vectors.get(target.product_id, ())
        return found, version

    async def _indexed(self, stored: StoredWatch, product_ids: Sequence[str]) -> ProductReferences:
        """Return the vectors of products. While the retriever does not answer, they are those that
        were read last; without any, rules that look for products can't tell, the others can."""
        key = self.catalog_id, stored.etag, stored.create_micros
        indexed = self.checks.indexed
        try:
            found = await self.checks.products.references(self.catalog_id, product_ids)
        except RetrieverUnavailable as error:
            tell(WATCHING, error, catalog=self.catalog_id)
            return indexed.get(key, ProductReferences())
        if key not in indexed and len(indexed) >= MOST_INDEXED:
            del indexed[next(iter(indexed))]
        indexed[key] = found
        return found

    async def _of_photo(self, image_id: str, version: str) -> tuple[str, Sequence[Floats]]:
        """Return the vectors of a photo that a rule looks for, and their version."""
        key = self.catalog_id, image_id, version
        if version and (known := self.checks.known.get(key)):
            return version, known
        photos = self.checks.photos
        data = await photos.get(self.catalog_id, image_id)
        # Reduced as parts of frames are.
        _, cut = await photos.measure_frame(self.catalog_id, data, [FRAME_BOX])
        version, vectors = await self.checks.embedder.embed_parts(self.catalog_id, cut, version)
        self.embedded += 1
        if len(self.checks.known) >= MOST_KNOWN:
            del self.checks.known[next(iter(self.checks.known))]
        self.checks.known[self.catalog_id, image_id, version] = vectors
        return version, vectors


@dataclass(frozen=True, slots=True)
class _Folded:
    """The frames of a call, checked one after the other."""

    state: WatchState
    frames: tuple[FrameReport, ...]
    alerts: tuple[Alert, ...]
    checked: Mapping[int, bytes]
    """Frames that were checked, by their times; a repeated one may have the time of one of them."""


def _fold(
    watch: Watch, state: WatchState, frames: Sequence[SentFrame], measured: _Measurements
) -> _Folded:
    reports, alerts, done = list[FrameReport](), list[Alert](), dict[int, bytes]()
    for place, sent in enumerate(frames):
        frame = measured.frames.get(place)
        if isinstance(frame, ServiceError):
            reports.append(FrameReport(FrameOutcome.REJECTED, frame))
        elif sent.micros <= state.newest or frame is None:
            repeated = sent.micros in state.times
            outcome = FrameOutcome.REPEATED if repeated else FrameOutcome.LATE
            reports.append(FrameReport(outcome))
            state = replace(state, ignored=state.ignored + 1)
        else:
            checked = check_frame(watch, state, frame, measured.references)
            state, done[sent.micros] = checked.state, sent.data
            alerts += checked.alerts
            reports.append(FrameReport(FrameOutcome.PROCESSED, readings=checked.readings))
    return _Folded(state, tuple(reports), tuple(alerts), done)


def _counted(report: FramesReport) -> FramesReport:
    for frame in report.frames:
        FRAMES.labels(frame.outcome).inc()
    for alert in report.alerts:
        ALERTS.labels(alert.kind).inc()
    return report
