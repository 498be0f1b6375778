import asyncio
import sys
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import sqlalchemy as sa

from ranker.record import answers
from ranker.record.answers import AnswerKey, AnswerLog, StoredAnswer
from ranker.record.tables import ANSWERS, MIGRATIONS
from servicekit.sql.database import Database
from tests.fakes.ranker import NOW
from tests.stores import NewStore
from tests.waiting import SECONDS


def answer(answer_id: str, content: bytes = b"x", expires: int = NOW + 1, catalog: str = "default"):
    return StoredAnswer(catalog, answer_id, "", "key", content, expires)


@pytest.fixture
def log(db: Database) -> AnswerLog:
    return AnswerLog(db)


async def test_the_first_content_of_an_answer_stays(log: AnswerLog) -> None:
    assert len(await log.write([answer("a", b"1"), answer("a", b"2"), answer("b")], NOW)) == 2
    assert len(await log.write([answer("a", b"3")], NOW)) == 0
    assert await log.read("default", "a", NOW) == b"1"


async def test_no_transaction_waits_until_contents_are_encoded(
    log: AnswerLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps, write = list[str](), answers._write

    def noted(*given: Any, **named: Any) -> frozenset[AnswerKey]:
        steps.append("transaction")
        return write(*given, **named)

    class Content:
        size = 1

        def encoded(self) -> bytes:
            steps.append("encoded")
            return b"x"

    monkeypatch.setattr(answers, "_write", noted)
    assert len(await log.write([replace(answer("a"), content=Content())], NOW)) == 1
    assert steps == ["encoded", "transaction"]


async def test_an_answer_is_gone_when_its_time_is_over(log: AnswerLog) -> None:
    await log.write([answer("a", expires=NOW + 5)], NOW)
    assert await log.read("default", "a", NOW + 4) == b"x"
    assert await log.read("default", "a", NOW + 5) is None


async def test_records_of_answers_wake_no_loop(log: AnswerLog, db: Database) -> None:
    if (commits := db.commits()) is None:
        pytest.skip("this store reports no commits")
    await log.write([answer("a")], NOW)
    assert not commits.is_set()
    await db.write(lambda connection: connection.execute(sa.delete(ANSWERS)))
    async with asyncio.timeout(SECONDS):
        await commits.wait()


async def test_another_catalog_sees_nothing(log: AnswerLog) -> None:
    await log.write([answer("a")], NOW)
    assert await log.read("other", "a", NOW) is None
    theirs = replace(answer("a", catalog="other"), content=b"theirs")
    assert len(await log.write([theirs, answer("b")], NOW)) == 2
    assert len(await log.write([theirs, answer("a"), answer("b", catalog="other")], NOW)) == 1
    assert await log.read("other", "a", NOW) == b"theirs"
    assert await log.read("default", "a", NOW) == b"x"


async def test_the_newest_content_of_an_id_counts_also_within_a_batch(log: AnswerLog) -> None:
    await log.write([answer("a", b"1")], NOW)
    assert len(await log.write([answer("a", b"2"), answer("a", b"3")], NOW, newest=True)) == 1
    assert await log.read("default", "a", NOW) == b"3"
    await log.write([answer("a", b"4")], NOW)
    assert await log.read("default", "a", NOW) == b"3"


async def test_writing_sweeps_what_has_expired(log: AnswerLog, db: Database) -> None:
    await log.write([answer(f"a{n}", expires=NOW + 1) for n in range(20)], NOW)
    await log.write([answer("new", expires=NOW + 9)], NOW + 2)
    count = sa.select(sa.func.count()).select_from(ANSWERS)
    assert await db.read(lambda connection: connection.execute(count).scalar()) == 1


DAY = 86_400_000_000


async def test_a_control_is_counted_once_for_each_answer_on_the_day_it_was_served(
    log: AnswerLog,
) -> None:
    today = NOW // DAY
    hero = replace(answer("a"), controls=("hero", "own"), answer_micros=NOW)
    late = replace(answer("b"), controls=("hero",), answer_micros=(today - 1) * DAY)
    await log.write([hero, hero, late], NOW)
    await log.write([hero, replace(answer("c"), controls=("hero",))], NOW)
    theirs = replace(answer("a", catalog="other"), controls=("hero",))
    await log.write([theirs], NOW)

    assert await log.exposures("default", today, ["hero", "own"]) == {"hero": 2, "own": 1}
    assert await log.exposures("default", today - 1, ["hero"]) == {"hero": 1}
    assert await log.exposures("other", today, ["hero", "own"]) == {"hero": 1}
    assert await log.exposures("default", today, ["own"]) == {"own": 1}
    week = replace(answer("d"), controls=("own",), answer_micros=NOW + 7 * DAY)
    await log.write([week], NOW + 7 * DAY)
    assert await log.exposures("default", today, ["hero", "own"]) == {}


WRITER = """
import asyncio, itertools, sys
from ranker.record.answers import AnswerLog, StoredAnswer
from ranker.record.tables import MIGRATIONS
from servicekit.sql.database import Database

async def main(url, name):
    log = AnswerLog(Database(url, migrations=MIGRATIONS))
    for n in itertools.count():
        ids, acted = [f"{name}-{n}-{m}" for m in range(20)], ("a", "b")
        answers = [StoredAnswer("default", a, "", "key", b"x", 2**60, controls=acted) for a in ids]
        await log.write(answers, 2**50)
        print(n, flush=True)

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.mark.full
@pytest.mark.slow
async def test_several_writers_who_are_killed_have_counted_what_they_kept(
    new_store: NewStore,
) -> None:
    url = new_store(MIGRATIONS, "ranker.db")
    start = partial(asyncio.create_subprocess_exec, stdout=asyncio.subprocess.PIPE)
    writers = [await start(sys.executable, "-c", WRITER, url, name) for name in ("x", "y")]
    for writer in writers:
        for _ in range(5):
            assert await writer.stdout.readline()
    for writer in writers:
        writer.kill()
        await writer.wait()
    db = Database(url, migrations=MIGRATIONS)
    try:
        count = sa.select(sa.func.count()).select_from(ANSWERS)
        kept = await db.read(lambda connection: connection.execute(count).scalar())
        assert kept >= 200
        assert await AnswerLog(db).exposures("default", 2**50 // DAY, ["a", "b"]) == {
            "a": kept,
            "b": kept,
        }
    finally:
        db.close()
