"""Reports of simulated experiments with a known truth: the gateway's own assignment, the intake's
own sampling, the record's own counts. In each world most purchases are those of shoppers who log
in, and arm b makes all shoppers see more answers."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pytest
import sqlalchemy as sa
from scipy.stats import binom, ttest_1samp

from gateway.model.experiment import place
from ranker.domain.events import EventType, Identity
from ranker.domain.experiments import (
    CLICK_RATE,
    CONVERSION_RATE,
    IMPRESSION_REVENUE,
    METRICS,
    REVENUE,
    ArmVerdict,
    Design,
    Findings,
    findings,
)
from ranker.events.intake import sampled
from ranker.record.experiments import ExperimentRecord, Extent
from ranker.record.tables import EVENTS, KIND_INTEREST, KIND_OTHER
from servicekit.sql.database import Database
from sightline_core.shoppers import Identity as QueryIdentity
from sightline_core.shoppers import Shopper as QueryShopper
from tests.fakes.ranker import HOUR, NOW, stored
from tests.stores import only_sqlite

pytestmark = [pytest.mark.slow, pytest.mark.full]
"""tests/wire/test_experiments.py has one such shopper."""

WORLDS = 104
"""Of each kind: without an effect, and with one."""
LOGIN_BUYS, OTHERS_BUY, CLICKS = 0.3, 0.05, 0.2
PRICE = 10
MORE = (1.0, 1.6)
"""Mean impressions of a unit of each arm."""
ARMS = ("x/a", "x/b")
IMPRESSION = stored("i", type=EventType.IMPRESSION)


@dataclass(frozen=True)
class World:
    """How shoppers come, and how they are seen."""

    shares: tuple[float, float]
    kept: float
    """Share of the shoppers whose impressions are stored."""
    logins: float
    shoppers: int


SETTINGS = (
    World((0.5, 0.5), 1.0, 0.0, 1_200),
    World((0.5, 0.5), 1.0, 0.4, 1_000),
    World((0.9, 0.1), 1.0, 0.2, 1_800),
    World((0.05, 0.95), 1.0, 0.3, 3_600),
    World((0.5, 0.5), 0.5, 0.2, 2_000),
    World((0.9, 0.1), 0.5, 0.3, 3_000),
    World((0.5, 0.5), 0.1, 0.2, 8_000),
    World((0.8, 0.2), 0.1, 0.2, 10_000),
)


def settings(world: int) -> World:
    return SETTINGS[world % len(SETTINGS)]


def truth(how: World, effect: float) -> dict[str, float]:
    """Return the differences of b to a. If only the second of a shopper's two names is in the
    sample, the first arm that is seen tells nothing of the one that had the effect."""
    first = 1 / (1 + how.logins * (1 - how.kept))
    both = how.logins * (2 - how.kept) / (1 - how.logins + how.logins * (2 - how.kept))
    usual = both * LOGIN_BUYS + (1 - both) * OTHERS_BUY
    more = effect * first
    later = how.logins * how.kept / (1 - how.logins + how.logins * (2 - how.kept))
    rest = (1 - first) * effect * how.shares[1] / sum(how.shares)
    a, b = usual + rest, usual + rest + more
    return {
        CONVERSION_RATE: more,
        REVENUE: more * PRICE,
        IMPRESSION_REVENUE: b * PRICE / (MORE[1] + later) - a * PRICE / (MORE[0] + later),
        CLICK_RATE: 0.0,
    }


def rows_of(world: int, how: World, effect: float) -> Iterator[dict[str, object]]:
    """Yield the stored events of a world, after all merges."""
    rng = np.random.default_rng([world, int(effect * 1e6)])
    catalog = f"w{world}-{effect}"
    login = rng.random(how.shoppers) < how.logins
    chance = rng.random((how.shoppers, 2))
    more = [rng.poisson(mean - 1, how.shoppers) for mean in MORE]
    for n in range(how.shoppers):
        names = [(Identity.VISITOR, f"v{n}"), *([(Identity.USER, f"u{n}")] if login[n] else [])]
        seen = [keeps(catalog, how, *name) for name in names]
        if not any(seen):
            continue  # its other events belong to no unit
        arms = [arm_of(catalog, how, *name) for name in names]
        observed = seen.index(True)
        shown = [arms[observed]] * (1 + int(more[arms[observed]][n]))
        if all(seen) and login[n]:
            shown.append(arms[-1])  # after the login
        for at, arm in enumerate(shown):
            yield row(catalog, f"i{n}-{at}", f"{n}", EventType.IMPRESSION, arm, at)
        buys = (LOGIN_BUYS if login[n] else OTHERS_BUY) + effect * arms[0]
        if chance[n, 0] < buys:
            yield row(catalog, f"b{n}", f"{n}", EventType.PURCHASE, None, 20)
        if chance[n, 1] < CLICKS:
            yield row(catalog, f"c{n}", f"{n}", EventType.CLICK, arms[-1], 20)


def arm_of(catalog: str, how: World, kind: Identity, name: str) -> int:
    unit = QueryShopper(QueryIdentity(kind.value), name)
    return int(place(f"arm\n{catalog}\n", unit) >= how.shares[0])


def keeps(catalog: str, how: World, kind: Identity, name: str) -> bool:
    one = replace(IMPRESSION, catalog_id=catalog, actor=f"{kind} {name}")
    return how.kept >= 1 or sampled(one, how.kept) is not None


def row(
    catalog: str, event_id: str, actor: str, what: EventType, arm: int | None, at: int
) -> dict[str, object]:
    bought = what is EventType.PURCHASE
    return {
        **{"catalog_id": catalog, "event_id": event_id, "digest": b"", "key_id": "k"},
        **{"actor": actor, "session": "", "type": what, "product_id": "p", "value": None},
        "kind": KIND_OTHER if what is EventType.IMPRESSION else KIND_INTEREST,
        **{"time_micros": NOW + at * HOUR, "received_micros": NOW, "quantity": int(bought)},
        "unit_price_micros": PRICE * 1_000_000 if bought else None,
        "unit_price_currency": "EUR" if bought else "",
        **{"order_id": "", "position": 0, "scene": "", "attribution_token": "", "query": ""},
        **{"answer_id": "", "arm": "" if arm is None else ARMS[arm]},
    }


async def found_in(db: Database, effect: float) -> list[tuple[World, Findings]]:
    """Return the report of each world with this effect."""
    found = []
    for world in range(WORLDS):
        how, catalog = settings(world), f"w{world}-{effect}"
        rows = [*rows_of(world, how, effect)]
        await db.write(lambda connection, rows=rows: connection.execute(sa.insert(EVENTS), rows))
        over = NOW + 200 * HOUR
        extent = Extent(catalog, ARMS, NOW, over, 24 * HOUR, over, "EUR")
        arms, mixed = await ExperimentRecord(db).counts(extent, {})
        assert bool(mixed) == bool(how.logins) or how.kept < 1
        design = Design(how.shares, CONVERSION_RATE, sum(arm.exposed for arm in arms), {})
        found.append((how, findings(design, arms)))
    return found


def most(trials: int, chance: float) -> int:
    """Return the number of errors that so many trials exceed once in a thousand times."""
    return int(binom.ppf(0.999, trials, chance))


def misses(found: Sequence[tuple[World, Findings]], effect: float) -> dict[str, tuple[int, int]]:
    """Return, by metric, how many intervals are without the true difference, and of how many."""
    counts = {}
    for metric in truth(SETTINGS[0], effect):
        measured = [
            (truth(how, effect)[metric], one.arms[1].effects[metric])
            for how, one in found
            if metric in one.arms[1].effects
        ]
        wrong = sum(not each.lower <= true <= each.upper for true, each in measured)
        counts[metric] = wrong, len(measured)
    return counts


@only_sqlite
@pytest.mark.parametrize("effect", [0.0, 0.1])
async def test_intervals_contain_the_truth_and_shares_match(db: Database, effect: float) -> None:
    found = await found_in(db, effect)

    for metric, (wrong, count) in misses(found, effect).items():
        assert count > WORLDS / 2, metric
        assert wrong <= most(count, 0.05), metric
    verdicts = [one.arms[1].verdict for _, one in found]
    assert verdicts.count(ArmVerdict.SAMPLE_RATIO_MISMATCH) <= most(WORLDS, 0.001)
    assert verdicts.count(ArmVerdict.WORSE) <= most(WORLDS, 0.05)
    if effect:
        assert verdicts.count(ArmVerdict.BETTER) > WORLDS / 2
    else:
        assert verdicts.count(ArmVerdict.BETTER) <= most(WORLDS, 0.05)
    chances = biases(found, effect).values()
    assert min(chances) > 0.001 / len(chances)


def biases(
    found: Sequence[tuple[World, Findings]], effect: float
) -> dict[tuple[World, str], float]:
    """Return, by setting and metric, the chance of such a mean error if there is no bias."""
    return {
        (how, metric): float(
            ttest_1samp(
                [
                    one.arms[1].effects[metric].value
                    for world, one in found
                    if world is how and metric in one.arms[1].effects
                ],
                true,
            ).pvalue
        )
        for how in SETTINGS
        for metric, true in truth(how, effect).items()
    }


def test_every_metric_of_a_report_without_costs_is_among_those_tested_or_follows_from_one() -> None:
    tested = {*truth(SETTINGS[0], 0.0)}
    same = {"clicks": CLICK_RATE, "hide_rate": CLICK_RATE, "margin": REVENUE}
    same["margin_per_impression"] = IMPRESSION_REVENUE
    assert {*METRICS} - tested == {*same}
    assert {*same.values()} <= tested
