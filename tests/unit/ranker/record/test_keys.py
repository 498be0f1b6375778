import pytest

from ranker.domain.errors import KeyUnusable
from ranker.domain.pseudonyms import Pseudonyms
from ranker.record import keys
from servicekit.sql import Database
from tests.fakes.ranker import KEY


async def test_a_store_is_bound_to_the_first_key_and_refuses_another(db: Database) -> None:
    assert not await keys.has_key(db)
    await keys.check(db, KEY)
    await keys.check(db, KEY)
    assert await keys.has_key(db)
    with pytest.raises(KeyUnusable, match="another key"):
        await keys.check(db, Pseudonyms(b"x" * 32))
