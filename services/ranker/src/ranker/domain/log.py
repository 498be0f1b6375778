"""Events as columns, for signals, training and evaluation. NumPy only."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ranker.domain.arrays import Doubles, Ints, part
from ranker.domain.events import EventType, Interaction

TYPES = tuple(EventType)
"""Event types by the codes in `Log.type`."""

UNKNOWN = -1
"""Code of an unknown session or order."""


@dataclass(frozen=True, slots=True)
class EventColumns:
    """Events, sorted by time, then by event id. Row i of every column is event i."""

    actors: tuple[str, ...]
    """Pseudonyms, sorted; codes in `actor` are indexes into it. A part of a log keeps all of them.
    """
    items: tuple[str, ...]
    """Product ids, sorted; codes in `item` are indexes into it. A part of a log keeps all of them.
    """
    actor: Ints
    """(events,)"""
    item: Ints
    """(events,)"""
    type: Ints
    """(events,) indexes into `TYPES`"""
    value: Doubles
    """(events,) NaN if not given"""
    quantity: Ints
    """(events,) 1 if not given"""
    time: Ints
    """(events,) microseconds since 1970 (UTC), non-decreasing"""
    session: Ints
    """(events,) equal codes mean the same visit; UNKNOWN if not given"""
    order: Ints
    """(events,) equal codes mean the same order; UNKNOWN if not given"""

    def __len__(self) -> int:
        return len(self.time)

    def part(self, rows: npt.NDArray[np.bool_] | Ints | slice) -> "EventColumns":
        """Return only these rows, in their order, with the same codes."""
        return part(self, rows)

    def is_type(self, *types: EventType) -> npt.NDArray[np.bool_]:
        """Return a mask of the events of these types, (events,)."""
        return is_type(self.type, *types)


def is_type(codes: Ints, *types: EventType) -> npt.NDArray[np.bool_]:
    """Return a mask of the places in `TYPES` that are of these types."""
    wanted = np.zeros(len(TYPES), dtype=np.bool_)
    wanted[[TYPES.index(one) for one in types]] = True
    return wanted[codes]


def log_of(interactions: Iterable[Interaction]) -> EventColumns:
    """Return the events, in any order, as columns."""
    rows = sorted(interactions, key=lambda one: (one.time_micros, one.event_id))
    actors, actor = _coded([one.actor for one in rows])
    items, item = _coded([one.product_id for one in rows])
    kinds = {kind: code for code, kind in enumerate(TYPES)}
    return EventColumns(
        actors=actors,
        items=items,
        actor=actor,
        item=item,
        type=np.array([kinds[one.type] for one in rows], dtype=np.int64),
        value=np.array([np.nan if one.value is None else one.value for one in rows], np.float64),
        quantity=np.array([max(one.quantity, 1) for one in rows], dtype=np.int64),
        time=np.array([one.time_micros for one in rows], dtype=np.int64),
        session=_groups([one.session for one in rows]),
        order=_groups([one.order_id for one in rows]),
    )


def _coded(texts: Sequence[str]) -> tuple[tuple[str, ...], Ints]:
    known = tuple(sorted(set(texts)))
    codes = {text: code for code, text in enumerate(known)}
    return known, np.array([codes[text] for text in texts], dtype=np.int64)


def _groups(texts: Sequence[str]) -> Ints:
    codes: dict[str, int] = {"": UNKNOWN}
    for text in texts:
        codes.setdefault(text, len(codes) - 1)
    return np.array([codes[text] for text in texts], dtype=np.int64)
