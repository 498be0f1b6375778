import pytest

from ranker.domain.events import EventType
from ranker.events.intake import append, sampled
from tests.fakes.ranker import KEY, NOW, FakeWriter, event, stored

IMPRESSION = EventType.IMPRESSION


def shown(answer: str, product: str = "p1", **fields: object):
    return stored(f"{answer}-{product}", type=IMPRESSION, attribution_token=answer, **fields)


def test_an_answer_keeps_all_of_its_impressions_or_none() -> None:
    for answer in (f"token-{n}" for n in range(50)):
        kept = {sampled(shown(answer, f"p{n}"), 0.5) is not None for n in range(10)}
        assert len(kept) == 1


def test_about_the_share_is_kept_and_says_what_it_stands_for() -> None:
    kept = [one for n in range(4000) if (one := sampled(shown(f"t{n}"), 0.25)) is not None]
    assert 0.22 < len(kept) / 4000 < 0.28
    assert {one.sample_share for one in kept} == {0.25}
    assert sum(1 / one.sample_share for one in kept) == pytest.approx(4000, rel=0.12)


def test_what_a_small_share_keeps_a_larger_one_keeps_too() -> None:
    answers = [f"t{n}" for n in range(500)]
    few, many = ({a for a in answers if sampled(shown(a), share)} for share in (0.2, 0.6))
    assert few < many


def test_without_a_token_a_visit_is_kept_or_left_whole() -> None:
    found = set()
    for visit in range(40):
        events = [stored(f"{visit}-{n}", type=IMPRESSION, session_id=f"s{visit}") for n in range(5)]
        kept = {sampled(one, 0.5) is not None for one in events}
        assert len(kept) == 1
        found |= kept
    assert found == {True, False}


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
