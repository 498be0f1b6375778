"""Content, lifetime and files of snapshots."""

from collections import Counter
from pathlib import Path

import pytest

from gateway.clients.columns import columns_of_rows
from gateway.model.causes import Peer
from gateway.model.errors import PeerUnavailable
from gateway.model.query import AnswerScope
from gateway.state.snapshots import Snapshots, reading
from gateway.state.snapshots.files import SnapshotFiles
from gateway.state.snapshots.reading import SnapshotSource
from servicekit.catalogs.known import CatalogChange
from sightline.common.v1.product_pb2 import Product
from sightline_core.degradations import Degradation, DegradationCause
from sightline_core.ranking import NominationBasis, RankerCandidates
from sightline_core.search import ProductRows
from tests.fakes.gateway_peers import Shop
from tests.fakes.gateway_snapshot import READ_MICROS, row, snapshot
from tests.fakes.gateway_values import columns
from tests.waiting import until

NOW = READ_MICROS / 1e6


def files_in(folder: Path) -> SnapshotFiles:
    return SnapshotFiles(folder, columns_of_rows, Product.FromString)


class Catalog:
    """A shop whose record has categories: of every ten products, seven are red, two white, one is
    beer. The newest have the highest numbers, the popular ones the lowest."""

    def __init__(self, count: int = 100) -> None:
        self.shop = Shop()
        kinds = ["Red"] * 7 + ["White"] * 2 + ["Beer"]
        self.rows = {f"p{n}": row(f"p{n}", kinds[n % 10]) for n in range(count)}
        self.shop.ranker.generated[""] = (
            NominationBasis.POPULARITY,
            tuple(self.rows)[: count // 2],
        )
        self.shop.retriever.newest = self.newest  # type: ignore[method-assign]
        self.shop.retriever.products = self.products  # type: ignore[method-assign]
        self.reads = 0

    async def newest(self, catalog_id: str, scope: AnswerScope, count: int):
        self.reads += 1
        if "newest" in self.shop.retriever.fails:
            raise self.shop.retriever.fails["newest"]
        within = [
            name
            for name, each in reversed(self.rows.items())
            if scope.category in ("", each.category_path[0])
        ]
        return columns(*within[:count])

    async def products(
        self, catalog_id: str, ids, scope: AnswerScope, titles=(), *, unshown=False
    ) -> ProductRows:
        assert len(ids) <= reading.AT_ONCE
        return ProductRows(tuple(self.rows[each] for each in ids if each in self.rows))

    def source(self, products: int = 10, category_products: int = 5) -> SnapshotSource:
        peers = (self.shop.retriever, self.shop.ranker, columns_of_rows)
        return SnapshotSource(*peers, products, category_products)

    def snapshots(self, folder: Path | None = None, **settings: float) -> Snapshots:
        files = None if folder is None else files_in(folder)
        given = {"seconds": 60.0, "most_age_seconds": 100.0} | settings
        return Snapshots(self.source(), ["default"], files=files, clock=lambda: self.now, **given)

    now = NOW


async def test_it_holds_what_is_popular_and_new_and_some_of_each_category():
    made = await Catalog().source().read("default", None)

    assert made.popular[:10] == tuple(f"p{n}" for n in range(10))
    assert made.newest[:10] == tuple(f"p{n}" for n in range(99, 89, -1))
    held = Counter(made.rows[name].category_path[0] for name in made.rows)
    assert held == {"Red": 14, "White": 5, "Beer": 5}
    assert sorted((*made.popular, *made.newest)) == sorted(made.rows)


async def test_a_category_that_few_products_are_of_is_filled_up_with_its_newest():
    catalog = Catalog()
    catalog.rows |= {f"wood{n}": row(f"wood{n}", "Wood") for n in range(3)}
    catalog.rows |= {f"late{n}": row(f"late{n}", "Red") for n in range(9)}
    made = await catalog.source().read("default", None)

    assert {name for name in made.rows if name.startswith("wood")} == {"wood0", "wood1", "wood2"}


async def test_it_is_bounded_in_bytes_and_keeps_the_most_popular(monkeypatch):
    catalog = Catalog()
    monkeypatch.setattr(reading, "MOST_BYTES", 3 * catalog.rows["p0"].ByteSize())

    assert (await catalog.source().read("default", None)).popular == ("p0", "p1", "p2")


@pytest.mark.parametrize("way", ["gone", "degraded"])
async def test_while_the_ranker_is_not_whole_what_was_popular_stays(way):
    catalog = Catalog()
    former = await catalog.source().read("default", None)
    lost = Degradation(stage="popular", cause=DegradationCause.MODEL_NOT_READY)

    async def degraded(*_: object, **__: object) -> RankerCandidates:
        return RankerCandidates(("p99",), NominationBasis.POPULARITY, "", degradations=(lost,))

    if way == "degraded":
        catalog.shop.ranker.generate = degraded  # type: ignore[method-assign]
    catalog.shop.ranker.fails["generate"] = PeerUnavailable(Peer.RANKER)
    del catalog.rows["p3"]
    made = await catalog.source().read("default", former)

    assert set(made.popular) <= set(former.popular) - {"p3"}
    assert made.popular[:4] == ("p0", "p1", "p2", "p4")


async def test_what_was_deleted_is_gone_after_the_next_read_and_a_failed_one_changes_nothing():
    catalog = Catalog()
    held = catalog.snapshots()
    assert await held.refresh("default")
    catalog.shop.retriever.fails["newest"] = PeerUnavailable(Peer.RETRIEVER)
    del catalog.rows["p0"]
    catalog.now = held._held["default"].time_micros / 1e6

    assert not await held.refresh("default")
    assert "p0" in held.get("default").rows
    catalog.shop.retriever.fails.clear()
    assert await held.refresh("default")
    assert "p0" not in held.get("default").rows


async def test_one_that_is_too_old_or_from_the_future_is_not_used(tmp_path):
    catalog = Catalog()
    files_in(tmp_path).save("default", snapshot([row("s1")]))
    held = catalog.snapshots(tmp_path)
    await held.load("default")

    for seconds, used in ((0, True), (99, True), (101, False), (-50, True), (-70, False)):
        catalog.now = NOW + seconds
        assert (held.get("default") is not None) is used, seconds
    assert held.get("other") is None


async def test_it_comes_back_from_its_file_which_nobody_else_can_read(tmp_path):
    folder = tmp_path / "cache" / "snapshots"
    files, made = (
        files_in(folder),
        snapshot([row("s1", "Red")], [row("s2")]),
    )
    files.save("default", made)

    assert files.load("default") == made
    assert folder.stat().st_mode & 0o777 == 0o700
    (file,) = folder.iterdir()
    assert file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("damage", ["cut", "changed", "empty", "other", "format", "huge"])
def test_a_damaged_file_is_as_good_as_none(tmp_path, damage, monkeypatch):
    files = files_in(tmp_path)
    files.save("default", snapshot([row("s1")]))
    file = tmp_path / "default.snapshot"
    data = file.read_bytes()
    match damage:
        case "cut":
            file.write_bytes(data[:-5])
        case "changed":
            file.write_bytes(data.replace(b'"popular":["s1"]', b'"popular":["s2"]'))
        case "empty":
            file.write_bytes(b"")
        case "other":
            file.rename(tmp_path / "other.snapshot")
            assert files.load("other") is None
        case "format":
            monkeypatch.setattr("gateway.state.snapshots.files.FORMAT", 2)
        case "huge":
            monkeypatch.setattr("gateway.state.snapshots.files.MOST_FILE_BYTES", 10)
    assert files.load("default") is None


async def test_a_folder_that_cannot_be_written_leaves_it_in_memory(tmp_path):
    (tmp_path / "file").write_text("no folder")
    held = Catalog().snapshots(tmp_path / "file", most_age_seconds=1e12)

    assert await held.refresh("default")


async def test_with_no_seconds_none_is_read():
    catalog = Catalog()
    held = catalog.snapshots(seconds=0.0)
    held.start()
    await held.close()

    assert catalog.reads == 0


async def test_a_removed_catalog_s_snapshot_is_dropped_with_its_file(tmp_path):
    catalogs = ["default", "gone"]
    catalog = Catalog()
    files = files_in(tmp_path)
    found = Snapshots(catalog.source(), catalogs, seconds=60.0, most_age_seconds=100.0, files=files)
    for name in catalogs:
        assert await found.refresh(name)
    catalogs.remove("gone")
    found.follow(CatalogChange(removed=frozenset({"gone"})))

    assert found.get("gone") is None
    assert found.get("default") is not None
    assert [each.name for each in tmp_path.iterdir()] == ["default.snapshot"]
    assert await found.refresh("gone")  # it was being read
    assert found.get("gone") is None


async def test_an_added_catalog_is_read_at_once():
    catalogs = ["default"]
    catalog = Catalog()
    found = Snapshots(catalog.source(), catalogs, seconds=60.0, most_age_seconds=100.0)
    found.start()
    await until(lambda: found.get("default"))
    catalogs.append("new")
    found.follow(CatalogChange(added=frozenset({"new"})))

    await until(lambda: found.get("new"))
    await found.close()
