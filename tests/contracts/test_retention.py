"""Every table of every service says how long it keeps rows."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ranker.domain import retention as of_ranker
from ranker.record.tables import METADATA
from retriever.domain import retention as of_retriever
from retriever.record.tables import metadata

ROOT = Path(__file__).parents[2]
SERVICES = {
    "retriever": (of_retriever.TABLES, metadata),
    "ranker": (of_ranker.TABLES, METADATA),
}


@pytest.mark.parametrize("service", SERVICES)
def test_every_table_has_a_term_or_a_bound(service: str) -> None:
    terms, tables = SERVICES[service]
    assert set(terms) == set(tables.tables)


@pytest.mark.parametrize("service", SERVICES)
def test_settings_that_are_named_exist(service: str) -> None:
    terms, _ = SERVICES[service]
    reference = (ROOT / "docs" / "reference" / "settings.md").read_text()
    for _, text in terms.values():
        for name in re.findall(r"[A-Z]+(?:_[A-Z]+)+", text):
            assert f"`{name}`" in reference
