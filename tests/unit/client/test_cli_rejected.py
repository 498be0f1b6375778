"""Rejected rows come back with the columns, the separator and the encoding of their file, and the
command that is printed reads them."""

import csv
import json
import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from sightline_client.cli.app import app
from tests.unit.client.command_line import flat


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)


def checked(*words: str) -> Result:
    return CliRunner().invoke(app, ["products", "import", *words, "--dry-run"])


def again(result: Result) -> Result:
    """Run the command that was printed."""
    (line,) = [line for line in result.stdout.splitlines() if ", then run: " in line]
    words = shlex.split(line.partition(", then run: ")[2])
    assert words[:3] == ["sightline", "products", "import"]
    return checked(*words[3:])


def rows(path: Path, separator: str = ",", encoding: str = "utf-8") -> list[dict[str, str]]:
    with path.open(encoding=encoding, newline="") as file:
        return list(csv.DictReader(file, delimiter=separator))


@pytest.mark.parametrize(
    ("encoding", "separator"),
    [("cp1252", ";"), ("gb18030", ","), ("shift_jis", "\t"), ("utf-16", ";"), ("utf-8-sig", ",")],
)
def test_rows_of_a_mapped_table_come_back_as_they_came(
    tmp_path: Path, encoding: str, separator: str
) -> None:
    path = tmp_path / "shop.csv"
    name = {"gb18030": "苹果", "shift_jis": "りんご"}.get(encoding, "Äpfel")
    lines = [("Nr", "Name", "Preis"), ("1", name, "2,50"), ("2", name, "abc"), ("3", "B", "1,00")]
    text = "".join(separator.join(f'"{cell}"' for cell in line) + "\n" for line in lines)
    path.write_text(text, encoding=encoding)
    said = ("--map", "nr=id", "--map", "name=title", "--map", "preis=price")
    options = () if encoding.startswith("utf") else ("--encoding", encoding)
    result = checked(str(path), *said, "--set", "currency=EUR", *options)
    kept = tmp_path / "shop.rejected.csv"
    (row,) = rows(kept, separator, encoding)
    assert {key: row[key] for key in ("Nr", "Name", "Preis", "_row")} == {
        **{"Nr": "2", "Name": name, "Preis": "abc", "_row": "2"}
    }
    assert "'abc' is not a number" in row["_problem"]
    marks = [each.read_bytes()[:2] for each in (path, kept)]
    assert [mark[:1] in (b"\xff", b"\xef") for mark in marks] == [encoding.startswith("utf")] * 2
    unchanged = again(result)
    assert unchanged.exit_code == 1
    assert "Row 1 (2): ROW_INVALID: price: 'abc' is not a number" in flat(unchanged.stderr)
    kept.write_text(kept.read_text(encoding=encoding).replace("abc", "3"), encoding=encoding)
    assert "1 product is valid" in again(result).stdout


def test_what_an_encoding_lacks_does_not_end_the_import(tmp_path: Path) -> None:
    path = tmp_path / "shop.csv"
    path.write_bytes("id;title;price\n1;Käse;\n2;Käse;…\n".encode("cp1252"))
    assert checked(str(path)).exit_code == 1
    assert "K\udce4se" in (tmp_path / "shop.rejected.csv").read_text(errors="surrogateescape")
    checked(str(path), "--encoding", "ascii")
    assert b"K\xe4se" in (tmp_path / "shop.rejected.csv").read_bytes()


def test_a_guess_is_not_needed_for_the_rejected_rows(tmp_path: Path) -> None:
    path = tmp_path / "shop.csv"
    path.write_text("Artikel Nr;Bezeichnung;Preis EUR\n1;A;2,50\n2;B;-1\n3;C;1,00\n")
    result = checked(str(path), "--map", "guess")
    assert "--map guess" not in result.stdout
    assert "Row 1 (2)" in flat(again(result).stderr)


def named(result: Result) -> list[str]:
    """Return the ids of rejected rows."""
    return re.findall(r"\d \((.*?)\)", flat(result.stderr))


SHOPIFY = (
    "Handle,Title,Option1 Name,Option1 Value,Variant Price,Image Src\n"
    "hat,Hat,Size,S,20,\nhat,,,M,dear,\nhat,,,,,https://e.com/hat.jpg\nmug,Mug,,,9,\n"
)
WOOCOMMERCE = (
    "ID,Type,SKU,Name,Regular price,Categories,Parent\n"
    "1,variable,l,Lamp,,Home,\n2,variation,l-s,Lamp S,dear,,id:1\n3,simple,p,Pan,9,Home,\n"
    "4,variation,l-m,Lamp M,dear,,id:1\n"
)


@pytest.mark.parametrize(
    ("text", "column", "kept"),
    [(SHOPIFY, "Handle", ["hat", "hat", "hat"]), (WOOCOMMERCE, "SKU", ["l", "l-s", "l-m"])],
)
def test_rows_of_an_export_come_back_with_what_they_inherit_from(
    tmp_path: Path, text: str, column: str, kept: list[str]
) -> None:
    path = tmp_path / "export.csv"
    path.write_text(text)
    result = checked(str(path), "--set", "currency=EUR")
    found = rows(tmp_path / "export.rejected.csv")
    assert [row[column] for row in found] == kept
    wrong = [bool(row["_problem"]) for row in found]
    assert wrong == [
        "dear" in (row.get("Variant Price"), row.get("Regular price")) for row in found
    ]
    ids = named(result)
    path = tmp_path / "export.rejected.csv"
    assert named(again(result)) == ids
    path.write_text(path.read_text().replace("dear", "7"))
    assert f"{len({*kept}) if column == 'SKU' else 2} products are valid" in again(result).stdout


def test_lines_of_json_come_back_with_their_keys(tmp_path: Path) -> None:
    path = tmp_path / "shop.jsonl"
    items = [{"nr": n, "names": {"de": f"N{n}"}, "preis": price} for n, price in ((1, 2), (2, "x"))]
    path.write_text("".join(json.dumps(item) + "\n" for item in items))
    said = ("--map", "nr=id", "--map", "names.de=title", "--map", "preis=price")
    result = checked(str(path), *said, "--set", "currency=EUR")
    (line,) = (tmp_path / "shop.rejected.jsonl").read_text().splitlines()
    row = json.loads(line)
    assert (row["nr"], row["names"], row["preis"], row["_row"]) == (2, {"de": "N2"}, "x", 2)
    assert "Row 1 (2)" in flat(again(result).stderr)


def test_a_repeated_id_of_an_export_stays_rejected(tmp_path: Path) -> None:
    path = tmp_path / "export.csv"
    head = "ID,Type,SKU,Name,Regular price\n"
    path.write_text(f"{head}1,simple,p,Pan,9\n2,simple,p,Pot,9\n")
    result = checked(str(path), "--set", "currency=EUR")
    assert "ID_TWICE" in result.stderr
    unchanged = again(result)
    assert unchanged.exit_code == 1
    assert "ID_TWICE" in unchanged.stderr
