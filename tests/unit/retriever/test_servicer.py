"""The servicers' own part: catalogs and request ids. The calls are tested over the wire."""

from __future__ import annotations

import pytest

from retriever.model import CatalogNotFound
from retriever.servicer import Catalogs
from servicekit import telemetry


def test_an_empty_catalog_is_the_default_one() -> None:
    assert Catalogs(["default", "other"]).enter("", "") == "default"
    assert Catalogs(["default", "other"]).enter("other", "") == "other"


@pytest.mark.parametrize("name", ["nobody", "Default", "../default", "default "])
def test_an_undeclared_catalog_is_refused(name: str) -> None:
    with pytest.raises(CatalogNotFound):
        Catalogs(["default"]).enter(name, "")


def test_the_default_catalog_exists_only_when_declared() -> None:
    with pytest.raises(CatalogNotFound):
        Catalogs(["other"]).enter("", "")


def test_a_request_id_goes_to_the_log_unless_it_could_forge_a_line() -> None:
    Catalogs(["default"]).enter("", "req-7")
    assert telemetry.request_id.get() == "req-7"
    Catalogs(["default"]).enter("", "two\nlines")
    assert "\n" not in telemetry.request_id.get()
