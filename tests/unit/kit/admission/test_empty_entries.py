"""The cost of a request with very many entries before its rejection."""

from __future__ import annotations

import tracemalloc
from functools import partial

import pytest

from servicekit.admission import entry_limits
from servicekit.rpc import channel
from servicekit.rpc.server import Binding
from sightline.common.v1 import limits_pb2
from sightline.gateway.v1 import recommendation_service_pb2 as pb
from tests.fakes.kit_large import Shop
from tests.unit.kit.admission.test_limits import refused, serving


class Walk(entry_limits._Walk):
    """Walk that reports the number of visited fields."""

    def __init__(self, made: list[Walk], data: bytes, most: int) -> None:
        super().__init__(data, most)
        made.append(self)

    @property
    def looked(self) -> int:
        return entry_limits.FIELDS - self._fields


@pytest.mark.parametrize(
    ("data", "field"),
    [(b"\x2a\x00" * 2**20, "signals"), (b"\x72\x00" * 2**20, "exclude_product_ids")],
)
async def test_2_mib_of_empty_entries_reach_nobody(
    data: bytes, field: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Check the cost of empty entries: they took 247 MiB and 27 s in 0.5.6, which blocked the loop.
    Now they cost a few copies of their bytes on both ends, and visits of one entry more than the
    limit."""
    shop, walks = Shop(), list[Walk]()
    monkeypatch.setattr(entry_limits, "_Walk", partial(Walk, walks))
    async with serving(Binding.of(shop)) as address, channel.connect(address) as peer:
        call = peer.unary_unary("/sightline.gateway.v1.RecommendationService/Recommend")
        tracemalloc.start()
        error = await refused(call(data))
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert error.reason == "REQUEST_INVALID"
    assert [each.field for each in error.violations] == [field]
    assert not shop.reached
    most = pb.RecommendRequest.DESCRIPTOR.fields_by_name[field].GetOptions()
    assert [walk.looked for walk in walks] == [most.Extensions[limits_pb2.max_items] + 1]
    assert peak < 4 * len(data)
