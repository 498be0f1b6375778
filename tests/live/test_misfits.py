"""Photos of the wrong product, by the whole suite: a bottle that shows another wine."""

import io
import re
from pathlib import Path

import pytest
from PIL import Image, ImageEnhance

from examples.wines.catalogue import load_wines
from sightline_client import Product, ProductImage, SightlineClient
from tests.engines import ROOT
from tests.live.conftest import until_indexed
from tests.live.hands import Hands

pytestmark = pytest.mark.full

PAGE = (ROOT / "docs" / "operate" / "photos.md").read_text("utf-8")
CATALOG = "misfits"


def seen(wine: int, light: float) -> ProductImage:
    """Return a photo of a wine in other light."""
    with Image.open(io.BytesIO(load_wines()[wine].image.read_bytes())) as opened:
        changed = ImageEnhance.Brightness(opened.convert("RGB")).enhance(light)
    file = io.BytesIO()
    changed.save(file, "JPEG", quality=90)
    return ProductImage(file.getvalue())


async def test_a_photo_of_another_wine_is_listed_with_that_wine(
    gateway: str, tmp_path: Path
) -> None:
    async with SightlineClient(gateway, timeout=60) as anywhere:
        await anywhere.create_catalog(CATALOG)
    async with SightlineClient(gateway, catalog=CATALOG, timeout=60) as client:
        report = await client.upsert_products(
            [
                Product("merlot", "Merlot", images=(seen(5, 1.0), seen(5, 0.8), seen(60, 0.9))),
                Product("malbec", "Malbec", images=(seen(60, 1.0), seen(60, 0.8))),
            ]
        )
        assert report.stored_count == 2
        await until_indexed(client, 5)
        wrong = (await client.get_product("merlot")).images[2].image_id
        (found,) = [each async for each in client.list_misfits()]
        assert (found.product_id, found.image_id) == ("merlot", wrong)
        assert found.other_product_id == "malbec"
        assert found.lead > 0.2
    (command,) = re.findall(r"^```console\n\$ sightline (products misfits)\n```$", PAGE, re.M)
    shown = Hands(gateway, tmp_path, CATALOG).run(*command.split())
    assert wrong[:12] in shown
    assert "fit another product better: 1." in shown
    assert "compared: 2." in shown
