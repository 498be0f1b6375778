from dataclasses import replace

import pytest

from ranker.domain.events import EventType, Identity, Shopper
from ranker.domain.pseudonyms import Pseudonyms
from ranker.events.intake import append, sampled
from tests.fakes.ranker import KEY, NOW, FakeWriter, event, stored

IMPRESSION = EventType.IMPRESSION


def shown(who: str, answer: str = "t", product: str = "p1", **fields: object):
    shopper = Shopper(Identity.USER, who)
    name = f"{who}-{answer}-{product}"
    return stored(
        name, type=IMPRESSION, shopper=shopper, attribution_token=answer, answer_id=answer, **fields
    )


def test_a_shopper_keeps_all_impressions_or_none_in_whatever_answers_and_visits() -> None:
    found = set()
    for who in (f"u{n}" for n in range(50)):
        kept = {
            sampled(shown(who, f"a{n}", f"p{n}", session_id=f"s{n}"), 0.5) is not None
            for n in range(10)
        }
        assert len(kept) == 1
        found |= kept
    assert found == {True, False}


def test_about_the_share_is_kept_and_says_what_it_stands_for() -> None:
    kept = [one for n in range(4000) if (one := sampled(shown(f"u{n}"), 0.25)) is not None]
    assert 0.22 < len(kept) / 4000 < 0.28
    assert {one.sample_share for one in kept} == {0.25}
    assert sum(1 / one.sample_share for one in kept) == pytest.approx(4000, rel=0.12)


def test_what_a_small_share_keeps_a_larger_one_keeps_too() -> None:
    shoppers = [f"u{n}" for n in range(500)]
    few, many = ({a for a in shoppers if sampled(shown(a), share)} for share in (0.2, 0.6))
    assert few < many


@pytest.mark.full
def test_shoppers_who_see_more_answers_are_not_kept_more_often() -> None:
    def kept(answers: int) -> int:
        return sum(
            any(sampled(shown(f"{answers} {n}", f"a{one}"), 0.1) for one in range(answers))
            for n in range(1_000)
        )

    assert kept(1) == pytest.approx(100, abs=30)
    assert kept(20) == pytest.approx(100, abs=30)


async def test_a_renewed_key_draws_no_shopper_again() -> None:
    given = [
        event(f"e{n}", type=IMPRESSION, shopper=Shopper(Identity.USER, f"u{n}")) for n in range(200)
    ]
    kept = []
    first, later = bytes(range(32)), bytes(range(1, 33))
    for keys in (Pseudonyms(first), Pseudonyms(first, later)):
        writer = FakeWriter()
        await append("default", given, keys, writer.append, lambda: NOW, impression_share=0.3)
        kept.append(set(writer.stored))
    assert kept[0] == kept[1]
    assert 30 < len(kept[0]) < 90


@pytest.mark.parametrize("what", [one for one in EventType if one is not IMPRESSION])
def test_nothing_else_is_ever_left_out(what: EventType) -> None:
    one = stored(type=what, attribution_token="t")
    assert sampled(one, 1e-9) is one


async def test_what_is_left_out_counts_as_written_however_often_it_is_sent() -> None:
    writer = FakeWriter()
    given = [event("i", type=IMPRESSION, attribution_token="t"), event("v"), event("", type=None)]
    for again in (False, True):
        done = await append(
            "default", given, KEY, writer.append, lambda: NOW, impression_share=1e-9
        )
        assert [error is None for error in done.errors] == [True, True, False]
        assert (done.written_count, done.duplicate_count) == ((1, 1) if again else (2, 0))
    assert set(writer.stored) == {"v"}


def test_a_share_of_one_changes_nothing() -> None:
    one = shown("u")
    assert sampled(one, 1.0) == replace(one, sample_share=1.0)
