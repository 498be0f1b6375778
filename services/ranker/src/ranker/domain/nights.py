"""When the nights of trainings begin."""

from ranker.domain.events import DAY_MICROS

HOUR_MICROS = 3_600 * 1_000_000


def begun(hour: int, now_micros: int) -> int | None:
    """Return when tonight began, microseconds since 1970 (UTC); None before `hour` of the day."""
    night = now_micros // DAY_MICROS * DAY_MICROS + hour * HOUR_MICROS
    return night if night <= now_micros else None


def following(hour: int, now_micros: int) -> int:
    """Return when the next night begins, microseconds since 1970 (UTC)."""
    night = now_micros // DAY_MICROS * DAY_MICROS + hour * HOUR_MICROS
    return night if night > now_micros else night + DAY_MICROS
