import stat
import threading
from pathlib import Path

import pytest

from ranker.domain.errors import KeyUnusable
from ranker.domain.events import Identity, Shopper
from ranker.domain.pseudonyms import Pseudonyms, load
from tests.fakes.ranker import KEY

ANN = Shopper(Identity.USER, "ann")


def test_the_same_id_in_another_catalog_as_a_visitor_or_under_another_key_is_somebody_else() -> (
    None
):
    found = {
        KEY.of("default", ANN),
        KEY.of("other", ANN),
        KEY.of("default", Shopper(Identity.VISITOR, "ann")),
        KEY.of_session("default", "ann"),
        Pseudonyms(b"k" * 32).of("default", ANN),
    }
    assert len(found) == 5
    assert all(len(one) == 64 for one in found)


def test_ids_that_run_into_the_catalog_differ() -> None:
    one = KEY.of("a", Shopper(Identity.USER, "b"))
    assert one != KEY.of("au", Shopper(Identity.USER, "serb"))


def test_a_pseudonym_is_the_same_in_every_release() -> None:
    """Check a fixed value: a change of the construction would lose all shoppers' histories."""
    assert KEY.of("default", ANN)[:16] == "003f0a2f264df82b"
    assert KEY.key_id == "1368d39aa2c7c212"


def test_no_visit_has_no_pseudonym() -> None:
    assert KEY.of_session("default", "") == ""


def test_a_missing_key_is_made_once_readable_by_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "key"
    first = load(path, create=True)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load(path, create=True).fingerprint == first.fingerprint
    assert [entry.name for entry in path.parent.iterdir()] == ["key"]


def test_processes_that_start_at_once_get_the_same_key(tmp_path: Path) -> None:
    path, found = tmp_path / "key", []
    threads = [
        threading.Thread(target=lambda: found.append(load(path, create=True).key_id))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "no pseudonym key"),
        (b"abcd", "bytes"),
        (b"xyz", "hexadecimal"),
        (b"\xff", "read"),
        (b"5e" * 32, "guessed.*openssl rand -hex 32.* start with an empty record"),
    ],
)
def test_a_missing_short_malformed_or_guessed_key_is_refused(
    tmp_path: Path, content: bytes | None, problem: str
) -> None:
    path = tmp_path / "key"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(KeyUnusable, match=problem):
        load(path, create=False)


def test_a_shoppers_id_is_not_in_its_repr() -> None:
    assert "ann" not in repr(ANN)
