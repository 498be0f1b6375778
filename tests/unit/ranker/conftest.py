import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from ranker.record.tables import MIGRATIONS
from servicekit.sql import Database


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty record's file: migrations take ten times as long as a copy."""
    file = tmp_path_factory.mktemp("record") / "ranker.db"
    made = Database(f"sqlite:///{file}", migrations=MIGRATIONS)
    made.migrate()
    made.close()
    return file


@pytest.fixture
def db(tmp_path: Path, migrated: Path) -> Iterator[Database]:
    shutil.copyfile(migrated, tmp_path / "ranker.db")
    made = Database(f"sqlite:///{tmp_path}/ranker.db", migrations=MIGRATIONS)
    yield made
    made.close()
