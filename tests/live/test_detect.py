"""Products in a photo of a shelf, by the whole suite: a made shelf of the example wines."""

import io
import json
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image

from examples.wines.catalogue import load_wines
from local_suite.suite import Suite
from sightline_client import HeatMapOptions, InvalidRequest, SightlineClient
from tests.engines import ROOT
from tests.waiting import SECONDS, until

pytestmark = pytest.mark.full

PAGE = (ROOT / "docs" / "integrate" / "detect.md").read_text("utf-8")
SHELF = (5, 5, 60, 60, 60, 71)
"""Places of the wines on the shelf, from the left."""
ADDRESS = "http://127.0.0.1:8680"


def shelf() -> bytes:
    """Return a photo of bottles that stand beside one another."""
    wines = load_wines()
    photo = Image.new("RGB", (1500, 700), (196, 188, 176))
    for place, wine in enumerate(SHELF):
        with Image.open(io.BytesIO(wines[wine].image.read_bytes())) as opened:
            bottle = opened.convert("RGB")
        bottle.thumbnail((200, 520))
        photo.paste(bottle, (60 + 235 * place, 620 - bottle.height))
    file = io.BytesIO()
    photo.save(file, "JPEG", quality=90)
    return file.getvalue()


async def test_the_bottles_of_a_shelf_are_found_and_counted(client: SightlineClient) -> None:
    wines = load_wines()
    found = await client.detect_products(shelf(), timeout=60)
    expected = Counter(wines[wine].id for wine in SHELF)
    assert {each.product_id: each.count for each in found.counts} == expected
    assert [each.product_id for each in found.detections] == [wines[wine].id for wine in SHELF]
    assert [each.product_id for each in found.products] == [
        each.product_id for each in found.counts
    ]
    assert found.unknown_count == 0
    assert not found.truncated
    assert not found.degradations


async def test_heat_maps_are_those_of_the_vectors_that_were_searched(
    client: SightlineClient,
) -> None:
    wines = load_wines()
    asked = HeatMapOptions(product_ids=(wines[60].id, wines[71].id), max_heat_maps=4)
    found = await client.detect_products(shelf(), heat_maps=asked, timeout=60)
    assert not found.degradations
    named = [wines[wine].id for wine in SHELF]
    assert [each.product_id for each in found.detections] == named
    drawn = [place for place, each in enumerate(found.detections) if each.heat_map is not None]
    assert drawn == [2, 3, 4, 5]
    apart = dict[int, float]()
    for place in drawn:
        each = found.detections[place]
        assert each.heat_map is not None
        apart[place] = abs(each.heat_map.similarity - each.similarity)
        with Image.open(io.BytesIO(each.heat_map.png)) as picture:
            assert (picture.format, picture.size) == ("PNG", (456, 456))
    assert apart.pop(5) < 2e-3
    assert max(apart.values()) < 0.01  # of facings that look alike, one is searched for all


async def test_the_products_of_a_photo_are_what_a_request_is_about(
    client: SightlineClient,
) -> None:
    on_shelf = {load_wines()[wine].id for wine in SHELF}

    async def whole() -> bool:  # the model may be loaded first
        answer = await client.recommend(image=shelf(), scene="beside-a-photo", timeout=60)
        return not answer.degradations

    await until(whole)
    answer = await client.recommend(image=shelf(), scene="beside-a-photo", timeout=60)
    assert {each.product_id for each in answer.detections} == on_shelf
    assert "detect: 3 anchors" in answer.versions.plan
    found = [each.product.product_id for each in answer.results]
    assert found
    assert not on_shelf & set(found)
    alone = await client.recommend(image=shelf(), scene="photo", timeout=60)
    assert not alone.detections


def grid(columns: int, rows: int) -> bytes:
    """Return a photo of a wall of one wine, with as many bottles as columns times rows."""
    with Image.open(io.BytesIO(load_wines()[SHELF[0]].image.read_bytes())) as opened:
        bottle = opened.convert("RGB")
    bottle.thumbnail((60, 156))
    photo = Image.new("RGB", (40 + 76 * columns, 40 + 176 * rows), (196, 188, 176))
    for place in range(columns * rows):
        row, column = divmod(place, columns)
        photo.paste(bottle, (40 + 76 * column, 36 + 176 * row))
    file = io.BytesIO()
    photo.save(file, "JPEG", quality=90)
    return file.getvalue()


async def test_one_product_24_times_is_found_each_time(client: SightlineClient) -> None:
    found = await client.detect_products(grid(8, 3), timeout=SECONDS)
    assert len(found.detections) == 24
    assert {each.product_id for each in found.counts} == {load_wines()[SHELF[0]].id}
    assert sum(each.count for each in found.counts) + found.unknown_count == 24
    assert (found.truncated, found.small_objects) == (False, False)


async def test_one_product_300_times_has_a_bounded_answer(client: SightlineClient) -> None:
    """The bottles are too small to be found or named well, and the answer says so."""
    photo = grid(30, 10)
    whole = await client.detect_products(photo, max_detections=300, timeout=SECONDS)
    assert 0 < len(whole.detections) <= 300
    assert sum(each.count for each in whole.counts) + whole.unknown_count == len(whole.detections)
    assert (whole.truncated, whole.small_objects) == (False, True)
    assert not whole.degradations
    cut = await client.detect_products(photo, max_detections=5, timeout=SECONDS)
    assert (0 < len(cut.detections) <= 5, cut.truncated) == (True, True)
    with pytest.raises(InvalidRequest) as caught:
        await client.detect_products(photo, max_detections=301, timeout=SECONDS)
    assert caught.value.reason == "REQUEST_INVALID"


async def test_an_empty_wall_has_no_products_and_a_text_is_no_photo(
    client: SightlineClient,
) -> None:
    file = io.BytesIO()
    Image.new("RGB", (1200, 900), (120, 130, 140)).save(file, "JPEG")
    found = await client.detect_products(file.getvalue(), timeout=60)
    assert not found.detections
    assert found.unknown_count == 0
    with pytest.raises(InvalidRequest) as caught:
        await client.detect_products(b"no photo", timeout=60)
    assert caught.value.reason == "IMAGE_UNDECODABLE"


async def test_the_commands_of_the_page_show_the_shelf(
    client: SightlineClient, suite: Suite, tmp_path: Path
) -> None:
    (tmp_path / "shelf.jpg").write_bytes(shelf())
    commands = re.findall(r"^```console\n\$ (.*?)\n```$", PAGE, re.MULTILINE)
    shown = [typed(command, tmp_path, suite) for command in commands]
    assert "6 found, 6 of them products of the catalog." in shown[0]
    assert "beside-a-photo" in commands[2]
    page = (tmp_path / "shelf.html").read_text("utf-8")
    assert (page.count("<rect "), page.count("<figure>")) == (len(SHELF), len(SHELF))
    (curl,) = re.findall(r"^```sh\n(curl .*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    answer = json.loads(typed(curl.replace(ADDRESS, suite.http), tmp_path, suite))
    assert sum(each["count"] for each in answer["counts"]) == len(SHELF)


def typed(command: str, folder: Path, suite: Suite) -> str:
    """Run a command in a folder. Return what it prints."""
    done = subprocess.run(
        ["bash", "-euc", command],
        cwd=folder,
        env=os.environ
        | {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "SIGHTLINE_TARGET": suite.addresses()["gateway"],
            "COLUMNS": "200",
        },
        stdout=subprocess.PIPE,
        text=True,
        timeout=120,
        check=True,
    )
    return done.stdout
