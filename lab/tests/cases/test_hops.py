"""The tables of the bench of hops for given measurements."""

from lab.cases import hops
from lab.cases.hops import HopFigures


def test_each_variant_stands_beside_bare_grpc_of_as_many_callers() -> None:
    bare = HopFigures(server=[300, 310, 320], client=[200, 200, 200])
    both = HopFigures(server=[450, 460, 470], client=[250, 250, 250])
    found = hops.result({1: {"bare grpc.aio": bare, "both": both}, 8: {"bare grpc.aio": bare}})
    (table,) = found.tables
    assert [row[:5] for row in table.rows] == [
        ("1", "bare grpc.aio", "310", "200", "510"),
        ("1", "both", "460", "250", "710"),
        ("8", "bare grpc.aio", "310", "200", "510"),
    ]
    assert table.rows[0][5] == "1.00 (1.00–1.00)"
    assert table.rows[1][5].startswith("1.39 (")


def test_every_variant_has_a_name_of_its_own_and_the_first_is_bare() -> None:
    names = [variant.name for variant in hops.VARIANTS]
    assert len(set(names)) == len(names)
    assert hops.VARIANTS[0].without == "everything"
    assert not hops.VARIANTS[0].ours
