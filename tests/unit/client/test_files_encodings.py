"""The encoding of a file is found by its bytes, or named as undecided."""

import json
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from sightline_client.cli.app import app
from sightline_client.files import encodings
from sightline_client.files.delimited import Delimited
from sightline_client.files.lines import JsonLines
from sightline_client.files.model import FileRefused

TEXTS = {
    "german": "Artikelnummer;Größe\n1;Äpfel aus Österreich, süß für 3 €\n2;Müsli „groß“ 1 m²\n",
    "one letter": "id;title\n1;Größe\n",
    "old german": "id;title\n1;Käse für Öl\n2;Müsli\n",
    "one kanji": "id;title\n1;A鮭\n",
    "french": "id;titre\n1;Crème brûlée à l’ancienne\n2;Œufs frais, n° 5 – « bio »\n",
    "spanish": "id;título\n1;Jamón ibérico ¡Oferta!\n2;Piña 1ª calidad\n",
    "italian": "id;nome\n1;Caffè perché più buono è così\n",
    "chinese": "商品编号,名称,价格\n1,有机橄榄油（特级）,￥12.50\n2,葡萄酒，红,9\n",
    "japanese": "商品番号,商品名,価格\n1,りんごジュース（１Ｌ）,120円\n2,牛乳,200\n",
    "english": "id,title\n1,Pan\n",
    "russian": "id;название\n1;Молоко свежее\n",
    "polish": "id;nazwa\n1;Książka żółta, łóżko\n",
    "korean": "id,이름\n1,사과 주스 한국\n2,우유\n",
    "turkish": "id;ad\n1;Şişe güneş ığdır\n",
    "dos": "sku;name\n1;Türstopper grün\n2;Spülbürste\n3;Kühltasche\n4;Löffel\n5;Bügeleisen\n"
    "6;Höhenverstellbarer Stuhl\n7;Schüssel rot\n8;Küchenmesser\n",
    "mac": "sku;nom\n1;Crème brûlée\n2;Théière émaillée\n",
    "traditional": "編號,名稱\n1,有機蘋果汁\n2,牛奶\n",
    "hungarian": "id;név\n1;Bőrönd\n2;Fűnyíró\n3;Tükör és szék\n4;Körömvágó olló\n",
    "hungarian word": "id;név\n1;fűtés\n",
    "slovene": "id;ime\n1;Čaj in čokolada\n2;Čevlji\n3;Rdeči čaj\n",
    "romanian": "id;nume\n1;Pâine cu brânză\n2;Făină albă\n",
    "portuguese": "id;nome\n1;Pão de maçã\n2;Limões, três\n3;Coração\n",
    "sharp": "id;name\n1;Straße\n2;Fuß und Spaß, groß\n3;Gießkanne\n4;weiße Soße\n",
    "sharp ends": "id;name\n1;Fuß\n2;Spaß\n",
    "spanish ends": "id;nombre\n1;Sofá\n2;Está maracujá\n",
    "dishes": "id;nom\n1;Crêpe au goût sûr, août\n2;Flûte à bec\n",
    "quotes": "id;title\n1;A “Quote” of the cook’s pan… – 5 €\n",
    "spanish fruit": "id;nombre\n1;Diálogo más rápido\n2;Plátano, página\n",
}
FOUND = [
    *((name, "cp1252") for name in ("german", "one letter", "french", "spanish", "italian")),
    *(
        (name, "cp1252")
        for name in (
            "portuguese",
            "sharp",
            "sharp ends",
            "spanish ends",
            "dishes",
            "quotes",
            "spanish fruit",
        )
    ),
    *(("chinese", "gb18030"), ("japanese", "cp932")),
    *(
        (name, encoding)
        for name in TEXTS
        for encoding in ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be")
    ),
]
UNDECIDED = [
    *(("dos", "cp850"), ("mac", "mac_roman"), ("dos", "mac_roman"), ("mac", "cp850")),
    *(
        ("one letter", "mac_roman"),
        ("one letter", "cp850"),
        ("russian", "cp1251"),
        ("polish", "cp1250"),
    ),
    *((name, "cp1250") for name in ("hungarian", "hungarian word", "slovene", "romanian")),
    *(
        (name, "cp850")
        for name in ("sharp", "sharp ends", "old german", "spanish", "spanish fruit")
    ),
    *(("korean", "cp949"), ("turkish", "cp1254"), ("traditional", "big5"), ("japanese", "euc_jp")),
]


@pytest.mark.parametrize(("name", "encoding"), FOUND)
def test_an_encoding_is_found(name: str, encoding: str, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(TEXTS[name].encode(encoding))
    found = encodings.found(path)
    assert found.decided
    read = path.read_text(encoding=found.name).removeprefix("\ufeff")
    assert read == TEXTS[name]
    with closing(Delimited(path, ["id"])) as table:
        assert next(table.rows()).error is None


@pytest.mark.parametrize(("name", "encoding"), UNDECIDED)
def test_an_encoding_that_bytes_do_not_show_is_not_guessed(
    name: str, encoding: str, tmp_path: Path
) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(TEXTS[name].encode(encoding))
    assert not encodings.found(path).decided


@given(
    words=st.lists(
        st.sampled_from(
            ["für", "Öl", "groß", "Käse", "süß", "Äpfel", "Jamón", "crème", "piña", "così"]
        )
    )
)
def test_western_words_in_any_number_are_never_another_language(
    words: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("words") / "a.csv"
    path.write_bytes(f"id;title\n1;{' '.join(words)}\n".encode("cp1252"))
    assert encodings.found(path).name == ("cp1252" if words else encodings.UTF_8)


def test_a_file_of_utf_8_with_a_broken_line_stays_utf_8(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes("id;title\n1;Öl für Käse\n".encode() + b"2;K\xe4se\n")
    assert encodings.found(path) == encodings.TextEncoding(encodings.UTF_8)


def test_nul_characters_of_one_cell_do_not_make_a_file_utf_16(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes("id,title\n1,Crème\n2,ab\0c\n3,ok\n".encode())
    assert encodings.found(path) == encodings.TextEncoding(encodings.UTF_8)


def test_a_file_without_line_ends_is_read_in_parts(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes("有机橄榄油,".encode("gb18030") * 200_001)
    assert encodings.found(path).name == "gb18030"
    with pytest.raises(FileRefused, match="the first line names 200,001 columns, 20,000 at most"):
        Delimited(path, ["id"])


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "gb18030"])
def test_lines_of_json_are_read_in_the_encoding_of_their_bytes(
    encoding: str, tmp_path: Path
) -> None:
    path = tmp_path / "a.jsonl"
    rows = [{"id": "1", "title": "有机橄榄油"}, {"id": "2", "title": "葡萄酒"}]
    text = "\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    path.write_bytes(text.encode(encoding))
    with closing(JsonLines(path)) as table:
        assert [row.cells for row in table.rows()] == rows


@pytest.mark.parametrize("named", ["utf-8", "UTF8", "utf-16-le", "utf-16-be", "gb18030"])
@pytest.mark.parametrize("end", ["csv", "jsonl"])
def test_a_byte_order_mark_of_a_named_encoding_is_no_part_of_a_name(
    end: str, named: str, tmp_path: Path
) -> None:
    path = tmp_path / f"a.{end}"
    text = "id,title\n1,A\n" if end == "csv" else '{"id": "1", "title": "A"}\n'
    path.write_bytes(f"\ufeff{text}".encode(named))
    opened = Delimited(path, ["id"], named) if end == "csv" else JsonLines(path, encoding=named)
    with closing(opened):
        assert [row.cells for row in opened.rows()] == [{"id": "1", "title": "A"}]


def imported(path: Path, *options: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["products", "import", str(path), "--dry-run", *options])
    return result.exit_code, " ".join((result.output + result.stderr).split())


def test_what_is_found_is_said_and_what_is_not_names_the_option(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes("id;title\n1;Größe\n2;für Käse\n".encode("cp1252"))
    code, said = imported(path)
    assert code == 0
    assert "a.csv is read as cp1252, with ; between the cells" in said
    path.write_bytes("id,title\n1,Größe\n".encode("cp1252"))
    assert "is read as cp1252." in imported(path)[1]
    assert "is read as" not in imported(path, "--encoding", "cp1252")[1]
    path.write_bytes("id,title\n1,Groesse\n".encode("cp1252"))
    assert "is read as" not in imported(path)[1]
    path.write_bytes("id,title\n1,Größe\n2,Pan\n".encode("mac_roman"))
    code, said = imported(path)
    assert code == 1
    assert "1 product is valid" in said
    assert "--encoding" in said
