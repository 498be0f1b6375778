"""Liked products by shopper, the input of metrics and baselines. NumPy only."""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace

import numpy as np

from ranker.domain.arrays import Flags, Ints
from ranker.domain.log import UNKNOWN, EventColumns
from ranker.domain.signals import DEFAULTS, Signals, interests
from ranker.serving.ranking.fold_in import BASKET


@dataclass(frozen=True, slots=True)
class Histories:
    """For each shopper the liked products, oldest first, each once (CSR).

    Those of shopper r are ``items[starts[r]:starts[r + 1]]``.
    """

    actors: tuple[str, ...]
    """Pseudonyms, sorted, of shoppers with a product."""
    starts: Ints
    """(actors + 1,)"""
    items: Ints
    """(interests,) rows of products"""
    bought: Flags
    """(interests,) whether bought or put into the cart"""
    times: Ints
    """(interests,) time of the interest, microseconds since 1970 (UTC)"""
    asked_micros: int | None = None
    """Time of the request; `None`: right after the newest interest."""

    def __len__(self) -> int:
        return len(self.actors)

    @property
    def lengths(self) -> Ints:
        """(actors,) number of liked products."""
        return np.diff(self.starts)

    @property
    def rows(self) -> Ints:
        """(interests,) the actor's row."""
        return np.repeat(np.arange(len(self)), self.lengths)

    @property
    def ages(self) -> Ints:
        """(interests,) number of newer interests of the shopper; 0 for the newest."""
        return np.repeat(self.starts[1:], self.lengths) - 1 - np.arange(len(self.items))

    @property
    def idle(self) -> Ints:
        """(actors,) microseconds from the newest interest to the request."""
        newest = self.times[self.starts[1:] - 1]
        asked = newest if self.asked_micros is None else self.asked_micros
        idle: Ints = np.maximum(asked - newest, 0)
        return idle

    def of(self, row: int) -> Ints:
        """Return the products of this shopper, oldest first."""
        return self.items[self.starts[row] : self.starts[row + 1]]

    def take(self, rows: Sequence[int] | Ints) -> "Histories":
        """Return only these shoppers, in this order."""
        rows = np.asarray(rows, dtype=np.int64)
        lengths = self.lengths[rows]
        starts = np.concatenate(([0], np.cumsum(lengths)))
        places = np.repeat(self.starts[rows] - starts[:-1], lengths) + np.arange(starts[-1])
        return self._with(rows, starts, places)

    def where_actor(self, actors: Set[str]) -> "Histories":
        """Return only the shoppers with these pseudonyms, in the present order."""
        return self.take([row for row, actor in enumerate(self.actors) if actor in actors])

    def newest(self, count: int) -> "Histories":
        """Return only the newest `count` products of each shopper."""
        return self._where(self.ages < count)

    def oldest(self, count: int) -> "Histories":
        """Return only the first `count` products of each shopper."""
        return self._where(np.arange(len(self.items)) - self.starts[self.rows] < count)

    def newest_share(self, share: float) -> "Histories":
        """Return only the newest `share` of each shopper's products, rounded up."""
        counts = np.ceil(self.lengths * share)
        return self._where(self.ages < np.repeat(counts, self.lengths))

    def shuffled(self, seed: int) -> "Histories":
        """Return the same products of each shopper in random order; times stay in place."""
        draws = np.random.default_rng(seed).random(len(self.items))
        order = np.lexsort((draws, self.rows))
        return replace(self, items=self.items[order], bought=self.bought[order])

    def newer_half(self) -> "Histories":
        """Return the newer half of each shopper's products, rounded up."""
        return self._where(self.ages < np.repeat((self.lengths + 1) // 2, self.lengths))

    def only(self, items: Flags) -> "Histories":
        """Return only the products for which `items`, (products,), is true."""
        return self._where(items[self.items])

    def without(self, other: "Histories") -> "Histories":
        """Remove the (shopper, product) pairs of `other`, and shoppers without any other."""
        places = {actor: row for row, actor in enumerate(other.actors)}
        width = 1 + max(self.items.max(initial=0), other.items.max(initial=0))
        known = np.array([places.get(actor, -1) for actor in self.actors], dtype=np.int64)
        theirs = other.rows * width + other.items
        return self._where(~np.isin(known[self.rows] * width + self.items, theirs))

    def _where(self, keep: Flags) -> "Histories":
        lengths = np.bincount(self.rows[keep], minlength=len(self))
        left = np.flatnonzero(lengths)
        return self._with(left, np.concatenate(([0], np.cumsum(lengths[left]))), keep)

    def _with(self, actors: Ints, starts: Ints, interests: Ints | Flags) -> "Histories":
        """Return these shoppers with only these of the interests."""
        return replace(
            self,
            actors=tuple(self.actors[row] for row in actors),
            starts=starts,
            items=self.items[interests],
            bought=self.bought[interests],
            times=self.times[interests],
        )


def joined(first: Histories, second: Histories) -> Histories:
    """Join two histories, which share no interest."""
    actors = tuple(sorted({*first.actors, *second.actors}))
    places = {actor: row for row, actor in enumerate(actors)}
    owners = [
        np.array([places[one] for one in part.actors], np.int64)[part.rows]
        for part in (first, second)
    ]
    owner = np.concatenate(owners)
    items = np.concatenate((first.items, second.items))
    bought = np.concatenate((first.bought, second.bought))
    times = np.concatenate((first.times, second.times))
    order = np.lexsort((items, times, owner))
    lengths = np.bincount(owner, minlength=len(actors))
    starts = np.concatenate(([0], np.cumsum(lengths)))
    return Histories(actors, starts, items[order], bought[order], times[order])


def histories_of(
    log: EventColumns, item_rows: Mapping[str, int], signals: Signals = DEFAULTS
) -> Histories:
    """Return the histories of these events, by (time, product); products outside `item_rows` are
    ignored."""
    found = interests(log, signals)
    rows = np.array([item_rows.get(item, UNKNOWN) for item in log.items], dtype=np.int64)
    items = rows[found.item]
    order = np.lexsort((items, found.time, found.actor))
    order = order[items[order] != UNKNOWN]
    actors, lengths = np.unique(found.actor[order], return_counts=True)
    taken = log.is_type(*BASKET)
    width = max(len(log.items), 1)
    baskets = np.unique(log.actor[taken] * width + log.item[taken])
    pairs = found.actor[order] * width + found.item[order]
    return Histories(
        actors=tuple(log.actors[actor] for actor in actors),
        starts=np.concatenate(([0], np.cumsum(lengths))),
        items=items[order],
        bought=np.isin(pairs, baskets),
        times=found.time[order],
    )
