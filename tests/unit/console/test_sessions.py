"""Sessions: bounded, expiring, with files that are bounded too."""

import pytest

from sightline_console.web import sessions
from sightline_console.web.forms import FormRejected
from sightline_console.web.sessions import Sessions


class Clock:
    """A clock that tests move."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_a_session_ends_without_use_and_in_any_case(clock: Clock) -> None:
    known = Sessions(clock)
    session = known.begin("key")
    for _ in range(4):
        clock.now += sessions.IDLE_SECONDS * 0.7
        assert known.find(session.session_id) is session
    clock.now = sessions.WHOLE_SECONDS + 1
    assert known.find(session.session_id) is None
    idle = known.begin("key")
    clock.now += sessions.IDLE_SECONDS + 1
    assert known.find(idle.session_id) is None


def test_sessions_have_a_number_and_the_one_unused_longest_ends_first() -> None:
    known = Sessions(most=2)
    first, second = known.begin("a"), known.begin("b")
    assert known.find(first.session_id)
    known.begin("c")
    assert known.find(second.session_id) is None
    assert known.find(first.session_id) is first


def test_one_key_ends_its_own_sessions_alone() -> None:
    known = Sessions()
    other = known.begin("other")
    mine = [known.begin("mine") for _ in range(sessions.MOST_OF_OWNER + 1)]
    assert known.find(mine[0].session_id) is None
    assert known.find(mine[-1].session_id) is mine[-1]
    assert known.find(other.session_id) is other


def test_one_user_of_a_provider_ends_their_own_sessions_alone() -> None:
    known = Sessions()
    others = [known.begin("jwt", "https://id.example ann"), known.begin("https://id.example")]
    mine = [
        known.begin(f"jwt-{number}", "https://id.example zoe")
        for number in range(sessions.MOST_OF_OWNER + 1)
    ]
    assert known.find(mine[0].session_id) is None
    assert all(known.find(each.session_id) for each in (*mine[1:], *others))
    assert "zoe" not in repr(mine[1])


def test_files_are_those_of_their_session_and_end_with_it() -> None:
    known = Sessions()
    one, other = known.begin(), known.begin()
    name = known.keep(one, "photo", b"x")
    assert known.kept(one, "photo", name) == b"x"
    assert known.kept(other, "photo", name) is None
    assert known.kept(one, "map", name) is None
    assert known.kept(None, "photo", name) is None
    known.end(one.session_id)
    assert known.kept(one, "photo", name) is None


def test_files_have_a_number_of_each_kind_and_a_size_in_all() -> None:
    known = Sessions(file_bytes=8)
    session = known.begin()
    contents = [bytes([at]) for at in range(sessions.FILES_OF_KIND + 1)]
    names = [known.keep(session, "photo", each) for each in contents]
    kept = [known.kept(session, "photo", name) is not None for name in names]
    assert kept == [False] + [True] * sessions.FILES_OF_KIND
    other = known.begin()
    for each in (b"xx", b"yy", b"zz"):
        assert known.keep(other, "photo", each)
    assert sum(known.kept(session, "photo", name) is not None for name in names) == 2


def test_a_file_that_would_drop_all_others_is_not_kept() -> None:
    known = Sessions(file_bytes=100)
    name = known.keep(known.begin(), "photo", b"x")
    for size in (26, 1_000):
        with pytest.raises(FormRejected):
            known.keep(known.begin(), "rejected", bytes(size))
    assert name in {each[2] for each in known._files}


def test_an_equal_file_is_kept_once_and_many_shoppers_are() -> None:
    known = Sessions()
    session = known.begin()
    first = known.keep(session, "shopper", b"u0")
    names = [known.keep(session, "shopper", f"u{at}".encode()) for at in range(50)]
    assert names[0] == first
    assert known.keep(session, "shopper", b"u7") == names[7]
    assert all(known.kept(session, "shopper", name) for name in names)
    known.keep(session, "shopper", b"u50")
    assert known.kept(session, "shopper", names[0]) is None


def test_sessions_without_a_key_end_first() -> None:
    known = Sessions(most=3)
    signed_in = [known.begin("a"), known.begin("b")]
    for _ in range(9):
        known.begin()
    assert all(known.find(each.session_id) for each in signed_in)


def test_ids_and_tokens_are_drawn_and_belong_together() -> None:
    known = Sessions()
    one, other = known.begin(), known.begin()
    assert len({one.session_id, other.session_id, sessions.new_id()}) == 3
    token = known.csrf(one.session_id)
    assert known.is_csrf(one.session_id, token)
    assert not known.is_csrf(other.session_id, token)
    assert not known.is_csrf(one.session_id, "é")
    assert not Sessions().is_csrf(one.session_id, token)
    assert "key-1" not in repr(known.begin("key-1"))


def test_nothing_is_kept_for_a_session_that_has_ended() -> None:
    kept = Sessions()
    session = kept.begin("slk_mine")
    kept.end(session.session_id)
    file_id = kept.keep(session, "rejected", b"rows")
    assert kept.kept(session, "rejected", file_id) is None
