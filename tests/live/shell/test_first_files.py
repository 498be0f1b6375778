"""The files that shops bring on their first day, with their errors, on the whole suite."""

import shlex
from pathlib import Path

import pytest

from tests.live.hands import WINES, Hands

pytestmark = pytest.mark.full

PHOTOS = str(WINES[0].image.parent)
LIKED = WINES[2]


def flat(text: str) -> str:
    """Return only the words: printed text is wrapped."""
    return " ".join(text.split())


@pytest.fixture(scope="module")
def hands(gateway: str, tmp_path_factory: pytest.TempPathFactory) -> Hands:
    return Hands(gateway, tmp_path_factory.mktemp("first"), "first-files")


def test_events_may_come_before_their_products_and_count_from_then_on(hands: Hands) -> None:
    rows = [f"e{n},PURCHASE,{LIKED.id},u{n},2026-03-01T12:00:00Z" for n in range(5)]
    events = "\n".join(["event_id,type,product_id,user_id,time", *rows])
    (hands.folder / "events.csv").write_text(events + "\n")
    assert "5 new, 0 duplicates" in hands.run("events", "import", "events.csv")
    assert hands.facts("recommend")["results"] == []
    hands.write("shop.csv", [wine.id for wine in WINES[:4]])
    hands.run("products", "import", "shop.csv", "--images", PHOTOS)
    best, *_ = hands.facts("recommend")["results"]
    assert best["product"]["productId"] == LIKED.id
    assert best["reasons"][0]["code"] == "POPULAR"
    assert "0 new, 5 duplicates" in hands.run("events", "import", "events.csv")


def test_the_same_file_twice_is_said_and_doubles_nothing(hands: Hands) -> None:
    before = hands.photos()
    said = hands.run("products", "import", "shop.csv", "--images", PHOTOS)
    assert "This content was imported before: its products are written again." in flat(said)
    assert "4 products stored" in said
    assert hands.photos() == before
    hands.run("products", "status", "--wait", "--timeout", "60")
    assert hands.facts("status")["indexedImages"] == str(len(before))


def test_one_photo_for_many_products_is_said_and_all_of_them_are_found(hands: Hands) -> None:
    photo = Path(WINES[6].image)
    lines = [f"same-{n},Bottle {n},,9.50,EUR,{photo.name}" for n in range(3)]
    hands.write("same.csv", [], *(line.replace(",", ";") for line in lines))
    said = flat(hands.run("products", "import", "same.csv", "--images", PHOTOS))
    assert (
        f"2 products have a photo that another one has (row 2 has that of row 1, {photo.name})"
        in said
    )
    hands.run("products", "status", "--wait", "--timeout", "60")
    best, *others = hands.facts("recommend", "--image", str(photo), "--top", "5")["results"]
    found = {best["product"]["productId"], *best["collapsedProductIds"]}
    assert found == {"same-0", "same-1", "same-2"}
    assert all(not each["product"]["productId"].startswith("same-") for each in others)


def test_photos_named_by_id_are_found_without_a_column(hands: Hands) -> None:
    rows = [f"{wine.id},{wine.title.replace(',', ' ')}" for wine in WINES[10:12]]
    (hands.folder / "plain.csv").write_text("\n".join(["id,title", *rows, "no-photo,None"]) + "\n")
    said = flat(hands.run("products", "import", "plain.csv", "--images", PHOTOS))
    assert "plain.csv names no photos: products get those in" in said
    assert "1 product has no photo there with the id as its name: no-photo." in said
    hands.run("products", "status", "--wait", "--timeout", "60")
    best, *_ = hands.facts("recommend", "--image", str(WINES[10].image))["results"]
    assert best["product"]["productId"] == WINES[10].id


def test_ratings_with_columns_of_another_shop_are_guessed_and_count_once(hands: Hands) -> None:
    hands.write("rated.csv", [wine.id for wine in WINES[:4]])
    hands.run("products", "import", "rated.csv", "--images", PHOTOS)
    rows = [f"{1000 + n},{n},{WINES[n].id},19{70 + n},4.5" for n in range(4)]
    (hands.folder / "ratings.csv").write_text(
        "\n".join(["RatingID,UserID,WineID,Vintage,Rating", *rows]) + "\n"
    )
    command = ("events", "import", "ratings.csv", "--map", "guess")
    said = flat(hands.run(*command))
    assert "column wineid looks like product_id" in said
    assert "column vintage is left out" in said
    assert "type is RATING" in said
    assert "4 new, 0 duplicates" in said
    assert "0 new, 4 duplicates" in hands.run(*command)


def test_a_map_without_ids_says_what_is_missing_and_how_to_name_it(hands: Hands) -> None:
    (hands.folder / "theirs.csv").write_text("nr,name\nm-1,A\n,B\n")
    pairs = ("--map", "name=title")
    said = flat(hands.run("products", "import", "theirs.csv", *pairs, "--map", "nr=", code=1))
    assert "lacks the column 'id'" in said
    assert "--map theirs=id" in said.partition("Fix: ")[2]
    printed = hands.run("products", "import", "theirs.csv", *pairs, "--map", "nr=id", code=1)
    assert "1 product stored" in printed
    assert "Row 2: ROW_INVALID: id: is missing" in flat(printed)
    fix = next(line for line in printed.splitlines() if line.startswith("Fix "))
    file, command = fix.removeprefix("Fix ").split(", then run: sightline ")
    kept = (hands.folder / file).read_text()
    (hands.folder / file).write_text(kept.replace("\n,B,", "\nm-2,B,"))
    assert "1 product stored" in hands.run(*shlex.split(command))
    assert {"m-1", "m-2"} <= set(hands.ids())
