"""Ids that sort by time."""

import time
import uuid

from servicekit.clock import new_id


def test_ids_sort_by_time_even_within_a_millisecond_and_are_uuids() -> None:
    start = time.time_ns() // 1000
    ids = [new_id(start + step) for step in range(0, 5000, 3)]
    assert ids == sorted(ids)
    assert {uuid.UUID(text).version for text in ids} == {7}
    assert new_id(start) != new_id(start)
