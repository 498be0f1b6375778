"""A client in another language that has only an address, and no file of ours.

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
from tests.tools import tool
from tests.waiting import SECONDS

pytestmark = pytest.mark.full

NODE = Path(__file__).parents[2] / "docs" / "integrate" / "clients" / "node"
IMAGES = Path(__file__).parents[2] / "examples" / "wines" / "images"


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the Node client with exactly the packages of its lock, without their install
    scripts."""
    for each in ("node", "npm"):
        tool(each)
    folder = tmp_path_factory.mktemp("program")
    for name in ("package.json", "package-lock.json", "reflection.mjs"):
        shutil.copy(NODE / name, folder)
    quiet = ["--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline"]
    done = subprocess.run(
        ["npm", "ci", *quiet],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def learned(program: Path, gateway: str, shop_is_open: None) -> Mapping[str, Any]:
    """Return what the program learned of the gateway, and its recommendations."""
    photo = IMAGES / f"{load_wines()[0].id}.jpg"
    done = subprocess.run(
        ["node", "reflection.mjs", gateway, str(photo)],
        cwd=program,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answer: Mapping[str, Any] = json.loads(done.stdout)
    return answer


def test_a_client_by_reflection_lists_every_public_service(learned: Mapping[str, Any]) -> None:
    public = {
        f"sightline.gateway.v1.{name}"
        for name in (
            "RecommendationService",
            "DetectionService",
            "CatalogService",
            "UserEventService",
            "AdminService",
            "WatchService",
        )
    } | {"sightline.common.v1.JobService", "grpc.health.v1.Health"}
    assert public <= set(learned["services"])
    assert "Recommend" in learned["methods"]


def test_a_client_by_reflection_is_recommended_products_for_a_photo(
    learned: Mapping[str, Any],
) -> None:
    titles = {wine.id: wine.title for wine in load_wines()}
    assert [each["rank"] for each in learned["results"]] == [1, 2, 3, 4, 5]
    assert all(titles[each["id"]] == each["title"] for each in learned["results"])
    assert learned["results"][0]["id"] == load_wines()[0].id, "the photo is its own"
    assert learned["degradations"] == []


def test_a_client_by_reflection_reads_in_words_what_was_wrong(learned: Mapping[str, Any]) -> None:
    assert learned["refused"]["code"] == "INVALID_ARGUMENT"
    assert "page_size" in learned["refused"]["details"]
