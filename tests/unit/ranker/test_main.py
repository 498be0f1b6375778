import secrets
from pathlib import Path

import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from ranker.domain.errors import KeyUnusable
from ranker.settings import RankerSettings
from ranker.wiring.server import calculate_alone, open_key
from servicekit.sql.database import Database


def settings(tmp_path: Path, *, create: bool) -> RankerSettings:
    return RankerSettings(key_file=tmp_path / "key", create_key=create)


async def test_a_first_start_makes_a_key_only_when_it_is_asked_to(
    db: Database, tmp_path: Path
) -> None:
    with pytest.raises(KeyUnusable, match="no pseudonym key"):
        await open_key(db, settings(tmp_path, create=False))
    made = await open_key(db, settings(tmp_path, create=True))
    again = await open_key(db, settings(tmp_path, create=False))
    assert made.key_id == again.key_id


async def test_a_lost_key_is_not_replaced_by_a_new_one(db: Database, tmp_path: Path) -> None:
    await open_key(db, settings(tmp_path, create=True))
    (tmp_path / "key").unlink()
    with pytest.raises(KeyUnusable, match="no pseudonym key"):
        await open_key(db, settings(tmp_path, create=True))
    assert not (tmp_path / "key").exists()


async def test_another_key_is_refused(db: Database, tmp_path: Path) -> None:
    await open_key(db, settings(tmp_path, create=True))
    (tmp_path / "key").write_text(secrets.token_hex(32))
    with pytest.raises(KeyUnusable, match="another key"):
        await open_key(db, settings(tmp_path, create=False))


def test_requests_are_calculated_by_one_thread_each() -> None:
    with threadpool_limits(limits=2, user_api="blas"):  # what is set inside ends with it
        calculate_alone()
        blas = [one for one in threadpool_info() if one["user_api"] == "blas"]
        assert blas
        assert {one["num_threads"] for one in blas} == {1}
