"""The registry of personal data names every column of the ranker's record, and its page is true."""

from __future__ import annotations

import pytest

from ranker.domain import personal_data
from ranker.record.personal import OWNED, TIMES
from ranker.record.tables import METADATA
from retriever.record import tables as retriever_tables
from servicekit.personal_data import STAFF

PERSONAL_WORDS = ("actor", "visitor", "shopper", "user_id", "session", "person")


def test_every_table_is_personal_or_says_why_not() -> None:
    named = {*personal_data.TABLES, *personal_data.IMPERSONAL}
    assert named == set(METADATA.tables)
    assert not {*personal_data.TABLES} & {*personal_data.IMPERSONAL}


@pytest.mark.parametrize("name", sorted(personal_data.TABLES))
def test_every_column_of_a_personal_table_is_in_the_registry(name: str) -> None:
    store, table = personal_data.TABLES[name], METADATA.tables[name]
    assert set(store.fields) == set(table.c.keys())
    assert {*store.owners, store.inside} - {""} <= set(store.fields)


def test_columns_with_pseudonyms_are_found_by_an_erasure() -> None:
    for name, table in METADATA.tables.items():
        columns = {each for each in table.c.keys() if each in {"actor", "visitor"}}  # noqa: SIM118
        owners = personal_data.TABLES[name].owners if name in personal_data.TABLES else ()
        assert columns == set(owners), name


def test_tables_that_shoppers_data_is_written_into_have_a_time_to_erase_until() -> None:
    others = {"count_units", "consents"}
    assert set(TIMES) == set(OWNED) - others, "counts follow the events; consents have their own"
    for name, column in TIMES.items():
        assert column in METADATA.tables[name].c


def test_the_retriever_stores_nothing_on_shoppers() -> None:
    for table in retriever_tables.metadata.tables.values():
        if table.name == "audit_entries":
            assert set(table.c.keys()) == set(STAFF)
            continue
        for column in table.c.keys():  # noqa: SIM118
            assert not any(word in column for word in PERSONAL_WORDS), (table.name, column)
