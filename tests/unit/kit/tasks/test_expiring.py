"""Values leave memory at the end of their term."""

import asyncio

from servicekit.tasks.expiring import ExpiringValues
from tests import virtual_time


def test_a_value_leaves_memory_though_nobody_asks_again() -> None:
    virtual_time.run(_expires())


async def _expires() -> None:
    loop = asyncio.get_running_loop()
    values = ExpiringValues[str, int](10.0, 5, loop.time)
    values.put("a", 1)
    await asyncio.sleep(6)
    values.put("b", 2)
    assert (values.get("a"), values.get("b"), values.get("c")) == (1, 2, None)
    await asyncio.sleep(5)
    assert (values.get("a"), values.get("b"), len(values)) == (None, 2, 1)
    values.put("b", 3)
    await asyncio.sleep(6)
    assert values.get("b") == 3, "its term began anew"
    await asyncio.sleep(5)
    assert len(values) == 0


async def test_the_oldest_value_makes_room_and_chosen_ones_go() -> None:
    values = ExpiringValues[str, int](10.0, 2)
    for place, key in enumerate("aba"):
        values.put(key, place)
    values.put("c", 3)
    assert (values.get("b"), values.get("a"), values.get("c")) == (None, 2, 3)
    values.drop(lambda key: key == "a")
    values.pop("b")
    assert (values.get("a"), len(values)) == (None, 1)
