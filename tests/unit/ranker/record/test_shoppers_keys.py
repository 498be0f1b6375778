import pytest

from ranker.domain.errors import KeyUnusable
from ranker.domain.pseudonyms import Pseudonyms
from ranker.record.shoppers import check_key, has_key
from servicekit.sql.database import Database
from tests.fakes.ranker import KEY


async def test_a_store_is_bound_to_the_first_key_and_refuses_another(db: Database) -> None:
    assert not await has_key(db)
    await check_key(db, KEY)
    await check_key(db, KEY)
    assert await has_key(db)
    with pytest.raises(KeyUnusable, match="another key"):
        await check_key(db, Pseudonyms(b"x" * 32))
