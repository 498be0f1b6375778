"""``sightline replay`` and ``sightline scenes``: requests and output."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from sightline.gateway.v1 import admin_service_pb2 as admin
from sightline.gateway.v1 import recommendation_service_pb2 as rec
from sightline.ranker.v1 import answer_service_pb2
from sightline_client.cli import app
from tests.fakes.gateway import FakeGateway
from tests.fakes.gateway_messages import wine
from tests.fakes.scenes import BAD, scene_difference


def run(gateway: FakeGateway, *words: str) -> Result:
    return CliRunner().invoke(app, [*words, "--target", gateway.target])


def flat(result: Result) -> str:
    return " ".join(result.stdout.split())


def replayed(*, equal: bool) -> rec.ReplayRecommendationResponse:
    def product(item: str, score: float) -> answer_service_pb2.AnsweredProduct:
        made = answer_service_pb2.AnsweredProduct(product_id=item, raw_score=score)
        made.parts.add(name="visual", value=score)
        return made

    made = rec.ReplayRecommendationResponse(
        equal=equal,
        total_count=7,
        answer_id="a1",
        request_digest=b"\x01\x02",
        seed=9,
        experiment_arms=["blue"],
        places=[
            rec.ReplayedPlace(
                place=1, recorded=product("p1", 0.5), recomputed=product("p1", 0.5), equal=True
            ),
            rec.ReplayedPlace(place=2, recorded=product("p2", 0.25), recomputed=product("p3", 0.2)),
        ],
    )
    made.versions.model_version = "m1"
    made.degradations.add(stage="embed", cause=1)
    if not equal:
        kind = answer_service_pb2.ReplayDifference.KIND_MODEL_GONE
        made.differences.add(kind=kind, subject="m1", text="the model is no longer kept")
        made.differences.add(subject="products", text="not compared")
    return made


@pytest.mark.parametrize("before", [(), ("--json",), ("--top", "2")])
def test_a_token_may_begin_with_a_dash(gateway: FakeGateway, before: tuple[str, ...]) -> None:
    gateway.replayed = replayed(equal=True)
    token = "-h" + "x" * 100
    assert run(gateway, "replay", *before, token).exit_code == 0
    assert gateway.requests["ReplayRecommendation"][-1].attribution_token == token


def test_a_replay_shows_what_differs_side_by_side(gateway: FakeGateway) -> None:
    gateway.replayed = replayed(equal=False)
    printed = flat(run(gateway, "replay", "token", "--top", "2"))
    (request,) = gateway.requests["ReplayRecommendation"]
    assert (request.attribution_token, request.top_k) == ("token", 2)
    assert "Not the same." in printed
    assert "model gone m1: the model is no longer kept" in printed
    assert "products: not compared" in printed
    assert "p2 0.250000 visual +0.2500 p3 0.200000 differs" in printed
    assert "model: m1; now none" in printed
    assert "arms: blue" in printed
    assert "degraded then: embed [EMBEDDER_UNAVAILABLE]" in printed
    assert "request 0102, seed 9" in printed
    gateway.replayed = replayed(equal=True)
    assert "The same, bit for bit." in flat(run(gateway, "replay", "token"))
    assert json.loads(run(gateway, "replay", "token", "--json").stdout)["equal"] is True
    for place in gateway.replayed.places:
        place.ClearField("recomputed")
    gateway.replayed.equal = False
    assert "It can't be computed again." in flat(run(gateway, "replay", "token"))


def test_scenes_are_listed_and_shown(gateway: FakeGateway) -> None:
    listed = flat(run(gateway, "scenes", "list"))
    assert "home v1 a file 1" in listed
    assert "This catalog is steered by files." in listed
    assert run(gateway, "scenes", "show", "home").stdout == gateway.scene.toml
    assert gateway.requests["GetScene"][0].scene == "home"
    assert json.loads(run(gateway, "scenes", "show", "--json").stdout)["version"] == "v1"


def test_a_scene_is_drafted_published_and_undone(gateway: FakeGateway, tmp_path: Path) -> None:
    file = tmp_path / "home.toml"
    file.write_text("views = 2\n")
    printed = flat(run(gateway, "scenes", "draft", str(file), "--comment", "try", "--etag", "v1"))
    assert "draft v2 ann" in printed
    (sent,) = gateway.requests["WriteSceneDraft"]
    assert (sent.scene, sent.toml, sent.comment, sent.etag) == ("home", "views = 2\n", "try", "v1")
    run(gateway, "scenes", "draft", str(file), "--as", "sale")
    assert gateway.requests["WriteSceneDraft"][1].scene == "sale"
    assert "1 v1 –" in flat(run(gateway, "scenes", "publish", "home", "--comment", "more"))
    run(gateway, "scenes", "undo", "home", "3", "--etag", "v2")
    first, second = gateway.requests["PublishScene"]
    assert (first.scene, first.number, first.comment, first.in_advance) == (
        "home",
        0,
        "more",
        False,
    )
    assert (second.scene, second.number, second.etag) == ("home", 3, "v2")
    assert run(gateway, "scenes", "undo", "home", "0").exit_code == 2
    assert "1 v1 –" in flat(run(gateway, "scenes", "versions", "home"))
    shown = json.loads(run(gateway, "scenes", "versions", "home", "--json").stdout)
    assert shown["draft"]["author"] == "ann"
    assert "1 v1 –" in flat(run(gateway, "scenes", "cancel", "home", "--etag", "v2"))
    (sent,) = gateway.requests["CancelPlannedScene"]
    assert (sent.scene, sent.etag) == ("home", "v2")
    assert "deleted" in run(gateway, "scenes", "delete", "home").stdout
    assert "no such" in flat(run(gateway, "scenes", "delete", "home", "--draft-only"))


def test_files_are_imported_and_exported(gateway: FakeGateway, tmp_path: Path) -> None:
    for name in ("home", "sale"):
        (tmp_path / f"{name}.toml").write_text(f"# {name}\n")
    (tmp_path / "README.md").write_text("no scene")
    assert "2 scenes published" in run(gateway, "scenes", "import", str(tmp_path)).stdout
    assert [each.scene for each in gateway.requests["WriteSceneDraft"]] == ["home", "sale"]
    assert all(each.in_advance for each in gateway.requests["PublishScene"])
    out = tmp_path / "new" / "folder"
    assert "1 scenes written" in run(gateway, "scenes", "export", str(out)).stdout
    assert {each.name: each.read_text() for each in out.iterdir()} == {"home.toml": "views = 1\n"}
    assert gateway.requests["ListSceneDocuments"][0].with_texts
    assert json.loads(run(gateway, "scenes", "export", str(out), "--json").stdout) == {
        "scenes": ["home"]
    }
    (tmp_path / "wrong.toml").write_bytes(b"\xff")
    assert "is not UTF-8" in run(gateway, "scenes", "import", str(tmp_path)).output
    assert len(gateway.requests["PublishScene"]) == 2, "nothing is published of a wrong folder"


def test_a_checked_file_says_what_it_changes_or_why_it_is_refused(
    gateway: FakeGateway, tmp_path: Path
) -> None:
    file = tmp_path / "home.toml"
    file.write_text("over_fetch = 2.0\n")
    gateway.checked_scene.changes.add(path="over_fetch", before="5.0", after="2.0")
    printed = flat(run(gateway, "scenes", "check", str(file)))
    assert "It would be accepted as version v2." in printed
    assert "over_fetch 5.0 2.0 no: it selects the candidates" in printed
    (request,) = gateway.requests["CheckScene"]
    assert (request.scene, request.toml) == ("home", "over_fetch = 2.0\n")
    gateway.checked_scene = admin.CheckSceneResponse(
        problems=[admin.SceneProblem(path="over_fetch", text="too small")]
    )
    refused = run(gateway, "scenes", "check", str(file), "--as", "draft")
    assert (refused.exit_code, gateway.requests["CheckScene"][1].scene) == (1, "draft")
    assert "over_fetch: too small" in refused.stdout
    file.write_bytes(b"\xff")
    assert "is not UTF-8" in run(gateway, "scenes", "check", str(file)).output


def test_a_difference_is_a_table_and_a_page_that_runs_nothing(
    gateway: FakeGateway, tmp_path: Path
) -> None:
    gateway.scene_diff = scene_difference()
    gateway.products["p2"] = wine("p2", "Barbera")
    file, page = tmp_path / "home.toml", tmp_path / "out" / "diff.html"
    file.write_text("[diversity]\nbrand_cap = 2\n")
    asked = ("--answers", "50", "--places", "10", "--since", "2026-11-01", "--html", str(page))
    result = run(gateway, "scenes", "diff", str(file), *asked)
    printed = flat(result)
    (request,) = gateway.requests["DiffScene"]
    assert (request.scene, request.answer_count, request.place_count) == ("home", 50, 10)
    assert request.from_time.ToJsonString() == "2026-11-01T00:00:00Z"
    assert (
        "2 of 4 answers would change: another product in 12.5% of the compared positions" in printed
    )
    assert "1 answer was left out" in printed
    assert "candidates of recorded answers were ranked again" in printed
    assert "diversity.brand_cap 0 2 yes" in printed
    assert "brand Château A 50.00% 25.00% -25.00" in printed
    assert "different products shown 20 24" in printed
    expected = "margin EUR 10.00 (9.00 to 11.00) 1,212.50 (11.00 to 14.00) +2.50 (-0.50 to +4.00)"
    assert expected in printed
    assert "branches.text: is not used" in printed
    html = page.read_text("utf-8")
    assert BAD not in html
    assert '<meta http-equiv="Content-Security-Policy" content="default-src' in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert "Château A" in html
    assert html.count("Barbera") == html.count('<img src="data:image/') == 2, "before and after"
    assert "http" not in html.replace("<!doctype html>", "").replace("http-equiv", "")
    gateway.scene_diff.anew_count = 4
    again = flat(run(gateway, "scenes", "diff", str(file)))
    assert "Both scenes answered the last requests anew" in again
    assert "recorded answers" not in again
    gateway.scene_diff = admin.DiffSceneResponse()
    assert "No request to this scene is known" in flat(run(gateway, "scenes", "diff", str(file)))
    assert json.loads(run(gateway, "scenes", "diff", str(file), "--json").stdout)
