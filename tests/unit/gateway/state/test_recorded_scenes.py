"""Published scenes of the record, as a gateway follows them."""

from __future__ import annotations

import asyncio
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Collection,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.model.causes import Peer
from gateway.model.errors import PeerUnavailable, SceneNotFound
from gateway.model.scene import PublishedScene, PublishedScenes
from gateway.state.scenes import STALE, SceneFiles, recorded
from gateway.state.scenes.copies import SceneCopies
from gateway.state.scenes.recorded import SteeredScenes
from servicekit.catalogs.known import CatalogChange
from servicekit.clock import now_micros
from tests.fakes.toml import parsed
from tests.waiting import until

SHOP = "shop"


class Catalogs(Collection[str]):
    """Catalogs and the revisions of their published scenes."""

    def __init__(self) -> None:
        self.revisions = {SHOP: "", "other": ""}

    def scenes_revision(self, name: str) -> str:
        return self.revisions.get(name, "")

    def __contains__(self, name: object) -> bool:
        return name in self.revisions

    def __iter__(self) -> Iterator[str]:
        return iter(tuple(self.revisions))

    def __len__(self) -> int:
        return len(self.revisions)


class Shop:
    """A record, and a gateway's scenes that follow it."""

    def __init__(self, folder: Path) -> None:
        (folder / SHOP).mkdir(exist_ok=True)
        (folder / SHOP / "home.toml").write_text("over_fetch = 2.0\n")
        (folder / "shared.toml").write_text("over_fetch = 3.0\n")
        self.catalogs = Catalogs()
        self.published: dict[str, list[PublishedScene]] = {}
        self.planned_micros = 0
        self.fails = False
        self.reads: list[str] = []
        self.copies = SceneCopies(folder / "copies")
        self.files = SceneFiles(folder)
        self.scenes = self.started()

    def started(self) -> SteeredScenes:
        return SteeredScenes(self.files, self.catalogs, self.read, parsed, self.copies)

    async def read(self, catalog_id: str) -> PublishedScenes:
        self.reads.append(catalog_id)
        if self.fails:
            raise PeerUnavailable(Peer.RETRIEVER)
        return PublishedScenes(self.published.get(catalog_id, []), self.planned_micros)

    def publish(self, revision: str, *published: tuple[str, int, str]) -> None:
        """Let the record steer the shop by these scenes, and the list of catalogs tell it."""
        self.published[SHOP] = [PublishedScene(*each) for each in published]
        self.steer(revision)

    def steer(self, revision: str) -> None:
        self.catalogs.revisions[SHOP] = revision
        self.scenes.follow(CatalogChange(steered=frozenset({SHOP})))

    def over_fetch(self, name: str = "home", catalog: str = SHOP) -> float:
        return self.scenes.get(name, catalog).over_fetch


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


@asynccontextmanager
async def following(scenes: SteeredScenes) -> AsyncIterator[None]:
    await scenes.start()
    try:
        yield
    finally:
        await scenes.close()


def holds(check: Callable[[], bool]) -> Callable[[], Awaitable[bool]]:
    async def held() -> bool:
        return check()

    return held


async def test_files_steer_a_catalog_until_the_record_does(shop: Shop) -> None:
    async with following(shop.scenes):
        assert (shop.over_fetch(), shop.scenes.is_recorded(SHOP)) == (2.0, False)
        shop.publish("1", ("home", 1, "over_fetch = 4.0\n"))
        assert shop.scenes.is_recorded(SHOP)
        assert shop.over_fetch() == 2.0, "no moment without a scene"
        await until(holds(lambda: shop.over_fetch() == 4.0))
        assert shop.scenes.in_use("home", SHOP).number == 1
        assert (shop.over_fetch("shared"), shop.over_fetch("default")) == (3.0, 5.0)
        assert "home" in shop.scenes.names(SHOP)
        assert "home" not in shop.scenes.names("other")
        with pytest.raises(SceneNotFound):
            shop.scenes.get("home", "other")
        with pytest.raises(SceneNotFound, match="did you mean home"):
            shop.scenes.get("homes", SHOP)
        shop.steer("")
        assert shop.over_fetch() == 2.0
        assert shop.scenes.in_use("home", SHOP).number == 0


async def test_a_published_scene_is_in_use_without_a_restart(shop: Shop) -> None:
    async with following(shop.scenes):
        shop.publish("1", ("home", 1, "over_fetch = 4.0\n"), ("sale", 1, "over_fetch = 6.0\n"))
        await until(holds(lambda: shop.over_fetch("home") == 4.0))
        sale = shop.scenes.get("sale", SHOP)
        shop.publish("2", ("home", 2, "over_fetch = 7.0\n"), ("sale", 1, "over_fetch = 6.0\n"))
        await until(holds(lambda: shop.over_fetch() == 7.0))
        assert shop.scenes.get("sale", SHOP) is sale, "what follows from it is kept"
        shop.publish("3", ("sale", 1, "over_fetch = 6.0\n"))
        await until(holds(lambda: "home" not in shop.scenes.names(SHOP)))


async def test_an_invalid_scene_is_rejected_alone(shop: Shop) -> None:
    shop.publish("1", ("home", 1, "over_fetch = 4.0\n"), ("sale", 1, "over_fetch = 6.0\n"))
    await shop.scenes.refresh()
    assert STALE.labels("record")._value.get() == 0
    shop.publish(
        "2", ("home", 2, "ovr_fetch = 1.0\n"), ("sale", 2, "over_fetch = 7.0\n"), ("fresh", 1, "[")
    )
    await shop.scenes.refresh()
    assert (shop.over_fetch("home"), shop.over_fetch("sale")) == (4.0, 7.0)
    assert shop.scenes.in_use("home", SHOP).number == 1
    found = shop.scenes.problems(SHOP)
    assert [*found] == ["home (version 2)", "fresh (version 1)"]
    assert "ovr_fetch" in found["home (version 2)"]
    assert shop.scenes.problems("other") == {}
    with pytest.raises(SceneNotFound, match="ListScenes says why"):
        shop.scenes.get("fresh", SHOP)
    assert STALE.labels("record")._value.get() == 1
    shop.publish("3", ("home", 3, "over_fetch = 8.0\n"))
    await shop.scenes.refresh()
    assert (shop.over_fetch(), shop.scenes.problems(SHOP)) == (8.0, {})
    assert STALE.labels("record")._value.get() == 0


@pytest.mark.parametrize("error", [None, RuntimeError("a bug")])
async def test_a_document_that_fails_stops_no_other(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, error: Exception | None
) -> None:
    async def parse(text: str) -> Mapping[str, Any]:
        if error is not None and "__dataclass_self__" in text:
            raise error
        return await parsed(text)

    shop.scenes._parse = parse
    shop.publish("1", ("home", 1, "over_fetch = 4.0\n"), ("sale", 1, "over_fetch = 6.0\n"))
    await shop.scenes.refresh()
    shop.publish("2", ("home", 2, "__dataclass_self__ = 1\n"), ("sale", 2, "over_fetch = 7.0\n"))
    await shop.scenes.refresh()
    assert (shop.over_fetch("home"), shop.over_fetch("sale")) == (4.0, 7.0)
    assert [*shop.scenes.problems(SHOP)] == ["home (version 2)"]


async def test_scenes_are_read_only_if_they_have_changed(shop: Shop) -> None:
    shop.publish("1", ("home", 1, "over_fetch = 4.0\n"))
    await shop.scenes.refresh()
    await shop.scenes.refresh()
    assert shop.reads == [SHOP]


async def test_while_the_record_is_away_the_former_scenes_are_used(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorded, "AGAIN_SECONDS", 0.01)
    async with following(shop.scenes):
        shop.publish("1", ("home", 1, "over_fetch = 4.0\n"))
        await until(holds(lambda: shop.over_fetch() == 4.0))
        shop.fails = True
        shop.publish("2", ("home", 2, "over_fetch = 7.0\n"))
        await until(holds(lambda: len(shop.reads) > 3))
        assert shop.over_fetch() == 4.0
        shop.fails = False
        await until(holds(lambda: shop.over_fetch() == 7.0))


async def test_a_restart_without_the_record_uses_copies(shop: Shop) -> None:
    shop.publish("u1-5", ("home", 3, "over_fetch = 4.0\n"))
    await shop.scenes.refresh()
    shop.fails = True
    shop.scenes = shop.started()
    async with following(shop.scenes):
        assert (shop.over_fetch(), shop.scenes.in_use("home", SHOP).number) == (4.0, 3)
    for revision in ("u2-5", ""):
        shop.catalogs.revisions[SHOP] = revision
        shop.scenes = shop.started()
        async with following(shop.scenes):
            assert shop.over_fetch() == 2.0, "another catalog, or steered by files"
    shop.catalogs.revisions[SHOP] = "u1-5"
    (shop.copies.folder / f"{SHOP}.scenes").write_text("{")
    shop.scenes = shop.started()
    async with following(shop.scenes):
        assert shop.over_fetch() == 2.0


async def test_a_copy_of_a_former_revision_is_used_until_the_record_can_be_read(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorded, "AGAIN_SECONDS", 0.01)
    shop.publish("u1-5", ("home", 3, "over_fetch = 4.0\n"))
    await shop.scenes.refresh()
    shop.publish("u1-6", ("home", 4, "over_fetch = 7.0\n"))
    shop.fails = True
    shop.scenes = shop.started()
    async with following(shop.scenes):
        assert (shop.over_fetch(), shop.scenes.in_use("home", SHOP).number) == (4.0, 3)
        shop.fails = False
        await until(holds(lambda: shop.over_fetch() == 7.0))


async def test_what_is_read_of_a_replaced_catalog_is_dropped(shop: Shop) -> None:
    shop.publish("1", ("home", 1, "over_fetch = 4.0\n"))
    read = shop.read

    async def replaced(catalog_id: str) -> Sequence[PublishedScene]:
        found = await read(catalog_id)
        shop.publish("2", ("home", 1, "over_fetch = 7.0\n"))
        return found

    shop.scenes._published = replaced
    await shop.scenes.refresh()
    assert shop.over_fetch() == 2.0
    shop.scenes._published = read
    await shop.scenes.refresh()
    assert shop.over_fetch() == 7.0


async def test_a_removed_catalog_leaves_nothing(shop: Shop) -> None:
    shop.publish("1", ("home", 1, "over_fetch = 4.0\n"))
    await shop.scenes.refresh()
    del shop.catalogs.revisions[SHOP]
    shop.scenes.follow(CatalogChange(removed=frozenset({SHOP})))
    await asyncio.to_thread(lambda: None)
    assert shop.copies.load(SHOP) is None
    assert shop.over_fetch() == 2.0


async def test_a_planned_version_is_read_at_its_time_without_a_further_change(shop: Shop) -> None:
    now = [1_000_000]
    shop.scenes = SteeredScenes(shop.files, shop.catalogs, shop.read, parsed, clock=lambda: now[0])
    shop.planned_micros = 1_000_001
    shop.publish("u-1", ("home", 1, "over_fetch = 4.0\n"))
    await shop.scenes.refresh()
    await shop.scenes.refresh()
    assert (shop.reads, shop.over_fetch()) == ([SHOP], 4.0)
    now[0] = 1_000_001
    await shop.scenes.refresh()
    assert shop.reads == [SHOP] * 2, "the record's clock is behind: it has not published it"
    shop.published[SHOP] = [PublishedScene("home", 2, "over_fetch = 5.0\n")]
    shop.planned_micros = 0
    await shop.scenes.refresh()
    await shop.scenes.refresh()
    assert (shop.reads, shop.over_fetch()) == ([SHOP] * 3, 5.0)


async def test_the_loop_awakes_for_a_planned_version(shop: Shop) -> None:
    shop.planned_micros = now_micros() + 300_000
    shop.publish("u-1", ("home", 1, "over_fetch = 4.0\n"))
    async with following(shop.scenes):
        assert shop.over_fetch() == 4.0
        shop.published[SHOP] = [PublishedScene("home", 2, "over_fetch = 5.0\n")]
        shop.planned_micros = 0
        await until(holds(lambda: shop.over_fetch() == 5.0))


async def test_a_planned_version_that_is_invalid_at_its_time_leaves_the_former(shop: Shop) -> None:
    shop.publish("u-1", ("home", 1, "over_fetch = 4.0\n"))
    shop.planned_micros = 1
    await shop.scenes.refresh()
    shop.published[SHOP] = [PublishedScene("home", 2, "over_fetch = -1\n")]
    await shop.scenes.refresh()
    assert shop.over_fetch() == 4.0
    assert [*shop.scenes.problems(SHOP)] == ["home (version 2)"]


async def test_a_restart_with_copies_still_knows_the_planned_version(shop: Shop) -> None:
    now = [1_000_000]
    shop.planned_micros = 1_000_001
    shop.publish("u-1", ("home", 1, "over_fetch = 4.0\n"))
    await shop.scenes.refresh()
    again = SteeredScenes(
        shop.files, shop.catalogs, shop.read, parsed, shop.copies, clock=lambda: now[0]
    )
    async with following(again):
        assert again.get("home", SHOP).over_fetch == 4.0
        now[0] = shop.planned_micros
        shop.published[SHOP] = [PublishedScene("home", 2, "over_fetch = 5.0\n")]
        shop.planned_micros = 0
        await again.refresh()
        assert again.get("home", SHOP).over_fetch == 5.0
