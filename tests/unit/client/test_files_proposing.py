"""A guess finds our columns by their names in seven languages, and by what is in them."""

from collections.abc import Mapping, Sequence

import pytest

from sightline_client.files import events, products
from sightline_client.files.mapping import ColumnMap
from sightline_client.files.proposing import propose

PRODUCT = ("id", "title", "description", "category", "brand", "price", "currency", "images", "tags")
HEADERS = {
    "English": "SKU,Product name,Long description,Category,Manufacturer,Sales price,Currency,"
    "Photo,Keywords",
    "German": "Artikel-Nr.,Bezeichnung,Beschreibung,Warengruppe,Hersteller,Preis (brutto),Währung,"
    "Bild,Schlagwörter",
    "French": "Référence,Désignation,Descriptif,Catégorie,Marque,Prix de vente,Devise,Photo,"
    "Mots-clés",
    "Spanish": "Código,Nombre,Descripción,Categoría,Marca,Precio,Moneda,Imagen,Etiquetas",
    "Italian": "Codice articolo,Nome,Descrizione,Categoria,Marchio,Prezzo,Valuta,Immagine,"
    "Etichette",
    "Chinese": "商品编号,商品名称,商品描述,商品分类,品牌,售价,币种,商品图片,标签",
    "Japanese": "商品コード,商品名,商品説明,カテゴリ,ブランド,販売価格,通貨,画像,タグ",
}
EVENT = ("time", "user_id", "product_id", "type", "quantity", "order_id")
EVENT_HEADERS = {
    "English": "Date,Customer,SKU,Action,Qty,Order",
    "German": "Zeitpunkt,Kundennummer,Artikelnummer,Ereignis,Menge,Bestellnummer",
    "French": "Date et heure,Client,Référence,Événement,Quantité,Commande",
    "Spanish": "Fecha,Cliente,Artículo,Evento,Cantidad,Pedido",
    "Italian": "Data e ora,Cliente,Articolo,Evento,Quantità,Ordine",
    "Chinese": "时间,用户,商品编号,行为,数量,订单号",
    "Japanese": "日時,顧客,商品コード,イベント,個数,注文番号",
}


def guessed(
    columns: Sequence[str], *rows: Sequence[str], of: str = "products", **certain: str
) -> ColumnMap:
    names = [name.strip().lower() for name in columns]
    found = [dict(zip(names, row, strict=True)) for row in rows]
    kind = products if of == "products" else events
    return propose(names, found, kind.COLUMNS, kind.NEEDED, certain)


@pytest.mark.parametrize("language", HEADERS)
def test_columns_are_found_by_their_names(language: str) -> None:
    names = HEADERS[language].split(",")
    row = ["7", "Lamp", "A lamp", "Home", "Acme", "12.50", "EUR", "a.jpg", "warm"]
    found = guessed(names, row).columns
    assert found == {
        name.lower(): ours
        for ours, name in zip(PRODUCT, names, strict=True)
        if name.lower() != ours
    }


@pytest.mark.parametrize("language", EVENT_HEADERS)
def test_columns_of_events_are_found_by_their_names(language: str) -> None:
    names = EVENT_HEADERS[language].split(",")
    row = ["2026-03-01T12:00:00Z", "u1", "p1", "VIEW", "1", "o1"]
    assert [*guessed(names, row, of="events").columns.values()] == [*EVENT]


def rows(*columns: Sequence[str]) -> list[tuple[str, ...]]:
    return list(zip(*columns, strict=True))


NAMELESS: Mapping[str, Sequence[str]] = {
    "id": ["K-1", "K-2", "K-3"],
    "title": ["Wooden chair", "Oak table", "Warm lamp"],
    "price": ["12,50 €", "1.299,00 €", "3,00 €"],
    "images": ["a.jpg", "b.jpeg, b2.png", "https://e.com/c.webp?v=2"],
    "uri": ["https://e.com/1", "https://e.com/2", "https://e.com/3"],
    "currency": ["EUR", "EUR", "EUR"],
    "available": ["in stock", "out of stock", "backorder"],
    "category": ["Home > Chairs", "Home > Tables", "Home > Lamps"],
    "description": [f"{'one two three four five six ' * 4}{n}" for n in range(3)],
}


def test_columns_are_found_by_what_is_in_them() -> None:
    names = [f"f{n}" for n in range(len(NAMELESS))]
    found = guessed(names, *rows(*NAMELESS.values())).columns
    assert found == dict(zip(names, NAMELESS, strict=True))


def test_what_repeats_is_no_id_and_whole_numbers_are_no_price() -> None:
    columns = ("f1", "f2", "f3", "f4")
    same, count = ["A", "A", "B"], ["12", "13", "14"]
    found = guessed(columns, *rows(same, count, NAMELESS["title"], NAMELESS["id"])).columns
    assert (found["f1"], found["f2"], found["f3"]) == ("attributes.f1", "id", "title")
    assert "price" not in found.values()


def test_a_column_that_is_called_price_and_has_no_amounts_is_none() -> None:
    found = guessed(("Nr", "Name", "Preis"), ("1", "A", "on request"), ("2", "B", "on request"))
    assert found.columns["preis"] == "attributes.preis"


@pytest.mark.parametrize("name", ["price_eur", "Preis (€)", "Prix EUR", "Preis in EUR"])
def test_the_currency_is_found_in_a_name(name: str) -> None:
    found = guessed(("id", "title", name), ("1", "A", "12,50"))
    assert (found.columns[name.lower()], found.constants) == ("price", {"currency": "EUR"})


def test_a_correction_stays_and_its_column_of_ours_is_not_guessed_again() -> None:
    columns = ("Nr", "Artikelnummer", "Name", "Bild")
    found = guessed(columns, ("1", "K-1", "Chair", "a.jpg"), ("2", "K-2", "Table", "b.jpg"))
    assert (found.columns["nr"], found.columns["artikelnummer"]) == (
        *("id", "attributes.artikelnummer"),
    )
    mended = guessed(
        columns, ("1", "K-1", "Chair", "a.jpg"), ("2", "K-2", "Table", "b.jpg"), artikelnummer="id"
    )
    assert mended.columns["artikelnummer"] == "id"
    assert mended.columns["nr"] == "attributes.nr"
    assert mended.columns["bild"] == "images"


@pytest.mark.parametrize(
    ("columns", "kind"),
    [(("Kunde", "Artikel", "Bestellung"), "PURCHASE"), (("Kunde", "Artikel", "Sterne"), "RATING")],
)
def test_orders_and_ratings_need_no_word_for_what_happened(
    columns: tuple[str, ...], kind: str
) -> None:
    assert guessed(columns, ("u", "p", "4"), of="events").constants == {"type": kind}


@pytest.mark.parametrize("text", ["", "\udcfc", "x" * 5_000, "0", "=1+1", "NaN", "1e400", "null"])
def test_a_guess_takes_any_text(text: str) -> None:
    for of in ("products", "events"):
        assert "a" in guessed(("a", "\udcfcb"), (text, text), (text, ""), of=of).columns
