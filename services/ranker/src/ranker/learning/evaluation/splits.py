"""Splits of events into training and test, and the tasks of a test.

Two protocols. **Global**: everything before a moment against everything from then on, for all
shoppers, which resembles a promotion: no future event is known. **Per-user tail**: the last share
of each shopper's events, by (time, product), against what they did before it. It tests all
shoppers, and most published figures use it, but the training contains later events of other
shoppers: it is reported in addition to the global split and does not affect the verdict.

The wanted products of a shopper are those liked in the later part and not before. Parameters and
blends are chosen on a validation split of the earlier part, made by the same functions; the later
part is used once.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ranker.domain.arrays import Flags, Ints
from ranker.domain.log import EventColumns
from ranker.domain.report import Protocol
from ranker.domain.signals import DEFAULTS, Signals
from ranker.learning.evaluation.histories import Histories, histories_of, joined


@dataclass(frozen=True, slots=True)
class EventSplit:
    """Events before and after a split, with the same codes."""

    protocol: Protocol
    share: float
    """Share of the events that are held out, 0 to 1."""
    before: EventColumns
    after: EventColumns
    moment_micros: int | None
    """Time of the split, microseconds since 1970 (UTC); `None` if it differs by shopper, or there
    are no events."""


def split(log: EventColumns, protocol: Protocol, share: float) -> EventSplit:
    """Split the events by this protocol; `share` of them, above 0 and below 1, are held out."""
    return {Protocol.GLOBAL: split_globally, Protocol.PER_USER_TAIL: split_tails}[protocol](
        log, share
    )


def split_globally(log: EventColumns, share: float) -> EventSplit:
    """Hold out the last `share` of the events by time; equal times stay together."""
    moment = int(log.time[int(len(log) * (1 - share))]) if len(log) else None
    place = 0 if moment is None else int(np.searchsorted(log.time, moment, "left"))
    return EventSplit(
        Protocol.GLOBAL, share, log.part(slice(0, place)), log.part(slice(place, None)), moment
    )


def split_tails(log: EventColumns, share: float) -> EventSplit:
    """Hold out the last ⌈share⌉ of each shopper's events by (time, product)."""
    order = np.lexsort((log.item, log.time, log.actor))
    counts = np.bincount(log.actor, minlength=len(log.actors))
    left = np.repeat(np.cumsum(counts), counts) - np.arange(len(log))
    held = left <= np.repeat(np.ceil(counts * share), counts)
    late = np.zeros(len(log), dtype=bool)
    late[order[held]] = True
    return EventSplit(Protocol.PER_USER_TAIL, share, log.part(~late), log.part(late), None)


@dataclass(frozen=True, slots=True)
class Task:
    """A task for a system: for each of `shoppers`, given `known`, find `wanted`.

    All three have the same shoppers in the same order.
    """

    known: Histories
    wanted: Histories
    candidates: Flags
    """(items,) competing products, from which a shopper's known ones are excluded."""

    def at(self, rows: Ints) -> "Task":
        """Return the task for the shoppers of these rows."""
        return replace(self, known=self.known.take(rows), wanted=self.wanted.take(rows))

    def evenly(self, most: int) -> "Task":
        """Return the task for at most `most` shoppers, evenly spaced; fewer in a large catalog, see
        `most_shoppers`."""
        count = len(self.known)
        most = min(count, most_shoppers(len(self.candidates), most))
        return self.at(np.linspace(0, count - 1, most).astype(np.int64))


MOST_SCORES = 2 * 10**8
"""Maximum number of scores (shoppers × products) that one system computes for a task."""


def most_shoppers(items: int, most: int) -> int:
    """Return how many shoppers one system scores among `items` products: `most`, or as many as
    MOST_SCORES allows, at least one."""
    return max(min(most, MOST_SCORES // max(items, 1)), 1)


@dataclass(frozen=True, slots=True)
class SplitQuestions:
    """Tasks of a split."""

    training: Histories
    """Interests of all shoppers before the split: training data of baselines."""
    regulars: Task
    """Shoppers with a history."""
    newcomers: Task
    """Shoppers without a history, given the first few of their later interests; the rest is wanted.
    """
    new_items: Task
    """Regulars; only products without earlier interests are wanted and ranked."""
    ongoing: Task
    """All shoppers in the middle of their later interests: given all earlier interests and the
    older half of the later ones, the newer half is wanted. This resembles serving: a model trained
    some time ago that sees the last click."""


NEWCOMER_EVENTS = 3


def tasks(made: EventSplit, items: Sequence[str], signals: Signals = DEFAULTS) -> SplitQuestions:
    """Return the tasks of a split over the products `items`; `signals` define affinities."""
    rows = {item: row for row, item in enumerate(items)}
    before, after = (histories_of(part, rows, signals) for part in (made.before, made.after))
    wanted = after.without(before)
    regulars = _paired(before, wanted)
    unseen = after.where_actor(set(after.actors).difference(before.actors))
    first = unseen.oldest(NEWCOMER_EVENTS)
    newcomers = _paired(first, unseen.without(first))
    cold = np.bincount(before.items, minlength=len(items)) == 0
    everything = np.ones(len(items), dtype=bool)
    new = _paired(before, wanted.only(cold))
    newer = wanted.newer_half()
    ongoing = _paired(joined(before, wanted.without(newer)), newer)
    return SplitQuestions(
        before,
        _asked(made, Task(*regulars, everything)),
        Task(*newcomers, everything),
        _asked(made, Task(*new, cold)),
        Task(*ongoing, everything),
    )


def _asked(made: EventSplit, task: Task) -> Task:
    return replace(task, known=replace(task.known, asked_micros=made.moment_micros))


def _paired(known: Histories, wanted: Histories) -> tuple[Histories, Histories]:
    return known.where_actor(set(wanted.actors)), wanted.where_actor(set(known.actors))
