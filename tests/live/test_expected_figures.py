"""Expected figures of a change of a scene, by a model trained on what wines' real raters chose."""

import random
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from examples.wines import shop
from examples.wines.catalogue import Rating
from examples.wines.loading import import_ratings, load_ratings, promote, train
from sightline_client import (
    Availability,
    Event,
    EventType,
    Money,
    Product,
    Recommendations,
    SightlineClient,
)
from tests.live import hands
from tests.live.conftest import until_serving
from tests.live.hands import Hands
from tests.waiting import until

pytestmark = pytest.mark.full

RATED, LIKED = 2, 4.0
"""Shoppers take part who rated this many wines. They click what they rated, and buy what they rated
this well."""
VISITS = 3
"""Visits before the training: at the first one the ratings have faded, so that its answers show
too little of how shoppers choose who have just chosen, as those that are compared."""
PLACES, COMPARED = 10, 60
EARN = 'objective = "margin"\nobjective_strength = 0.5\n'


def wines() -> list[Product]:
    """Return the wines at their prices, each with a margin of its own, without photos."""
    shares = random.Random(7)
    return [
        replace(
            shop.product(wine),
            images=(),
            availability=Availability.IN_STOCK,
            cost=Money(round(wine.price * shares.randint(30, 95) / 100, 2), wine.currency),
        )
        for wine in hands.WINES
    ]


def raters() -> Mapping[str, Sequence[Rating]]:
    """Return the shoppers who take part with their ratings, in an order without a pattern."""
    found = defaultdict[str, list[Rating]](list)
    for rating in load_ratings():
        found[rating.user_id].append(rating)
    users = sorted(user for user, ratings in found.items() if len(ratings) >= RATED)
    random.Random(7).shuffle(users)
    return {user: found[user] for user in users}


def seen(user: str, ratings: Sequence[Rating], answer: Recommendations) -> Iterator[Event]:
    """Yield what a shopper does with an answer."""
    rated = {rating.wine_id: rating.value for rating in ratings}
    for row in answer.results:
        item = row.product.product_id
        kinds = [EventType.IMPRESSION]
        kinds += [EventType.CLICK] if item in rated else []
        kinds += [EventType.PURCHASE] if rated.get(item, 0) >= LIKED else []
        for kind in kinds:
            yield Event(
                *(f"{answer.request_id}-{item}-{kind}", kind, item),
                user=user,
                position=0 if kind is EventType.PURCHASE else row.rank,
                attribution_token=answer.attribution_token,
            )


async def answered(client: SightlineClient, user: str) -> Recommendations:
    answer = await client.recommend(user=user, page_size=len(hands.WINES))
    assert not answer.degradations
    assert len(answer.results) == len(hands.WINES)
    return answer


async def test_a_trained_model_expects_what_a_change_brings(gateway: str, tmp_path: Path) -> None:
    (tmp_path / "earn.toml").write_text(EARN, "utf-8")
    user_hands, shoppers = Hands(gateway, tmp_path, "earning"), raters()
    async with SightlineClient(gateway, catalog="earning") as client:
        await client.create_catalog("earning")
        assert (await client.upsert_products(wines())).stored_count == len(hands.WINES)
        await import_ratings(client, load_ratings())
        first = await train(client)
        await promote(client, first)
        await until_serving(client, first)
        for _ in range(VISITS):
            chosen = 0
            for user, ratings in shoppers.items():
                events = [*seen(user, ratings, await answered(client, user))]
                assert not (await client.write_events(events)).failures
                chosen += sum(each.type is EventType.CLICK for each in events)
            assert chosen == sum(map(len, shoppers.values())), "each rated wine is shown"
        second = await train(client)
        await promote(client, second)
        await until_serving(client, second)
        last, clicked = [*shoppers][:COMPARED], 0
        for user in last:
            rows = (await answered(client, user)).results[:PLACES]
            rated = {rating.wine_id for rating in shoppers[user]}
            clicked += sum(row.product.product_id in rated for row in rows)
        diff = ["scenes", "diff", "earn.toml", "--as", "default"]
        diff += ["--answers", str(COMPARED), "--places", str(PLACES)]

        async def compared() -> bool:  # records are written after the answers
            facts = user_hands.facts(*diff)
            figures = facts.get("expected", [])
            return bool(figures) and figures[0]["answerCount"] == COMPARED

        await until(compared)
        facts, shown = user_hands.facts(*diff), user_hands.run(*diff)

    figures: dict[str, dict[str, Any]] = {each["name"]: each for each in facts["expected"]}
    assert list(figures) == ["clicks", "purchases", "revenue", "margin"]
    for figure in figures.values():
        for side in ("before", "after", "change"):
            assert figure[side]["lower"] <= figure[side]["value"] <= figure[side]["upper"]
        change = figure["after"]["value"] - figure["before"]["value"]
        assert figure["change"]["value"] == pytest.approx(change)
    before = {name: figure["before"]["value"] for name, figure in figures.items()}
    assert 0 < before["purchases"] < before["clicks"]
    assert 0 < before["margin"] < before["revenue"]
    assert [figures[name]["currencyCode"] for name in ("revenue", "margin")] == ["EUR", "EUR"]
    assert figures["margin"]["change"]["lower"] > 0
    # The same shoppers choose the same wines again; the ranking learned from their choices.
    assert before["clicks"] == pytest.approx(100 * clicked / COMPARED, rel=0.5)
    assert "margin EUR" in shown
    assert "NOT MEASURED" not in shown
