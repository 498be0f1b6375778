import numpy as np
import pytest

from ranker.domain.events import EventType
from ranker.domain.log import log_of
from ranker.domain.report import Protocol
from ranker.learning.evaluation import splits
from ranker.learning.evaluation.histories import Histories, histories_of
from ranker.learning.evaluation.splits import Task, most_shoppers, split, tasks
from tests.fakes.ranker import did

ITEMS = tuple(f"p{n}" for n in range(10))
ROWS = {item: row for row, item in enumerate(ITEMS)}


def names(shoppers: Histories) -> dict[str, list[str]]:
    return {
        actor: [ITEMS[item] for item in shoppers.of(row)]
        for row, actor in enumerate(shoppers.actors)
    }


def liked(*events) -> Histories:
    return histories_of(log_of(events), ROWS)


def test_a_history_is_what_a_shopper_likes_oldest_first_with_ties_by_product() -> None:
    made = liked(
        did("bob", "p2", at=1),
        did("ann", "p3", at=5),
        did("ann", "p1", at=2),
        did("ann", "p0", at=2),
    )
    assert names(made) == {"ann": ["p0", "p1", "p3"], "bob": ["p2"]}
    assert made.ages.tolist() == [2, 1, 0, 0]
    assert made.rows.tolist() == [0, 0, 0, 1]


def test_what_is_hidden_rated_low_or_unknown_is_not_in_a_history() -> None:
    made = liked(
        did("ann", "p1"),
        did("ann", "p1", EventType.HIDE, at=1),
        did("ann", "p2", EventType.RATING, at=1, value=1.0),
        did("ann", "elsewhere"),
        did("bob", "p3", EventType.PURCHASE),
    )
    assert names(made) == {"bob": ["p3"]}
    assert made.bought.tolist() == [True]


def test_histories_are_cut_at_either_end_and_taken_in_any_order() -> None:
    made = liked(*(did("ann", f"p{n}", at=n) for n in range(4)), did("bob", "p9"))
    assert names(made.newest(2)) == {"ann": ["p2", "p3"], "bob": ["p9"]}
    assert names(made.oldest(1)) == {"ann": ["p0"], "bob": ["p9"]}
    assert list(names(made.take([1, 0]))) == ["bob", "ann"]


def test_pairs_of_another_history_are_left_out_and_so_are_those_who_have_nothing_else() -> None:
    one = liked(did("ann", "p0"), did("ann", "p1", at=1), did("bob", "p1"))
    other = liked(did("ann", "p1"), did("bob", "p1"), did("eve", "p0"))
    assert names(one.without(other)) == {"ann": ["p0"]}


def test_the_last_fifth_by_time_is_held_out_for_everyone_at_once() -> None:
    log = log_of([did("ann", f"p{n}", at=n) for n in range(10)])
    made = split(log, Protocol.GLOBAL, 0.2)
    assert (len(made.before), len(made.after)) == (8, 2)
    assert made.moment_micros == log.time[8]


def test_equal_times_are_never_torn_apart() -> None:
    made = split(log_of([did("ann", f"p{n}") for n in range(10)]), Protocol.GLOBAL, 0.2)
    assert (len(made.before), len(made.after)) == (0, 10)


@pytest.mark.parametrize("protocol", Protocol)
def test_nothing_splits_into_nothing(protocol: Protocol) -> None:
    made = split(log_of([]), protocol, 0.2)
    assert (len(made.before), len(made.after), made.moment_micros) == (0, 0, None)
    assert not len(tasks(made, ITEMS).regulars.known)


def test_a_tail_is_the_last_share_of_each_shopper_rounded_up() -> None:
    events = [did("ann", f"p{n}", at=n) for n in range(6)] + [did("bob", "p1"), did("bob", "p0")]
    made = split(log_of(events), Protocol.PER_USER_TAIL, 0.2)
    assert names(histories_of(made.before, ROWS)) == {
        "ann": ["p0", "p1", "p2", "p3"],
        "bob": ["p0"],
    }
    assert names(histories_of(made.after, ROWS)) == {"ann": ["p4", "p5"], "bob": ["p1"]}


def test_questions_are_for_products_that_were_not_liked_before() -> None:
    before = [did("ann", "p0", at=0), did("bob", "p1", at=0), did("bob", "p2", at=0)]
    after = [did("ann", "p0", at=9), did("ann", "p1", at=9), did("bob", "p1", at=9)]
    asked = tasks(split(log_of(before + after), Protocol.GLOBAL, 0.5), ITEMS)
    assert names(asked.regulars.known) == {"ann": ["p0"]}
    assert names(asked.regulars.wanted) == {"ann": ["p1"]}
    assert names(asked.training) == {"ann": ["p0"], "bob": ["p1", "p2"]}


def test_newcomers_are_given_three_events_and_asked_for_the_rest() -> None:
    events = [did("ann", "p0")] + [did("new", f"p{n}", at=n + 1) for n in range(5)]
    events += [did("brief", f"p{n}", at=1) for n in range(3)]
    asked = tasks(split(log_of(events), Protocol.GLOBAL, 0.88), ITEMS)
    assert names(asked.newcomers.known) == {"new": ["p0", "p1", "p2"]}
    assert names(asked.newcomers.wanted) == {"new": ["p3", "p4"]}


def test_new_products_compete_among_themselves() -> None:
    events = [did("ann", "p0"), did("ann", "p1", at=1), did("ann", "p7", at=1)]
    events += [did("bob", "p1")]
    asked = tasks(split(log_of(events), Protocol.GLOBAL, 0.5), ITEMS)
    assert names(asked.new_items.wanted) == {"ann": ["p7"]}
    assert np.flatnonzero(~asked.new_items.candidates).tolist() == [0, 1]


def test_in_the_middle_of_things_the_older_half_of_what_came_later_is_known() -> None:
    events = [did("ann", "p0"), did("ann", "p9", at=1)]
    events += [did("ann", f"p{n}", at=n + 10) for n in range(1, 6)]
    events += [did("new", "p1", at=11), did("new", "p2", at=12), did("brief", "p1", at=13)]
    log = log_of(events)
    asked = tasks(split(log, Protocol.GLOBAL, 0.75), ITEMS).ongoing
    assert names(asked.known) == {"ann": ["p0", "p9", "p1", "p2"], "new": ["p1"]}
    assert names(asked.wanted) == {"ann": ["p3", "p4", "p5"], "new": ["p2"]}
    assert asked.known.idle.tolist() == [0, 0]


def test_regulars_are_asked_when_time_was_cut() -> None:
    events = [did("ann", "p0", at=1), did("bob", "p0", at=4), did("bob", "p1", at=6)]
    events += [did("ann", "p2", at=9), did("bob", "p2", at=9)]
    made = split(log_of(events), Protocol.GLOBAL, 0.4)
    known = tasks(made, ITEMS).regulars.known
    assert made.moment_micros is not None
    assert known.idle.tolist() == [made.moment_micros - one for one in known.times[[0, 2]]]
    assert (
        tasks(split(log_of(events), Protocol.PER_USER_TAIL, 0.4), ITEMS).regulars.known.idle.sum()
        == 0
    )


@pytest.mark.parametrize(
    ("items", "most"),
    [(0, 1_000), (3_068, 1_000), (200_000, 1_000), (200_001, 999), (1_000_000, 200), (10**9, 1)],
)
def test_fewer_shoppers_are_measured_among_very_many_products(items: int, most: int) -> None:
    assert most_shoppers(items, 1_000) == most


@pytest.mark.parametrize(
    ("most", "scores", "expected"),
    [
        (10, 1_000, ["u0", "u1", "u2", "u3", "u4", "u5", "u6"]),
        (3, 1_000, ["u0", "u3", "u6"]),
        (10, 30, ["u0", "u3", "u6"]),
        (10, 1, ["u0"]),
    ],
)
def test_a_sample_of_shoppers_is_evenly_spaced_and_as_large_as_its_scores_allow(
    monkeypatch: pytest.MonkeyPatch, most: int, scores: int, expected: list[str]
) -> None:
    monkeypatch.setattr(splits, "MOST_SCORES", scores)
    known, wanted = (liked(*(did(f"u{n}", item) for n in range(7))) for item in ("p1", "p2"))
    found = Task(known, wanted, np.ones(len(ITEMS), dtype=bool)).evenly(most)
    assert names(found.known) == {actor: ["p1"] for actor in expected}
    assert names(found.wanted) == {actor: ["p2"] for actor in expected}


def test_a_task_without_shoppers_stays_without() -> None:
    nobody = Task(liked(), liked(), np.ones(len(ITEMS), dtype=bool))
    assert not len(nobody.evenly(5).known)
