from collections.abc import Iterator
from pathlib import Path

import pytest

from ranker.record.tables import MIGRATIONS
from servicekit.sql import Database


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    made = Database(f"sqlite:///{tmp_path}/ranker.db", migrations=MIGRATIONS)
    made.migrate()
    yield made
    made.close()
