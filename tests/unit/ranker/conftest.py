from collections.abc import Iterator

import pytest

from ranker.record.tables import MIGRATIONS
from servicekit.sql.database import Database
from tests.stores import NewStore


@pytest.fixture
def db(new_store: NewStore) -> Iterator[Database]:
    """Yield an empty record, on each engine."""
    made = Database(new_store(MIGRATIONS, "ranker.db"), migrations=MIGRATIONS)
    yield made
    made.close()
