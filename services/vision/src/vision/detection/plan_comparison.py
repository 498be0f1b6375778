"""Comparison of the products on a photo with a plan of the shelf.

Each detection fills at most one planned facing, and each facing is filled at most once, in this
order:

1. Parts of the photo: detections whose middle lies in the planned rectangle.
2. Rows: the plan's rows are aligned with those of the photo, in their order, so that as many
   facings as possible are in common. In each row, the longest common subsequence of planned and
   found products is present.
3. Other detections of the row, where facings of the product are missing: out of order.
4. Entries without a place: present wherever the product stands.
5. Other detections, where facings of the product are missing elsewhere: misplaced.

The others are surplus. Facings that nothing fills are missing.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

from sightline_rules.photo_areas import PhotoArea
from sightline_rules.photo_products import Detection
from vision.detection.plan import PlannedProduct, ShelfPlace, ShelfPlan
from vision.detection.rows import ShelfRows, middle, rows_of

LEAST_GAP = 0.3
"""Width of a visible gap, as a share of its neighbours'."""


class FindingKind(StrEnum):
    """Outcome for a detection or a planned facing, as in PlanFinding.Kind without its prefix."""

    PRESENT = "PRESENT"
    MISSING = "MISSING"
    SURPLUS = "SURPLUS"
    MISPLACED = "MISPLACED"
    OUT_OF_ORDER = "OUT_OF_ORDER"
    UNIDENTIFIED = "UNIDENTIFIED"


@dataclass(frozen=True, slots=True)
class PlanFinding:
    """A detection or a planned facing, compared."""

    kind: FindingKind
    product_id: str
    row: int
    """Row of the photo, from 1; 0 if unknown."""
    box: PhotoArea | None
    detection: int | None = None
    """Index of the detection; `None` if missing."""
    planned: int | None = None
    """Index of the plan's entry; `None` if there is none."""


@dataclass(frozen=True, slots=True)
class PlanCount:
    """Facings of a product."""

    product_id: str
    planned: int
    found: Mapping[FindingKind, int]


@dataclass(frozen=True, slots=True)
class PlanComparison:
    """A photo compared with a plan."""

    findings: Sequence[PlanFinding]
    """Detections in their order, then missing facings in the order of the plan."""
    counts: Sequence[PlanCount]
    row_count: int
    compliance: float
    """Share of planned facings that are present."""


@dataclass(frozen=True, slots=True)
class _Filled:
    """The entry of which a detection fills a facing."""

    kind: FindingKind
    entry: int


_Fills = Mapping[int, _Filled]
"""By index of the detection."""


def compare(plan: ShelfPlan, seen: Sequence[Detection]) -> PlanComparison:
    """Compare detections with a valid plan (`plan.checked`)."""
    rows = rows_of([each.box for each in seen])
    row_of = {place: row for row, places in enumerate(rows) for place in places}
    fills: dict[int, _Filled] = dict(_in_boxes(plan, seen))
    free = [[place for place in row if place not in fills] for row in rows]
    aligned = _aligned(plan, seen, free)
    fills |= _in_order(plan, seen, free, aligned)
    present = dict(fills)
    for kind in (FindingKind.OUT_OF_ORDER, FindingKind.PRESENT, FindingKind.MISPLACED):
        fills |= _elsewhere(plan, seen, fills, kind, (aligned, row_of))
    missing = _missing(plan, seen, present, fills, aligned)
    found = [_found(place, each, fills, row_of) for place, each in enumerate(seen)]
    findings = [*found, *missing]
    counts = _counts(plan, findings)
    good = sum(each.found.get(FindingKind.PRESENT, 0) for each in counts)
    return PlanComparison(findings, counts, len(rows), good / plan.facings)


def _row(each: PlannedProduct, aligned: Mapping[int, int]) -> int | None:
    """Return the photo's row of an entry, from 0; `None` if unknown."""
    return aligned.get(each.place.row) if isinstance(each.place, ShelfPlace) else None


def _in_boxes(plan: ShelfPlan, seen: Sequence[Detection]) -> Iterator[tuple[int, _Filled]]:
    """Yield the detections that lie in the planned part of the photo, the nearest first."""
    taken: set[int] = set()
    for entry, each in enumerate(plan.products):
        box = each.place
        if not isinstance(box, PhotoArea):
            continue
        inside = [
            (_distance(box, one.box), place)
            for place, one in enumerate(seen)
            if one.product_id == each.product_id and place not in taken and _inside(box, one.box)
        ]
        for _, place in sorted(inside)[: each.facings]:
            taken.add(place)
            yield place, _Filled(FindingKind.PRESENT, entry)


def _inside(box: PhotoArea, other: PhotoArea) -> bool:
    return (
        box.left <= middle(other) <= box.right
        and box.top <= (other.top + other.bottom) / 2 <= box.bottom
    )


def _distance(one: PhotoArea, other: PhotoArea) -> float:
    """Return the squared distance of the middles of two rectangles."""
    vertical = (one.top + one.bottom - other.top - other.bottom) / 2
    return (middle(one) - middle(other)) ** 2 + vertical**2


def _aligned(plan: ShelfPlan, seen: Sequence[Detection], rows: ShelfRows) -> Mapping[int, int]:
    """Return the photo's row, from 0, of each row of the plan that has one.

    Maximizes the number of common facings, then the number of aligned rows.
    """
    planned = [(row, _facings(plan, entries)) for row, entries in plan.rows.items()]
    found = [Counter(seen[place].product_id for place in row) for row in rows]
    worth = [[_common(wanted, has) for has in found] for _, wanted in planned]
    pairs = _best_pairs(worth)
    return {planned[one][0]: other for one, other in pairs}


def _facings(plan: ShelfPlan, entries: Sequence[int]) -> Counter[str]:
    found = Counter[str]()
    for entry in entries:
        found[plan.products[entry].product_id] += plan.products[entry].facings
    return found


def _common(wanted: Counter[str], has: Counter[str]) -> int:
    """Return the worth of aligning two rows: common facings count more than all pairs of rows."""
    return 1 + 1000 * sum(min(number, wanted[item]) for item, number in has.items())


def _best_pairs(worth: Sequence[Sequence[int]]) -> Sequence[tuple[int, int]]:
    """Return the pairs (row, column) of the greatest total worth, both ascending."""
    height, width = len(worth), len(worth[0]) if worth else 0
    best = [[0] * (width + 1) for _ in range(height + 1)]
    for row in range(height):
        for column in range(width):
            best[row + 1][column + 1] = max(
                best[row][column] + worth[row][column], best[row][column + 1], best[row + 1][column]
            )
    pairs: list[tuple[int, int]] = []
    row, column = height, width
    while row and column:
        here = best[row][column]
        if here == best[row - 1][column]:
            row -= 1
        elif here == best[row][column - 1]:
            column -= 1
        else:
            row, column = row - 1, column - 1
            pairs.append((row, column))
    return pairs[::-1]


def _in_order(
    plan: ShelfPlan,
    seen: Sequence[Detection],
    rows: ShelfRows,
    aligned: Mapping[int, int],
) -> Mapping[int, _Filled]:
    """Return the detections that are part of the longest common subsequence of their row."""
    fills: dict[int, _Filled] = {}
    for number, entries in plan.rows.items():
        if number not in aligned:
            continue
        places = rows[aligned[number]]
        slots = [entry for entry in entries for _ in range(plan.products[entry].facings)]
        same = [
            [int(plan.products[entry].product_id == seen[place].product_id) for place in places]
            for entry in slots
        ]
        for slot, column in _best_pairs(same):
            fills[places[column]] = _Filled(FindingKind.PRESENT, slots[slot])
    return fills


def _elsewhere(
    plan: ShelfPlan,
    seen: Sequence[Detection],
    fills: _Fills,
    kind: FindingKind,
    rows: tuple[Mapping[int, int], Mapping[int, int]],
) -> Mapping[int, _Filled]:
    """Return further detections that fill missing facings, those of this kind.

    `rows`: the photo's row of each row of the plan, and of each detection.
    """
    open_facings = _open(plan, fills)
    entries: dict[str, list[int]] = {}
    for entry, each in enumerate(plan.products):
        if kind is not FindingKind.PRESENT or each.place is None:
            entries.setdefault(each.product_id, []).append(entry)
    aligned, row_of = rows
    added: dict[int, _Filled] = {}
    for place, one in enumerate(seen):
        if place in fills:
            continue
        for entry in entries.get(one.product_id, ()):
            here = kind is not FindingKind.OUT_OF_ORDER
            here = here or _row(plan.products[entry], aligned) == row_of[place]
            if open_facings[entry] and here:
                open_facings[entry] -= 1
                added[place] = _Filled(kind, entry)
                break
    return added


def _open(plan: ShelfPlan, fills: _Fills) -> list[int]:
    """Return the number of facings of each entry that nothing fills."""
    filled = Counter(each.entry for each in fills.values())
    return [each.facings - filled[entry] for entry, each in enumerate(plan.products)]


def _found(place: int, one: Detection, fills: _Fills, row_of: Mapping[int, int]) -> PlanFinding:
    """Return the finding of a detection."""
    filled = fills.get(place)
    if filled is not None:
        kind = filled.kind
    else:
        kind = FindingKind.SURPLUS if one.product_id else FindingKind.UNIDENTIFIED
    return PlanFinding(
        kind,
        one.product_id,
        row_of[place] + 1,
        one.box,
        detection=place,
        planned=None if filled is None else filled.entry,
    )


def _missing(
    plan: ShelfPlan,
    seen: Sequence[Detection],
    present: _Fills,
    fills: _Fills,
    aligned: Mapping[int, int],
) -> Sequence[PlanFinding]:
    """Return the facings that nothing fills, in the order of the plan."""
    gaps = _gaps(plan, seen, present)
    found = []
    for entry, count in enumerate(_open(plan, fills)):
        each = plan.products[entry]
        row = _row(each, aligned)
        known = [each.place] * count if isinstance(each.place, PhotoArea) else gaps.get(entry, [])
        boxes = [*known[:count], *[None] * (count - len(known))]
        found += [
            PlanFinding(
                FindingKind.MISSING,
                each.product_id,
                0 if row is None else row + 1,
                box,
                planned=entry,
            )
            for box in boxes
        ]
    return found


_Gap = tuple[int | None, int | None]
"""Detections on the left and right of a gap; `None`: none."""


def _gaps(
    plan: ShelfPlan, seen: Sequence[Detection], present: _Fills
) -> Mapping[int, Sequence[PhotoArea]]:
    """Return where missing facings of the rows' entries are expected: between the neighbours that
    are present."""
    standing: dict[int, list[int]] = {}
    for place in sorted(present, key=lambda place: middle(seen[place].box)):
        standing.setdefault(present[place].entry, []).append(place)
    found: dict[int, list[PhotoArea]] = {}
    for entries in plan.rows.values():
        runs: dict[_Gap, list[int]] = {}
        for index, entry in enumerate(entries):
            own = standing.get(entry, [])
            before = [place for each in entries[:index] for place in standing.get(each, ())]
            after = [place for each in entries[index + 1 :] for place in standing.get(each, ())]
            ends = (before[-1:] or (None,), after[:1] or (None,))
            gap = _widest(seen, [*ends[0], *own, *ends[1]])
            run = [entry] * (plan.products[entry].facings - len(own))
            runs.setdefault(gap, []).extend(run)
        for gap, run in runs.items():
            left, right = (None if place is None else seen[place].box for place in gap)
            for entry, box in zip(run, _between(len(run), left, right), strict=False):
                found.setdefault(entry, []).append(box)
    return found


def _widest(seen: Sequence[Detection], chain: Sequence[int | None]) -> _Gap:
    """Return the widest gap between consecutive detections, or one at an end if none is visible."""

    def width(gap: _Gap) -> float:
        left, right = gap
        if left is None or right is None:
            return LEAST_GAP
        one, other = seen[left].box, seen[right].box
        return (other.left - one.right) / (one.right - one.left)

    return max(pairwise(chain), key=width)


def _between(count: int, left: PhotoArea | None, right: PhotoArea | None) -> Sequence[PhotoArea]:
    """Return that many rectangles between two neighbours, or beside the only one; none where no
    gap is visible."""
    beside = [box for box in (left, right) if box is not None]
    if not beside or not count:
        return ()
    width = sum(box.right - box.left for box in beside) / len(beside)
    start = left.right if left else max(beside[0].left - count * width, 0.0)
    end = right.left if right else min(beside[0].right + count * width, 1.0)
    step = (end - start) / count
    if step < LEAST_GAP * width:
        return ()
    top = sum(box.top for box in beside) / len(beside)
    bottom = sum(box.bottom for box in beside) / len(beside)
    return [
        PhotoArea(start + place * step, top, start + (place + 1) * step, bottom)
        for place in range(count)
    ]


def _counts(plan: ShelfPlan, findings: Sequence[PlanFinding]) -> Sequence[PlanCount]:
    """Return numbers by product: the plan's in its order, then others, most first."""
    planned = _facings(plan, range(len(plan.products)))
    kinds: dict[str, Counter[FindingKind]] = {item: Counter() for item in plan.product_ids}
    for each in findings:
        if each.product_id:
            kinds.setdefault(each.product_id, Counter())[each.kind] += 1
    others = sorted(
        (item for item in kinds if item not in planned),
        key=lambda item: (-kinds[item].total(), item),
    )
    return [PlanCount(item, planned[item], kinds[item]) for item in [*plan.product_ids, *others]]
