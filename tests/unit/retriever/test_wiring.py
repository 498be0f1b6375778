"""Checks of a server and a worker before they serve."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa
from pydantic import SecretStr

from retriever import wiring


def settings(tmp_path: Path) -> Any:
    url = SecretStr(f"sqlite:///{tmp_path / 'record.db'}")
    return SimpleNamespace(database_url=url, migrations="run")


@pytest.mark.full
def test_a_column_that_the_store_lacks_is_an_error_at_start_that_names_the_field(
    tmp_path: Path,
) -> None:
    store = wiring.database(settings(tmp_path))
    with store.engine.begin() as connection:
        connection.execute(sa.text("ALTER TABLE products RENAME COLUMN rating TO stars"))
    store.close()
    with pytest.raises(SystemExit, match="field rating: unknown column rating of the SQL table"):
        wiring.database(settings(tmp_path))
