"""The live collection of catalogs: polls, look-ups, the file, and what is said of unknown ones."""

import asyncio
import json
from collections.abc import Callable, Coroutine
from dataclasses import replace
from functools import wraps
from pathlib import Path
from typing import Any

import pytest

from servicekit.catalogs.known import (
    POLL_SECONDS,
    AlsoNamed,
    CatalogChange,
    CatalogDeleted,
    CatalogList,
    CatalogNotFound,
    CatalogState,
    CatalogsUnavailable,
    KnownCatalogs,
    ListedCatalog,
)
from servicekit.errors import Unavailable
from servicekit.rpc.requests import catalog
from tests.virtual_time import run


def virtual(test: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    """Run a test on a virtual clock."""

    @wraps(test)
    def timed() -> None:
        run(test())

    return timed


class Registry:
    """A registry that can be changed, and be down."""

    def __init__(self, *names: str) -> None:
        self.list = CatalogList("0")
        self.reads = 0
        self.down: Exception | None = None
        self.slow = 0.0
        self.put(*names)

    def put(self, *names: str, uid: str = "u") -> None:
        entries = tuple(ListedCatalog(name, uid, CatalogState.ACTIVE) for name in names)
        self.list = CatalogList(f"{self.list.revision}+", entries)

    async def read(self, known_revision: str) -> CatalogList | None:
        self.reads += 1
        found = self.list
        await asyncio.sleep(self.slow)
        if self.down is not None:
            raise self.down
        return None if known_revision == found.revision else found


DOWN = Unavailable("down", reason="UNAVAILABLE")


async def test_declared_catalogs_need_no_registry() -> None:
    known = KnownCatalogs(("default", "a"))
    await known.start()
    assert [*known] == ["default", "a"]
    assert "b" not in known
    with pytest.raises(CatalogNotFound):
        catalog("b", known)
    await known.stop()


async def test_a_new_catalog_is_known_at_the_call_that_names_it() -> None:
    registry = Registry()
    known = KnownCatalogs(("default",), registry)
    await known.refresh()
    registry.put("new")
    await known.look_up("new")
    assert "new" in known
    assert catalog("new", known) == "new"


async def test_a_look_up_does_not_use_a_read_that_began_before_it() -> None:
    registry = Registry()
    registry.slow = 0.05
    known = KnownCatalogs((), registry)
    first = asyncio.create_task(known.look_up("other"))
    await asyncio.sleep(0.01)  # the read has taken the list without the new catalog
    registry.put("new")
    await known.look_up("new")
    assert "new" in known
    await first


@virtual
async def test_invented_names_cost_few_reads() -> None:
    registry = Registry()
    known = KnownCatalogs((), registry)
    await known.refresh()
    await asyncio.gather(*(known.look_up(f"invented-{n}") for n in range(500)))
    assert registry.reads <= 3
    await known.look_up("Not A Name")
    assert registry.reads <= 3


async def test_a_call_that_is_cancelled_does_not_end_the_read_of_others() -> None:
    registry = Registry()
    registry.slow = 0.05
    known = KnownCatalogs((), registry)
    registry.put("new")
    first = asyncio.create_task(known.look_up("new"))
    second = asyncio.create_task(known.look_up("new"))
    await asyncio.sleep(0.01)
    first.cancel()
    await second
    assert "new" in known


@virtual
async def test_polls_notice_changes_and_report_them() -> None:
    registry = Registry("a", "b")
    known = KnownCatalogs(("default",), registry)
    await known.start()
    seen: list[CatalogChange] = []
    end = known.on_change(seen.append)
    registry.put("b", "c")
    await asyncio.sleep(POLL_SECONDS * 1.5)
    assert seen == [CatalogChange(frozenset({"c"}), frozenset({"a"}))]
    registry.put("b", "c", uid="later")
    await asyncio.sleep(POLL_SECONDS)
    both = frozenset({"b", "c"})
    assert seen[1:] == [CatalogChange(both, both)]
    end()
    registry.put()
    await asyncio.sleep(POLL_SECONDS)
    assert len(seen) == 2
    assert [*known] == ["default"]
    await known.stop()


@virtual
async def test_a_registry_that_is_down_changes_nothing_but_the_answer_about_unknown_ones() -> None:
    registry = Registry("a")
    known = KnownCatalogs(("default",), registry)
    await known.start()
    registry.down = DOWN
    await asyncio.sleep(POLL_SECONDS * 3)
    assert [*known] == ["default", "a"]
    with pytest.raises(CatalogsUnavailable):
        catalog("b", known)
    with pytest.raises(CatalogNotFound):
        catalog("No Name", known)
    registry.down = None
    registry.put("a", "b")
    await asyncio.sleep(POLL_SECONDS * 1.5)
    assert catalog("b", known) == "b"
    with pytest.raises(CatalogNotFound):
        catalog("c", known)
    await known.stop()


@virtual
async def test_a_registry_that_hangs_holds_a_call_for_a_limited_time() -> None:
    registry = Registry()
    registry.slow = 1e6
    known = KnownCatalogs((), registry)
    await asyncio.wait_for(known.look_up("a"), 10)
    with pytest.raises(CatalogsUnavailable):
        catalog("a", known)
    await known.stop()


async def test_the_last_list_survives_a_restart_without_the_registry(tmp_path: Path) -> None:
    registry, file = Registry("a"), tmp_path / "folder" / "catalogs.json"
    known = KnownCatalogs(("default",), registry, file=file)
    await known.refresh()
    assert file.stat().st_mode & 0o777 == 0o600
    registry.down = DOWN
    again = KnownCatalogs(("default",), registry, file=file)
    await again.refresh()
    assert [*again] == ["default", "a"]
    assert again.listed("a") == known.listed("a")


async def test_a_list_that_another_release_wrote_is_read_anew(tmp_path: Path) -> None:
    registry, file = Registry("a"), tmp_path / "catalogs.json"
    await KnownCatalogs((), registry, file=file).refresh()
    (entry,) = registry.list.catalogs
    steered = replace(entry, scenes_revision="u-7")
    registry.list = replace(registry.list, catalogs=(steered,))  # which 0.40 does not know
    known = KnownCatalogs((), registry, file=file)
    assert ("a" in known, known.scenes_revision("a")) == (True, "")
    await known.refresh()
    assert known.scenes_revision("a") == "u-7"


@pytest.mark.parametrize(
    "content",
    [
        *("", "{}", "[]", '{"format": 2}'),
        '{"format": 1, "revision": "1", "catalogs": [{"catalog_id": "../x"}]}',
        '{"format": 1, "revision": "1", "catalogs": [{"catalog_id": "a"}]}',
        '{"format": 1, "revision": "1", "catalogs": [7]}',
    ],
)
async def test_a_damaged_file_is_not_used(tmp_path: Path, content: str) -> None:
    file = tmp_path / "catalogs.json"
    file.write_text(content)
    registry = Registry("a")
    known = KnownCatalogs(("default",), registry, file=file)
    assert [*known] == ["default"]
    await known.refresh()
    assert "a" in known


async def test_a_folder_that_can_not_be_written_is_no_failure(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    known = KnownCatalogs((), Registry("a"), file=tmp_path / "file" / "catalogs.json")
    await known.refresh()
    assert "a" in known


async def test_other_names_are_added_to_a_live_collection() -> None:
    registry = Registry()
    known = KnownCatalogs(("default",), registry)
    also = AlsoNamed(known, "?")
    registry.put("a")
    await known.refresh()
    assert [*also] == ["default", "a", "?"]
    assert len(also) == 3
    assert "?" in also


def test_a_catalog_without_an_entry_has_the_defaults() -> None:
    known = KnownCatalogs(("default",))
    assert (known.quota_share("default"), known.language_code("default")) == (1.0, "")


@pytest.mark.parametrize("state", [CatalogState.DELETED, CatalogState.REMOVING])
async def test_a_deleted_catalog_is_refused_with_what_to_do(state: CatalogState) -> None:
    registry = Registry("a")
    known = KnownCatalogs(("default",), registry)
    await known.refresh()
    registry.list = CatalogList("x", (ListedCatalog("a", "u", state),))
    await known.refresh()
    with pytest.raises(CatalogDeleted, match="restore it"):
        catalog("a", known)
    assert "a" in AlsoNamed(known, "?")  # its audit log can be read
    assert [each.catalog_id for each in known.removing()] == (
        ["a"] if state is CatalogState.REMOVING else []
    )
    registry.put("a")
    await known.look_up("a")  # it was restored
    assert catalog("a", known) == "a"


async def test_a_declared_catalog_is_neither_deleted_nor_removed() -> None:
    registry = Registry()
    registry.list = CatalogList("x", (ListedCatalog("a", "u", CatalogState.REMOVING),))
    known = KnownCatalogs(("a",), registry)
    await known.refresh()
    assert catalog("a", known) == "a"
    assert known.removing() == []


async def test_an_alias_is_known_at_the_call_that_names_it_and_switches_with_the_list() -> None:
    registry = Registry("a", "b")
    known = KnownCatalogs(("default",), registry, aliases=True)
    await known.refresh()
    assert known.resolve("shop") == "shop"
    registry.list = CatalogList("1", registry.list.catalogs, (("shop", "a"),))
    await known.look_up("shop")
    assert (known.resolve("shop"), known.resolve("a"), known.resolve("x")) == ("a", "a", "x")
    assert "shop" not in known
    registry.list = CatalogList("2", registry.list.catalogs, (("shop", "b"),))
    await known.refresh()
    assert known.resolve("shop") == "b"
    reads = registry.reads
    await known.look_up("shop")
    assert registry.reads == reads


async def test_only_the_edge_resolves_aliases_and_a_catalog_takes_precedence() -> None:
    registry = Registry("a")
    registry.list = CatalogList("1", registry.list.catalogs, (("shop", "a"), ("default", "a")))
    edge, inside = (KnownCatalogs(("default",), registry, aliases=flag) for flag in (True, False))
    await edge.refresh()
    await inside.refresh()
    assert (edge.resolve("shop"), inside.resolve("shop")) == ("a", "shop")
    assert edge.resolve("default") == "default"


async def test_aliases_survive_a_restart_without_the_registry(tmp_path: Path) -> None:
    registry, file = Registry("a"), tmp_path / "catalogs.json"
    registry.list = CatalogList("1", registry.list.catalogs, (("shop", "a"),))
    await KnownCatalogs((), registry, file=file, aliases=True).refresh()
    registry.down = DOWN
    again = KnownCatalogs((), registry, file=file, aliases=True)
    assert again.resolve("shop") == "a"
    content = json.loads(file.read_text())
    del content["aliases"]  # as an earlier release wrote it
    file.write_text(json.dumps(content))
    assert "a" in KnownCatalogs((), registry, file=file)
