"""When a condition becomes an alert: debounce, release and cool-down."""

from dataclasses import dataclass, replace
from typing import Final

from vision.domain.watch_state import Period, Phase
from vision.domain.watches import SECOND, AlertKind

GAP: Final = 600 * SECOND
"""Longest pause between two frames, in microseconds, that counts as time in which a condition held
or was over; a longer `hold` or `release` counts instead."""


@dataclass(frozen=True, slots=True)
class AlertTiming:
    """When a condition becomes an alert, in microseconds."""

    hold: int
    release: int
    cool_down: int


def advance(
    period: Period, holds: bool | None, time: int, timing: AlertTiming
) -> tuple[Period, AlertKind | None]:
    """Return the state after a frame, and whether an alert starts or ends.

    `holds`: whether the frame shows the condition; None: it can't tell, and nothing changes.
    `time`: of the frame, later than that of all frames before.
    """
    if holds is None:
        return period, None
    alerting = period.phase in (Phase.ALERTING, Phase.ENDING)
    turning = period.phase in (Phase.PENDING, Phase.ENDING)
    if holds is alerting:  # the frame confirms what is known
        phase = Phase.ALERTING if alerting else Phase.QUIET
        since = time if turning else period.since or time
        return replace(period, phase=phase, since=since, last=time), None
    wanted = timing.release if alerting else timing.hold
    if not turning or time - period.last > max(GAP, wanted):
        phase = Phase.ENDING if alerting else Phase.PENDING
        period = replace(period, phase=phase, since=time)
    period = replace(period, last=time)
    if time - period.since < wanted:
        return period, None
    if alerting:
        return replace(period, phase=Phase.QUIET), AlertKind.ENDED
    if period.started and time - period.started < timing.cool_down:
        return period, None
    return replace(period, phase=Phase.ALERTING, started=time), AlertKind.STARTED
