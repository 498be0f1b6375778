"""Answers as pages: head, cards with id, stock and link, parts in words."""

import html
import io
import json
import re
from pathlib import Path

import pytest
from PIL import Image

from sightline.common.v1 import answer_pb2, product_pb2
from sightline_client.cli.show import page
from sightline_client.convert import from_wire
from tests.fakes import gateway_messages as fakes
from tests.fakes.gateway import FakeGateway
from tests.unit.client.command_line import call

ASKED = ("--filter", "price < 30 EUR")
COMMANDS = {
    "recommend": ("recommend", "--visitor", "ada", *ASKED),
    "search": ("search", "--text", "red", *ASKED),
    "similar": ("similar", "wine-1", *ASKED),
    "list": ("list", "--visitor", "ada", *ASKED),
    "products": ("products", "list", *ASKED),
    "values": ("values", "brand", "--visitor", "ada", *ASKED),
    "explain": ("explain", "wine-1", "--visitor", "ada", *ASKED),
}


def written(gateway: FakeGateway, tmp_path: Path, *command: str) -> str:
    path = tmp_path / "new" / "page.html"
    result = call(*command, "--html", str(path), "--target", gateway.target)
    assert result.exit_code == 0, result.output
    assert f"Written: {path}" in " ".join(result.stderr.split())
    return path.read_text("utf-8")


def words(text: str) -> str:
    return " ".join(
        html.unescape(re.sub(r"<style>.*?</style>|<[^>]+>", " ", text, flags=re.S)).split()
    )


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_with_products_writes_a_page_that_says_what_was_asked(
    gateway: FakeGateway, tmp_path: Path, name: str
) -> None:
    text = words(written(gateway, tmp_path, *COMMANDS[name]))
    assert "filter price < 30 EUR" in text
    if "--visitor" in COMMANDS[name]:
        assert "shopper visitor ada" in text
    if name in {"recommend", "explain"}:
        assert "scene " in text


def test_a_list_of_products_shows_photos_why_they_are_doubted_and_that_there_are_more(
    gateway: FakeGateway, tmp_path: Path
) -> None:
    doubt = product_pb2.CategoryDoubt(image_id="a" * 64, probability=0.03125)
    gateway.products["wine-1"].category_doubt.CopyFrom(doubt)
    gateway.products["wine-2"] = fakes.wine("wine-2", "Barbera")
    gateway.products["wine-2"].category_doubt.CopyFrom(doubt)
    text = written(gateway, tmp_path, "products", "list", "--doubted", "--top", "1")
    assert "similar to no known category, own category at most 3.1%" in words(text)
    assert "There are more: raise --top." in words(text)
    assert "Barbera" not in text
    assert text.count("<img ") == 1
    text = written(gateway, tmp_path, "products", "list")
    assert words(text).count("2 products") == 2, "title and heading"
    gateway.products.clear()
    assert "No products match." in words(written(gateway, tmp_path, "products", "list"))


def test_shelves_are_sections_of_a_page(gateway: FakeGateway, tmp_path: Path) -> None:
    file = tmp_path / "home.json"
    file.write_text(json.dumps({"shelves": [{"shelfId": "for-you", "recommend": {}}]}))
    text = written(gateway, tmp_path, "shelves", str(file), "--user", "ann")
    assert "shopper customer ann" in words(text)
    assert "<h2>" in text


def shown(tmp_path: Path, message: object) -> str:
    answer = from_wire.recommendations(message)  # type: ignore[arg-type]
    page.write(tmp_path / "a.html", page.Head("t"), [page.Section(answer)], {})
    return (tmp_path / "a.html").read_text("utf-8")


def test_a_card_has_id_stock_and_link(tmp_path: Path) -> None:
    message = fakes.answer()
    product = message.results[0].product
    product.uri, product.stock = "https://shop.example/wine-1", 12
    text = shown(tmp_path, message)
    assert 'href="https://shop.example/wine-1"' in text
    assert "wine-1" in words(text)
    assert "in stock: 12" in words(text)


@pytest.mark.parametrize("uri", ["javascript:alert(1)", "data:text/html,x", "", "//shop.example"])
def test_only_addresses_of_web_pages_are_links(tmp_path: Path, uri: str) -> None:
    message = fakes.answer()
    message.results[0].product.uri = uri
    assert "<a " not in shown(tmp_path, message)


def test_parts_are_in_words_and_those_near_0_are_hidden(tmp_path: Path) -> None:
    message = fakes.answer()
    del message.results[0].parts[:]
    for name, value in (("visual", 0.8), ("trend", 0.004), ("popularity", -0.0001), ("new", -0.2)):
        message.results[0].parts.append(answer_pb2.ScorePart(name=name, value=value))
    text = words(shown(tmp_path, message))
    assert "looks like the query, or like the shopper's last products +0.800" in text
    assert "new -0.200" in text
    assert "liked more than usual recently" not in text
    assert "liked by many" not in text


def test_an_empty_page_says_why(tmp_path: Path) -> None:
    message = fakes.answer()
    del message.results[:]
    message.empty_reason.text = "no product passes category = Rde"
    message.empty_reason.near_category_paths.append("Wine > Red")
    text = words(shown(tmp_path, message))
    assert "No products match. no product passes category = Rde" in text
    assert 'near categories: "Wine > Red"' in text


def test_timings_are_folded(tmp_path: Path) -> None:
    text = shown(tmp_path, fakes.answer())
    assert "<details>\n<summary>Stage timings and versions" in text
    assert "<details open" not in text


def test_a_page_of_detections_shows_each_with_its_nearest_products(
    gateway: FakeGateway, tmp_path: Path
) -> None:
    photo = io.BytesIO()
    Image.new("RGB", (224, 224), "red").save(photo, "JPEG")
    (tmp_path / "shelf.jpg").write_bytes(photo.getvalue())
    gateway.products["wine-2"] = fakes.wine("wine-2", "Barbera")
    text = written(gateway, tmp_path, "detect", str(tmp_path / "shelf.jpg"))
    assert text.count('class="crop"') == 3
    unknown = text.rpartition('class="unknown"')[2]
    assert "Barbera" in words(unknown)
    assert re.search(r"Barbera wine-2 -?\d\.\d\d", words(unknown))


def test_a_photo_that_no_library_reads_leaves_crops_out(
    gateway: FakeGateway, tmp_path: Path
) -> None:
    (tmp_path / "shelf.jpg").write_bytes(b"photo")
    text = written(gateway, tmp_path, "detect", str(tmp_path / "shelf.jpg"))
    assert 'class="crop"' not in text
    assert text.count('class="guess"') >= 3
