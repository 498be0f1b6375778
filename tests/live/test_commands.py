"""Commands that a shop runs in its first days, on the whole suite."""

import json
import random
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.live.hands import WINES, Hands

SHOP = WINES[:12]
FAKE = "Red/fake.jpg"
BUYERS, BOUGHT = 24, 5
"""Customers, and how many products each of them bought."""
LINES = 20


@dataclass(frozen=True, slots=True)
class Shop:
    """Imported products, and the command's output."""

    hands: Hands
    imported: dict[str, Any]


def product_id(number: int) -> str:
    """Return the id that an import of the folder assigns: the path."""
    wine = SHOP[number % len(SHOP)]
    return f"{wine.type.replace('/', ' ')}/{wine.image.name}"


def basket(buyer: int) -> list[int]:
    """Return the numbers of what a customer bought: of nothing that a model could learn."""
    return random.Random(buyer).sample(range(len(SHOP)), BOUGHT)


IDS = sorted(map(product_id, range(len(SHOP))))


@pytest.fixture(scope="module")
def shop(gateway: str, tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """Import a folder of photos with one file that is a page, and write purchases."""
    hands = Hands(gateway, tmp_path_factory.mktemp("shell"), "shell")
    for number, wine in enumerate(SHOP):
        place = hands.folder / "photos" / product_id(number)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(wine.image, place)
    (hands.folder / "photos" / FAKE).write_text("<!doctype html><title>404</title>")
    imported = hands.facts("products", "import", "--folder", "photos", code=1)
    hands.run("products", "status", "--wait", "--timeout", "60")
    rows = ["event_id,type,product_id,user_id,visitor_id,time"]
    for number in range(BUYERS * BOUGHT):
        buyer = number % BUYERS
        item = product_id(basket(buyer)[number // BUYERS])
        rows.append(
            f"b{number},PURCHASE,{item},u{buyer},,2026-03-0{number // BUYERS + 1}T12:00:00Z"
        )
    rows += [
        f"v{number},VIEW,{product_id(number)},,cookie,2026-03-09T12:00:00Z" for number in range(3)
    ]
    (hands.folder / "events.csv").write_text("\n".join(rows) + "\n")
    assert hands.facts("events", "import", "events.csv")["writtenCount"] == len(rows) - 1
    return Shop(hands, imported)


@pytest.fixture
def hands(shop: Shop) -> Hands:
    return shop.hands


def test_a_folder_of_photos_becomes_products_and_what_is_no_photo_is_named(shop: Shop) -> None:
    state = shop.imported["state"]
    assert (state["storedCount"], state["refusedCount"]) == (str(len(SHOP)), "1")
    assert shop.hands.ids() == IDS
    (line,) = (shop.hands.folder / "photos.rejected.jsonl").read_text().splitlines()
    refused = json.loads(line)
    assert (refused["id"], refused["_reason"]) == (FAKE, "IMAGE_UNDECODABLE")
    assert refused["_row"] == sorted([*IDS, FAKE]).index(FAKE) + 1


@pytest.mark.when("docs", "client")
def test_a_product_is_shown_and_so_are_those_that_look_like_it(hands: Hands) -> None:
    found = hands.facts("products", "get", IDS[0])
    assert (found["productId"], len(found["images"])) == (IDS[0], 1)
    assert found["categoryPath"] == [IDS[0].partition("/")[0]]
    assert IDS[0] in hands.run("products", "get", IDS[0])
    results = hands.facts("similar", IDS[0], "--top", "3")["results"]
    similarities = [result["similarity"] for result in results]
    assert similarities == sorted(similarities, reverse=True)
    near = [result["product"]["productId"] for result in results]
    assert len(set(near) - {IDS[0]}) == 3
    table = hands.run("similar", IDS[0], "--top", "3")
    assert all(Path(item).name in table for item in near)


@pytest.mark.full
def test_a_visitor_who_logs_in_takes_along_what_the_visitor_did(hands: Hands) -> None:
    assert hands.facts("events", "merge", "cookie", "newcomer")["movedCount"] == "3"
    assert hands.facts("events", "purge", "--user", "newcomer")["eventCount"] == "3"
    assert "0 events moved" in hands.run("events", "merge", "cookie", "newcomer")


def states(hands: Hands) -> list[tuple[str, str]]:
    """Return version and state of each listed model."""
    models = hands.facts("models", "list")["models"]
    return [(model["modelVersion"], model["state"].removeprefix("STATE_")) for model in models]


@pytest.mark.full
def test_models_are_trained_promoted_and_rolled_back(hands: Hands) -> None:
    assert "MODEL_NOT_FOUND" in hands.run("models", "rollback", code=1)
    made = []
    for seed in ("1", "2"):
        job = hands.facts("models", "train", "--seed", seed, "--promote", "--force")
        assert job["state"] == "STATE_SUCCEEDED"
        made += [result["value"] for result in job["results"] if result["name"] == "model_version"]
    first, second = made
    assert states(hands) == [(second, "PROMOTED"), (first, "READY")]
    assert hands.facts("models", "rollback")["modelVersion"] == first
    assert states(hands) == [(second, "READY"), (first, "PROMOTED")]
    assert "MODEL_UNPROVEN" in hands.run("models", "promote", second, code=1)
    hands.run("models", "promote", second, "--force")
    assert states(hands) == [(second, "PROMOTED"), (first, "READY")]
    jobs = hands.facts("jobs", "list", "--kind", "train")["jobs"]
    assert [job["state"] for job in jobs] == ["STATE_SUCCEEDED"] * 2
    assert second[:8] in hands.run("jobs", "list")


@pytest.mark.full
def test_a_profile_says_what_is_known_of_a_customer_and_from_what(hands: Hands) -> None:
    refused = hands.run("profiles", "set", "u0", "age_band=25-34", code=2)
    assert "--consent" in refused
    hands.run("profiles", "set", "u0", "age_band=25-34", "--consent")
    profile = hands.facts("profiles", "show", "u0")
    assert profile["attributes"] == [{"key": "age_band", "text": "25-34"}]
    assert profile["activity"]["purchaseCount"] == BOUGHT
    bought = set(map(product_id, basket(0)))
    assert profile["affinities"]
    for affinity in profile["affinities"]:
        assert set(affinity["productIds"]) <= bought
    product = hands.facts("profiles", "product", IDS[0])
    assert product["categoryPath"] == IDS[0].partition("/")[0]
    assert product["style"]
    assert set(product["similarStyleProductIds"]) < set(IDS) - {IDS[0]}
    hands.run("profiles", "clear", "u0")
    assert "25-34" not in hands.run("profiles", "show", "u0")


@pytest.mark.full
def test_an_answer_becomes_a_page_that_needs_nothing_else(hands: Hands) -> None:
    photo = str(hands.folder / "photos" / IDS[0])
    answer = ("recommend", "--image", photo, "--user", "u0", "--top", "4")
    found = hands.facts(*answer, "--html", "answer.html")["results"]
    page = (hands.folder / "answer.html").read_text()
    assert len(found) == 4
    assert all(result["product"]["title"] in page for result in found)
    assert page.count("data:image/") >= 1 + len(found)
    assert 'src="http' not in page


@pytest.mark.full
def test_answers_are_replayed_and_compared_with_those_of_a_changed_scene(hands: Hands) -> None:
    photo = str(hands.folder / "photos" / IDS[0])
    for asked in (("--user", "u0"), ("--image", photo, "--user", "u1"), ()):
        token = hands.facts("recommend", *asked, "--top", "4")["attributionToken"]
        found = hands.facts("replay", token)
        assert (found["equal"], found["differences"]) == (True, []), asked
    assert "The same, bit for bit." in hands.run("replay", token)
    assert "ATTRIBUTION_TOKEN_INVALID" in hands.run("replay", token[:-3] + "abc", code=1)
    assert "default" in hands.run("scenes", "list")
    toml = hands.run("scenes", "show", "default")
    changed = toml.replace("category_caps = {}", "category_caps = { 1 = 1 }")
    (hands.folder / "default.toml").write_text(changed)
    (change,) = hands.facts("scenes", "check", "default.toml")["changes"]
    assert (change["path"], change["replayed"]) == ("diversity.category_caps", True)
    (hands.folder / "bad.toml").write_text("over_fetch = 0.0")
    assert "over_fetch: " in hands.run("scenes", "check", "bad.toml", code=1)
    asked = ("--answers", "50", "--places", "10", "--html", "diff.html")
    diff = hands.facts("scenes", "diff", "default.toml", *asked)
    assert diff["answerCount"] >= 2
    assert diff["changedCount"] >= 1
    assert {one["dimension"] for one in diff["exposures"]} == {"product", "brand", "category"}
    assert "diversity.category_caps" in (hands.folder / "diff.html").read_text()


@pytest.mark.full
def test_a_batch_answers_every_line_in_its_place(hands: Hands) -> None:
    asked: list[dict[str, Any]] = [
        {"id": f"q{number}", "image": f"photos/{product_id(number)}", "top": number % 5 + 1}
        for number in range(LINES)
    ]
    asked[7] = {"id": "q7", "image": "photos/none.jpg"}
    asked[11] = {"id": "q11", "image": f"photos/{FAKE}"}
    (hands.folder / "asked.jsonl").write_text("".join(f"{json.dumps(one)}\n" for one in asked))
    facts = hands.facts("recommend", "--batch", "asked.jsonl", "--out", "out.jsonl", code=1)
    assert (facts["answeredCount"], facts["failedCount"]) == (LINES - 2, 2)
    lines = [json.loads(line) for line in (hands.folder / "out.jsonl").read_text().splitlines()]
    assert [(line["line"], line["id"]) for line in lines] == [
        (number + 1, f"q{number}") for number in range(LINES)
    ]
    assert lines[7]["error"]["violations"][0]["field"] == "image"
    assert lines[11]["error"]["reason"] == "IMAGE_UNDECODABLE"
    for number, line in enumerate(lines):
        if "response" in line:
            assert len(line["response"]["results"]) == number % 5 + 1


@pytest.mark.full
def test_what_is_deleted_is_gone_and_what_was_not_there_is_counted(hands: Hands) -> None:
    gone, stays = IDS[-2:], IDS[:-2]
    assert "2 deleted; 1 did not exist." in hands.run("products", "delete", *gone, "never-was")
    assert hands.ids() == stays
    assert "PRODUCT_NOT_FOUND" in hands.run("products", "get", gone[0], code=1)
    assert hands.facts("products", "delete", *gone)["deletedCount"] == 0


@pytest.mark.full
def test_a_photo_that_is_taken_down_comes_back_only_when_that_is_lifted(hands: Hands) -> None:
    (photo,) = hands.facts("products", "get", IDS[0])["images"]
    taken = hands.facts("photos", "take-down", photo["imageId"], "--reason", "a face")
    assert taken["productIds"] == [IDS[0]]
    assert hands.facts("products", "get", IDS[0])["images"] == []
    assert "a face" in hands.run("photos", "taken-down")
    refused = hands.run("products", "import", "--folder", "photos", code=1)
    assert "IMAGE_TAKEN_DOWN" in refused
    assert hands.facts("photos", "lift", photo["imageId"])["lifted"]
    hands.run("products", "import", "--folder", "photos", code=1)  # one is no photo
    assert hands.facts("products", "get", IDS[0])["images"] == [photo]
    assert "No photos were taken down." in hands.run("photos", "taken-down")


PAGE = Path(__file__).parents[2] / "docs/operate/upgrading.md"
TABLE = re.findall(r"`(sightline [^`]+)`", PAGE.read_text().partition("## What is rolled out")[2])
TYPED_ELSEWHERE = {
    "sightline experiments show home-order": "tests/wire/test_experiments.py",
    "sightline experiments show next-model": "tests/wire/test_pinned_models.py",
    **dict.fromkeys(
        (
            "sightline index verify NAME",
            "sightline index activate NAME",
            "sightline index rollback",
        ),
        "tests/live/apart/test_versions.py, whose embedder serves two versions",
    ),
    "sightline spaces show VERSION": "tests/live/test_spaces.py, by calls; test_cli_spaces.py",
    "sightline spaces promote VERSION": "by calls; test_cli_spaces.py",
}


@pytest.mark.full
def test_what_is_rolled_out_passes_its_gate_and_comes_back(hands: Hands) -> None:
    """Run each command of the table: a version is switched only after its verification."""
    typed = set(TYPED_ELSEWHERE)

    def type_(command: str, code: int = 0, **names: str) -> str:
        typed.add(command)
        words = [names.get(word, word) for word in command.split()[1:]]
        return hands.run(*words, code=code)

    scene = hands.run("scenes", "show", "default")
    (hands.folder / "varied.toml").write_text(
        scene.replace("category_caps = {}", "category_caps = { 1 = 1 }")
    )
    hands.run("recommend", "--user", "u0")
    type_("sightline scenes check varied.toml")
    type_("sightline scenes diff varied.toml --as default")

    serving, former = (version for version, _ in states(hands))
    assert "NCONCLUSIVE" in type_("sightline models evaluate VERSION", VERSION=former).upper()
    assert "MODEL_UNPROVEN" in type_("sightline models promote VERSION", code=1, VERSION=former)
    hands.run("models", "promote", former, "--force")
    type_("sightline models rollback")
    assert states(hands)[0] == (serving, "PROMOTED")
    assert typed == set(TABLE)
