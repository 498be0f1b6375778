"""What moves products, as messages: the request's policy in, moves and propensities out."""

import math
from collections.abc import Iterable, Sequence

from ranker.diversity import Arrangement, Policy
from servicekit.errors import FieldViolation
from servicekit.requests import RequestInvalid
from sightline.common.v1 import answer_pb2
from sightline.ranker.v1 import ranking_service_pb2 as pb
from sightline_rules.categories import MAX_LEVELS

DEFAULT = Policy()
MOST_WINDOW = 500
MOST_PLACES = 200
MOST_EXPLORED = 20
MOST_DAYS = 3650.0


def policy_of(message: pb.Diversity) -> Policy:
    """What the request asks for; RequestInvalid."""
    problems = [*_problems(message)]
    if problems:
        raise RequestInvalid(
            *(FieldViolation(f"diversity.{field}", problem) for field, problem in problems)
        )
    return Policy(
        diversity=message.diversity,
        popularity=message.popularity,
        window=message.window or DEFAULT.window,
        cap_places=message.cap_places or DEFAULT.cap_places,
        brand_cap=message.brand_cap,
        category_caps=tuple((one.level, one.cap) for one in message.category_caps),
        exploration_places=tuple(message.exploration_places),
        exploration_days=message.exploration_days or DEFAULT.exploration_days,
    )


def _problems(message: pb.Diversity) -> Iterable[tuple[str, str]]:
    for name, value, least, most in (
        ("diversity", message.diversity, 0, 1),
        ("popularity", message.popularity, 0, 1),
        ("window", message.window or DEFAULT.window, 2, MOST_WINDOW),
        ("cap_places", message.cap_places or DEFAULT.cap_places, 1, MOST_PLACES),
        ("brand_cap", message.brand_cap, 0, MOST_PLACES),
        ("exploration_days", message.exploration_days, 0, MOST_DAYS),
    ):
        if not (math.isfinite(value) and least <= value <= most):
            yield name, f"is not within {least} and {most:g}"
    for place, one in enumerate(message.category_caps):
        if not (1 <= one.level <= MAX_LEVELS and 1 <= one.cap <= MOST_PLACES):
            problem = f"has no level of 1 to {MAX_LEVELS} or no cap of 1 to {MOST_PLACES}"
            yield f"category_caps[{place}]", problem
    levels = [one.level for one in message.category_caps]
    if len(set(levels)) < len(levels):
        yield "category_caps", "names a level twice"
    yield from _exploration_problems(message.exploration_places)


def _exploration_problems(places: Sequence[int]) -> Iterable[tuple[str, str]]:
    if len(places) > MOST_EXPLORED:
        yield "exploration_places", f"has more than {MOST_EXPLORED} entries"
    if list(places) != sorted(set(places)) or not all(2 <= one <= MOST_PLACES for one in places):
        problem = f"is not a rising list of places within 2 and {MOST_PLACES}"
        yield "exploration_places", problem


def moves_of(arrangement: Arrangement, count: int) -> list[pb.MoveList]:
    """The moves of the first products; empty when none of all products was moved."""
    if not any(moved.any() for moved in arrangement.moves.values()):
        return []
    columns = [
        (answer_pb2.Move.Cause.Value(f"CAUSE_{cause}"), moved[:count].tolist())
        for cause, moved in arrangement.moves.items()
    ]
    return [
        pb.MoveList(
            moves=[
                answer_pb2.Move(cause=cause, places=moved[place])
                for cause, moved in columns
                if moved[place]
            ]
        )
        for place in range(count)
    ]
