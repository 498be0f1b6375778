"""Plans of shelves: which products, how many facings of each, and where."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from servicekit.errors import FieldViolation
from sightline_rules.ids import IdInvalidError, check_id
from sightline_rules.photo_areas import PhotoArea
from vision.domain.errors import PlanInvalid

MOST_ENTRIES = 300
MOST_FACINGS = 300
"""Facings of a whole plan, as many as detections of a photo."""
MOST_ROWS, MOST_POSITIONS = 100, 300
MOST_OVERLAP = 0.5
"""Share of the smaller rectangle that two entries may have in common."""
MOST_PROBLEMS = 20
"""Problems that one answer reports."""


@dataclass(frozen=True, slots=True)
class ShelfPlace:
    """A place in a row of a shelf."""

    row: int
    """From 1, the topmost."""
    position: int = 0
    """Among the products of the row, from 1, the leftmost; 0: after the row's former entries."""


@dataclass(frozen=True, slots=True)
class PlannedProduct:
    """Facings of a product that belong together."""

    product_id: str
    facings: int
    place: ShelfPlace | PhotoArea | None = None
    """`None`: anywhere."""


@dataclass(frozen=True, slots=True)
class ShelfPlan:
    """A shelf as it should be."""

    products: Sequence[PlannedProduct]

    @property
    def facings(self) -> int:
        """Return the number of facings."""
        return sum(each.facings for each in self.products)

    @property
    def product_ids(self) -> Sequence[str]:
        """Return each product once, in the order of the plan."""
        return list(dict.fromkeys(each.product_id for each in self.products))

    @property
    def rows(self) -> Mapping[int, Sequence[int]]:
        """Return the indexes of entries by row, from the top, each row from the left."""
        found: dict[int, list[tuple[int, int]]] = {}
        for index, each in enumerate(self.products):
            if isinstance(each.place, ShelfPlace):
                found.setdefault(each.place.row, []).append((each.place.position, index))
        return {row: [index for _, index in sorted(found[row])] for row in sorted(found)}


def checked(plan: ShelfPlan, most_facings: int) -> ShelfPlan:
    """Return the plan with all positions filled in. Raise PlanInvalid.

    `most_facings`: number of detections that the request allows.
    """
    if not 1 <= len(plan.products) <= MOST_ENTRIES:
        raise PlanInvalid.at("plan.products", f"must have 1 to {MOST_ENTRIES} entries")
    _refuse(_entry_problems(plan))
    if plan.facings > min(most_facings, MOST_FACINGS):
        raise PlanInvalid.at(
            "plan.products",
            f"have {plan.facings} facings, more than max_detections ({most_facings}) can find:"
            f" raise it, up to {MOST_FACINGS}, or photograph a part of the shelf",
        )
    found = ShelfPlan(_positioned(plan.products))
    _refuse(_repeated_places(found))
    return found


def refuse_products(plan: ShelfPlan, problems: Mapping[str, str]) -> None:
    """Raise PlanInvalid for the entries of these products, each with its problem."""
    _refuse(
        FieldViolation(f"plan.products[{index}].product_id", problems[each.product_id])
        for index, each in enumerate(plan.products)
        if each.product_id in problems
    )


def _refuse(problems: Iterator[FieldViolation]) -> None:
    found = [problem for problem, _ in zip(problems, range(MOST_PROBLEMS), strict=False)]
    if found:
        raise PlanInvalid(*found)


def _entry_problems(plan: ShelfPlan) -> Iterator[FieldViolation]:
    """Yield the problems of single entries."""
    for index, each in enumerate(plan.products):
        path = f"plan.products[{index}]"
        if problem := _id_problem(each.product_id):
            yield FieldViolation(f"{path}.product_id", problem)
        if not 1 <= each.facings <= MOST_FACINGS:
            yield FieldViolation(f"{path}.facings", f"must be 1 to {MOST_FACINGS}")
        match each.place:
            case ShelfPlace(row, position):
                if not 1 <= row <= MOST_ROWS:
                    yield FieldViolation(f"{path}.shelf.row", f"must be 1 to {MOST_ROWS}")
                if not 0 <= position <= MOST_POSITIONS:
                    problem = f"must be 1 to {MOST_POSITIONS}, or 0 for the default"
                    yield FieldViolation(f"{path}.shelf.position", problem)
            case PhotoArea() as box if not _is_valid(box):
                problem = "must have edges from 0 to 1, left of right and top above bottom"
                yield FieldViolation(f"{path}.box", problem)


def _is_valid(box: PhotoArea) -> bool:
    """Return whether a rectangle lies in the photo and has an extent; not with NaN."""
    return 0 <= box.left < box.right <= 1 and 0 <= box.top < box.bottom <= 1


def _id_problem(product_id: str) -> str:
    """Return what is wrong with an id; empty if nothing."""
    try:
        check_id(product_id)
    except IdInvalidError as error:
        return str(error)
    return "" if product_id else "is required"


def _positioned(products: Sequence[PlannedProduct]) -> Sequence[PlannedProduct]:
    """Return the entries with their positions: those without one follow the former entries."""
    last: dict[int, int] = {}
    found = list(products)
    for index, each in enumerate(products):
        if isinstance(each.place, ShelfPlace):
            former = last.get(each.place.row, 0)
            place = replace(each.place, position=each.place.position or former + 1)
            last[place.row] = max(former, place.position)
            found[index] = replace(each, place=place)
    return found


def _repeated_places(plan: ShelfPlan) -> Iterator[FieldViolation]:
    """Yield the entries whose place another one has."""
    first: dict[object, int] = {}
    overlaps = _overlaps(plan)
    for index, each in enumerate(plan.products):
        path, place = f"plan.products[{index}]", each.place
        if isinstance(place, PhotoArea):
            for former in overlaps.get(index, ()):
                problem = f"overlaps more than half of plan.products[{former}].box"
                yield FieldViolation(f"{path}.box", problem)
            continue
        taken = first.setdefault(each.product_id if place is None else place, index)
        if taken == index:
            continue
        if place is None:
            problem = f"is listed without a place in plan.products[{taken}] too: add the facings up"
            yield FieldViolation(f"{path}.product_id", problem)
        else:
            problem = f"is that of plan.products[{taken}] too"
            yield FieldViolation(f"{path}.shelf.position", problem)


def _overlaps(plan: ShelfPlan) -> Mapping[int, Sequence[int]]:
    """Return the entries whose rectangles overlap those of former entries, with these entries. All
    pairs are compared at once: 300 rectangles take some milliseconds."""
    boxes = [(n, each.place) for n, each in enumerate(plan.products)]
    given = [(n, box) for n, box in boxes if isinstance(box, PhotoArea)]
    if len(given) < 2:
        return {}
    edges = np.array([(box.left, box.top, box.right, box.bottom) for _, box in given])
    low, high = edges[:, :2], edges[:, 2:]
    areas = np.prod(high - low, axis=1)
    sides = np.minimum(high[:, None], high) - np.maximum(low[:, None], low)
    common = np.prod(np.maximum(sides, 0.0), axis=2)
    least = np.minimum(areas[:, None], areas)
    found: dict[int, list[int]] = {}
    for one, other in np.argwhere(np.tril((common > 0) & (common > MOST_OVERLAP * least), -1)):
        found.setdefault(given[one][0], []).append(given[other][0])
    return found
