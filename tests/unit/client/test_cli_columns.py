"""The command line reads tables with other column names, and stores their mappings."""

import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sightline.common.v1 import product_pb2
from sightline_client.cli.app import app
from sightline_client.files import products

ROOT = Path(__file__).parents[3]
EXPORTS = ROOT / "examples" / "exports"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    return tmp_path / "home"


def looked(*words: str, kind: str = "products") -> tuple[int, str]:
    result = CliRunner().invoke(app, [kind, "import", *words, "--dry-run"])
    return result.exit_code, " ".join((result.output + result.stderr).split())


def shop(folder: Path) -> str:
    path = folder / "shop.csv"
    path.write_text("Nr,Name,Price_EUR\n1,A,12.50\n2,B,3\n")
    return str(path)


def test_a_refused_file_is_proposed_a_map_that_is_then_remembered(tmp_path: Path) -> None:
    code, said = looked(str(ROOT / "examples/wines/wines.csv"))
    assert code == 1
    assert "--map guess: column wineid looks like id, column winename looks like title" in said
    code, said = looked(str(ROOT / "examples/wines/wines.csv"), "--map", "guess")
    assert code == 0
    assert "100 products are valid" in said
    code, said = looked(str(ROOT / "examples/wines/wines.csv"))
    assert code == 0
    assert "Columns as in the last run: wineid=id" in said
    code, said = looked(str(ROOT / "examples/wines/wines.csv"), "--map", "none")
    assert code == 1


def test_a_guess_is_printed_as_a_command_that_does_the_same(tmp_path: Path) -> None:
    path = tmp_path / "shop.csv"
    path.write_text("Artikel Nr;Bezeichnung;Preis;Foto\n1;Stuhl;12,50;a.jpg\n2;Tisch;3,00;b.jpg\n")
    (tmp_path / "photos").mkdir()
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / "photos" / name).write_bytes(b"x")
    own = ("--images", str(tmp_path / "photos"), "--catalog", "a", "--set", "currency=EUR")
    result = CliRunner().invoke(
        app, ["products", "import", str(path), "--map", "guess", *own, "--token", "t", "--dry-run"]
    )
    assert result.exit_code == 0, result.output
    (command,) = [line for line in result.stderr.splitlines() if line.startswith("sightline ")]
    words = shlex.split(command)
    assert words[:4] == ["sightline", "products", "import", str(path)]
    assert words[4:6] == ["--map", "artikel nr=id"]
    assert "t" not in words, "a secret"
    code, said = looked(*words[3:], "--map", "none")
    assert code == 0, said
    assert "2 products are valid" in said


def test_a_guess_can_be_corrected_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "shop.csv"
    path.write_text("Nr,Artikelnummer,Name\n1,K-1,Chair\n2,K-2,Table\n")
    code, said = looked(str(path), "--map", "guess", "--map", "Artikelnummer=id", "--map", "Nr=")
    assert code == 0, said
    assert "column artikelnummer looks like id" in said
    assert "column nr is left out" in said
    code, said = looked(str(path), "--map", "guess", "--map", "Artikelnumer=id")
    assert code == 1
    assert "--map artikelnumer names no column of shop.csv" in said
    assert "its columns are nr, artikelnummer, name" in said


def test_a_guess_with_a_choice_imports_nothing(tmp_path: Path) -> None:
    path = tmp_path / "shop.csv"
    path.write_text("Sku;Name;Preis (netto);Preis (brutto)\nA;Chair;9,00;10,71\n")
    guess = (str(path), "--map", "guess", "--set", "currency=EUR")
    code, said = looked(*guess)
    assert code == 1
    assert "column name looks like title" in said
    assert "a guess can't tell which column is price: 'preis (netto)' or 'preis (brutto)'" in said
    assert "products are valid" not in said
    code, said = looked(*guess, "--map", "Preis (brutto)=price")
    assert code == 0, said


def test_a_map_that_mostly_failed_is_not_remembered(tmp_path: Path) -> None:
    path = tmp_path / "shop.csv"
    path.write_text("Nr,Name,Preis\n1,A,\n2,B,1 EUR\n3,C,cheap\n4,D,dear\n5,E,free\n")
    pairs = ("--map", "nr=id", "--map", "name=title", "--map", "preis=price")
    code, said = looked(str(path), *pairs)
    assert code == 1
    assert "2 products are valid" in said
    assert "as in the last run" not in looked(str(path))[1]


def test_a_map_is_said_column_by_column(tmp_path: Path) -> None:
    file = shop(tmp_path)
    code, said = looked(file, "--map", "Nr=id", "--map", "Name=title", "--map", "price_eur=price")
    assert code == 1
    assert "price 12.50 needs a currency" in said
    pairs = ("--map", "nr=id", "--map", "name=title", "--map", "price_eur=price")
    code, said = looked(file, *pairs, "--set", "currency=EUR")
    assert code == 0
    assert "2 products are valid" in said


def test_a_constant_of_a_column_that_the_file_lacks_is_refused(tmp_path: Path) -> None:
    file = shop(tmp_path)
    pairs = ("--map", "nr=id", "--map", "name=title", "--map", "price_eur=price")
    code, said = looked(file, *pairs, "--set", "currency=EUR", "--set", "images={NAME}.jpg")
    assert code == 1
    assert "--set images={NAME}.jpg names the column 'NAME', which shop.csv does not" in said
    assert "Fix: its columns are id, title, price" in said


@pytest.mark.slow
def test_a_constant_may_speak_of_one_that_was_set_before(tmp_path: Path) -> None:
    file = tmp_path / "clicks.jsonl"
    file.write_text('{"product_id": "a", "user_id": "u"}\n')
    constants = ("--set", "type=VIEW", "--set", "event_id={type}-{user_id}-{product_id}")
    result = CliRunner().invoke(
        app, ["events", "import", str(file), "--target", "127.0.0.1:1", *constants]
    )
    assert "speaks of" not in result.stderr
    wrong = ("--set", "event_id={NAME}", "--set", "type=VIEW")
    result = CliRunner().invoke(
        app, ["events", "import", str(file), "--target", "127.0.0.1:1", *wrong]
    )
    said = " ".join(result.stderr.split())
    assert result.exit_code == 1
    assert "--set event_id={NAME} names the column 'NAME', which clicks.jsonl does not" in said
    assert "its columns are event_id, type, product_id" in said


def test_a_constant_may_be_json(tmp_path: Path) -> None:
    file = tmp_path / "shop.csv"
    file.write_text("id,title\n1,A\n")
    assert looked(str(file), "--set", 'attributes={"country": "Italy"}')[0] == 0


@pytest.mark.parametrize(
    ("name", "words", "count"),
    [
        ("shopify.csv", "Shopify", 5),
        ("woocommerce.csv", "WooCommerce", 4),
        ("woocommerce-de.csv", "WooCommerce", 4),
        ("magento.csv", "Magento", 5),
        ("shopware.csv", "Shopware 6", 4),
        ("akeneo.csv", "Akeneo", 2),
        ("google-retail.jsonl", "Google's Retail API", 2),
        ("merchant-feed.tsv", "Google's Merchant Center", 2),
    ],
)
def test_exports_are_known_by_their_columns(name: str, words: str, count: int) -> None:
    code, said = looked(str(EXPORTS / name), "--set", "currency=EUR")
    assert code == 0, said
    assert f"Read as an export of {words}" in said
    assert f"{count} products are valid" in said


def test_what_is_remembered_of_one_file_is_nothing_to_another(tmp_path: Path) -> None:
    pairs = ("--map", "nr=id", "--map", "name=title", "--map", "price_eur=price")
    assert looked(shop(tmp_path), *pairs, "--set", "currency=EUR")[0] == 0
    other = tmp_path / "other.csv"
    other.write_text("id,title\n1,A\n")
    code, said = looked(str(other))
    assert code == 0, said
    other.write_text("id,titel\n1,A\n")
    code, said = looked(str(other))
    assert code == 1
    assert "did you mean 'title'?" in said


def test_a_shape_that_nobody_knows_is_refused_with_those_that_are_known() -> None:
    code, said = looked(str(EXPORTS / "shopify.csv"), "--shape", "prestashop")
    assert code == 1
    assert "known shapes: shopify, woocommerce, magento, shopware, shopware-5, akeneo," in said


def test_a_file_of_ours_is_read_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "own.csv"
    path.write_text("id,title,sku,regular price\n1,A,x,3\n")
    code, said = looked(str(path), "--ignore", "sku", "--ignore", "regular price")
    assert code == 0
    assert "export" not in said


def test_pages_are_read_by_folder_or_by_sitemap(tmp_path: Path) -> None:
    code, said = looked("--pages", str(EXPORTS / "pages"))
    assert code == 0, said
    assert "4 products are valid" in said
    assert "1 page describes no product." in said
    sitemap = str(EXPORTS / "pages" / "sitemap.xml")
    assert "3 products are valid" in looked(sitemap, "--pages", str(EXPORTS / "pages"))[1]
    code, said = looked(sitemap)
    assert code == 1
    assert "Fix: save the pages, and name their folder with --pages" in said
    code, said = looked("--pages", str(EXPORTS), "--folder", str(EXPORTS))
    assert code == 2
    assert "give one of FILE, --folder and --pages" in said


def test_a_hostile_feed_is_refused_with_its_reason_and_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "feed.xml"
    path.write_text('<!DOCTYPE rss [<!ENTITY a "b">]><rss><item/></rss>')
    code, said = looked(str(path))
    assert code == 1
    assert "FILE_REFUSED: feed.xml declares a document type" in said
    assert "Fix: remove the declaration" in said


def test_a_bad_item_of_a_feed_is_named_and_kept_apart(tmp_path: Path) -> None:
    path = tmp_path / "feed.xml"
    path.write_text((EXPORTS / "merchant-wines.xml").read_text("utf-8"), "utf-8")
    code, said = looked(str(path))
    assert code == 1
    assert "3 products are valid" in said
    assert "Row 3, line 21: ROW_INVALID: item broken: is not well-formed in line 23" in said
    assert '"_place": "line 21"' in (tmp_path / "feed.rejected.jsonl").read_text("utf-8")
    again, said = looked(str(tmp_path / "feed.rejected.jsonl"))
    assert again == 1, "an unchanged row is rejected again"


def test_a_failed_guess_is_not_remembered(tmp_path: Path) -> None:
    path = tmp_path / "shop.csv"
    path.write_text("Sku,Name,Preis\n1,A,12.50\n")
    pairs = ("--map", "sku=id", "--map", "name=title", "--map", "preis=price")
    assert looked(str(path), *pairs)[0] == 1, "a price needs a currency"
    _, said = looked(str(path))
    assert "as in the last run" not in said
    assert "has no header" in said


def test_what_is_set_for_one_catalog_is_not_applied_to_another(tmp_path: Path) -> None:
    path = tmp_path / "shop.csv"
    path.write_text("Sku,Name,Preis\n1,A,12.50\n")
    pairs = ("--map", "sku=id", "--map", "name=title", "--map", "preis=price")
    first = (str(path), "--catalog", "a")
    assert looked(*first, *pairs, "--set", "currency=EUR")[0] == 0
    code, said = looked(*first)
    assert code == 0
    assert "preis=price, --set currency=EUR" in said
    code, said = looked(str(path), "--catalog", "b")
    assert code == 1
    assert (
        "which was for another catalog: --map sku=id --map name=title --map preis=price"
        " --set currency=EUR" in said
    )
    assert "has no header" in said
    assert looked(str(path), "--catalog", "b", *pairs, "--set", "currency=CAD")[0] == 0
    for catalog, currency in (("a", "EUR"), ("b", "CAD")):
        code, said = looked(str(path), "--catalog", catalog)
        assert code == 0
        assert f"--set currency={currency}" in said


def test_a_second_run_means_the_same_as_the_first(tmp_path: Path) -> None:
    path = tmp_path / "shop.csv"
    text = "Sku;Name;Preis;Gewicht;Status\n1;A;1.299;1,5;bald da\n"
    path.write_bytes(text.replace("A;", "Größe;").encode("mac_roman"))
    said = ("Sku=id", "Name=title", "Preis=price", "Gewicht=attributes.gewicht")
    said = (*said, "Status=available")
    options = [word for pair in said for word in ("--map", pair)]
    options += ["--set", "currency=EUR", "--value", "Status:bald da=PREORDER", "--decimal", ","]
    options += ["--time-zone", "Europe/Berlin", "--date-order", "dmy", "--encoding", "mac_roman"]
    code, printed = looked(str(path), *options)
    assert code == 0, printed
    code, printed = looked(str(path))
    assert code == 0, printed
    for option in ("--value 'Status:bald da=PREORDER'", "--decimal ,", "--date-order dmy"):
        assert option in printed
    for option in ("--time-zone Europe/Berlin", "--encoding mac_roman"):
        assert option in printed


def test_what_a_column_was_is_remembered_for_files_that_do_not_show_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "shop.csv"
    path.write_text("sku;name;preis;model\n1;A;1.299,00;X5\n2;B;2.500;911\n")
    pairs = ("sku=id", "name=title", "preis=price", "model=attributes.model")
    options = [word for pair in pairs for word in ("--map", pair)]
    assert looked(str(path), *options, "--set", "currency=EUR")[0] == 0
    path.write_text("sku;name;preis;model\n2;B;2.500;911\n")
    made: list[product_pb2.Product] = []
    read = products.product
    monkeypatch.setattr(
        products,
        "product",
        lambda *given, **more: made.append(read(*given, **more)) or made[-1],  # type: ignore[func-returns-value]
    )
    code, said = looked(str(path))
    assert code == 0, said
    assert "--form price=, , --form attributes.model=text" in said.replace("=,,", "=, ,")
    assert (made[0].price.units, made[0].attributes[0].text) == (2500, "911")


def test_what_an_import_leaves_out_and_does_not_know_is_said(tmp_path: Path) -> None:
    path = tmp_path / "theirs.csv"
    header = "Handle,Title,Variant Price,Variant SKU,Sold Until,Option1 Value"
    path.write_text(f"{header}\nhat,Hat,9,h,2020-01-01,\n")
    code, said = looked(str(path), "--set", "currency=EUR")
    assert code == 0
    assert "documentation does not name them: sold until." in said


def test_the_decimal_sign_of_a_file_can_be_said(tmp_path: Path) -> None:
    path = tmp_path / "shop.csv"
    path.write_text("id;title;price;currency\n1;A;1.299;EUR\n2;B;2.500;EUR\n")
    code, said = looked(str(path))
    assert code == 1
    assert "'1.299' may be 1.299 or 1299: say which with --decimal . or --decimal ," in said
    code, said = looked(str(path), "--decimal", ",")
    assert code == 0
    assert "2 products are valid" in said
    code, said = looked(str(path), "--decimal", ";")
    assert code == 2
    assert "; is not . or ," in said
    path.write_text("id;title;price;currency\n1;A;1.299,00;EUR\n2;B;2,5;EUR\n")
    code, said = looked(str(path))
    assert code == 0
    assert "2 products are valid" in said


def test_words_of_a_shop_are_said_and_those_that_never_occur_are_named(tmp_path: Path) -> None:
    path = tmp_path / "shop.csv"
    path.write_text("Nr;Name;Status\n1;A;bald da\n2;B;auf Lager\n", encoding="utf-8")
    pairs = ("--map", "nr=id", "--map", "name=title", "--map", "status=available")
    code, said = looked(str(path), *pairs)
    assert code == 1
    assert "say what it means, such as --value 'available:bald da=BACKORDER'" in said
    words = ("--value", "Status:bald da=PREORDER", "--value", "Status:fort=OUT_OF_STOCK")
    code, said = looked(str(path), *pairs, *words)
    assert code == 0
    assert (
        "No row has the value of --value Status:fort=OUT_OF_STOCK: the column has 'bald da',"
        " 'auf Lager'." in said
    )
    assert "--value Status:bald da" not in said
    code, said = looked(str(path), *pairs, "--value", "Farbe:rot=red")
    assert code == 1
    assert "names the column 'farbe'" in said


@pytest.mark.parametrize(
    ("option", "said"),
    [
        (("--time-zone", "Mitte/Erde"), "'Mitte/Erde' is not a known time zone"),
        (("--date-order", "ymd"), "ymd is not dmy or mdy"),
        (("--value", "IN_STOCK"), "--value IN_STOCK says nothing"),
        (("--value", "name:A=1", "--value", "name:a=0"), "say two things of one value"),
    ],
)
def test_an_option_of_values_that_says_nothing_is_refused(
    option: tuple[str, str], said: str, tmp_path: Path
) -> None:
    code, printed = looked(shop(tmp_path), *option)
    assert code != 0
    assert said in printed


def test_several_currencies_are_said(tmp_path: Path) -> None:
    path = tmp_path / "shop.csv"
    path.write_text("id,title,price,currency\n1,A,5,EUR\n2,B,6 USD,\n3,C,7,\n")
    code, said = looked(str(path), "--set", "currency=EUR")
    assert code == 1
    assert "Amounts are in EUR, USD: each row keeps its own" in said
    path.write_text("id,title,price,currency\n1,A,5,EUR\n")
    assert "Amounts are" not in looked(str(path))[1]
