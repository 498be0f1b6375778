"""Attackers run in a process of their own, which ends with the block."""

import asyncio
from collections import Counter

import psutil
import pytest

from tests.chaos.model import NotMeasured
from tests.fuzz.cost.apart import apart


async def ask_often(codes: Counter[str]) -> None:
    while True:
        codes["OK"] += 1
        await asyncio.sleep(0.001)


async def ask_once(codes: Counter[str]) -> None:
    codes["OK"] += 1


async def test_outcomes_of_the_other_process_are_returned_and_it_ends() -> None:
    codes = Counter(OK=1)
    async with apart(ask_often, codes):
        (other,) = [
            each for each in psutil.Process().children() if "spawn_main" in str(each.cmdline())
        ]
        await asyncio.sleep(0.1)
    assert codes["OK"] > 1
    assert not other.is_running()


async def test_an_attack_that_ends_by_itself_is_not_measured() -> None:
    with pytest.raises(NotMeasured):
        async with apart(ask_once, Counter()):
            await asyncio.sleep(0.5)
