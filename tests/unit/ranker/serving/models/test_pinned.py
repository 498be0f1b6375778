"""Models that requests name."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from ranker.domain.errors import ModelCorrupt
from ranker.serving.models.live import LiveModels
from ranker.serving.models.pinned import AGAIN_SECONDS, BUSY_SECONDS, IDLE_SECONDS, MOST
from servicekit.catalogs.known import CatalogChange
from tests.fakes.kit_clock import Seconds
from tests.fakes.ranker import FakePromotions, GatedLoad, model, record
from tests.waiting import until

MADE = {f"v{n}": model({"p": [float(n)]}, version=f"v{n}") for n in range(5)}


@pytest.fixture
def clock() -> Seconds:
    return Seconds()


@pytest.fixture
def promotions() -> FakePromotions:
    made = FakePromotions()
    made.known |= {*MADE, "bad"}
    return made


@pytest.fixture
def load() -> GatedLoad:
    return GatedLoad({**MADE, "bad": ModelCorrupt("has another hash")})


@pytest.fixture
async def live(
    promotions: FakePromotions, load: GatedLoad, clock: Seconds
) -> AsyncIterator[LiveModels]:
    made = LiveModels(("default",), promotions, load, 0, clock=clock)
    yield made
    await made.stop()


async def at_hand(live: LiveModels, version: str) -> None:
    await until(lambda: live.pinned("default", version) is MADE[version])


async def settled(live: LiveModels) -> None:
    """Wait until no model is being loaded."""
    await until(lambda: live._pinned._task is not None and live._pinned._task.done())


async def test_one_is_loaded_when_it_is_asked_for_and_nobody_waits(
    live: LiveModels, promotions: FakePromotions, load: GatedLoad
) -> None:
    promotions.promote(record("v0"))
    await live.refresh()
    load.gate.clear()
    assert live.pinned("default", "v1") is None
    await until(lambda: load.calls == ["v0", "v1"])
    assert live.pinned("default", "v1") is None  # and it is not loaded twice
    assert live.pinned("default", "v2") is None  # nor another one beside it
    load.gate.set()
    await at_hand(live, "v1")
    assert live.serving("default") is MADE["v0"]
    assert load.calls == ["v0", "v1"]


async def test_the_promoted_one_and_the_one_before_it_are_at_hand(
    live: LiveModels, promotions: FakePromotions, load: GatedLoad
) -> None:
    for version in ("v0", "v1"):
        promotions.promote(record(version))
    await live.refresh()
    for version in ("v0", "v1"):
        assert live.pinned("default", version) is MADE[version]
    assert sorted(load.calls) == ["v0", "v1"]


async def test_a_promotion_never_touches_a_request_that_took_a_pinned_one(
    live: LiveModels, promotions: FakePromotions
) -> None:
    await at_hand(live, "v1")
    taken = live.pinned("default", "v1")
    for version in ("v2", "v1", "v3"):
        promotions.promote(record(version))
        await live.refresh()
        assert live.pinned("default", "v1") is taken is MADE["v1"]
        assert live.serving("default") is MADE[version]


async def test_few_are_kept_and_the_least_recently_asked_for_goes(
    live: LiveModels, load: GatedLoad, clock: Seconds
) -> None:
    assert MOST == 2
    for version in ("v1", "v2", "v1"):
        await at_hand(live, version)
    clock.now += BUSY_SECONDS
    await at_hand(live, "v3")
    assert load.calls == ["v1", "v2", "v3"]
    assert live.pinned("default", "v1") is MADE["v1"]
    assert live.pinned("default", "v2") is None


async def test_what_others_still_ask_for_makes_no_room(
    live: LiveModels, load: GatedLoad, clock: Seconds
) -> None:
    for version in ("v1", "v2"):
        await at_hand(live, version)
    for _ in range(3):
        assert live.pinned("default", "v3") is None
        await settled(live)
        clock.now += AGAIN_SECONDS
        for version in ("v1", "v2"):
            assert live.pinned("default", version) is MADE[version]
    assert load.calls == ["v1", "v2"]


async def test_catalogs_take_no_room_from_one_another(promotions: FakePromotions) -> None:
    live = LiveModels(("default", "other"), promotions, GatedLoad(MADE), 0)
    await at_hand(live, "v1")
    await at_hand(live, "v2")
    await until(lambda: live.pinned("other", "v3") is MADE["v3"])
    assert live.pinned("default", "v1") is MADE["v1"]


@pytest.mark.parametrize("version", ["bad", "gone"])
async def test_what_cant_be_had_is_asked_for_again_only_after_a_while(
    live: LiveModels, load: GatedLoad, clock: Seconds, version: str
) -> None:
    assert live.pinned("default", version) is None
    await settled(live)
    load.models[version] = MADE["v1"]
    live._promotions.known.add(version)  # type: ignore[attr-defined]
    clock.now += AGAIN_SECONDS - 1
    assert live.pinned("default", version) is None
    await asyncio.sleep(0)
    assert load.calls == (["bad"] if version == "bad" else [])
    clock.now += 1
    await until(lambda: live.pinned("default", version) is MADE["v1"])


async def test_a_record_that_is_away_is_asked_again_later(
    live: LiveModels, promotions: FakePromotions, clock: Seconds
) -> None:
    promotions.broken = True
    assert live.pinned("default", "v1") is None
    await settled(live)
    promotions.broken = False
    assert live.pinned("default", "v1") is None
    clock.now += AGAIN_SECONDS
    await at_hand(live, "v1")


async def test_one_whose_files_were_written_without_an_erased_shopper_is_loaded_anew(
    live: LiveModels, promotions: FakePromotions, load: GatedLoad
) -> None:
    first = load.models["v1"] = replace(MADE["v1"], manifest_sha256="0" * 64)
    await until(lambda: live.pinned("default", "v1") is first)
    await live.refresh()
    assert live.pinned("default", "v1") is first
    promotions.digests["v1"] = "1" * 64
    load.models["v1"] = replace(MADE["v1"], manifest_sha256="1" * 64)
    await live.refresh()
    assert live.pinned("default", "v1") is None
    await until(lambda: live.pinned("default", "v1") is load.models["v1"])


async def test_one_that_nobody_asks_for_goes(live: LiveModels, clock: Seconds) -> None:
    for version in ("v1", "v2"):
        await at_hand(live, version)
    clock.now += IDLE_SECONDS - 1
    assert live.pinned("default", "v2") is MADE["v2"]
    clock.now += 1
    await live.start()
    await until(lambda: live.pinned("default", "v2") is not None and len(live._pinned._held) == 1)


REPLACED = CatalogChange(added=frozenset({"default"}), removed=frozenset({"default"}))


async def test_a_catalog_that_replaces_another_one_gets_none_of_its_models(
    live: LiveModels, promotions: FakePromotions, load: GatedLoad
) -> None:
    promotions.promote(record("v0"))
    await live.refresh()
    live.pinned("default", "v1")
    await at_hand(live, "v1")
    promotions.now.clear()
    promotions.known.clear()
    live.follow(REPLACED)
    assert live.serving("default") is live.former("default") is None
    assert live.pinned("default", "v1") is None
    await settled(live)
    assert live.pinned("default", "v1") is None


async def test_a_model_that_is_being_loaded_for_the_earlier_catalog_is_not_kept(
    live: LiveModels, load: GatedLoad
) -> None:
    load.gate.clear()
    live.pinned("default", "v1")
    await until(lambda: load.calls == ["v1"])
    live.follow(REPLACED)
    load.gate.set()
    await settled(live)
    assert not live._pinned._held
