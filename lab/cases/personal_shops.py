"""Shoppers of two shops with photos, asked through the client of a whole suite.

The wines have real ratings by 636 people. The clothes have real photos, and events of made people,
each of whom prefers some kinds. A shop is asked without events of others, with those of other
shoppers, and with a model of these, each in a catalog of its own. Tested shoppers refuse the
purpose TRAIN, so that their events count for their own answers alone. The others' events are
written as of the last DAYS: popularity halves in a year, ratings are of ten years, and a shopper is
asked for what was wanted in any of them.
"""

import asyncio
import math
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import partial
from importlib import resources
from itertools import islice
from pathlib import Path
from typing import TypeAlias

import numpy as np

from bench.cases import photos
from bench.cases.monolith import shoppers
from examples.wines import loading, shop
from examples.wines.catalogue import load_ratings, load_wines
from examples.wines.demo.measures import WHOLE_CATALOG
from examples.wines.local import free_port_base
from gateway.state import scenes as shipped_scenes
from local_suite.programs import sightline
from local_suite.suite import Suite
from ranker.domain.arrays import Doubles
from sightline_client import Event, Product, ProductImage, Purpose, SightlineClient
from tests.waiting import until

EVENTS = (1, 3, 5)
LISTED = 10
CLOTHES, SHOPPERS, TESTED = 40, 260, 120
"""Photos of each kind; made shoppers; of these, those that are asked for."""
MADE_EVENTS = 20 * SHOPPERS
DAYS = 28
AT_ONCE = 4
"""Shoppers that are asked for at the same time."""
SCENE, ALONE = "for-you", "for-you-alone"
"""The scene; the same without `parts_with_history`."""

Say: TypeAlias = Callable[[str], None]


class Phase(StrEnum):
    """State of a shop when its shoppers are asked for."""

    EMPTY = "no events of others"
    EVENTS = "events of others"
    MODEL = "a trained model"


@dataclass(frozen=True, slots=True)
class Shop:
    """A shop with its events."""

    name: str
    products: Sequence[Product]
    others: Sequence[Event]
    """Events of shoppers who are not asked for."""
    tested: Mapping[str, Sequence[Event]]
    """By shopper, oldest first, each product once."""


@dataclass(frozen=True, slots=True)
class Asked:
    """nDCG@10 of the shoppers who were asked for after some events."""

    phase: Phase
    count: int
    """Number of events."""
    ours: Doubles
    popularity: Doubles
    item_knn: Doubles
    alone: Doubles
    """Answers without last products where a model is asked; else those of `ours`."""


def scene_alone() -> str:
    """Return the file of the scene ALONE."""
    shipped = resources.files(shipped_scenes).joinpath(f"{SCENE}.toml").read_text()
    return re.sub(r"\[parts_with_history\][^[]*", "", shipped)


def suite_in(data: Path, say: Say) -> Suite:
    """Return a suite on free ports that has the scene ALONE too."""
    scenes = data / "bench" / "scenes"
    scenes.mkdir(parents=True)
    (scenes / f"{ALONE}.toml").write_text(scene_alone())
    folder = {"GATEWAY_SCENES_FOLDER": str(scenes)}
    programs = [
        replace(one, environment={**one.environment, **folder}) if one.name == "gateway" else one
        for one in sightline(data, free_port_base())
    ]
    return Suite(data, programs, report=say)


def shops() -> Iterator[Shop]:
    """Yield the shops whose data is present."""
    yield from _wines()
    _, files = photos.find()
    if files:
        yield _clothes(files)


def _wines() -> Iterator[Shop]:
    """Yield the wines twice: each half of the people with two ratings or more is asked for once."""
    rated = defaultdict[str, list[Event]](list)
    for each in sorted(load_ratings(), key=lambda one: (one.time, one.event_id)):
        rated[each.user_id].append(shop.event(each))
    several = sorted(who for who, events in rated.items() if len(events) > 1)
    for fold in (0, 1):
        tested = {who: rated[who] for who in several[fold::2]}
        others = [one for who, each in rated.items() if who not in tested for one in each]
        products = [shop.product(wine) for wine in load_wines()]
        yield Shop(f"wines {fold + 1}", products, others, tested)


def _clothes(files: Sequence[Path]) -> Shop:
    kinds = defaultdict[str, list[Path]](list)
    for path in sorted(files):
        kinds[path.parent.name].append(path)
    chosen = {kind: paths[:CLOTHES] for kind, paths in kinds.items()}
    ids = {kind: [f"{kind}-{n}" for n in range(len(paths))] for kind, paths in chosen.items()}
    products = [
        Product(
            item,
            "A piece of clothing",
            category_path=(kind,),
            images=(ProductImage(content=path.read_bytes()),),
        )
        for kind, paths in chosen.items()
        for item, path in zip(ids[kind], paths, strict=True)
    ]
    made = shoppers.events(ids, MADE_EVENTS, SHOPPERS)
    asked = {shoppers.shopper_id(number) for number in range(SHOPPERS - TESTED, SHOPPERS)}
    by = defaultdict[str, dict[str, Event]](dict)
    for one in made:
        by[str(one.user)].setdefault(one.product_id, one)
    tested = {who: list(each.values()) for who, each in by.items() if who in asked}
    return Shop("clothing", products, [one for one in made if one.user not in asked], tested)


async def measured(gateway: str, given: Shop, say: Say) -> list[Asked]:
    """Ask for the tested shoppers of a shop in each phase."""
    found = []
    for phase in Phase:
        name = f"{given.name}-{list(Phase).index(phase)}".replace(" ", "-")
        say(f"{given.name}: {phase}")
        async with SightlineClient(gateway, catalog=name, timeout=60) as client:
            await client.create_catalog(name)
            await _filled(client, given, phase)
            found += [await _asked(client, given, phase, count) for count in EVENTS]
            await client.delete_catalog(name, undo_days=0)
    return [one for one in found if len(one.ours)]


async def _filled(client: SightlineClient, given: Shop, phase: Phase) -> None:
    report = await client.upsert_products(given.products)
    if report.failures:
        raise loading.LoadingFailed(f"{len(report.failures)} products were rejected")
    await loading.wait_indexed(client, len(given.products))
    if phase is Phase.EMPTY:
        return
    events = await client.write_events(recent(given.others))
    if events.failures:
        raise loading.LoadingFailed(f"{len(events.failures)} events were rejected")
    if phase is Phase.MODEL:  # by force: what it would do is measured, proven or not
        version = await loading.train(client)
        await loading.promote(client, version)

        async def serves() -> bool:
            return (await client.status()).model_version == version

        await until(serves)


def recent(events: Sequence[Event]) -> list[Event]:
    """Return events as of the last DAYS, evenly and in the order of their times."""
    now, step = datetime.now(UTC), timedelta(days=DAYS) / max(len(events), 1)
    ordered = sorted(events, key=lambda one: (one.time or now, one.event_id))
    return [
        replace(one, time=now - step * (len(events) - place)) for place, one in enumerate(ordered)
    ]


async def _asked(client: SightlineClient, given: Shop, phase: Phase, count: int) -> Asked:
    """Ask for all shoppers with more events than `count`, after so many."""
    others = given.others if phase is not Phase.EMPTY else ()
    popular, near = _popularity(others), _cosines(others)
    scenes = (SCENE, ALONE) if phase is Phase.MODEL else (SCENE,)
    some = asyncio.Semaphore(AT_ONCE)

    async def figures(who: str, events: Sequence[Event]) -> list[float]:
        known, wanted = events[:count], {one.product_id for one in events[count:]}
        seen, scored = [one.product_id for one in known], defaultdict[str, float](float)
        for item in seen:
            for other, cosine in near.get(item, {}).items():
                scored[other] += cosine
        async with some:
            shown = await _shown(client, f"{who}-after-{count}", known, scenes)
        lists = (shown[0], _best(popular, seen), _best(scored, seen), shown[-1])
        return [ndcg(each, wanted) for each in lists]

    tested = [(who, events) for who, events in given.tested.items() if len(events) > count]
    rows = await asyncio.gather(*(figures(*one) for one in tested))
    return Asked(phase, count, *np.array(rows, np.float64).reshape(-1, 4).T)


async def _shown(
    client: SightlineClient, visitor: str, known: Sequence[Event], scenes: Sequence[str]
) -> Sequence[Sequence[str]]:
    """Write the events of a visitor. Return the products of their page in each scene."""
    now = datetime.now(UTC)
    await client.set_consent(visitor=visitor, withdrawn=[Purpose.TRAIN], source="bench")
    report = await client.write_events(
        [
            Event(
                f"{visitor}-{place}",
                one.type,
                one.product_id,
                visitor=visitor,
                value=one.value,
                time=now - timedelta(seconds=len(known) - place),
            )
            for place, one in enumerate(known)
        ]
    )
    if report.failures:
        raise loading.LoadingFailed(f"{len(report.failures)} events were rejected")
    asked = partial(client.recommend, visitor=visitor, page_size=LISTED, filter=WHOLE_CATALOG)
    answers = [await asked(scene=scene) for scene in scenes]
    return [[row.product.product_id for row in each.results] for each in answers]


def ndcg(shown: Sequence[str], wanted: set[str]) -> float:
    """Return nDCG@10 of a list, with equal gains."""
    gained = sum(1 / math.log2(place + 2) for place, one in enumerate(shown) if one in wanted)
    return gained / sum(1 / math.log2(place + 2) for place in range(min(LISTED, len(wanted))))


def _best(scores: Mapping[str, float], seen: Sequence[str]) -> list[str]:
    ranked = sorted(scores, key=lambda one: (-scores[one], one))
    return list(islice((one for one in ranked if one not in seen), LISTED))


def _popularity(events: Sequence[Event]) -> Mapping[str, float]:
    """Return the number of shoppers of each product."""
    found = defaultdict[str, set[str]](set)
    for one in events:
        found[one.product_id].add(str(one.user))
    return {item: float(len(who)) for item, who in found.items()}


def _cosines(events: Sequence[Event]) -> Mapping[str, Mapping[str, float]]:
    """Return item-kNN: the cosines of the products' columns of shoppers."""
    found = defaultdict[str, set[str]](set)
    for one in events:
        found[one.product_id].add(str(one.user))
    return {
        item: {
            other: len(who & its) / math.sqrt(len(who) * len(its))
            for other, its in found.items()
            if other != item and who & its
        }
        for item, who in found.items()
    }
