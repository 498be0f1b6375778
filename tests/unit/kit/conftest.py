"""A store with the kit's own tables, and a clock that tests move."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from servicekit.sql import Database
from tests.fakes.kit_clock import Clock
from tests.fakes.kit_store import MIGRATIONS


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    made = Database(f"sqlite:///{tmp_path}/store.db", migrations=MIGRATIONS)
    made.migrate()
    yield made
    made.close()
