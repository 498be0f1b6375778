from dataclasses import replace

import pytest
import sqlalchemy as sa

from ranker.record.answers import Answer, AnswerLog
from ranker.record.tables import ANSWERS
from servicekit.sql import Database
from tests.fakes.ranker import NOW


def answer(answer_id: str, content: bytes = b"x", expires: int = NOW + 1, catalog: str = "default"):
    return Answer(catalog, answer_id, "", "key", content, expires)


@pytest.fixture
def log(db: Database) -> AnswerLog:
    return AnswerLog(db)


async def test_the_first_content_of_an_answer_stays(log: AnswerLog) -> None:
    assert await log.write([answer("a", b"1"), answer("a", b"2"), answer("b")], NOW) == 2
    assert await log.write([answer("a", b"3")], NOW) == 0
    assert await log.read("default", "a", NOW) == b"1"


async def test_an_answer_is_gone_when_its_time_is_over(log: AnswerLog) -> None:
    await log.write([answer("a", expires=NOW + 5)], NOW)
    assert await log.read("default", "a", NOW + 4) == b"x"
    assert await log.read("default", "a", NOW + 5) is None


async def test_another_catalog_sees_nothing(log: AnswerLog) -> None:
    await log.write([answer("a")], NOW)
    assert await log.read("other", "a", NOW) is None
    theirs = replace(answer("a", catalog="other"), content=b"theirs")
    assert await log.write([theirs, answer("b")], NOW) == 2
    assert await log.write([theirs, answer("a"), answer("b", catalog="other")], NOW) == 1
    assert await log.read("other", "a", NOW) == b"theirs"
    assert await log.read("default", "a", NOW) == b"x"


async def test_writing_sweeps_what_has_expired(log: AnswerLog, db: Database) -> None:
    await log.write([answer(f"a{n}", expires=NOW + 1) for n in range(20)], NOW)
    await log.write([answer("new", expires=NOW + 9)], NOW + 2)
    count = sa.select(sa.func.count()).select_from(ANSWERS)
    assert await db.read(lambda connection: connection.execute(count).scalar()) == 1
