"""Watches are moved out of the record of a retriever of an earlier release."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from io import StringIO
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import sqlalchemy as sa

from servicekit.artefacts.content_store import ContentStore
from servicekit.sql import revisions
from servicekit.sql.database import Database
from sightline_rules.photos import image_id
from tests.fakes import first_tables
from tests.fakes.clock import Clock
from tests.fakes.photos import photo
from tests.fakes.watch_alerts import made_alert
from tests.stores import SQLITE, STARTED, NewStore, Stores, address
from vision import move as module
from vision.domain.catalog_keys import key_with
from vision.domain.deliveries import Lane
from vision.domain.watch_json import dumped_alert, dumped_state, dumped_watch
from vision.domain.watch_state import WatchState
from vision.domain.watches import Fault, FaultCondition, Watch, WatchPhoto, WatchRule
from vision.move import Move, move
from vision.record import Record
from vision.record.moving import MOVED

RETRIEVER = "retriever.record.migrations"
RELEASES = {"0.35": "0027", "0.42": "0030", "0.43": "0031"}
"""Releases that had watches in the retriever, with the revisions of their records; the last one has
been upgraded."""
REFERENCE, FRAME = photo(seed=1), photo(seed=2)
DARK = WatchRule("dark", FaultCondition(Fault.BLACK))
LATEST = 10**15


class Killed(BaseException):
    """The process ends here."""


@dataclass
class Shop:
    """A retriever's record with watches, and an empty one of vision."""

    source: Database
    photos: ContentStore
    target: Database
    frames: ContentStore

    def move(self, after: Callable[[str], None] = module.nothing) -> Move:
        return Move(self.source, self.photos, self.target, self.frames, Clock(), after)

    async def rows(self, database: Database) -> dict[str, list[tuple[object, ...]]]:
        def read(connection: sa.Connection) -> dict[str, list[tuple[object, ...]]]:
            return {
                table.name: sorted(tuple(row) for row in connection.execute(sa.select(table)))
                for table in MOVED
            }

        return await database.read(read)


@pytest.fixture(params=[SQLITE, STARTED])
def new_store(request: pytest.FixtureRequest, stores: Stores, tmp_path: Path) -> Iterator[NewStore]:
    """Return a factory of stores on each engine."""
    with stores.on(request.param, tmp_path) as make:
        yield make


@pytest.fixture
def former_url(db: Database, stores: Stores, tmp_path: Path) -> Iterator[str]:
    """Return the URL of an empty database on the engine of vision's record."""
    if db.engine.dialect.name == SQLITE:
        yield f"sqlite:///{tmp_path}/retriever.db"
        return
    name, server = f"former_{uuid4().hex}", stores.server()
    server.execute(f"CREATE DATABASE {name}")
    yield server.url(name)
    server.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(params=RELEASES)
async def shop(
    request: pytest.FixtureRequest, db: Database, former_url: str, tmp_path: Path
) -> Iterator[Shop]:
    source = Database(former_url, migrations=RETRIEVER)
    with source._migration_connection() as connection:
        first_tables.create(connection, "retriever")
        revisions.upgrade(connection, RETRIEVER, to=RELEASES[request.param])
    photos = ContentStore(str(tmp_path / "photos"))
    frames = ContentStore(str(tmp_path / "frames"))
    for catalog_id in ("default", "shop"):
        await fill(source, photos, catalog_id)
    await source.write(lambda c: c.execute(CATALOG, {"catalog_id": "shop", "uid": "u1"}))
    yield Shop(source, photos, db, frames)
    source.close()
    photos.close()
    frames.close()


CATALOG = sa.text(
    "INSERT INTO catalogs (catalog_id, uid, state, display_name, language_code, labels,"
    " quota_share, create_time, update_time, delete_time, purge_time, removed_by)"
    " VALUES (:catalog_id, :uid, 'active', '', '', '[]', 1, 1, 1, 0, 0, '[]')"
)
SEQUENCE = sa.text("INSERT INTO sequences (catalog_id, seq, time) VALUES (:catalog_id, 9, 1)")


async def fill(source: Database, photos: ContentStore, catalog_id: str) -> None:
    """Store a watch with three alerts, of which one was delivered and one is a dead letter."""
    watch = Watch("shelf", rules=(DARK,))
    alerts = [made_alert("shelf", number, 10 * number) for number in (3, 5, 9)]
    names = {image_id(data): data for data in (REFERENCE, FRAME)}
    secret = {"key_id": "00ff", "salt": "s", "create_micros": 1, "end_micros": 0}
    of = {"catalog_id": catalog_id}
    lane = {**of, "webhook_id": "ops", "watch_id": "shelf"}
    waits = {"attempts": 0, "next_attempt": 0, "failure": ""}
    rows: Mapping[str, list[dict[str, Any]]] = {
        "watches": [{"body": dumped_watch(watch), "etag": "e", "create_time": 1, "update_time": 1}],
        "watch_states": [{"body": dumped_state(WatchState(times=(7,))), "revision": 4}],
        "watch_photos": [
            {"image_id": name, "media_type": "image/jpeg", "width": 1, "height": 1}
            | {"expire_time": place * LATEST}
            for place, name in enumerate(names)
        ],
        "watch_alerts": [
            {
                "sequence": each.sequence,
                "alert_id": each.alert_id,
                "create_time": each.create_micros,
                "rule_id": each.rule_id,
                "kind": each.kind.value,
                "score": each.score,
                "frame_time": each.frame_micros,
                "image_id": "",
                "body": dumped_alert(each),
            }
            for each in alerts
        ],
        "webhooks": [
            {"uri": "https://h.test/", "watch_ids": "[]", "secrets": json.dumps([secret])}
            | {"create_time": 1, "start_sequence": 2}
        ],
        "webhook_lanes": [{"sequence": 5, **waits}],
        "webhook_dead_letters": [
            {"sequence": 5, "alert_id": alerts[1].alert_id, "body": dumped_alert(alerts[1])}
            | {"create_time": 7, "replay_time": 0, **waits}
        ],
    }
    for table in MOVED:
        keyed = lane if table.name.startswith("webhook_") else {**of, "watch_id": "shelf"}
        keyed = {**of, "webhook_id": "ops"} if table.name == "webhooks" else keyed
        full = [{**keyed, **row} for row in rows[table.name]]
        await source.write(lambda c, table=table, full=full: c.execute(sa.insert(table), full))
    await source.write(lambda c: c.execute(SEQUENCE, of))
    for name, data in names.items():
        await photos.put(catalog_id, name, data)


def keyed(rows: Mapping[str, list[tuple[object, ...]]]) -> dict[str, list[tuple[object, ...]]]:
    """Return rows of a retriever as they are stored here."""
    keys = {"default": "default", "shop": "shop@u1"}
    return {name: sorted((keys[str(row[0])], *row[1:]) for row in of) for name, of in rows.items()}


async def test_everything_is_moved_and_alerts_go_on_where_they_were(shop: Shop) -> None:
    assert await move(shop.move(), ("default",), list[str]().append)
    assert await shop.rows(shop.target) == keyed(await shop.rows(shop.source))
    record = Record(shop.target, key_of=lambda name: key_with(name, "u1" * (name == "shop")))
    for catalog_id in ("default", "shop"):
        ((stored, known),) = await record.watches(catalog_id)
        assert (stored.watch.rules, known.state.times, known.revision) == ((DARK,), (7,), 4)
        for data in (REFERENCE, FRAME):
            key = record.key_of(catalog_id)
            assert await shop.frames.get(key, image_id(data)) == data
    due, _ = await record.due_lanes(100, LATEST, (), 9, catalogs=["default", "shop"])
    assert due == [Lane("default", "ops", "shelf"), Lane("shop", "ops", "shelf")]
    delivery = await record.next_delivery(due[1])
    assert delivery is not None
    assert delivery.alert.sequence == 9  # the one that was not delivered
    (letter,) = await record.dead_letters("shop", "ops", ("", 0), 9)
    assert letter.sequence == 5
    later = replace(made_alert("shelf", 0, 0), alert_id="later")
    await record.restore_alerts("shop", [later])
    assert await record.newest_alert("shop") == 10


async def test_killed_after_each_step_and_repeated_it_gives_the_same(shop: Shop) -> None:
    steps = list[str]()
    await move(shop.move(steps.append), ("default",), str)
    whole = await shop.rows(shop.target)
    assert steps == ["photo", "photo", "rows"] * 2
    for last in range(len(steps)):
        for table in shop_tables():
            await shop.target.write(lambda c, table=table: c.execute(sa.delete(table)))
        left = [last]

        def after(_: str, left: list[int] = left) -> None:
            left[0] -= 1
            if left[0] < 0:
                raise Killed

        with pytest.raises(Killed):
            await move(shop.move(after), ("default",), str)
        assert await move(shop.move(), ("default",), str)
        assert await shop.rows(shop.target) == whole
    said = list[str]()
    assert await move(shop.move(), ("default",), said.append)
    assert {json.loads(each)["outcome"] for each in said} == {"moved before"}
    assert keyed(await shop.rows(shop.source)) == whole


async def test_killed_within_the_rows_of_a_catalog_nothing_of_it_is_there(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = keyed(await shop.rows(shop.source))
    copy, done = module.moving._copy, [0]

    def killed(*given: Any) -> int:
        if done[0] == 0:
            raise Killed
        done[0] -= 1
        return copy(*given)

    monkeypatch.setattr(module.moving, "_copy", killed)
    for number in range(len(MOVED)):
        done[0] = number
        with pytest.raises(Killed):
            await move(shop.move(), ("default",), str)
        assert not any((await shop.rows(shop.target)).values())
    monkeypatch.undo()
    assert await move(shop.move(), ("default",), str)
    assert await shop.rows(shop.target) == whole


async def test_a_catalog_with_watches_of_its_own_here_is_refused_and_the_others_are_moved(
    shop: Shop,
) -> None:
    await Record(shop.target).create_watch("default", Watch("own", rules=(DARK,)), [])
    said = list[str]()
    assert not await move(shop.move(), ("default",), said.append)
    assert [json.loads(each)["outcome"].partition(":")[0] for each in said] == ["refused", "moved"]
    rows = await shop.rows(shop.target)
    assert [row[:2] for row in rows["watches"]] == [("default", "own"), ("shop@u1", "shelf")]


async def test_a_removed_catalog_is_left_out(shop: Shop) -> None:
    removed = sa.text("UPDATE catalogs SET state = 'removed' WHERE catalog_id = 'shop'")
    await shop.source.write(lambda c: c.execute(removed))
    said = list[str]()
    assert await move(shop.move(), ("default",), said.append)
    (done,) = map(json.loads, said)
    assert (done["catalog"], done["lost_photos"], done["watch_alerts"]) == ("default", 0, 3)


async def test_a_wrong_store_of_photos_moves_nothing_and_the_right_one_all(
    shop: Shop, tmp_path: Path
) -> None:
    whole = keyed(await shop.rows(shop.source))
    wrong = replace(shop.move(), photos=ContentStore(str(tmp_path / "typo")))
    said = list[str]()
    assert not await move(wrong, ("default",), said.append)
    wrong.photos.close()
    assert [json.loads(each)["lost_photos"] for each in said] == [2, 2]
    assert "--without-lost-photos" in said[0]
    assert not any((await shop.rows(shop.target)).values())
    assert await move(shop.move(), ("default",), str)
    assert await shop.rows(shop.target) == whole
    assert await shop.frames.get("shop@u1", image_id(REFERENCE)) == REFERENCE


async def test_photos_that_are_lost_for_good_hold_up_nothing_if_it_is_asked_for(
    shop: Shop,
) -> None:
    await shop.photos.delete("default", image_id(FRAME))
    said = list[str]()
    assert not await move(shop.move(), ("default",), said.append)
    assert [json.loads(each)["outcome"].partition(":")[0] for each in said] == ["refused", "moved"]
    said.clear()
    moved = replace(shop.move(), without_lost_photos=True)
    assert await move(moved, ("default",), said.append)
    assert [json.loads(each)["lost_photos"] for each in said[:1]] == [1]


async def test_a_photo_whose_term_has_ended_is_not_missed(shop: Shop) -> None:
    await shop.photos.delete("default", image_id(FRAME))
    assert await move(replace(shop.move(), clock=lambda: LATEST), ("default",), str)


async def test_a_photo_that_was_taken_down_is_not_missed(shop: Shop) -> None:
    await shop.photos.delete("default", image_id(FRAME))
    taken = sa.text("INSERT INTO takedowns VALUES ('default', :image_id, '', 1)")
    of = {"image_id": image_id(FRAME)}
    await shop.source.write(lambda c: c.execute(taken, of))
    assert await move(shop.move(), ("default",), str)


async def test_numbers_of_alerts_never_go_back(shop: Shop) -> None:
    """Streams of alerts of watches that were deleted before the move go on."""
    record = Record(shop.target)
    await record.create_watch("default", Watch("own", rules=(DARK,)), [])
    kept = WatchPhoto(image_id(REFERENCE), "image/jpeg", 1, 1)
    await record.create_watch("default", Watch("shelf", rules=(DARK,)), [kept])
    await record.delete_watch("default", "shelf")  # its photo is deleted in a few hours
    own = [replace(made_alert("own", n, n), alert_id=str(n)) for n in range(1, 31)]
    await record.restore_alerts("default", own)
    await record.delete_watch("default", "own")
    assert await move(shop.move(), ("default",), str)
    await record.restore_alerts("default", [replace(made_alert("shelf", 0, 0), alert_id="later")])
    assert await record.newest_alert("default") == 31
    found = await record.watch_photo("default", image_id(REFERENCE))
    assert found is not None
    assert found.expire_micros == 0


async def test_of_two_moves_at_once_one_moves_and_the_other_says_so(shop: Shop) -> None:
    said = list[str]()
    first, second = shop.move(), shop.move()
    done = await asyncio.gather(*(move(m, ("default",), said.append) for m in (first, second)))
    assert done == [True, True]
    outcomes = Counter(json.loads(each)["outcome"] for each in said)
    assert outcomes == {"moved": 2, "moved before": 2}


def test_the_command_moves_and_can_be_repeated(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("VISION_DATABASE_URL", address(shop.target))
    monkeypatch.setenv("VISION_PHOTOS_URL", str(tmp_path / "frames"))
    (tmp_path / "url").write_text(f"{address(shop.source)}\n")
    monkeypatch.setattr("sys.stdin", StringIO(f"{address(shop.source)}\n"))
    for file, outcome in ((str(tmp_path / "url"), "moved"), ("-", "moved before")):
        given = ["move", "--from-file", file, "--photos", str(tmp_path / "photos")]
        monkeypatch.setattr("sys.argv", given)
        assert module.main() == 0
        said = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        assert [each["outcome"] for each in said] == [outcome] * 2


@pytest.mark.parametrize("content", [None, b"", b"\xff", b"no address"])
def test_a_file_without_an_address_is_named(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    content: bytes | None,
) -> None:
    monkeypatch.setenv("VISION_DATABASE_URL", f"sqlite:///{tmp_path}/vision.db")
    if content is not None:
        (tmp_path / "url").write_bytes(content)
    given = ["move", "--from-file", str(tmp_path / "url"), "--photos", str(tmp_path)]
    monkeypatch.setattr("sys.argv", given)
    assert module.main() == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert "Traceback" not in said


def shop_tables() -> list[sa.Table]:
    return [*MOVED, *(sa.table(name) for name in ("moved_catalogs", "sequences"))]  # type: ignore[list-item]
