"""Pins, boosts and burials in an order of products, shared by the ranker and its fallback.

Products are row numbers. An order is changed in two steps, between which near-duplicates collapse:
`apply_boosts` puts pinned products first, so that each represents its family, and buried ones last;
`apply_pins` then moves the pinned to their places.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

WINDOW = 100
"""Number of best products whose range of scores is the unit of a boost."""


class ControlKind(StrEnum):
    """The kind of a control."""

    PIN = "pin"
    BOOST = "boost"
    BURY = "bury"
    EXCLUDE = "exclude"


@dataclass(frozen=True, slots=True)
class Control:
    """One control and its products."""

    name: str
    kind: ControlKind
    rows: Sequence[int]
    """For a pin in the order of their places."""
    place: int = 0
    """For a pin: the place of its first product, from 1."""
    boost: float = 0.0
    """For a boost: what it adds to relevance, which is 0 to 1 within the window."""
    by_merit: bool = False
    """True to compute the merit of its products."""


@dataclass(frozen=True, slots=True)
class Lineup:
    """An order in which pinned products stand first and buried ones last."""

    rows: Sequence[int]
    scores: Sequence[float]
    """Of each: falling between the pinned and the buried."""
    pinned: int
    """Number of pinned products."""
    free: int
    """Number of products after these that are neither pinned nor buried."""
    raised: frozenset[int]
    """The rows that boosts moved up."""
    merits: Sequence[float] = ()
    """Share of the relevance within the window that each control's products have, 0 to 1; 0 for
    controls that are not by merit. Empty if none is."""


def seats(controls: Iterable[Control], present: Collection[int]) -> dict[int, int]:
    """Return the pinned rows that are present, by place (from 1).

    The first control that names a place or a product gets it; a later product moves to the next
    free place.
    """
    taken: dict[int, int] = {}
    given: set[int] = set()
    for control in controls:
        if control.kind is not ControlKind.PIN:
            continue
        place = control.place
        for row in control.rows:
            if row in present and row not in given:
                while place in taken:
                    place += 1
                taken[place] = row
                given.add(row)
    return dict(sorted(taken.items()))


def apply_boosts(
    order: Sequence[int], scores: Sequence[float], controls: Sequence[Control]
) -> Lineup:
    """Sort an order by boosted scores, with its pinned products first and the buried last.

    Equal scores keep their order; pinned products are neither boosted nor buried.
    """
    first = list(seats(controls, frozenset(order)).values())
    pinned, at = frozenset(first), dict(zip(order, scores, strict=True))
    left = [row for row in order if row not in pinned]
    window = [at[row] for row in left[:WINDOW]]
    spread = (max(window) - min(window) if window else 0.0) or 1.0
    boosted = {row: at[row] for row in left}
    buried: set[int] = set()
    for control in controls:
        rows = [row for row in control.rows if row in boosted]
        if control.kind is ControlKind.BOOST:
            for row in rows:
                boosted[row] += control.boost * spread
        elif control.kind is ControlKind.BURY:
            buried.update(rows)
    by_boost = sorted(left, key=lambda row: -boosted[row])
    before = {row: place for place, row in enumerate(left)}
    free = [row for row in by_boost if row not in buried]
    rows = [*first, *free, *(row for row in by_boost if row in buried)]
    return Lineup(
        rows=rows,
        scores=[boosted.get(row, at[row]) for row in rows],
        pinned=len(first),
        free=len(free),
        raised=frozenset(row for place, row in enumerate(by_boost) if place < before[row]),
        merits=_merits(left[:WINDOW], at, controls) if any(c.by_merit for c in controls) else (),
    )


def _merits(
    window: Sequence[int], scores: Mapping[int, float], controls: Sequence[Control]
) -> list[float]:
    lowest = min((scores[row] for row in window), default=0.0)
    relevance = {row: scores[row] - lowest for row in window}
    # Equal scores are equally relevant.
    total = sum(relevance.values()) or float(len(relevance)) or 1.0
    if not any(relevance.values()):
        relevance = dict.fromkeys(relevance, 1.0)
    return [
        sum(relevance.get(row, 0.0) for row in control.rows) / total if control.by_merit else 0.0
        for control in controls
    ]


def apply_pins(order: Sequence[int], controls: Sequence[Control]) -> list[int]:
    """Move the pinned products of an order to their places, at most to its end.

    Other products keep their order.
    """
    taken = seats(controls, frozenset(order))
    pinned = frozenset(taken.values())
    rows = [row for row in order if row not in pinned]
    for place, row in taken.items():
        rows.insert(place - 1, row)
    return rows


def acting(
    controls: Iterable[Control], shown: Collection[int], raised: Collection[int]
) -> tuple[str, ...]:
    """Return the names of the controls that pinned one of the shown rows, or moved one up."""
    moved = {
        ControlKind.PIN: frozenset(shown),
        ControlKind.BOOST: frozenset(shown) & frozenset(raised),
    }
    return tuple(
        control.name
        for control in controls
        if any(row in moved.get(control.kind, ()) for row in control.rows)
    )
