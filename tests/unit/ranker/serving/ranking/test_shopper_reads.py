"""A shopper is read once for a request, and again for the next one."""

import dataclasses
from dataclasses import replace
from typing import Any

import pytest

from ranker.domain.events import EventType, History
from ranker.domain.signals import Signals
from ranker.serving.ranking import fold_in
from ranker.serving.ranking.fold_in import HOUR_MICROS
from ranker.serving.ranking.shopper_reads import (
    MOST_REMEMBERED,
    NOBODY,
    REMEMBERED_SECONDS,
    KnownShopper,
    Shoppers,
    is_of,
)
from tests.fakes.ranker import NOW, FakeReader, did, model

MODEL = model({"p": [1.0], "q": [0.5]}, actors={"a": [2.0]})
VIEWED = History(recent=(did("a", "p"),))


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


async def test_the_last_products_go_by_the_settings_of_signals() -> None:
    seen = (did("b", "p", EventType.RATING, value=3.0),)
    reader = FakeReader({"b": History(recent=seen)})
    for least, personal in ((3.5, False), (2.5, True)):
        shoppers = Shoppers(reader, Signals(liked_rating=least))
        assert (await shoppers.read("default", "b", MODEL)).shopper.personal is personal


async def test_nobody_in_particular_has_no_history_and_is_not_looked_up() -> None:
    reader = FakeReader()
    shoppers = Shoppers(reader)
    assert await shoppers.read("default", None, MODEL) == replace(NOBODY, model=MODEL)
    assert shoppers.remember("default", None, NOBODY) == ""
    assert reader.limits == []


async def test_without_a_model_hides_are_still_read() -> None:
    shoppers = Shoppers(FakeReader({"a": History(hidden=frozenset({"p"}))}))
    known = await shoppers.read("default", "a", None)
    assert known.history.hidden == {"p"}
    assert not known.shopper.personal


async def test_what_was_read_is_not_read_again_but_once() -> None:
    reader = FakeReader({"a": VIEWED})
    shoppers = Shoppers(reader)
    known = await shoppers.read("default", "a", MODEL, now_micros=NOW)
    token = shoppers.remember("default", "a", known)
    reader.histories["a"] = History(hidden=frozenset({"p"}))
    assert await shoppers.read("default", "a", MODEL, now_micros=NOW, token=token) is known
    again = await shoppers.read("default", "a", MODEL, now_micros=NOW, token=token)
    assert again.history.hidden == {"p"}, "a token spans one request"


@pytest.mark.parametrize(
    ("catalog", "actor", "later", "with_seen"),
    [
        pytest.param("other", "a", 0.0, False, id="another catalog"),
        pytest.param("default", "b", 0.0, False, id="another shopper"),
        pytest.param("default", "a", REMEMBERED_SECONDS + 0.1, False, id="later"),
        pytest.param("default", "a", 0.0, True, id="with what was seen"),
    ],
)
async def test_otherwise_it_is_read(
    catalog: str, actor: str, later: float, with_seen: bool
) -> None:
    reader, clock = FakeReader({"a": VIEWED}), Clock()
    shoppers = Shoppers(reader, clock=clock)
    token = shoppers.remember("default", "a", await shoppers.read("default", "a", MODEL))
    clock.now = later
    await shoppers.read(catalog, actor, MODEL, with_seen=with_seen, token=token)
    await shoppers.read("default", "a", MODEL, token="unknown")
    assert len(reader.limits) == 3


async def test_a_remembered_shopper_is_as_a_fresh_one_at_another_hour_and_by_another_model() -> (
    None
):
    reader = FakeReader({"a": VIEWED})
    shoppers = Shoppers(reader)
    now = NOW + 30 * HOUR_MICROS
    other = dataclasses.replace(MODEL, version="another")
    for made, at in ((MODEL, now + HOUR_MICROS), (other, now)):
        known = await shoppers.read("default", "a", MODEL, now_micros=now)
        token = shoppers.remember("default", "a", known)
        found = await shoppers.read("default", "a", made, now_micros=at, token=token)
        fresh = await shoppers.read("default", "a", made, now_micros=at)
        assert found.model is made
        assert found.shopper.session == fresh.shopper.session
    assert len(reader.limits) == 4


class Folds:
    """Counts folds."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count, self._compute = 0, fold_in.by_history
        monkeypatch.setattr(fold_in, "by_history", self._counted)

    def _counted(self, *given, **named):
        self.count += 1
        return self._compute(*given, **named)


async def test_nothing_of_a_shopper_is_kept_ten_seconds_after_their_history_was_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock, folds = Clock(), Folds(monkeypatch)
    shoppers, other = Shoppers(FakeReader({"a": VIEWED}), clock=clock), model({"p": [1.0]})
    token = shoppers.remember("default", "a", await shoppers.read("default", "a", MODEL))
    clock.now = REMEMBERED_SECONDS - 0.01
    await shoppers.read("default", "a", other, token=token)
    assert folds.count == 2
    clock.now = 9.5
    shoppers.by(other, "a", VIEWED, None)
    assert folds.count == 3, "the fold by the remembered history is gone"


async def test_all_that_is_kept_of_shoppers_is_dropped_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folds, reader = Folds(monkeypatch), FakeReader({"a": VIEWED})
    shoppers = Shoppers(reader)
    token = shoppers.remember("default", "a", await shoppers.read("default", "a", MODEL))
    shoppers.forget()
    assert not len(shoppers._folds)
    await shoppers.read("default", "a", MODEL, token=token)
    assert (len(reader.limits), folds.count) == (2, 2)


async def test_no_more_than_so_many_are_remembered_and_the_oldest_go() -> None:
    reader = FakeReader({"a": VIEWED})
    shoppers = Shoppers(reader)
    tokens = [shoppers.remember("default", "a", NOBODY) for _ in range(MOST_REMEMBERED + 5)]
    assert len(set(tokens)) == len(tokens)
    assert len(shoppers._remembered) <= MOST_REMEMBERED
    await shoppers.read("default", "a", MODEL, token=tokens[0])
    assert len(reader.limits) == 1
    known = await shoppers.read("default", "a", None, token=tokens[-1])
    assert (len(reader.limits), known) == (1, KnownShopper(NOBODY.history, NOBODY.shopper))


async def test_a_token_tells_the_history_that_it_is_of_from_later_ones() -> None:
    shoppers = Shoppers(FakeReader())
    known = await shoppers.read("default", "a", MODEL)
    token = shoppers.remember("default", "a", known)
    assert is_of(token, known.history)
    assert is_of("", known.history), "no token was given"
    assert is_of("0123", known.history), "a token of an earlier release"
    for history in (History(withheld=True), replace(known.history, hidden=frozenset({"x"}))):
        assert not is_of(token, history)


@pytest.mark.parametrize(
    "change",
    [
        {"hidden": frozenset("b")},
        {"sequences": (3, 1)},
        {"attributes": (("size", "M"),)},
        {"withheld": True},
    ],
    ids=["another one hidden", "a late event", "attributes", "consent"],
)
async def test_a_token_tells_histories_with_as_many_events_apart(change: dict[str, Any]) -> None:
    shoppers = Shoppers(FakeReader())
    recent = (did("a", "q"), did("a", "p"))
    history = History(recent, frozenset("a"), attributes=(("size", "S"),), sequences=(3, 2))
    token = shoppers.remember("default", "a", KnownShopper(history, NOBODY.shopper))
    assert is_of(token, replace(history, hidden=frozenset("a")))
    assert not is_of(token, replace(history, **change))
