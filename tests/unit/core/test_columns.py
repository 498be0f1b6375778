"""Columns of candidates that come from several reads, and their rows."""

from types import SimpleNamespace

from sightline_core.columns import ProductColumns, gathered


def columns(*ids: str, **held: list[object]) -> ProductColumns:
    source = SimpleNamespace(brands=held.get("brands", []))
    return ProductColumns(product_ids=ids, blocks=((source, range(len(ids))),))


def test_rows_of_several_reads_keep_what_each_knows() -> None:
    one, other = columns("a", "b", "c", brands=["x", "y", "z"]), columns("d", "e")
    found = gathered([(one, (0, 2)), (other, (1,)), (other, ())])
    assert found.product_ids == ["a", "c", "e"]
    assert found.read("brands", "") == ["x", "z", ""]
    assert gathered([(one, range(3))]) is one


def test_a_product_without_a_parent_is_its_own_family() -> None:
    assert columns("a", "b").families == ("a", "b")
    assert ProductColumns(product_ids=("a", "b"), parent_ids=("", "p")).families == ["a", "p"]
