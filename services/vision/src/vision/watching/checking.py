"""The rules of a watch on one measured frame. Pure: no clock, no store."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import exp, log
from typing import Final

import numpy as np

from sightline_rules.ids import derive_id
from sightline_rules.photo_areas import PhotoArea
from vision.domain.objects import Floats, SeenObject
from vision.domain.watch_state import KNOWN_TIMES, FrameFacts, RuleState, Track, WatchState
from vision.domain.watches import (
    SECOND,
    SILENT,
    Alert,
    AlertKind,
    CountCondition,
    DetectedCondition,
    Direction,
    Fault,
    FaultCondition,
    PresenceCondition,
    UnusualCondition,
    Watch,
    WatchRule,
    WatchTarget,
)
from vision.watching.hourly_baseline import SLOWLY, deviations, hour_of, learned, projected
from vision.watching.hysteresis import Level, follow
from vision.watching.periods import AlertTiming, advance

MARGIN: Final = 0.05
"""Hysteresis of a similarity: something that was seen is seen until it falls so far below."""
DARK: Final = Level(-0.06, -0.09)
"""Threshold of the negative brightness of the brightest hundredth of the frame, 0 to 1."""
STILL: Final = Level(-1e-5, -2e-5)
"""Threshold of the negative difference from the previous frame. The noise of a sensor leaves more
in the mean of a cell of 1,000 pixels."""
BLUR: Final = Level(-0.4, -0.55)
"""Threshold of the negative share of the usual sharpness."""
SHARP_FRAMES: Final = 20
"""Frames from which the usual sharpness is known."""
SHARP_MEMORY: Final = 500
"""Frames that the usual sharpness remembers."""
SHARP_FLOOR: Final = 1e-6
"""Sharpness of an even frame, whose logarithm is taken."""


@dataclass(frozen=True, slots=True)
class MeasuredFrame:
    """Measurements of a frame, without regard to earlier ones."""

    micros: int
    """Time (microseconds since 1970, UTC)."""
    facts: FrameFacts
    vectors: Mapping[str, Floats] = field(default_factory=dict)
    """Vectors of unit length of the compared parts of the frame; empty: not embedded."""
    version: str = ""
    """Version of the space of `vectors` and `objects`."""
    objects: Sequence[SeenObject] | None = None
    """Objects in the frame; None: not looked for, or that was not possible."""
    received: int = 0
    """Time at which it was measured, by the service's clock; a camera's may be wrong."""


@dataclass(frozen=True, slots=True)
class Reading:
    """Measurement of a frame by a rule."""

    rule_id: str
    score: float = 0.0
    holds: bool | None = None
    """True if the condition holds; None: the frame can't tell."""
    alerting: bool = False


@dataclass(frozen=True, slots=True)
class CheckedFrame:
    """The rules of a watch on a frame."""

    state: WatchState
    readings: tuple[Reading, ...]
    alerts: tuple[Alert, ...]


References = Mapping[WatchTarget, Sequence[Floats]]
"""Vectors of unit length of what rules look for; none: it has no vector."""


def is_dark(facts: FrameFacts) -> bool:
    """Return whether nothing can be seen in a frame."""
    return -facts.bright >= DARK.enter


def check_frame(
    watch: Watch, state: WatchState, frame: MeasuredFrame, references: References
) -> CheckedFrame:
    """Return the state of a watch after a frame, what its rules measured, and the alerts that
    start or end. `frame`: later than all frames before."""
    share = _sharpness_share(state, frame.facts)
    blurred = share is not None and -share >= BLUR.enter
    blind = is_dark(frame.facts) or blurred or _is_still(state, frame.facts)
    values = _FrameValues(watch, state, frame, references, share, blind)
    rules, readings, alerts = dict[str, RuleState](), [], []
    for rule in watch.rules:
        before = _state_of(watch, state, rule)
        after, score, holds = values.measure(rule, before)
        timing = AlertTiming(rule.hold, rule.release, rule.cool_down)
        time = frame.received if rule.condition == SILENT else frame.micros
        period, kind = advance(after.period, holds, time, timing)
        if kind is not None:
            times = time, period.since
            alert = _alert(watch, rule, kind, times, score=score, before=before)
            alert = replace(alert, box=_about(watch, rule, after))
            alerts.append(alert)
            period = replace(period, alert_id=alert.alert_id if kind is AlertKind.STARTED else "")
        rules[rule.rule_id] = replace(after, period=period)
        readings.append(Reading(rule.rule_id, score, holds, bool(period.alert_id)))
    state = replace(
        state,
        rules=rules,
        times=(*state.times, frame.micros)[-KNOWN_TIMES:],
        received=frame.received,
        processed=state.processed + 1,
        cells=frame.facts.cells,
    )
    if not is_dark(frame.facts):
        state = _with_sharpness(state, frame.facts, SLOWLY if blurred else 1.0)
    return CheckedFrame(state, tuple(readings), tuple(alerts))


def check_silence(
    watch: Watch, state: WatchState, last: int, now: int
) -> tuple[WatchState, tuple[Alert, ...]]:
    """Return the state of a watch of which no frame was checked since `last`, and the alerts that
    start. Times are microseconds by the service's clock."""
    rules, alerts = dict(state.rules), list[Alert]()
    for rule in watch.rules:
        if rule.condition != SILENT or now - last < rule.hold:
            continue
        before = _state_of(watch, state, rule)
        timing = AlertTiming(0, rule.release, rule.cool_down)
        period, kind = advance(before.period, True, now, timing)
        if kind is not None:
            score = (now - last) / SECOND
            alerts.append(_alert(watch, rule, kind, (now, last), before=before, score=score))
            period = replace(period, alert_id=alerts[-1].alert_id)
        if period.phase is not before.period.phase:
            rules[rule.rule_id] = replace(before, period=period)
    return replace(state, rules=rules), tuple(alerts)


def _state_of(watch: Watch, state: WatchState, rule: WatchRule) -> RuleState:
    """Return what is known of a rule; nothing if it measured something else before."""
    key, known = watch.condition_key(rule), state.rules.get(rule.rule_id)
    return known if known is not None and known.key == key else RuleState(key)


def ended(watch: Watch, after: Watch | None, state: WatchState, micros: int) -> tuple[Alert, ...]:
    """Return the ends of alerts whose rule was changed or removed.

    `after`: the watch that replaces `watch`; None: it is deleted.
    """
    kept = set() if after is None else {after.condition_key(rule) for rule in after.rules}
    found = []
    for rule in watch.rules:
        known = state.rules.get(rule.rule_id)
        if known is not None and known.period.alert_id and known.key not in kept:
            time = max(micros, state.newest)
            found.append(_alert(watch, rule, AlertKind.ENDED, (time, time), before=known))
    return tuple(found)


def without_ended(state: WatchState, watch: Watch) -> WatchState:
    """Return a state without what it knows of other rules than those of a watch."""
    keys = {watch.condition_key(rule) for rule in watch.rules}
    return replace(
        state, rules={name: each for name, each in state.rules.items() if each.key in keys}
    )


@dataclass(frozen=True, slots=True)
class _FrameValues:
    """Measures rules on a frame."""

    watch: Watch
    state: WatchState
    frame: MeasuredFrame
    references: References
    share: float | None
    """Sharpness as a share of the usual; None: not known yet."""
    blind: bool
    """The picture shows nothing that other rules could compare."""

    def measure(self, rule: WatchRule, state: RuleState) -> tuple[RuleState, float, bool | None]:
        """Return the rule's state with new tracks, its measurement, and whether its condition
        holds."""
        match rule.condition:
            case PresenceCondition(direction=direction):
                state, values = self._similarities(rule, state)
                if values is None:
                    return state, 0.0, None
                seen = any(track.above for track in state.tracks)
                return state, max(values), seen is (direction is Direction.APPEARS)
            case CountCondition(below=below):
                state, values = self._similarities(rule, state)
                if values is None:
                    return state, 0.0, None
                count = sum(track.above for track in state.tracks)
                return state, float(count), count < below
            case DetectedCondition() as condition:
                return self._count(rule, state, condition)
            case UnusualCondition() as condition:
                return self._deviation(rule, state, condition)
            case FaultCondition(fault=fault):
                return self._fault(rule, state, fault)

    def _similarities(
        self, rule: WatchRule, state: RuleState
    ) -> tuple[RuleState, list[float] | None]:
        """Return the state with the tracks of all parts, and their similarities; None: the frame
        can't tell."""
        target = rule.target
        known = self.references.get(target, ()) if target is not None else ()
        vectors = self.frame.vectors
        parts = [vectors[part] for part in rule.region_ids if part in vectors]
        if target is None or self.blind or not len(known) or len(parts) < len(rule.region_ids):
            return state, None
        level = Level(target.min_similarity, target.min_similarity - MARGIN)
        matrix = np.stack(known)
        before = state.tracks or (Track(),) * len(parts)
        followed = [
            follow(track, float(np.max(matrix @ part)), level, smooth=rule.hold > 0)
            for track, part in zip(before, parts, strict=True)
        ]
        tracks = tuple(track for track, _ in followed)
        return replace(state, tracks=tracks), [value for _, value in followed]

    def _count(
        self, rule: WatchRule, state: RuleState, condition: DetectedCondition
    ) -> tuple[RuleState, float, bool | None]:
        target, box = condition.target, self.watch.boxes()[condition.region_id]
        known = self.references.get(target, ()) if target is not None else ()
        objects = self.frame.objects
        if self.blind or objects is None or (target is not None and not len(known)):
            return state, 0.0, None
        found = [each for each in objects if each.is_in(box)]
        if target is not None and found:
            matches = np.stack([each.vector for each in found]) @ np.stack(known).T
            number = int((matches.max(axis=1) >= target.min_similarity).sum())
        else:
            number = len(found)
        level = Level(condition.below, condition.below)
        state, count, enough = self._tracked(rule, state, float(number), level)
        return state, count, not enough

    def _deviation(
        self, rule: WatchRule, state: RuleState, condition: UnusualCondition
    ) -> tuple[RuleState, float, bool | None]:
        part = self.frame.vectors.get(condition.region_id)
        if self.blind or part is None:
            return state, 0.0, None
        if state.usual_version != self.frame.version:
            state = replace(state, usual={}, usual_version=self.frame.version, tracks=())
        vector = projected(part)
        hour = hour_of(self.frame.micros, self.watch.utc_offset_minutes)
        found = deviations(state.usual, hour, vector, condition.min_frames)
        unusual = found is not None and found >= condition.min_deviations
        state = replace(state, usual=learned(state.usual, hour, vector, unusual=unusual))
        if found is None:
            return state, 0.0, None
        level = Level(condition.min_deviations, 0.7 * condition.min_deviations)
        return self._tracked(rule, state, found, level)

    def _fault(
        self, rule: WatchRule, state: RuleState, fault: Fault
    ) -> tuple[RuleState, float, bool | None]:
        facts = self.frame.facts
        if fault is Fault.SILENT:  # not while frames come; see check_silence
            before = self.state.received
            return state, (self.frame.received - before) / SECOND if before else 0.0, False
        if fault is Fault.BLACK:
            value, level = facts.bright, DARK
        elif fault is Fault.BLURRED:
            if self.share is None or is_dark(facts):
                return state, 0.0, None
            value, level = self.share, BLUR
        else:
            if not self.state.cells or is_dark(facts):
                return state, 0.0, None
            value, level = _difference(self.state.cells, facts.cells), STILL
        # These values are low while the condition holds.
        state, score, holds = self._tracked(rule, state, -value, level)
        return state, -score, holds

    def _tracked(
        self, rule: WatchRule, state: RuleState, value: float, level: Level
    ) -> tuple[RuleState, float, bool]:
        before = state.tracks[0] if state.tracks else Track()
        track, compared = follow(before, value, level, smooth=rule.hold > 0)
        return replace(state, tracks=(track,)), compared, track.above


def _is_still(state: WatchState, facts: FrameFacts) -> bool:
    """Return whether a frame is the previous one again, which tells nothing."""
    return bool(state.cells) and -_difference(state.cells, facts.cells) >= STILL.enter


def _difference(before: Sequence[float], after: Sequence[float]) -> float:
    """Return the root of the mean squared difference of cells, 0 to 1."""
    return float(np.sqrt(np.mean((np.asarray(after) - np.asarray(before)) ** 2)))


def _sharpness_share(state: WatchState, facts: FrameFacts) -> float | None:
    if state.sharp_frames < SHARP_FRAMES:
        return None
    return exp(log(max(facts.sharpness, SHARP_FLOOR)) - state.sharpness)


def _with_sharpness(state: WatchState, facts: FrameFacts, weight: float) -> WatchState:
    rate = weight / min(state.sharp_frames + 1, SHARP_MEMORY)
    value = log(max(facts.sharpness, SHARP_FLOOR))
    return replace(
        state,
        sharpness=state.sharpness + rate * (value - state.sharpness),
        sharp_frames=state.sharp_frames + 1,
    )


def _about(watch: Watch, rule: WatchRule, state: RuleState) -> PhotoArea | None:
    """Return the part of the frame that an alert is about: of the regions of its rule those that
    show the target if it appears, otherwise those that do not; all of them if there is none. None:
    the whole frame."""
    parts, condition = rule.region_ids, rule.condition
    if len(state.tracks) == len(parts):
        shown = isinstance(condition, PresenceCondition) and (
            condition.direction is Direction.APPEARS
        )
        told = [part for part, track in zip(parts, state.tracks, strict=True)
                if track.above is shown]  # fmt: skip
        if rule.target is not None and told:
            parts = tuple(told)
    known = watch.boxes()
    boxes = [box for part in parts if (box := known.get(part)) is not None]
    if not boxes or len(boxes) < len(parts):
        return None
    return PhotoArea(
        min(box.left for box in boxes),
        min(box.top for box in boxes),
        max(box.right for box in boxes),
        max(box.bottom for box in boxes),
    )


def _alert(
    watch: Watch,
    rule: WatchRule,
    kind: AlertKind,
    times: tuple[int, int],
    *,
    before: RuleState,
    score: float = 0.0,
) -> Alert:
    """Return an alert. `times`: of the frame that decided it, and of the first one of its
    period."""
    micros, since = times
    target = rule.target
    return Alert(
        alert_id=derive_id(watch.watch_id, rule.rule_id, before.key, kind.value, str(micros)),
        watch_id=watch.watch_id,
        rule_id=rule.rule_id,
        kind=kind,
        frame_micros=micros,
        since_micros=since,
        score=score,
        product_id="" if target is None else target.product_id,
        started_alert_id=before.period.alert_id if kind is AlertKind.ENDED else "",
    )
