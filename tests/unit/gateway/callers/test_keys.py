"""Static keys: their owners and expiry, and invalid files."""

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from gateway.callers.keys import Keys
from servicekit.admission.access import Caller, Role
from servicekit.watched_files import Unreadable
from tests.unit.gateway.callers.conftest import entry

NOON = datetime(2027, 1, 1, 12, tzinfo=UTC)


def keys_of(path: Path, text: str, now: datetime = NOON) -> Keys:
    path.write_text(text)
    return Keys(path, clock=lambda: 0.0, now=lambda: now)


def test_a_token_is_its_callers(path: Path) -> None:
    keys = keys_of(path, entry("shop", "t1", '["read", "events"]') + entry("b", "t2", '["read"]'))
    assert keys.caller("t1") == Caller(
        "shop", frozenset({Role.READ, Role.EVENTS}), frozenset({"default"})
    )
    assert keys.caller("t3") is None
    assert keys.caller("") is None


def test_a_star_is_every_catalog(path: Path) -> None:
    found = keys_of(path, entry("ops", "t", '["operate"]', '["*"]')).caller("t")
    assert found is not None
    assert found.may_use("anything")


@pytest.mark.parametrize(
    ("more", "shopper"),
    [
        ("", None),
        ('shoppers = "any"', None),
        ('shoppers = "none"', ""),
        ('shoppers = "own"\nuser_id = "u7"', "u7"),
    ],
)
def test_a_key_says_which_shoppers_its_requests_may_name(
    path: Path, more: str, shopper: str | None
) -> None:
    found = keys_of(path, entry("shop", "t", '["read"]', more=more)).caller("t")
    assert found is not None
    assert found.shopper == shopper


@pytest.mark.parametrize(
    ("expires", "good"),
    [
        ("2027-01-01T12:00:01Z", True),
        ("2027-01-01T12:00:00Z", False),
        ("2027-01-01T13:00:01+01:00", True),
        ("2027-01-01T13:00:00+01:00", False),
        ("2027-01-02", True),
        ("2027-01-01", False),
    ],
)
def test_a_key_ends(path: Path, expires: str, good: bool) -> None:
    keys = keys_of(path, entry("shop", "t", '["read"]', more=f"expires = {expires}"))
    assert (keys.caller("t") is not None) == good


def test_a_changed_file_counts_without_a_restart(path: Path) -> None:
    time = [0.0]
    path.write_text(entry("old", "t1", '["read"]'))
    keys = Keys(path, clock=lambda: time[0])
    path.write_text(entry("newer", "t2", '["read"]'))
    os.utime(path, ns=(1, 1))
    assert keys.caller("t1") is not None, "the file is looked at once a second"
    time[0] = 2.0
    assert keys.caller("t1") is None
    assert keys.caller("t2") is not None


def test_a_bad_file_leaves_the_former_keys(path: Path) -> None:
    time = [0.0]
    path.write_text(entry("old", "t1", '["read"]'))
    keys = Keys(path, clock=lambda: time[0])
    assert stale() == 0
    path.write_text("[[keys]]\nname = ")
    time[0] = 2.0
    assert keys.caller("t1") is not None
    assert stale() == 1
    path.unlink()
    time[0] = 4.0
    assert keys.caller("t1") is not None
    assert stale() == 1
    path.write_text(entry("new", "t2", '["read"]'))
    time[0] = 6.0
    assert keys.caller("t2") is not None
    assert stale() == 0


def stale() -> float | None:
    return REGISTRY.get_sample_value("sightline_key_file_stale", {"keys": "callers"})


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("keys = 1", "keys"),
        (entry("a b", "t", '["read"]'), "name"),
        (entry("a", "t", "[]"), "roles"),
        (entry("a", "t", '["root"]'), "roles"),
        (entry("a", "t", '["read"]', "[]"), "catalogs"),
        (entry("a", "t", '["read"]', more="token = 1"), "token"),
        (entry("jwt:a", "t", '["read"]'), "jwt:"),
        (entry("a", "t", '["read"]', more='shoppers = "some"'), "shoppers"),
        (entry("a", "t", '["read"]', more='shoppers = "own"'), "user_id"),
        (entry("a", "t", '["read"]', more='user_id = "u7"'), "user_id"),
        (entry("a", "t", '["read"]') + entry("b", "t", '["read"]'), "same"),
        (entry("a", "t", '["read"]') + entry("a", "u", '["read"]'), "same"),
    ],
)
def test_a_bad_file_is_refused_at_the_start(path: Path, text: str, problem: str) -> None:
    with pytest.raises(Unreadable, match=problem):
        keys_of(path, text)


def test_a_missing_file_is_refused_at_the_start(path: Path) -> None:
    with pytest.raises(Unreadable, match=r"keys\.toml"):
        Keys(path)
