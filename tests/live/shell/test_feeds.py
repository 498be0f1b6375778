"""The commands of the page on feeds and pages, on the whole suite; what they import is found."""

import json
import re
import shlex
import shutil

import pytest

from sightline_client import SyncSightlineClient
from tests.engines import ROOT
from tests.live.hands import WINES, Hands
from tests.live.shell.test_first_files import flat

pytestmark = pytest.mark.full

PAGE = (ROOT / "docs/integrate/feeds.md").read_text("utf-8")
BLOCKS = re.findall(r"^```console\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
TYPED = [line[2:] for block in BLOCKS for line in block.splitlines() if line.startswith("$ ")]
SHOWN = [line for block in BLOCKS for line in block.splitlines() if line.startswith("Row ")]
PHOTOS = str(WINES[0].image.parent)


@pytest.fixture(scope="module")
def hands(gateway: str, tmp_path_factory: pytest.TempPathFactory) -> Hands:
    folder = tmp_path_factory.mktemp("feeds")
    shutil.copytree(ROOT / "examples/exports", folder / "examples/exports")
    (folder / "examples/wines").symlink_to(ROOT / "examples/wines")
    made = Hands(gateway, folder, "feeds")
    made.environment["COLUMNS"] = "400"
    return made


def typed(hands: Hands, line: str, code: int = 0) -> str:
    return flat(hands.run(*shlex.split(line)[1:], code=code))


def found(hands: Hands, text: str) -> set[str]:
    """Return the products that have these words."""
    hands.run("products", "status", "--wait", "--timeout", "60")
    with SyncSightlineClient(hands.gateway, catalog=hands.catalog) as client:
        results = client.listing(text=text, page_size=50).results
    return {each.product.product_id for each in results}


def test_there_are_commands_of_each_kind() -> None:
    assert len(TYPED) == 8
    assert len(SHOWN) == 1


@pytest.mark.parametrize("line", [line for line in TYPED if "--dry-run" in line])
def test_what_the_page_tries_is_valid(hands: Hands, line: str) -> None:
    said = typed(hands, line)
    assert "valid" in said
    assert "rejected" not in said


def test_the_page_s_feed_is_imported_searched_and_its_bad_item_named(hands: Hands) -> None:
    (line,) = [line for line in TYPED if "merchant-wines" in line]
    said = typed(hands, line, code=1)
    assert flat(SHOWN[0]) in said
    assert "3 products stored (4 rows read" in said
    assert found(hands, "merlot") == {"100062", "101847"}
    (offers,) = [line for line in TYPED if "offers" in line]
    said = typed(hands, offers, code=1)  # these products are not in this catalog
    assert "PRODUCT_NOT_FOUND" in said
    assert "0 offers set; 3 rejected." in said


def test_photos_of_hosts_that_are_not_allowed_are_rejected_with_the_setting(hands: Hands) -> None:
    said = typed(hands, "sightline products import examples/exports/merchant-feed.xml", code=1)
    assert " 1, line 7 (NW-FLEECE-S)" in said
    assert ": URI_FORBIDDEN: " in said
    assert "0 products stored (3 rows read" in said


def test_pages_are_imported_with_photos_beside_them_and_searched(hands: Hands) -> None:
    folder = hands.folder / "saved"
    folder.mkdir()
    for wine in WINES[:2]:
        product = {
            "@context": "https://schema.org",
            "@type": "Product",
            "sku": f"page-{wine.id}",
            "name": f"Cellared {wine.title}",
            "image": wine.image.name,
            "offers": {"@type": "Offer", "price": "12.50", "priceCurrency": "EUR"},
        }
        script = f'<script type="application/ld+json">{json.dumps(product)}</script>'
        (folder / f"{wine.id}.html").write_text(f"<html><head>{script}</head></html>")
        shutil.copy(wine.image, folder)
    said = hands.run("products", "import", "--pages", "saved")
    assert "2 products stored (2 rows read" in said
    assert found(hands, "cellared") == {f"page-{wine.id}" for wine in WINES[:2]}
    (best, *_) = hands.facts("recommend", "--image", str(WINES[0].image), "--top", "1")["results"]
    assert best["product"]["productId"] in {WINES[0].id, f"page-{WINES[0].id}"}
