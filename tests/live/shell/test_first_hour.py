"""The first hour of two shops: their own exports as they are, to a page that is personal, without a
script of translation, in at most eight commands each."""

import shlex
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from tests.live.hands import WINES, Hands
from tests.unit.client.command_line import flat

IMAGES = WINES[0].image.parent
MOST_COMMANDS = 8


@dataclass(frozen=True)
class Shop:
    """A shop that begins."""

    encoding: str
    separator: str
    products: tuple[str, ...]
    """Header of the table of products: id, title, price, stock, category, photo."""
    prices: tuple[str, str]
    stocked: str
    kinds: tuple[str, str]
    events: tuple[str, ...]
    """Header of the table of events: customer, product, what, when."""
    viewed: str
    time: str
    """Form of a time."""
    options: tuple[str, ...]
    """Options for the currency, which the files don't say."""


GERMAN = Shop(
    *("cp1252", ";"),
    ("Artikelnummer", "Bezeichnung", "Preis", "Verfügbarkeit", "Warengruppe", "Bild"),
    ("1.299,00", "2,50"),
    "auf Lager",
    ("Rotwein", "Weißwein"),
    ("Kunde", "Artikelnummer", "Ereignis", "Zeitpunkt"),
    "angesehen",
    "%d.%m.%Y %H:%M",
    ("--set", "currency=EUR"),
)
CHINESE = Shop(
    *("gb18030", ","),
    ("商品编号", "商品名称", "售价", "库存状态", "商品分类", "商品图片"),
    ("1299.00", "25.50"),
    "有货",
    ("红葡萄酒", "白葡萄酒"),
    ("用户", "商品编号", "行为", "时间"),
    "浏览",
    "%Y-%m-%d %H:%M",
    ("--set", "currency=CNY"),
)


def written(path: Path, shop: Shop, header: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    lines = [shop.separator.join(row) for row in (header, *rows)]
    path.write_text("\n".join(lines) + "\n", shop.encoding)


@pytest.mark.full
@pytest.mark.parametrize(
    ("catalog", "shop"), [("german", GERMAN), ("chinese", CHINESE)], ids=["German", "Chinese"]
)
def test_a_shop_comes_from_its_files_to_a_personal_page(
    gateway: str, tmp_path: Path, catalog: str, shop: Shop
) -> None:
    hands = Hands(gateway, tmp_path, catalog)
    red, white = ([wine for wine in WINES if wine.type == kind][:12] for kind in ("Red", "White"))
    rows = [
        (wine.id, wine.title, shop.prices[n % 2], shop.stocked, kind, wine.image.name)
        for kind, wines in zip(shop.kinds, (red, white), strict=True)
        for n, wine in enumerate(wines)
    ]
    written(hands.folder / "products.csv", shop, shop.products, rows)
    yesterday = (datetime.now() - timedelta(days=1)).strftime(shop.time)  # noqa: DTZ005 - as typed
    clicks = [("alice", wine.id, shop.viewed, yesterday) for wine in red[:5]]
    written(hands.folder / "events.csv", shop, shop.events, clicks)
    commands: list[str] = []

    def typed(*words: str) -> str:
        commands.append(shlex.join(words))
        return hands.run(*words)

    read = ("--map", "guess", *shop.options, "--images", str(IMAGES))
    said = flat(typed("products", "import", "products.csv", *read))
    assert f"{len(rows)} products stored" in said
    assert "sightline products import products.csv --map" in said, "the proposal is a command"
    typed("products", "status", "--wait", "--timeout", "60")
    zone = ("--time-zone", "Europe/Berlin" if shop is GERMAN else "Asia/Shanghai")
    said = typed("events", "import", "events.csv", "--map", "guess", *zone, "--dry-run")
    assert "5 events are valid" in said
    assert "5 new" in typed("events", "import", "events.csv", "--map", "guess", *zone)
    page = ("recommend", "--user", "alice", "--scene", "for-you")
    commands.append(shlex.join(page))
    results = hands.facts(*page)["results"][:8]
    first = [each["product"]["categoryPath"][0] for each in results]
    assert first
    assert first.count(shop.kinds[0]) >= len(first) / 2, "what she looked at"
    assert len(commands) <= MOST_COMMANDS, commands
