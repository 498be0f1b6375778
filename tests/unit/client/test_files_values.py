"""Words, times and types of a column mean the same by every way in, or their rows are rejected."""

import csv
import json
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from google.protobuf.message import Message
from hypothesis import given
from hypothesis import strategies as st

from sightline.common.v1 import event_pb2, product_pb2
from sightline_client.errors import SightlineError
from sightline_client.files import choices, events, notation, products
from sightline_client.files.forms import Formed
from sightline_client.files.mapping import column_map
from sightline_client.files.model import FileRefused
from sightline_client.files.opening import Reading, open_table
from sightline_client.files.photos import PhotoFolder
from sightline_client.files.shapes import PRODUCTS

WAYS = ("own", "mapped", "shop", "json lines", "feed", "page")
BERLIN = ZoneInfo("Europe/Berlin")
Columns = dict[str, list[str]]


def outcomes(path: Path, reading: Reading, *, of: type[Message]) -> list[Message | str]:
    kind = products if of is product_pb2.Product else events
    found: list[Message | str] = []
    table = open_table(path, columns=kind.COLUMNS, needed=kind.NEEDED, reading=reading)
    with closing(table):
        for row in table.rows():
            try:
                if row.error is not None:
                    raise row.error
                made = events.event(row.cells) if kind is events else _product(row.cells)
                found.append(made)
            except SightlineError as error:
                found.append(str(error))
    return found


def _product(cells: object) -> product_pb2.Product:
    return products.product(cells, PhotoFolder(Path()), read=False)  # type: ignore[arg-type]


def table(path: Path, columns: Columns) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter=";")
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))
    return path


def stocked(way: str, words: list[str], folder: Path, *values: str) -> list[Message | str]:
    """Import products that can be bought as these words say."""
    said = notation.value_words(values)
    ids = [f"p{number}" for number, _ in enumerate(words)]
    titles = ["T"] * len(ids)
    shape = None
    by = column_map((), (), products.COLUMNS)
    match way:
        case "own":
            path = table(folder / "a.csv", {"id": ids, "title": titles, "available": words})
        case "mapped":
            path = table(folder / "a.csv", {"Nr": ids, "Name": titles, "Status": words})
            by = column_map(("nr=id", "name=title", "status=available"), (), products.COLUMNS)
        case "shop":
            path = table(
                folder / "a.csv",
                {"SKU": ids, "Name": titles, "Regular price": titles, "In stock?": words},
            )
            path = table(
                path,
                {"sku": ids, "name": titles, "regular price": [""] * len(ids)}
                | {"in stock?": words},
            )
            shape = PRODUCTS["woocommerce"]
        case "json lines":
            path = folder / "a.jsonl"
            rows = [
                {"id": i, "title": "T", "available": word}
                for i, word in zip(ids, words, strict=True)
            ]
            path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
        case "feed":
            path = folder / "a.xml"
            items = "".join(
                f"<item><g:id>{i}</g:id><g:title>T</g:title>"
                f"<g:availability>{word}</g:availability></item>"
                for i, word in zip(ids, words, strict=True)
            )
            path.write_text(f"<rss><channel>{items}</channel></rss>", encoding="utf-8")
            shape = PRODUCTS["google-merchant"]
        case _:
            path = folder / "a.html"
            nodes = [
                {"@type": "Product", "sku": i, "name": "T", "offers": {"availability": word}}
                for i, word in zip(ids, words, strict=True)
            ]
            script = json.dumps({"@graph": nodes}, ensure_ascii=False)
            path.write_text(
                f'<meta charset="utf-8"><script type="application/ld+json">{script}</script>',
                encoding="utf-8",
            )
            shape = PRODUCTS["schema-org"]
    return outcomes(path, Reading(map=by, shape=shape, values=said), of=product_pb2.Product)


def states(found: list[Message | str]) -> list[str]:
    names = product_pb2.Availability.Name
    return [
        each if isinstance(each, str) else names(each.availability).removeprefix("AVAILABILITY_")  # type: ignore[attr-defined]
        for each in found
    ]


@pytest.mark.parametrize("text", ["-1", ".1", "!1", "①", "1²", "-yes", "−1", "+1", "(1)", "1-"])
def test_what_changes_a_meaning_is_not_dropped_from_a_word(text: str) -> None:
    assert choices.answer(text) is None
    assert choices.availability(text) is None


@pytest.mark.parametrize("text", ["In_Stock", "in-stock", " in  stock.", "IN - STOCK", "In Stock!"])
def test_spellings_of_a_word_are_equal(text: str) -> None:
    assert choices.availability(text) == product_pb2.AVAILABILITY_IN_STOCK


@pytest.mark.parametrize("way", WAYS)
def test_words_of_seven_languages_say_what_can_be_bought(way: str, tmp_path: Path) -> None:
    yes = ["Auf Lager", "en stock", "disponible", "disponibile", "有货", "在庫あり", "in stock"]
    no = ["ausverkauft", "Épuisé", "agotado", "esaurito", "缺货", "在庫切れ", "sold out"]
    later = ["vorbestellbar", "précommande", "preventa", "preordine", "预售", "予約", "preorder"]
    found = states(stocked(way, [*yes, *no, *later], tmp_path))
    assert found == ["IN_STOCK"] * 7 + ["OUT_OF_STOCK"] * 7 + ["PREORDER"] * 7


@pytest.mark.parametrize("way", WAYS)
def test_a_word_is_what_the_user_says_or_rejected(way: str, tmp_path: Path) -> None:
    (refused,) = states(stocked(way, ["kommt bald"], tmp_path))
    assert "--value 'available:kommt bald=BACKORDER'" in refused
    said = "available:Kommt  bald=PREORDER"
    assert states(stocked(way, ["kommt bald", "auf Lager"], tmp_path, said)) == [
        "PREORDER",
        "IN_STOCK",
    ]


def test_a_word_is_said_of_the_files_own_column(tmp_path: Path) -> None:
    words = ["auf Lager", "weg"]
    said = ("Status:auf Lager=OUT_OF_STOCK", "Status:weg=BACKORDER")
    assert states(stocked("mapped", words, tmp_path, *said)) == ["OUT_OF_STOCK", "BACKORDER"]
    with pytest.raises(FileRefused, match="names the column 'farbe'"):
        stocked("mapped", words, tmp_path, "Farbe:rot=red")
    for wrong in ("Status=IN_STOCK", "Status:=IN_STOCK", "auf Lager"):
        with pytest.raises(FileRefused, match="says nothing"):
            notation.value_words([wrong])


@pytest.mark.parametrize("name", ["value", "note"])
@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_a_word_is_replaced_once_whatever_its_column_is_called(
    name: str, suffix: str, tmp_path: Path
) -> None:
    """Grades of a country are turned round, so that each meaning is another value."""
    grades = [1, 2, 3, 4, 5]
    own = {"type": "RATING", "user_id": "u", "product_id": "p"}
    rows = [{**own, name: str(grade)} for grade in grades]
    path = tmp_path / f"a{suffix}"
    if suffix == ".csv":
        table(path, {key: [row[key] for row in rows] for key in rows[0]})
    else:
        path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    reading = Reading(
        map=column_map(() if name == "value" else ("note=value",), (), events.COLUMNS),
        values=notation.value_words([f"{name}:{grade}={6 - grade}" for grade in grades]),
    )
    found = outcomes(path, reading, of=event_pb2.Event)
    assert [getattr(each, "value", each) for each in found] == [5, 4, 3, 2, 1]


def test_an_import_that_is_read_in_another_way_is_another_import(tmp_path: Path) -> None:
    """By `how`, an import that was interrupted goes on, or begins again."""
    path = table(tmp_path / "a.csv", {"id": ["1"], "title": ["T"], "available": ["B"]})
    readings = [
        Reading(),
        *(Reading(values=notation.value_words([f"available:B={each}"])) for each in "01"),
        *(Reading(encoding=each) for each in ("cp1252", "cp850")),
        *(Reading(decimal=each) for each in ".,"),
        *(Reading(order=each) for each in ("dmy", "mdy")),
        Reading(zone=BERLIN),
        Reading(map=column_map(("title=brand",), (), products.COLUMNS)),
    ]
    found = set()
    for reading in readings:
        opened = open_table(path, columns=products.COLUMNS, needed=("id",), reading=reading)
        with closing(opened):
            found.add(opened.how)  # type: ignore[attr-defined]
    assert len(found) == len(readings)


def test_a_word_that_never_occurs_is_known_with_what_its_column_has(tmp_path: Path) -> None:
    path = table(tmp_path / "a.csv", {"id": ["1", "2"], "title": ["a:b", "T"], "state": ["x", "x"]})
    by = column_map(("state=attributes.state",), (), products.COLUMNS)
    said = notation.value_words(["state:y=z", "title:a:b=T", "title:never=T"])
    opened = open_table(
        path, columns=products.COLUMNS, needed=("id",), reading=Reading(map=by, values=said)
    )
    with closing(opened):
        titles = [row.cells["title"] for row in opened.rows()]
        assert dict(notation.unused(opened)) == {
            "state:y=z": "'x'",
            "title:never=T": "'a:b', 'T'",
        }
    assert titles == ["T", "T"]


ANSWERS = ("ja", "Oui", "Sí", "sì", "是", "はい", "TRUE", "1", "wahr")
DENIALS = ("nein", "Non", "no", "否", "いいえ", "FALSE", "0", "faux")


def test_yes_and_no_in_seven_languages(tmp_path: Path) -> None:
    found = states(stocked("own", [*ANSWERS, *DENIALS], tmp_path))
    assert found == ["IN_STOCK"] * len(ANSWERS) + ["OUT_OF_STOCK"] * len(DENIALS)


# Events


def happened(
    folder: Path, *, zone: tzinfo | None = None, order: str = "", **columns: list[str]
) -> list[Message | str]:
    """Import events with these columns."""
    count = len(next(iter(columns.values())))
    path = table(folder / "e.csv", {"type": ["VIEW"] * count, "user_id": ["u"] * count} | columns)
    return outcomes(path, Reading(zone=zone, order=order), of=event_pb2.Event)


def test_kinds_of_events_in_seven_languages(tmp_path: Path) -> None:
    words = ["Kauf", "achat", "compra", "acquisto", "下单", "購入", "purchase", "add-to-cart"]
    found = happened(tmp_path, type=[*words, "Umtausch"], product_id=["p"] * 9)
    assert [each.type for each in found[:-1]] == [event_pb2.EVENT_TYPE_PURCHASE] * 7 + [  # type: ignore[union-attr]
        event_pb2.EVENT_TYPE_ADD_TO_CART
    ]
    assert "--value 'type:Umtausch=SEARCH'" in str(found[-1])


def times(found: list[Message | str]) -> list[object]:
    return [
        each
        if isinstance(each, str)
        else datetime.fromtimestamp(each.event_time.seconds, UTC).isoformat()[:16]  # type: ignore[attr-defined]
        for each in found
    ]


MONTHS = {
    "fr": "janv fevr mars avr mai juin juil août sept oct nov déc",
    "de": "Januar Februar März April Mai Juni Juli August September Oktober November Dezember",
    "es": "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre"
    " diciembre",
}
DAY_ZERO = datetime(1899, 12, 30)  # noqa: DTZ001 - spreadsheets know no zone


def month(at: datetime, language: str) -> str:
    return MONTHS[language].split()[at.month - 1]


def day_number(at: datetime) -> str:
    return str((at - DAY_ZERO).total_seconds() / 86_400)


LOCAL: tuple[Callable[[datetime], str], ...] = (
    lambda at: f"{at:%d.%m.%Y %H:%M}",
    lambda at: f"{at.day}.{at.month}.{at.year}, {at:%H:%M:%S} Uhr",
    lambda at: f"{at:%d/%m/%Y %H:%M}",
    lambda at: f"{at:%Y/%m/%d %H:%M:%S}",
    lambda at: f"{at:%Y-%m-%d %H:%M}",
    lambda at: f"{at.year}年{at.month}月{at.day}日 {at:%H:%M}",
    lambda at: f"{at.year}年{at.month}月{at.day}日 {'下午' if at.hour >= 12 else '上午'}{at:%I:%M}",
    lambda at: f"{at:%d/%m/%Y %I:%M} {'PM' if at.hour >= 12 else 'AM'}",
    lambda at: f"{at.day} {month(at, 'fr')}. {at.year} à {at:%Hh%M}",
    lambda at: f"{at.day}. {month(at, 'de')} {at.year} {at:%H:%M}",
    lambda at: f"{at.day} de {month(at, 'es')} de {at.year} {at:%H:%M}",
    day_number,
    lambda at: day_number(at).replace(".", ","),
)
FIRST, LAST = datetime(1990, 1, 1), datetime(2037, 1, 1)  # noqa: DTZ001 - local times


@given(at=st.datetimes(min_value=FIRST, max_value=LAST), write=st.sampled_from(LOCAL))
def test_a_local_time_is_an_instant_by_the_zone_that_is_said(
    at: datetime, write: Callable[[datetime], str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    at = at.replace(second=0, microsecond=0, fold=0)  # a text names no fold
    meant = at.replace(tzinfo=BERLIN)
    folder = tmp_path_factory.getbasetemp()
    (found,) = times(happened(folder, zone=BERLIN, order="dmy", time=[write(at)]))
    if meant.astimezone(UTC).astimezone(BERLIN).replace(tzinfo=None) != at:
        assert "the clocks were set forward" in str(found)
    else:
        assert found == meant.astimezone(UTC).isoformat()[:16]
    (refused,) = times(happened(folder, order="dmy", time=[write(at)]))
    assert "--time-zone" in str(refused)


def test_a_column_shows_the_order_of_day_and_month(tmp_path: Path) -> None:
    found = times(happened(tmp_path, zone=UTC, time=["04/11/2026 17:59", "25/11/2026 8:00"]))
    assert found == ["2026-11-04T17:59", "2026-11-25T08:00"]
    found = times(happened(tmp_path, zone=UTC, time=["04/11/2026 5:59 PM", "11/25/2026 8:00 AM"]))
    assert found == ["2026-04-11T17:59", "2026-11-25T08:00"]
    asked, _, same = times(
        happened(tmp_path, zone=UTC, time=["04/11/2026", "04/11/2026", "04/04/2026"])
    )
    assert "--date-order dmy or --date-order mdy" in str(asked)
    assert same == "2026-04-04T00:00"
    (told,) = times(happened(tmp_path, zone=UTC, order="mdy", time=["04/11/2026"]))
    assert told == "2026-04-11T00:00"


def test_years_of_two_digits_and_zones_that_are_not_known(tmp_path: Path) -> None:
    written = ["04.11.99 10:00", "04.11.69 10:00", "04 Nov 2026 17:59 JST", "2026"]
    found = times(happened(tmp_path, zone=BERLIN, time=written, product_id=["p"] * 4))
    assert found[:2] == ["1999-11-04T09:00", "2069-11-04T09:00"]
    assert ["is not a time" in str(found[2]), "seconds since 1970" in str(found[3])] == [True] * 2


def test_a_day_number_beside_seconds_is_rejected(tmp_path: Path) -> None:
    first, second = times(happened(tmp_path, zone=UTC, time=["46054", "1764113100"]))
    assert "day number" in str(first)
    assert second == "2025-11-25T23:25"


def test_an_exact_time_stays_what_it_is_whatever_zone_is_said(tmp_path: Path) -> None:
    given_ = ["2026-03-01T12:00:00Z", "2026-03-01T12:00:00+05:00", "1764113100", "04.11.2026 17:59"]
    found = times(happened(tmp_path, zone=BERLIN, time=given_))
    assert found[:3] == ["2026-03-01T12:00", "2026-03-01T07:00", "2025-11-25T23:25"]
    assert found[3] == "2026-11-04T16:59"


# Types of attributes


def attributes(path: Path, lines: list[object], by: tuple[str, ...] = ()) -> list[object]:
    path.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    reading = Reading(map=column_map(by, (), products.COLUMNS))
    return [
        each
        if isinstance(each, str)
        else [getattr(one, str(one.WhichOneof("value"))) for one in each.attributes]  # type: ignore[attr-defined]
        for each in outcomes(path, reading, of=product_pb2.Product)
    ]


def test_an_attribute_of_json_has_one_type_in_all_rows(tmp_path: Path) -> None:
    def rows(*values: object) -> list[object]:
        return [
            {"id": str(n), "title": "T", "attributes": {"x": value}}
            for n, value in enumerate(values)
        ]

    path = tmp_path / "a.jsonl"
    assert attributes(path, rows(38, 39.5)) == [[38.0], [39.5]]
    assert attributes(path, rows(38, 39.5, "M")) == [["38"], ["39.5"], ["M"]]
    assert attributes(path, rows(True, "unknown")) == [["true"], ["unknown"]]
    assert attributes(path, rows([38, 40], "M")) == [["38", "40"], ["M"]]
    as_text = [{"id": "1", "title": "T", "attributes": json.dumps({"x": v})} for v in (38, "M")]
    assert attributes(path, [*as_text]) == [["38"], ["M"]]


@pytest.mark.parametrize(
    "name", ["gtin", "ean", "size", "shoe_size", "groesse", "artikelnummer", "plz", "barcode"]
)
def test_codes_and_sizes_are_text(name: str, tmp_path: Path) -> None:
    rows: list[object] = [{"nr": "1", "name": "T", "x": 38}, {"nr": "2", "name": "T", "x": "39"}]
    by = ("nr=id", "name=title", f"x=attributes.{name}")
    assert attributes(tmp_path / "a.jsonl", rows, by) == [["38"], ["39"]]
    forced = (*by[:2], f"x=attributes.{name}:number")
    assert attributes(tmp_path / "a.jsonl", rows, forced) == [[38.0], [39.0]]


# Markets


def test_values_of_markets_are_read_like_columns(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    markets = [{"de": {"price": "1.299", "available": "auf Lager"}}, {"de": {"price": "19,90"}}]
    rows = [
        {"id": str(n), "title": "T", "currency": "EUR", "markets": each}
        for n, each in enumerate(markets)
    ]
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    first, second = outcomes(path, Reading(), of=product_pb2.Product)
    assert first.markets[0].price.units == 1299  # type: ignore[union-attr]
    assert first.markets[0].availability == product_pb2.AVAILABILITY_IN_STOCK  # type: ignore[union-attr]
    assert second.markets[0].price.units == 19  # type: ignore[union-attr]


def test_json_in_a_cell_stays_json_so_that_a_rejected_row_can_be_read_again(
    tmp_path: Path,
) -> None:
    columns = {
        "id": ["1", "2", "3"],
        "title": ["T"] * 3,
        "attributes": ['{"size": 38, "x": 1.50}', '{"size": "M"}', '{"x": 2}'],
        "markets": [
            '{"de": {"price": "1.299", "currency": "EUR"}}',
            '{"de": {"price": "9,5"}}',
            "",
        ],
    }
    opened = open_table(
        table(tmp_path / "a.csv", columns), columns=products.COLUMNS, needed=products.NEEDED
    )
    with closing(opened):
        first, second, third = (row.cells for row in opened.rows())
    assert json.loads(str(first["attributes"])) == {"size": "38", "x": 1.5}
    assert json.loads(str(first["markets"])) == {"de": {"price": "1299", "currency": "EUR"}}
    assert "price@de" not in first
    untouched = [second["attributes"], second["markets"], third["attributes"]]
    assert untouched == [columns["attributes"][1], columns["markets"][1], columns["attributes"][2]]


def test_the_currencies_of_all_rows_are_known(tmp_path: Path) -> None:
    columns = {"id": ["1", "2", "3"], "title": ["T"] * 3, "price": ["5 EUR", "6 $", "7 USD"]}
    opened = open_table(
        table(tmp_path / "a.csv", columns), columns=products.COLUMNS, needed=products.NEEDED
    )
    assert isinstance(opened, Formed)
    with closing(opened):
        assert opened.forms().currencies == ("EUR", "USD")


# The file itself


@pytest.mark.parametrize("change", ["longer", "shorter", "another", "gone"])
def test_a_file_that_changes_while_it_is_read_is_refused_at_its_end(
    change: str, tmp_path: Path
) -> None:
    count = 5_000
    columns = {"id": [f"p{n}" for n in range(count)], "title": ["T"] * count}
    path = table(tmp_path / "a.csv", columns)
    opened = open_table(path, columns=products.COLUMNS, needed=products.NEEDED)
    with closing(opened):
        rows = opened.rows()
        next(rows)
        match change:
            case "longer":
                path.write_text(path.read_text("utf-8") + "p9;T\n", encoding="utf-8")
            case "shorter":
                path.write_text("id;title\np0;T\n", encoding="utf-8")
            case "another":
                table(tmp_path / "b.csv", columns).replace(path)
            case _:
                path.unlink()
        with pytest.raises(FileRefused, match=r"a\.csv changed while it was read"):
            list(rows)


def test_two_thousand_columns_are_read_by_their_names(tmp_path: Path) -> None:
    names = [f"c{number}" for number in range(2_000)]
    path = table(
        tmp_path / "a.csv",
        {"nr": ["1", "2"], "name": ["T", "T"]}
        | {name: ["1,5", "x" if name == "c7" else "1.299"] for name in names},
    )
    pairs = [f"{name}=attributes.{name}" for name in names]
    by = column_map(["nr=id", "name=title", *pairs], (), products.COLUMNS)
    first, second = outcomes(path, Reading(map=by), of=product_pb2.Product)
    values = {each.key: each for each in first.attributes}  # type: ignore[union-attr]
    assert (len(values), values["c0"].number, values["c7"].text) == (2_000, 1.5, "1,5")
    assert second.attributes[0].number == 1299  # type: ignore[union-attr]
