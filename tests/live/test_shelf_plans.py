"""A made shelf of the wines, compared with its plan by the whole suite, and the commands of its
pages."""

import ast
import json
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from examples.wines import loading
from examples.wines.catalogue import load_wines
from examples.wines.shelf import files
from examples.wines.shelf.making import made
from local_suite.suite import Suite
from sightline_client import (
    InvalidRequest,
    PlanFindingKind,
    PlannedProduct,
    SightlineClient,
    StockLack,
    StockOptions,
    StockSuggestion,
)
from sightline_client.files.shelf_plans import read
from tests.engines import ROOT
from tests.waiting import SECONDS, until

pytestmark = pytest.mark.full

STOCK = "shelf-stock"
ADDRESS, HERE = "http://127.0.0.1:8680", "127.0.0.1:8600"
ABSENT = (files.TAKEN, files.REPLACED)
GUIDE = ROOT / "docs/integrate/shelf-plans.md"
TUTORIAL = ROOT / "docs/tutorials/check-a-shelf.md"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with the files of the made shelf."""
    files.write(tmp_path)
    return tmp_path


async def test_each_difference_from_the_plan_is_found(
    client: SightlineClient, folder: Path
) -> None:
    found = await client.detect_products(
        (folder / "wrong.jpg").read_bytes(), plan=read(folder / "plan.csv"), timeout=60
    )

    compared = found.plan_comparison
    assert compared is not None
    assert compared.row_count == len(files.PLANNED)
    by_kind = Counter((each.kind, each.product_id) for each in compared.findings)
    kept = [(kind, item) for kind, item in by_kind if kind is not PlanFindingKind.PRESENT]
    row, place = files.TAKEN
    taken = files.PLANNED[row][place]
    row, place = files.REPLACED
    replaced = files.PLANNED[row][place]
    moved = [item for kind, item in kept if kind is PlanFindingKind.OUT_OF_ORDER]
    assert {*kept} == {
        (PlanFindingKind.MISSING, taken),
        (PlanFindingKind.MISSING, replaced),
        (PlanFindingKind.SURPLUS, files.BY),
        (PlanFindingKind.OUT_OF_ORDER, moved[0]),
    }
    assert moved[0] in files.PLANNED[files.SWAPPED_ROW]
    assert compared.compliance == pytest.approx(14 / 18)
    (gap,) = [
        each.box
        for each in compared.findings
        if each.kind is PlanFindingKind.MISSING and each.product_id == taken
    ]
    assert gap is not None
    assert 0.5 < (gap.left + gap.right) / 2 < 0.7  # the fourth of six places


async def test_quantities_follow_from_purchases(gateway: str, folder: Path, suite: Suite) -> None:
    """Use a catalog of its own: other tests sell wines too."""
    photo, plan = made(files.PLANNED), read(folder / "plan.csv")
    new, planned = files.PLANNED[-1][-1], {each.product_id for each in plan}
    sold = (folder / "sales.csv").read_text().count(f",{files.PLANNED[-1][2]},")
    by_product = dict[str, StockSuggestion]()
    async with SightlineClient(gateway, catalog=STOCK, timeout=SECONDS) as client:
        await client.create_catalog(STOCK)
        wines = [wine for wine in load_wines() if wine.id in planned]
        await loading.import_wines(client, wines)
        await loading.wait_indexed(client, len(wines))
        typed(f"sightline events import sales.csv --catalog {STOCK}", folder, suite)

        async def suggested() -> bool:
            options = StockOptions()
            found = await client.detect_products(photo, plan=plan, stock=options, timeout=60)
            by_product.update({each.product_id: each for each in found.stock_suggestions})
            lacking = {item for item, each in by_product.items() if each.quantity is None}
            return lacking == {new} and by_product[files.PLANNED[-1][2]].sold_units == sold

        await until(suggested)
    assert by_product[new].lack in {StockLack.DAYS, StockLack.SALES}
    seller = by_product[files.PLANNED[-1][2]]
    assert seller.quantity is not None
    assert seller.quantity_low is not None
    assert seller.quantity_high is not None
    assert seller.quantity_low <= seller.quantity <= seller.quantity_high
    assert seller.on_shelf == 2
    assert seller.text.startswith(f"{seller.quantity} = ")


async def test_a_plan_with_an_unknown_product_is_rejected(client: SightlineClient) -> None:
    with pytest.raises(InvalidRequest) as caught:
        await client.detect_products(
            made([[files.BY]]), plan=[PlannedProduct(files.BY), PlannedProduct("no-such-wine")]
        )

    assert caught.value.reason == "PLAN_INVALID"
    assert [each.field for each in caught.value.violations] == ["plan.products[1].product_id"]


def test_the_commands_of_the_guide_are_typed(
    suite: Suite, gateway: str, shop_is_open: None, folder: Path
) -> None:
    (folder / "wrong.jpg").rename(folder / "shelf.jpg")
    commands = re.findall(r"^```sh\n(.*?)^```$", GUIDE.read_text("utf-8"), re.M | re.S)
    detects, curl = commands
    for line in detects.splitlines():
        assert "14 of 18 planned facings are present" in typed(line, folder, suite)
    assert (folder / "shelf.html").read_text("utf-8").count("<title>") > 18
    answer = json.loads(typed(curl.replace(ADDRESS, suite.http), folder, suite))
    assert answer["planComparison"]["counts"][0] == {
        "productId": "100062",
        "planned": 2,
        "present": 2,
    }


def test_the_commands_of_the_tutorial_are_typed(
    suite: Suite, gateway: str, shop_is_open: None, tmp_path: Path
) -> None:
    lines = re.findall(r"^\$ (.*)$", TUTORIAL.read_text("utf-8"), re.MULTILINE)
    shown = [typed(line.replace(ADDRESS, suite.http), tmp_path, suite) for line in lines]
    assert "18 found" in shown[1]
    assert "18 of 18 planned facings are present" in shown[2]
    assert "out of order" in shown[3]
    assert (tmp_path / "shelf/wrong.html").exists()
    assert '"missing": 1' in shown[-1]
    (snippet,) = re.findall(r"^```python\n(.*?)^```$", TUTORIAL.read_text("utf-8"), re.M | re.S)
    (tmp_path / "snippet.py").write_text(snippet.replace(HERE, suite.addresses()["gateway"]))
    missing = typed("python -W error snippet.py", tmp_path, suite)
    assert set(ast.literal_eval(missing)) >= {files.PLANNED[row][at] for row, at in ABSENT}


def typed(command: str, folder: Path, suite: Suite) -> str:
    """Run a command in a folder. Return what it prints."""
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", command],
        cwd=folder,
        env=os.environ
        | {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "SIGHTLINE_TARGET": suite.addresses()["gateway"],
            "COLUMNS": "200",
        },
        stdout=subprocess.PIPE,
        text=True,
        timeout=SECONDS,
        check=True,
    )
    return done.stdout
