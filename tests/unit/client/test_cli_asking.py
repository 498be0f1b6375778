"""Recommend with filters, pages and batches; search and similar."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from google.rpc import code_pb2
from PIL import Image
from typer.testing import CliRunner, Result

from sightline.common.v1 import facet_pb2
from sightline.gateway.v1 import recommendation_service_pb2
from sightline_client.cli import app
from sightline_client.cli.work import batch
from tests.fakes.gateway import FakeGateway
from tests.fakes.gateway_messages import status


def call(gateway: FakeGateway, *arguments: str) -> Result:
    return CliRunner().invoke(app, [*arguments, "--target", gateway.target])


def flat(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.parametrize(
    "command", [("recommend",), ("search", "--product", "a"), ("similar", "a")]
)
def test_a_filter_reaches_the_request(gateway: FakeGateway, command: tuple[str, ...]) -> None:
    text = "category = 'Red' AND price < 30"
    result = call(gateway, *command, "--filter", text, "--currency", "EUR")
    assert result.exit_code == 0, result.output
    (request,) = (gateway.requests["Recommend"] or gateway.requests["Search"])[-1:]
    category, price = request.filter.all.filters
    assert category.comparison.value.text == "Red"
    money = price.comparison.value.money
    assert (money.units, money.currency_code) == (30, "EUR")


@pytest.mark.parametrize(("switch", "said"), [(("--not-personal",), True), ((), False)])
def test_a_request_says_that_it_is_not_personal(
    gateway: FakeGateway, switch: tuple[str, ...], said: bool
) -> None:
    result = call(gateway, "recommend", "--user", "ann", *switch)
    assert result.exit_code == 0, result.output
    (request,) = gateway.requests["Recommend"]
    assert request.not_personal is said


def test_a_mistake_in_a_filter_is_shown_with_a_caret(gateway: FakeGateway) -> None:
    result = call(gateway, "recommend", "--filter", "prise < 30 EUR")
    assert result.exit_code == 2
    assert "did you mean price?" in result.stderr
    lines = result.stderr.splitlines()
    (shown,) = (number for number, line in enumerate(lines) if "prise < 30" in line)
    assert lines[shown + 1].index("^") == lines[shown].index("prise")
    assert not gateway.requests


def test_a_filter_that_the_suite_refuses_names_the_option(gateway: FakeGateway) -> None:
    why = status(
        code_pb2.INVALID_ARGUMENT,
        "no",
        reason="FILTER_INVALID",
        violations=(("filter.all.filters[0].comparison.value", "is too long"),),
    )
    gateway.fail("Recommend", why)
    result = call(gateway, "recommend", "--filter", "brand = a")
    assert result.exit_code == 1
    assert "--filter (filter.all.filters[0].comparison.value): is too long" in flat(result.stderr)


def test_search_and_similar_show_similarities(gateway: FakeGateway, tmp_path: Path) -> None:
    photo = tmp_path / "a.jpg"
    photo.write_bytes(b"jpeg")
    result = call(gateway, "search", "--image", str(photo), "--image-uri", "https://x/y.jpg")
    assert "0.5000" in result.stdout
    kinds = [signal.WhichOneof("content") for signal in gateway.requests["Search"][0].signals]
    assert kinds == ["image", "image_uri"]
    assert call(gateway, "similar", "wine-1", "--json").exit_code == 0
    assert gateway.requests["Search"][1].signals[0].product_id == "wine-1"
    assert call(gateway, "search").exit_code == 2


def test_counts_and_orders_are_asked_for_and_shown(gateway: FakeGateway) -> None:
    value = facet_pb2.FacetValue(text="Wine > Red", product_count=1_037, filter_text='brand = "A"')
    gateway.search.facets.add(field="category", values=[value], more_count=2, missing_count=3)
    asked = ("--facet", "category:Wine > Red", "--facet", "price", "--sort", "price_rising")
    result = call(gateway, "search", "--text", "merlot", *asked)
    shown = flat(result.stdout)
    assert "Wine > Red 1,037" in shown
    assert '"A"' in shown
    assert "2 further values; 3 products without one" in shown
    (sent,) = gateway.requests["Search"]
    assert [(each.field, list(each.category_path)) for each in sent.facets] == [
        ("category", ["Wine", "Red"]),
        ("price", []),
    ]
    assert sent.sort == recommendation_service_pb2.SORT_PRICE_RISING
    wrong = call(gateway, "search", "--text", "merlot", "--facet", "brand:Aurora")
    assert (wrong.exit_code, "only a category" in flat(wrong.stderr)) == (2, True)


@pytest.mark.parametrize(("given", "sent"), [((), ""), (("--language", "de"), "de")])
def test_a_search_says_the_language_of_its_text(
    gateway: FakeGateway, given: tuple[str, ...], sent: str
) -> None:
    result = call(gateway, "search", "--text", "Karotten", *given)
    assert result.exit_code == 0, result.output
    (asked,) = gateway.requests["Search"]
    assert asked.language_code == sent


def test_the_page_holds_the_answer_and_needs_nothing_from_elsewhere(
    gateway: FakeGateway, tmp_path: Path
) -> None:
    photo = tmp_path / "shelf.png"
    Image.new("RGB", (400, 900), "red").save(photo)
    gateway.photo = photo.read_bytes()
    gateway.recommendation.results[0].product.title = '<script>alert("x")</script>'
    page = tmp_path / "deep" / "answer.html"
    result = call(
        gateway, "recommend", "--image", str(photo), "--product", "wine-1", "--html", str(page)
    )
    assert result.exit_code == 0, result.output
    html = page.read_text()
    for text in ("Recommendations", "12.50 EUR", "1.2500", "shelf.png", "Looks like your photo"):
        assert text in html
    sources = re.findall(r'(?:src|href|action|data)="([^"]*)"', html)
    assert len(sources) == 3  # two that were asked with, one that was found
    assert all(source.startswith("data:image/jpeg;base64,") for source in sources)
    assert not re.search(r"<script|<link|<iframe|@import|url\(|\son\w+=", html)
    assert "&lt;script&gt;" in html


def test_a_page_without_a_photo_is_better_than_none(gateway: FakeGateway, tmp_path: Path) -> None:
    gateway.fail("GetImage", status(code_pb2.NOT_FOUND, "gone", reason="IMAGE_NOT_FOUND"))
    page = tmp_path / "answer.html"
    assert call(gateway, "recommend", "--html", str(page)).exit_code == 0
    assert "Barolo" in page.read_text()


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_batch_keeps_its_order_and_shows_errors_by_line(
    gateway: FakeGateway, tmp_path: Path
) -> None:
    (tmp_path / "a.jpg").write_bytes(b"jpeg")
    questions = [
        {"id": "q1", "image": "a.jpg", "filter": "price < 30 EUR", "top": 3},
        {"id": "q2", "image": "none.jpg"},
        {"id": "q3", "filter": "prise < 3"},
        {"id": "q4", "colour": "red"},
        {"id": "q5", "user": "u", "visitor": "v"},
        {"id": "q6", "top": 0},
        {"id": "q7", "image": 7},
        {
            "id": "q8",
            "products": ["a", "b"],
            "exclude": ["c"],
            "min_quality": 0.5,
            "anchors": ["d"],
        },
        {"id": "q9", "text": "\ud800"},
    ]
    source, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_text("\n".join(map(json.dumps, questions)) + "\nno json\n")
    result = call(gateway, "recommend", "--batch", str(source), "--out", str(out), "--top", "5")
    assert result.exit_code == 1
    assert "2 answered" in result.stdout
    answers = lines(out)
    assert [answer["line"] for answer in answers] == list(range(1, 11))
    assert [answer.get("id") for answer in answers] == [*(f"q{n}" for n in range(1, 10)), None]
    failed = [answer["error"]["violations"][0]["field"] for answer in answers if "error" in answer]
    assert failed == ["image", "filter", "colour", "shopper", "top", "image", "text", "row"]
    assert answers[0]["response"]["results"][0]["product"]["title"] == "Barolo"
    asked = {len(request.signals): request for request in gateway.requests["Recommend"]}
    assert asked[1].page_size == 3
    assert asked[2].page_size == 5
    assert list(asked[2].exclude_product_ids) == ["c"]
    assert list(asked[2].anchor_product_ids) == ["d"]


def test_a_refused_line_of_a_batch_carries_the_suites_words(
    gateway: FakeGateway, tmp_path: Path
) -> None:
    gateway.fail("Recommend", status(code_pb2.NOT_FOUND, "no", reason="SCENE_NOT_FOUND"))
    source, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_text('{"scene": "none"}\n')
    assert call(gateway, "recommend", "--batch", str(source), "--out", str(out)).exit_code == 1
    assert lines(out)[0]["error"]["reason"] == "SCENE_NOT_FOUND"


def test_many_requests_are_under_way_at_once_and_answered_in_order(
    gateway: FakeGateway, tmp_path: Path
) -> None:
    gateway.delay = 0.02
    gateway.first_delay["Recommend"] = 0.5  # the first is answered after many others
    source, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_text("".join(json.dumps({"id": n, "user": f"u{n}"}) + "\n" for n in range(40)))
    command = ("recommend", "--batch", str(source), "--out", str(out), "--in-flight", "4")
    result = call(gateway, *command, "--json")
    assert json.loads(result.stdout)["answeredCount"] == 40
    users = [request.shopper.user_id for request in gateway.requests["Recommend"]]
    assert sorted(users) == sorted(f"u{n}" for n in range(40))
    assert [answer["id"] for answer in lines(out)] == list(range(40))
    assert 1 < gateway.most_at_once["Recommend"] <= 4


@pytest.mark.slow
def test_a_batch_whose_suite_goes_away_ends_and_keeps_what_is_done(
    gateway: FakeGateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch, "_SECONDS", 4.0)
    gateway.after["Recommend"] = (3, status(code_pb2.UNAVAILABLE, "connection refused"))
    source, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_text("".join(json.dumps({"id": n}) + "\n" for n in range(40)))
    command = ("recommend", "--batch", str(source), "--out", str(out), "--in-flight", "2")
    result = call(gateway, *command, "--json")
    assert (result.exit_code, result.stdout) == (1, "")
    printed = flat(result.stderr)
    assert printed.count("The suite does not answer (GATEWAY_UNREACHABLE): trying for") == 1
    assert json.loads(result.stderr.splitlines()[-1])["reason"] == "GATEWAY_UNREACHABLE"
    # Two are in flight, so either of lines 2 and 3 may be the last call that is answered.
    done = [answer["id"] for answer in lines(out)]
    assert done in ([0, 1], [0, 1, 2])
    assert f"{len(done)} lines are done and kept in" in printed
    assert len(gateway.requests["Recommend"]) < 40, "it went on line by line"


def test_an_answer_that_json_cannot_hold_fails_its_line_only(
    gateway: FakeGateway, tmp_path: Path
) -> None:
    gateway.recommendation.results[0].product.create_time.seconds = 2**60
    source, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_text('{"id": "\\ud800", "user": "u"}\n{"id": "b", "\\ud800": 1}\n')
    result = call(gateway, "recommend", "--batch", str(source), "--out", str(out))
    assert result.exit_code == 1
    assert "0 answered" in result.stdout
    assert [answer["id"] for answer in lines(out)] == ["\ud800", "b"]
    assert "JSON" in lines(out)[0]["error"]["message"]


def test_a_page_shows_figures_that_cannot_be(gateway: FakeGateway, tmp_path: Path) -> None:
    gateway.recommendation.stage_timings[0].total.seconds = 2**60
    gateway.recommendation.stage_timings[0].start.seconds = 2**60
    page = tmp_path / "answer.html"
    assert call(gateway, "recommend", "--html", str(page)).exit_code == 0
    assert "Barolo" in page.read_text()


@pytest.mark.parametrize(
    "arguments",
    [
        ("--batch", "in.jsonl"),
        ("--out", "out.jsonl"),
        ("--batch", "in.jsonl", "--out", "in.jsonl"),
        ("--batch", "in.jsonl", "--out", "o.jsonl", "--user", "u"),
        ("--batch", "in.jsonl", "--out", "o.jsonl", "--scene", "home"),
        ("--batch", "in.jsonl", "--out", "o.jsonl", "--exclude", "a"),
    ],
)
def test_a_batch_that_is_asked_for_wrongly_is_2(
    gateway: FakeGateway,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in.jsonl").write_text("{}\n")
    assert call(gateway, "recommend", *arguments).exit_code == 2
    assert (tmp_path / "in.jsonl").read_text() == "{}\n"


def test_a_listing_is_asked_for_and_shown_with_its_next_page(gateway: FakeGateway) -> None:
    asked = ("--text", "merlot", "--sort", "rating", "--facet", "brand", "--visitor", "v")
    result = call(gateway, "list", "--filter", "brand = 'A'", "--top", "5", *asked)
    assert result.exit_code == 0, result.output
    assert "37 products pass; --page-token second" in flat(result.stdout)
    (sent,) = gateway.requests["List"]
    assert (sent.text, sent.page_size, sent.shopper.visitor_id) == ("merlot", 5, "v")
    assert sent.sort == recommendation_service_pb2.SORT_RATING
    assert [each.field for each in sent.facets] == ["brand"]
    assert 'field: "brand"' in str(sent.filter)
    last = call(gateway, "list", "--page-token", "second", "--json")
    assert "next_page_token" not in json.loads(last.stdout)  # empty: the last page


def test_a_file_of_candidates_reaches_the_request(gateway: FakeGateway, tmp_path: Path) -> None:
    file = tmp_path / "list.txt"
    file.write_text("a\t0.5\n\nb\n", "utf-8")
    result = call(gateway, "recommend", "--candidates", str(file))
    assert result.exit_code == 0, result.output
    (request,) = gateway.requests["Recommend"]
    found = [(each.product_id, each.score, each.HasField("score")) for each in request.candidates]
    assert found == [("a", 0.5, True), ("b", 0.0, False)]


@pytest.mark.parametrize(
    ("text", "problem"),
    [("a\tx\n", "line 1: must be"), ("a\nb\na\n", "line 3: a is a"), ("\n", "has no product")],
)
def test_a_file_of_other_things_is_wrong_usage(
    gateway: FakeGateway, tmp_path: Path, text: str, problem: str
) -> None:
    file = tmp_path / "list.txt"
    file.write_text(text, "utf-8")
    result = call(gateway, "recommend", "--candidates", str(file))
    assert result.exit_code == 2
    assert problem.rsplit(maxsplit=1)[-1] in result.stderr
    assert not gateway.requests


@pytest.mark.parametrize("candidates", [["a", "b"], {"a": 0.5, "b": None}, {"a": "high"}])
def test_a_line_of_a_batch_has_candidates(
    gateway: FakeGateway, tmp_path: Path, candidates: object
) -> None:
    asked, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    asked.write_text(json.dumps({"candidates": candidates}) + "\n", "utf-8")
    result = call(gateway, "recommend", "--batch", str(asked), "--out", str(out))
    if candidates == {"a": "high"}:
        assert "LINE_INVALID" in out.read_text("utf-8") + result.output
        return
    (request,) = gateway.requests["Recommend"]
    assert [each.product_id for each in request.candidates] == ["a", "b"]
