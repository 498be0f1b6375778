"""TOML of callers, parsed by a separate process."""

import asyncio
import tomllib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.state import scenes
from servicekit.decoding.toml_process import DEEPEST
from servicekit.decoding.untrusted_toml import MOST_DOTS, MOST_LINE, TomlInvalid, TomlParser
from tests.fakes import toml as in_process
from tests.work import cost

TEXT = """
name = "Rosé 🍷 \\u0001"
numbers = [1, -16, 0x10, 1.5, 1e300, inf, 10_000_000_000_000_000_000]
flags = { yes = true, "" = false }
times = [2026-01-31T10:00:00.5+02:00, 2026-01-31T10:00:00, 2026-01-31, 10:00:00]
[[table."quoted.key".inner]]
empty = {}
"""

DEAR = "\n".join(
    f"[{'a.' * (MOST_DOTS - 1)}b{i}]\n{'c.' * (MOST_DOTS - 1)}d = 1" for i in range(160)
)
"""About the dearest text within the limits."""


@pytest.fixture
async def parser() -> AsyncIterator[TomlParser]:
    made = TomlParser()
    yield made
    made.close()


async def test_entries_are_those_of_pythons_parser(parser: TomlParser) -> None:
    assert await parser.parse(TEXT) == tomllib.loads(TEXT) == await in_process.parsed(TEXT)
    for path in Path(scenes.__file__).parent.glob("*.toml"):
        assert await parser.parse(path.read_text()) == tomllib.loads(path.read_text())
    assert await parser.parse('t = { "" = ["date", "no date"] }\nu = { "" = 1 }') == {
        "t": {"": ["date", "no date"]},
        "u": {"": 1},
    }


Parse = Callable[[str], Awaitable[Any]]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a = ", "Invalid value"),
        ("a = 1\na = 2", "overwrite"),
        ("# " + "x" * 65_536, "longer than 65536 bytes"),
        ("# " + "x" * MOST_LINE, "a line of more than 400 characters"),
        # Python's str.splitlines also splits here, TOML does not: one key of many levels.
        *(
            ("a." * 190 + f'"{end}".' + "a." * 190 + "b = 1", "a line of more than 400 characters")
            for end in "\x85\u2028\u2029\x0b\x0c\x1c\x1d\x1e\r"
        ),
        ("a." * (MOST_DOTS + 1) + "b = 1", "more than 100 dots"),
        ("a = " + "[\n" * 30_000, "nested too deeply"),
        ("a." * DEEPEST + "b = {}", "more than 16 levels deep"),
        ("a = [" + "1e15,\n" * 10_000 + '"' + "\\u0001" * 60 + '"]', None),
        ("a = [" + "[[[[1e15]]]],\n" * 4_600 + "]", None),
        (f"a = {'9' * 390}", None),
    ],
)
@pytest.mark.parametrize("parse", [in_process.parsed, None], ids=["in process", "confined"])
async def test_a_bad_text_is_refused_with_the_reason(
    parser: TomlParser, text: str, said: str | None, parse: Parse | None
) -> None:
    parse = parse or parser.parse
    if said is None:
        assert await parse(text) == tomllib.loads(text)
        return
    with pytest.raises(TomlInvalid) as caught:
        await parse(text)
    assert said in str(caught.value)


@pytest.mark.full
def test_a_dear_text_costs_the_service_a_fraction() -> None:
    with asyncio.Runner() as runner:
        parser = TomlParser()
        try:
            runner.run(parser.parse("a = 1"))  # starts the process

            def confined() -> None:
                with pytest.raises(TomlInvalid, match="levels deep"):
                    runner.run(parser.parse(DEAR))

            here = cost(lambda: tomllib.loads(DEAR))
            assert cost(confined) < here / 5
        finally:
            parser.close()


async def test_a_text_that_takes_too_long_is_given_up_and_the_next_one_is_parsed() -> None:
    parser = TomlParser(seconds=0)
    try:
        with pytest.raises(TomlInvalid, match="too long to parse"):
            await parser.parse(DEAR)
        for process in parser._process._pool.all:
            process._seconds = 60.0
        assert await parser.parse("a = 1") == {"a": 1}
    finally:
        parser.close()
