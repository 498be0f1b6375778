"""A guess finds our columns by their names in seven languages, and by what is in them."""

from collections.abc import Mapping, Sequence

import pytest

from sightline_client.files import events, products
from sightline_client.files.model import FileRefused
from sightline_client.files.proposing import Proposal, propose

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
) -> Proposal:
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
    columns = ("f1", "f2", "f3")
    same, count = ["A", "A", "B"], ["12", "13", "14"]
    found = guessed(columns, *rows(same, count, NAMELESS["title"])).columns
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
    assert (found.columns["nr"], found.columns["artikelnummer"]) == ("attributes.nr", "id")
    mended = guessed(
        columns, ("1", "K-1", "Chair", "a.jpg"), ("2", "K-2", "Table", "b.jpg"), nr="id"
    )
    assert mended.columns["nr"] == "id"
    assert mended.columns["artikelnummer"] == "attributes.artikelnummer"
    assert mended.columns["bild"] == "images"


BETTER: Mapping[str, tuple[str, str, str]] = {
    "a number of the row": ("nr;artikelnummer;bezeichnung", "1;A-1;Topf", "id=1 title=2"),
    "what the shop pays": (
        *("sku;name;preis (ek netto);preis (vk brutto)", "A-1;Pan;5,00;9,50"),
        "id=0 title=1 cost=2 price=3",
    ),
    "a weight": ("sku;name;gewicht kg;uvp", "A-1;Pan;1,50;9,50", "id=0 title=1 price=3"),
    "one word": ("sku;name;einkaufspreis;uvp", "A-1;Pan;5;9", "id=0 title=1 cost=2 price=3"),
    "a recommended price": ("sku;name;uvp;preis", "A-1;Pan;9,90;9", "id=0 title=1 price=3"),
    "a price with a remark": ("sku;name;uvp;preis (brutto)", "A;Pan;9;9", "id=0 title=1 price=3"),
    "numbers of articles": ("artikel;ean;bezeichnung", "A-100;4006381333931;Pan", "id=0 title=2"),
    "quantities": ("sku;name;auf lager", "A-1;Pan;5", "id=0 title=1"),
    "answers": ("sku;name;auf lager", "A-1;Pan;1", "id=0 title=1 available=2"),
}


@pytest.mark.parametrize("case", BETTER)
def test_the_best_name_is_taken_and_not_the_first(case: str) -> None:
    header, row, expected = BETTER[case]
    names = header.split(";")
    found = guessed(names, row.split(";"))
    ours = {ours: name for name, ours in found.columns.items()}
    wanted = dict(part.split("=") for part in expected.split())
    assert {name: ours[name] for name in wanted} == {n: names[int(at)] for n, at in wanted.items()}
    assert not {"price", "available", "cost"} & (ours.keys() - wanted.keys())
    assert not any("preis (ek" in name or "einkauf" in name for name in found.columns.values())
    found.check("shop.csv")


@pytest.mark.parametrize(
    ("header", "row", "doubt"),
    [
        ("sku;name;preis (netto);preis (brutto)", "A;Pan;9,00;10,71", "price"),
        ("sku;name;price_eur;price_usd", "A;Pan;9,00;10,71", "price"),
        ("sku;artikelnummer;name", "A;7;Pan", "id"),
        ("a;b;name", "A-1;B-1;Pan", "id"),
        ("nr;art;name", "1;A-100;Pan", "id"),
        ("code;modell;name", "4711;X5;Pan", "id"),
        ("sku;name;a;b", "A;Pan;9,00 €;10,71 €", "price"),
        ("sku;name;waga", "A;Pan;1,50", "price"),
    ],
)
def test_a_guess_asks_where_columns_fit_equally(header: str, row: str, doubt: str) -> None:
    found = guessed(header.split(";"), row.split(";"))
    assert [*found.doubts] == [doubt]
    names = found.doubts[doubt]
    assert not {*names} & found.columns.keys()
    with pytest.raises(FileRefused, match=doubt) as refused:
        found.check("shop.csv")
    assert f"{names[0]}={doubt}" in refused.value.fix
    said = guessed(header.split(";"), row.split(";"), **{names[-1]: doubt})
    said.check("shop.csv")
    assert said.columns[names[-1]] == doubt


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
