"""Exports of WooCommerce, Magento, Shopware and Akeneo, with headers of several languages."""

from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import pytest

from sightline_client.errors import SightlineError
from sightline_client.files import products
from sightline_client.files.conversion import ExportDates
from sightline_client.files.magento import STORE_VIEW
from sightline_client.files.model import Row
from sightline_client.files.opening import Reading, look, open_table
from sightline_client.files.photos import PhotoFolder
from sightline_client.files.shapes import PRODUCTS, shape_of

Made = Mapping[str, object]


def read(shape: str, *rows: Made) -> list[Row]:
    found = PRODUCTS[shape]
    assert found.marks <= {found.columns.form(name) for name in rows[0]} or len(rows[0]) < 4
    form = found.columns.form
    made = ({form(name): value for name, value in row.items()} for row in rows)
    numbered = (Row(n, cells) for n, cells in enumerate(made, start=1))
    return [*found.read(numbered, ExportDates())]


WOOCOMMERCE = {
    "German": "ID;Typ;Artikelnummer;Name;Veröffentlicht;Sichtbarkeit im Katalog;Kurzbeschreibung;"
    "Datum, an dem Angebotspreis beginnt;Datum, an dem Angebotspreis endet;Vorrätig?;"
    "Angebotspreis;Regulärer Preis;Kategorien;Schlagwörter;Bilder;Übergeordnetes Produkt;Marken;"
    "Attribut 1 Name;Attribut 1 Wert(e)",
    "French": "ID;Type;UGS;Nom;Publié;Visibilité dans le catalogue;Description courte;"
    "Date de début de promo;Date de fin de promo;En stock ?;Tarif promo;Tarif régulier;"
    "Catégories;Étiquettes;Images;Parent;Marques;Nom de l’attribut 1;Valeur(s) de l’attribut 1",
    "Chinese": "ID;类型;SKU;名称;已发布;在列表页可见;简短描述;促销开始日期;促销截止日期;有货？;"
    "促销价格;常规售价;分类;标签;图片;父级;品牌;属性 1 名称;属性 1 值",
}


@pytest.mark.parametrize("language", WOOCOMMERCE)
def test_woocommerce_is_recognized_in_each_language(tmp_path: Path, language: str) -> None:
    path = tmp_path / "export.csv"
    lines = [
        "1;variable;L;Lampe;1;visible;warm;;;1;;;Haus > Licht;hell;https://e.com/a.jpg;;Acme;;",
        "2;variation;L-S;Lampe S;1;visible;;;2020-01-31;1;5;9;;;;id:1;;Größe;S",
        "3;simple;P;Pfanne;-1;visible;;;;1;;20;;;;;;;",
    ]
    path.write_text("\n".join([WOOCOMMERCE[language], *lines]), "utf-8")
    shape = shape_of(look(path, ())[0], PRODUCTS)
    assert shape is PRODUCTS["woocommerce"]
    reading = Reading(shape=shape)
    with closing(open_table(path, columns=(), needed=(), reading=reading)) as table:
        lamp, small, pan = (row.cells for row in table.rows())
    assert (lamp["id"], lamp["title"], lamp["description"]) == ("L", "Lampe", "warm")
    assert (small["price"], small["parent_id"], small["brand"]) == ("9", "L", "Acme")
    assert (small["category"], small["attributes"]) == ("Haus > Licht", {"groesse": "S"})
    assert (pan["available"], small["available"]) == ("false", "true")


MAGENTO = {
    "English": "sku,attribute_set_code,product_type,name,product_online,visibility,price,"
    "special_price,special_price_to_date,qty,is_in_stock,categories",
    "German": "Artikelnummer,Attributsatz,Produkttyp,Name,Produkt aktivieren,Sichtbarkeit,Preis,"
    "Sonderpreis,Sonderpreis bis,Menge,Auf Lager,Kategorien",
    "French": "UGS,Jeu d'attributs,Type de produit,Nom,Activer le produit,Visibilité,Prix,"
    "Prix spécial,Prix spécial jusqu'au,Quantité,En stock,Catégories",
    "Chinese": "SKU,属性集,产品类型,名称,启用产品,可见性,价格,特价,特价结束日期,数量,有库存,分类",
}


@pytest.mark.parametrize("language", MAGENTO)
def test_magento_is_recognized_in_each_language(language: str) -> None:
    names = MAGENTO[language].split(",")
    values = ["P", "Default", "simple", "Pan", "1", "Catalog, Search", "20", "15", "1/31/20", "4"]
    values += ["1", "Default Category/Home,Default Category/Home/Pans"]
    row = dict(zip(names, values, strict=True))
    assert shape_of(names, PRODUCTS) is PRODUCTS["magento"]
    (made,) = read("magento", row)
    assert made.cells["category"] == ["Home", "Pans"]
    assert (made.cells["id"], made.cells["title"], made.cells["price"]) == ("P", "Pan", "20")
    assert made.cells["available"] == "true"
    (off,) = read("magento", row | {names[4]: "2"})
    assert off.cells["available"] == "false"


def magento(**more: object) -> dict[str, object]:
    row = {"sku": "p", "attribute_set_code": "Default", "product_type": "simple", "name": "Pan"}
    return row | {"price": "20", "visibility": "Catalog, Search", "qty": "4"} | more


@pytest.mark.parametrize(
    ("more", "available"),
    [
        ({}, "true"),
        ({"product_online": "2"}, "false"),
        ({"visibility": "Not Visible Individually"}, "false"),
        ({"visibility": "Search"}, "true"),
        ({"is_in_stock": "0"}, "false"),
        ({"qty": "0", "is_in_stock": "", "allow_backorders": "0"}, "false"),
        ({"qty": "0.0000", "is_in_stock": "1", "allow_backorders": "1"}, "backorder"),
        ({"qty": "0", "is_in_stock": "0", "manage_stock": "0"}, "true"),
        (
            {"qty": "0", "is_in_stock": "0", "manage_stock": "0", "use_config_manage_stock": "1"},
            "false",
        ),
        ({"qty": "0", "is_in_stock": "1", "product_type": "configurable"}, "true"),
    ],
)
def test_magento_says_what_can_be_bought(more: dict[str, object], available: str) -> None:
    assert read("magento", magento(**more))[0].cells["available"] == available


@pytest.mark.parametrize("more", [{"qty": "0"}, {"qty": "5"}, {"qty": ""}])
@pytest.mark.parametrize(
    ("yes", "no"),
    [
        ("1", "0"),
        ("Ja", "Nein"),
        ("Oui", "Non"),
        ("In Stock", "Out of Stock"),
        ("Auf Lager", "Nicht auf Lager"),
        ("En stock", "En rupture de stock"),
        ("有库存", "无库存"),
    ],
)
def test_labels_of_magento_say_what_can_be_bought(more: Made, yes: str, no: str) -> None:
    row = magento(allow_backorders="Nein", manage_stock="Ja", product_online="Aktiviert", **more)
    assert read("magento", row | {"is_in_stock": no})[0].cells["available"] == "false"
    assert read("magento", row | {"is_in_stock": yes})[0].cells["available"] == "true"
    assert read("magento", row | {"product_online": "Inaktiv"})[0].cells["available"] == "false"


@pytest.mark.parametrize(
    "name", ["is_in_stock", "product_online", "manage_stock", "allow_backorders"]
)
def test_a_row_of_magento_with_an_unknown_word_is_rejected(name: str) -> None:
    (row,) = read("magento", magento(**{"price": "", "qty": "0", name: "perhaps"}))
    error = row.error
    if error is None:
        with pytest.raises(SightlineError) as raised:
            products.product(row.cells, PhotoFolder(Path()), read=False)
        error = raised.value
    assert "perhaps" in str(error)
    (made,) = read("magento", magento(qty="0", allow_backorders="Allow Qty Below 0"))
    assert made.cells["available"] == "backorder"


@pytest.mark.parametrize(
    ("start", "end", "price"),
    [
        ("", "", "15"),
        ("1/1/20", "12/31/99", "15"),
        ("1/1/20", "", "15"),
        ("", "1/2/20", "20"),
        ("12/31/98", "", "20"),
        ("31/12/2098", "", "20"),
        ("2020-01-01 00:00:00", "2099-01-01", "15"),
        ("1/1/20, 12:00 AM", "", "15"),
    ],
)
def test_a_special_price_of_magento_counts_in_its_time(start: str, end: str, price: str) -> None:
    dates = {"special_price_from_date": start, "special_price_to_date": end}
    (made,) = read("magento", magento(special_price="15", **dates))
    assert made.error is None
    assert made.cells["price"] == price


def test_variants_of_magento_have_what_their_product_has() -> None:
    group = {"product_type": "configurable", "price": "0", "base_image": "/l/a/lamp.jpg"}
    group |= {
        "categories": "Root/Home",
        "additional_attributes": "manufacturer=Acme,use=a|b,c=d, e",
    }
    hidden = {"visibility": "Not Visible Individually"}
    lamp = magento(sku="L", configurable_variations="sku=L,S,size=S|sku=L-M,size=M", **group)
    rows = read(
        "magento",
        magento(sku="L,S", **hidden),
        lamp,
        magento(sku="L-M", additional_attributes="size=M", **hidden),
        magento(sku="L", store_view_code="de"),
    )
    assert [row.left_out for row in rows if row.left_out] == [STORE_VIEW]
    made = {str(row.cells["id"]): row.cells for row in rows if not row.left_out}
    assert "price" not in made["L"]
    assert made["L"]["attributes"] == {"manufacturer": "Acme", "use": ["a", "b"], "c": "d, e"}
    for variant in (made["L,S"], made["L-M"]):
        assert (variant["parent_id"], variant["brand"]) == ("L", "Acme")
        assert (variant["category"], variant["images"]) == (["Home"], ["l/a/lamp.jpg"])
        assert variant["available"] == "true"


SHOPWARE = {
    "English": "id,parent_id,product_number,active,stock,name,price_gross,manufacturer_name,"
    "categories,optionIds",
    "German": "ID,Übergeordnetes Produkt,Produktnummer,Aktiv,Lagerbestand,Produktname,"
    "Preis (brutto),Hersteller,Kategorien,Optionen",
    "French": "ID,Produit parent,Numéro de produit,Actif,Stock,Nom,Prix TTC,Fabricant,Catégories,"
    "Options",
    "Chinese": "ID,父产品,产品编号,启用,库存,名称,含税价格,制造商,分类,选项",
}


@pytest.mark.parametrize("language", SHOPWARE)
@pytest.mark.parametrize("order", [1, -1])
def test_shopware_is_recognized_in_each_language(language: str, order: int) -> None:
    names = SHOPWARE[language].split(",")
    assert shape_of(names, PRODUCTS) is PRODUCTS["shopware"]
    values = [
        [*("a", "", "L", "1", "0", "Lampe", "12,50", "Acme"), f"{'0a' * 16}|Haus > Licht", ""],
        ["b", "a", "L-S", "", "3", "", "", "", "", f"Größe: S|{'1b' * 16}"],
    ]
    rows = read("shopware", *(dict(zip(names, each, strict=True)) for each in values[::order]))
    made = {str(row.cells["id"]): row.cells for row in rows}
    assert (made["L"]["available"], made["L-S"]["available"]) == ("backorder", "true")
    assert made["L-S"]["attributes"] == {"groesse": "S"}
    for name, value in (("title", "Lampe"), ("price", "12,50"), ("brand", "Acme")):
        assert made["L-S"][name] == value
    assert (made["L-S"]["parent_id"], made["L-S"]["category"]) == ("L", "Haus > Licht")


@pytest.mark.parametrize(
    ("more", "available"),
    [
        ({"active": "0"}, "false"),
        ({"stock": "0", "is_closeout": "1"}, "false"),
        ({"stock": "0", "is_closeout": "0"}, "backorder"),
        ({"sales_channel": ""}, "false"),
        ({"sales_channel": "98432def39fc4624b33213a56b8c944d"}, "true"),
    ],
)
def test_shopware_says_what_can_be_bought(more: dict[str, object], available: str) -> None:
    row = {"product_number": "p", "name": "Pan", "active": "1", "stock": "4", "price_gross": "9"}
    assert read("shopware", row | more)[0].cells["available"] == available


def test_variants_of_shopware_5_name_their_main_variant() -> None:
    main = {"ordernumber": "L.1", "mainnumber": "L.1", "name": "Lampe", "price_EK": "12,50"}
    main |= {"supplier": "Acme", "categories": "5|Deutsch->Licht->Lampen", "active": "1"}
    other = {"ordernumber": "L.2", "mainnumber": "L.1", "price_EK": "13", "instock": "0"}
    other |= {"laststock": "1", "configuratorOptions": "Farbe:rot", "releasedate": "2020-01-01"}
    later = {"ordernumber": "N", "mainnumber": "N", "name": "N", "releasedate": "2099-01-01"}
    made = {str(row.cells["id"]): row.cells for row in read("shopware-5", other, main, later)}
    assert made["L.1"]["category"] == ["Deutsch", "Licht", "Lampen"]
    assert (made["L.2"]["parent_id"], made["L.1"]["parent_id"]) == ("L.1", "")
    assert (made["L.2"]["title"], made["L.2"]["brand"]) == ("Lampe", "Acme")
    assert (made["L.2"]["available"], made["N"]["available"]) == ("false", "false")
    assert made["L.2"]["attributes"] == {"farbe": "rot"}


def test_attributes_of_akeneo_are_found_by_their_names() -> None:
    row = {"sku": "L", "family": "lamps", "categories": "home,lights", "enabled": "1"}
    row |= {"name-de_DE": "Lampe", "name-en_US": "Lamp", "description-de_DE-print": "warm"}
    row |= {"price-EUR": "12.50", "price-USD": "14", "picture": "files/l.jpg", "parent": "lamp"}
    row |= {"colour": "red", "weight": "2", "weight-unit": "KILOGRAM", "X_SELL-products": "P"}
    (made,) = read("akeneo", row)
    assert made.cells["attributes"] == {
        **{"family": "lamps", "colour": "red", "weight": "2", "weight_unit": "KILOGRAM"}
    }
    assert {name: made.cells[name] for name in ("title", "description", "price", "currency")} == {
        **{"title": "Lampe", "description": "warm", "price": "12.50", "currency": "EUR"}
    }
    assert (made.cells["category"], made.cells["images"]) == ("home", ["files/l.jpg"])
    assert (made.cells["parent_id"], made.cells["available"]) == ("lamp", "1")
    (listed,) = read("akeneo", {"msrp-EUR": "15"} | row)
    assert listed.cells["price"] == "12.50"
    assert read("akeneo", row | {"enabled": "0"})[0].cells["available"] == "0"


def test_a_column_that_chinese_woocommerce_writes_twice_is_no_fault(tmp_path: Path) -> None:
    path = tmp_path / "export.csv"
    path.write_text("ID,类型,SKU,名称,常规售价,交叉销售,交叉销售\n1,simple,P,锅,9,2,3\n", "utf-8")
    reading = Reading(shape=PRODUCTS["woocommerce"])
    with closing(open_table(path, columns=(), needed=(), reading=reading)) as table:
        (row,) = table.rows()
    assert (row.cells["id"], row.error) == ("P", None)


def test_a_table_of_a_shop_is_no_export_of_shopware() -> None:
    assert shape_of(("artikelnummer", "bezeichnung", "bruttopreis", "bestand"), PRODUCTS) is None
    assert shape_of(("sku", "name", "price", "product_type"), PRODUCTS) is None
