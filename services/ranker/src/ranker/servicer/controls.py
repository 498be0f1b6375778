"""Controls of a request to rank, checked and translated. Edge: decides nothing."""

from collections import Counter
from collections.abc import Iterable, Sequence

from ranker.servicer.requests import refuse
from sightline.ranker.v1 import ranking_service_pb2 as pb
from sightline_rules.controls import Control, ControlKind

MOST_CONTROLS = 100
MOST_NAME = 129
LAST_PLACE = 200
MOST_BOOST = 10.0
KINDS = {"place": ControlKind.PIN, "boost": ControlKind.BOOST, "bury": ControlKind.BURY}


def controls_of(message: pb.Controls, count: int) -> tuple[Control, ...]:
    """Return the controls of a request with `count` candidates; RequestInvalid."""
    given = message.controls
    if not given:
        return ()
    problems = [*name_problems([each.name for each in given])]
    if not 0 <= message.page_size <= LAST_PLACE:
        problems.append(("page_size", f"is not within 0 and {LAST_PLACE}"))
    for index, each in enumerate(given):
        problems += [(f"controls[{index}].{name}", what) for name, what in _problems(each, count)]
    refuse(problems, "controls.")
    return tuple(
        Control(
            name=each.name,
            kind=KINDS[each.WhichOneof("action") or ""],
            rows=tuple(each.candidates),
            place=each.place,
            boost=each.boost,
            by_merit=each.by_merit,
        )
        for each in given
    )


def _problems(control: pb.Control, count: int) -> Iterable[tuple[str, str]]:
    rows = control.candidates
    if len(set(rows)) < len(rows) or max(rows, default=0) >= count:
        yield "candidates", "repeats an index, or holds one beyond the candidates"
    match control.WhichOneof("action"):
        case None:
            yield "action", "is required"
        case "place" if not 1 <= control.place <= LAST_PLACE:
            yield "place", f"is not within 1 and {LAST_PLACE}"
        case "boost" if not 0 < control.boost <= MOST_BOOST:
            yield "boost", f"is not more than 0 and at most {MOST_BOOST:g}"


def name_problems(names: Sequence[str]) -> Iterable[tuple[str, str]]:
    """Yield problems of the names of controls, as (field, problem)."""
    if len(names) > MOST_CONTROLS or max(Counter(names).values(), default=0) > 1:
        yield "controls", f"are more than {MOST_CONTROLS}, or repeat one"
    if not all(0 < len(name) <= MOST_NAME and name.isprintable() for name in names):
        yield "controls", f"have names that are not 1 to {MOST_NAME} printable characters"
