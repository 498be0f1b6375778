"""What a request asks of the order, and what is told of it, as values and messages."""

import math
from collections.abc import Iterable, Sequence
from typing import TypedDict

from ranker.ranking.breakdown import Addends
from ranker.ranking.diversity import Cause, Policy
from ranker.ranking.order import Order
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


class Moved(TypedDict):
    """What a RankResponse tells of moves: nothing where the order is that of the scores, and no
    draw could change it."""

    score_ranks: list[int]
    moves: list[pb.MoveList]
    propensities: list[float]


def moved(order: Order) -> Moved:
    """What is told of the products of an order."""
    if not order.moves and not order.drawn:
        ranks = order.score_ranks.tolist() if order.moved else []
        return Moved(score_ranks=ranks, moves=[], propensities=[])
    columns = [(cause_number(cause), steps.tolist()) for cause, steps in order.moves.items()]
    return Moved(
        score_ranks=order.score_ranks.tolist(),
        moves=[
            pb.MoveList(
                moves=[
                    answer_pb2.Move(cause=cause, places=steps[place])
                    for cause, steps in columns
                    if steps[place]
                ]
            )
            for place in range(len(order))
        ],
        propensities=order.propensities.tolist(),
    )


def cause_number(cause: Cause) -> answer_pb2.Move.Cause.ValueType:
    """The cause as messages have it."""
    return answer_pb2.Move.Cause.Value(f"CAUSE_{cause}")


def features_of(column: Sequence[Addends]) -> list[pb.FeatureList]:
    """What the values of a part are made of."""
    return [
        pb.FeatureList(
            features=[answer_pb2.ScoreFeature(name=name, value=value) for name, value in addends]
        )
        for addends in column
    ]
