"""Reasons of products that were ranked before: contributions come only on request."""

import numpy as np
import pytest

from ranker.domain.events import History
from ranker.domain.model import Model
from ranker.serving.give_reasons import GiveReasons, ReasonsQuery
from ranker.serving.ranking.shopper_reads import Shoppers
from tests.fakes.ranker import NOW, FakeReader, candidates, did, model, product


class Models:
    """Model registry with one serving model."""

    def serving(self, catalog_id: str) -> Model:
        return model({item: [1.0, 0.0] for item in "ab"})

    def pinned(self, catalog_id: str, version: str) -> Model | None:
        return None

    def refused(self, catalog_id: str) -> bool:
        return False

    def former(self, catalog_id: str) -> Model | None:
        return None


@pytest.mark.parametrize("with_breakdown", [True, False])
async def test_parts_are_split_only_on_request(*, with_breakdown: bool) -> None:
    reader = FakeReader({"ann": History(recent=(did("ann", "a"),))})
    found = await GiveReasons(Models(), Shoppers(reader))(
        ReasonsQuery(
            *("default", "ann", candidates([product("b")])),
            parts={"session": np.array([0.5])},
            weights={"session": 1.0},
            now_micros=NOW,
            with_breakdown=with_breakdown,
        )
    )
    assert len(found.reasons) == 1
    assert list(found.contributions) == (["session"] if with_breakdown else [])
