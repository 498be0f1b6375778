"""Products in a photo: the typed client and the command."""

import base64
import json
import sys
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from sightline_client import Box, F, HeatMapOptions, SightlineClient, Uri
from sightline_client.cli import app
from sightline_client.cli.show import detected
from sightline_client.convert import from_wire
from tests.fakes.gateway import FakeGateway


def call(gateway: FakeGateway, *arguments: str) -> Result:
    return CliRunner().invoke(app, [*arguments, "--target", gateway.target])


async def test_detections_are_typed(client: SightlineClient, gateway: FakeGateway) -> None:
    found = await client.detect_products(
        b"photo", filter=F.brand == "Arla", market="se", min_probability=0.75, max_detections=30
    )
    first, _, unknown = found.detections
    assert first.box == Box(0, 0.25, 0.125, 0.75)
    assert (first.product_id, first.probability) == ("wine-1", 0.875)
    assert unknown.product_id == ""
    assert unknown.alternatives[0].product_id == "wine-2"
    assert [(each.product_id, each.count) for each in found.counts] == [("wine-1", 2)]
    assert found.space is not None
    assert found.unknown_count == 1
    (request,) = gateway.requests["DetectProducts"]
    assert (request.image, request.max_detections, request.min_probability) == (b"photo", 30, 0.75)
    assert request.filter.market_id == "se"
    await client.detect_products(Uri("https://shop.example/shelf.jpg"))
    assert gateway.requests["DetectProducts"][1].image_uri == "https://shop.example/shelf.jpg"


@pytest.fixture
def photo(tmp_path: Path) -> str:
    path = tmp_path / "shelf.jpg"
    path.write_bytes(b"photo")
    return str(path)


def test_the_command_lists_the_products_with_their_numbers(
    gateway: FakeGateway, photo: str
) -> None:
    shown = " ".join(call(gateway, "detect", photo, "--top", "30").stdout.split())
    assert "wine-1" in shown
    assert "3 found, 2 of them products of the catalog." in shown
    assert gateway.requests["DetectProducts"][0].max_detections == 30
    told = json.loads(call(gateway, "detect", photo, "--json").stdout)
    assert told["counts"] == [{"productId": "wine-1", "count": 2}]


def test_the_command_says_what_is_missing(gateway: FakeGateway, photo: str) -> None:
    gateway.detected.truncated = True
    assert "--top" in call(gateway, "detect", photo).stdout
    gateway.detected.small_objects = True
    assert "photograph a part" in " ".join(call(gateway, "detect", photo).stdout.split())
    gateway.detected.Clear()
    assert "No product was found" in call(gateway, "detect", photo).stdout


def test_the_page_draws_a_box_with_a_label_for_each_detection(
    gateway: FakeGateway, photo: str, tmp_path: Path
) -> None:
    page = tmp_path / "new" / "shelf.html"
    gateway.detected.products[0].title = "<script>"
    call(gateway, "detect", photo, "--html", str(page))
    text = page.read_text("utf-8")
    assert text.count("<rect ") == 3
    assert 'class="unknown"' in text
    assert "<script>" not in text
    assert "&lt;script&gt; (88%)" in text
    assert "not in the catalog: nearest is " in text
    assert "(25%)" in text


@pytest.fixture
def shelf(tmp_path: Path) -> str:
    """Return a photo that has pixels."""
    path = tmp_path / "pixels.jpg"
    Image.new("RGB", (160, 120), "red").save(path)
    return str(path)


@pytest.mark.parametrize("installed", [True, False])
def test_the_page_has_a_part_of_the_photo_for_each_detection_if_pillow_is_installed(
    gateway: FakeGateway,
    shelf: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    installed: bool,
) -> None:
    if not installed:
        monkeypatch.setitem(sys.modules, "PIL", None)
    page = tmp_path / "shelf.html"
    result = call(gateway, "detect", shelf, "--html", str(page))
    assert result.exit_code == 0, result.output
    text = page.read_text("utf-8")
    assert text.count('class="crop"') == (3 if installed else 0)
    assert ("client[vision]" in text) is not installed
    assert text.count("<rect ") == 3
    whole = base64.b64encode(Path(shelf).read_bytes()).decode()
    assert (whole in text) is not installed


def test_a_detection_without_a_product_names_the_nearest_one(gateway: FakeGateway) -> None:
    found = from_wire.detections(gateway.detected)
    titles = {"wine-2": "Nebbiolo <b>"}
    labels = [each.label for each in detected.boxes(found, titles)]
    assert labels[2] == "not in the catalog: nearest is Nebbiolo <b> (25%)"
    del gateway.detected.detections[2].alternatives[:]
    found = from_wire.detections(gateway.detected)
    assert detected.boxes(found)[2].label == "not in the catalog: no product is near"


@pytest.mark.parametrize(
    ("size", "words"), [((224, 224), "only 224 × 224 pixels"), ((1280, 960), ""), (None, "")]
)
def test_where_no_product_was_found_the_next_step_is_said(
    gateway: FakeGateway, size: tuple[int, int] | None, words: str
) -> None:
    assert detected.next_steps(from_wire.detections(gateway.detected), size) == []
    del gateway.detected.detections[:2]
    steps = detected.next_steps(from_wire.detections(gateway.detected), size)
    assert any("--min-probability 0.25" in each for each in steps)
    assert any("sightline products import" in each for each in steps)
    assert any(words in each for each in steps)
    assert len(steps) == (3 if words else 2)
    gateway.detected.detections[0].probability = 0.0625
    assert not any("0.0" in each for each in steps_of(gateway))
    gateway.detected.degradations.add(stage="retrieve", substitute="boxes alone")
    assert steps_of(gateway) == []
    gateway.detected.Clear()
    assert steps_of(gateway) == [
        "Photograph the goods from the front, in even light, and from nearer."
    ]


def steps_of(gateway: FakeGateway) -> list[str]:
    return detected.next_steps(from_wire.detections(gateway.detected))


def test_the_command_says_the_next_step(gateway: FakeGateway, photo: str) -> None:
    del gateway.detected.detections[:2]
    shown = " ".join(call(gateway, "detect", photo).stdout.split())
    assert "accept it with --min-probability 0.25." in shown


async def test_heat_maps_are_typed(client: SightlineClient, gateway: FakeGateway) -> None:
    found = await client.detect_products(
        b"photo", heat_maps=HeatMapOptions(("wine-1",), max_heat_maps=5)
    )
    none, drawn, _ = (each.heat_map for each in found.detections)
    assert none is None
    assert drawn is not None
    assert (drawn.png, drawn.similarity, drawn.unplaced) == (b"\x89PNG", 0.75, -0.125)
    await client.detect_products(b"photo")
    asked, plain = gateway.requests["DetectProducts"]
    assert (list(asked.heat_maps.product_ids), asked.heat_maps.max_heat_maps) == (["wine-1"], 5)
    assert not plain.HasField("heat_maps")


def test_the_page_shows_heat_maps_below_the_photo(
    gateway: FakeGateway, photo: str, tmp_path: Path
) -> None:
    page = tmp_path / "shelf.html"
    call(gateway, "detect", photo, "--heat-maps-of", "wine-1", "--html", str(page))
    (asked,) = gateway.requests["DetectProducts"]
    assert list(asked.heat_maps.product_ids) == ["wine-1"]
    text = page.read_text("utf-8")
    assert text.count("data:image/png") == 1
    assert "Similarity 0.750, of it -0.125 without a region." in text
    call(gateway, "detect", photo, "--heat-maps", "--json")
    assert gateway.requests["DetectProducts"][1].HasField("heat_maps")


def test_heat_maps_that_nothing_would_show_are_not_drawn(gateway: FakeGateway, photo: str) -> None:
    result = call(gateway, "detect", photo, "--heat-maps")
    assert result.exit_code == 2
    assert "--html" in result.output
    assert "DetectProducts" not in gateway.requests
