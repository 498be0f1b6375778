"""The prediction of a rush in the cluster of `make cluster`."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from lab import rushes
from tests.cluster import scaled
from tests.cluster.scaled import MOST, Traffic, asked, patches, work_of
from tests.contracts.k8s import Document, added, with_components

SECONDS = (40.0, 110.0, 150.0)


@pytest.fixture(scope="module")
def changed(tmp_path_factory: pytest.TempPathFactory) -> list[Document]:
    names = ("autoscaling", "monitoring")
    written = {
        "components": [f"../../components/{name}" for name in names],
        "patches": patches(with_components(*names)),
    }
    return added(tmp_path_factory.mktemp("rush"), yaml.safe_dump(written), to="medium")


def traffic(rate: float, **spent: float) -> Traffic:
    every: dict[str, Any] = dict.fromkeys(
        ("gateway", "embedder", "intake", "retriever", "ranker"), 0.002
    )
    return Traffic(rate, work_of({**every, **spent}))


def predicted(changed: list[Document], usual: Traffic, rush: Traffic) -> dict[str, Any]:
    (found,) = scaled.predicted(asked(changed, usual, rush, SECONDS, [1]))
    return found


def test_the_behaviour_is_that_of_the_changed_manifests(changed: list[Document]) -> None:
    question = asked(changed, traffic(1), traffic(2), SECONDS, [1])
    found = rushes.behaviour(question["behaviour"])
    assert {name: each.most for name, each in found.items()} == MOST


def test_a_rush_is_predicted_to_scale_what_it_loads_and_back(changed: list[Document]) -> None:
    usual = traffic(10, gateway=0.02)
    found = predicted(changed, usual, traffic(60, gateway=0.06))
    assert [size for _, size in found["gateway"]] == [2, 3, 2, 1]
    assert [size for at, size in found["gateway"] if at < SECONDS[1]] == [2, 3]
    assert found["embedder"] == []
    photos = traffic(14, gateway=0.05, embedder=0.04, intake=0.03)
    assert [size for _, size in predicted(changed, usual, photos)["embedder"]] == [2, 3, 2, 1]
