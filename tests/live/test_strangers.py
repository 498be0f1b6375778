"""A client in another language that was given an address and no file of ours.

It learns the services and their messages by reflection (reflection.mjs of
docs/integrate/clients/node), so what it can do is what any standard client can do.
"""

import json
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from examples.wines.catalogue import load_wines
from tests.waiting import SECONDS

NODE = Path(__file__).parents[2] / "docs" / "integrate" / "clients" / "node"
IMAGES = Path(__file__).parents[2] / "examples" / "wines" / "images"


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Node client with exactly the packages of its lock; their install scripts do not run."""
    for tool in ("node", "npm"):
        assert shutil.which(tool), f"{tool} is missing: make tools"
    folder = tmp_path_factory.mktemp("stranger")
    for name in ("package.json", "package-lock.json", "reflection.mjs"):
        shutil.copy(NODE / name, folder)
    quiet = ["--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline"]
    done = subprocess.run(
        ["npm", "ci", *quiet], cwd=folder, capture_output=True, text=True, timeout=90, check=False
    )
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def told(stranger: Path, gateway: str, shop_is_open: None) -> Mapping[str, Any]:
    """What the stranger found out about the gateway, and what it was recommended."""
    photo = IMAGES / f"{load_wines()[0].id}.jpg"
    done = subprocess.run(
        ["node", "reflection.mjs", gateway, str(photo)],
        cwd=stranger,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answer: Mapping[str, Any] = json.loads(done.stdout)
    return answer


def test_a_stranger_lists_every_public_service(told: Mapping[str, Any]) -> None:
    public = {
        f"sightline.gateway.v1.{name}"
        for name in (
            "RecommendationService",
            "CatalogService",
            "UserEventService",
            "AdminService",
        )
    } | {"sightline.common.v1.JobService", "grpc.health.v1.Health"}
    assert public <= set(told["services"])
    assert "Recommend" in told["methods"]


def test_a_stranger_is_recommended_products_for_a_photo(told: Mapping[str, Any]) -> None:
    titles = {wine.id: wine.title for wine in load_wines()}
    assert [each["rank"] for each in told["results"]] == [1, 2, 3, 4, 5]
    assert all(titles[each["id"]] == each["title"] for each in told["results"])
    assert told["results"][0]["id"] == load_wines()[0].id, "the photo is its own"
    assert told["degradations"] == []


def test_a_stranger_is_told_in_words_what_was_wrong(told: Mapping[str, Any]) -> None:
    assert told["refused"]["code"] == "INVALID_ARGUMENT"
    assert "page_size" in told["refused"]["details"]
