"""The command line: its requests, output and exit codes."""

import json
import re
import time
from datetime import timedelta
from pathlib import Path

import pytest
from google.protobuf import json_format
from google.rpc import code_pb2
from typer.testing import CliRunner

from sightline.common.v1 import answer_pb2
from sightline.gateway.v1 import admin_service_pb2, recommendation_service_pb2
from sightline_client.cli import app, failures
from tests.fakes.gateway import FakeGateway
from tests.fakes.gateway_messages import answer, status
from tests.unit.client.command_line import call, flat, photo
from tests.waiting import SECONDS

__all__ = ["photo"]  # fixtures

DOCS = Path(__file__).parents[3] / "docs"
ERRORS = (DOCS / "integrate/errors.md").read_text()


def test_every_option_reaches_the_request(gateway: FakeGateway, photo: Path) -> None:
    result = call(
        *("recommend", "--target", gateway.target, "--catalog", "shop", "--timeout", "7"),
        *("--image", str(photo), "--image", str(photo), "--product", "a", "--product", "b"),
        *("--text", "dry", "--user", "u", "--top", "3", "--scene", "home"),
        *("--min-answer-quality", "reduced"),
    )
    assert result.exit_code == 0, result.output
    request = gateway.requests["Recommend"][0]
    assert [signal.WhichOneof("content") for signal in request.signals] == [
        *("image", "image", "text", "product_id", "product_id")
    ]
    assert request.shopper.user_id == "u"
    assert (request.catalog_id, request.page_size, request.scene) == ("shop", 3, "home")
    assert request.min_answer_quality == answer_pb2.ANSWER_QUALITY_REDUCED
    deadline = gateway.deadlines["Recommend"][0]
    assert deadline is not None
    assert 6 < deadline < 7.5


def test_a_visitor_is_no_user(gateway: FakeGateway) -> None:
    assert call("recommend", "--target", gateway.target, "--visitor", "v").exit_code == 0
    assert gateway.requests["Recommend"][0].shopper.visitor_id == "v"


def test_the_table_shows_the_answer_and_explains_it(gateway: FakeGateway) -> None:
    text = flat(call("recommend", "--target", gateway.target).output)
    for figure in ("wine-1", "Barolo", "1.2500", "visual +1.000", "Looks like your photo"):
        assert figure in text
    for explanation in ("raw score: the sum of its parts", "visual: looks like the query"):
        assert explanation in text
    assert "the ranker did not answer: products are ordered by similarity" in text
    assert "Fallback: order of similarity" in text
    assert "Quality: computed without a part, such as the ranker [REDUCED]" in text
    assert "Not in the catalog: gone" in text
    assert "Experiment arms: order/b" in text


@pytest.mark.parametrize(
    "command",
    [("recommend",), ("search", "--text", "red"), ("similar", "wine-1"), ("values", "brand")],
)
def test_timings_and_versions_are_shown_where_they_are_wanted(
    gateway: FakeGateway, command: tuple[str, ...]
) -> None:
    short = flat(call(*command, "--target", gateway.target).output)
    text = flat(call(*command, "--target", gateway.target, "--verbose").output)
    for shown in ("stage", "ranking model: ", "plan: "):
        assert shown in text
        assert shown not in short


def test_the_versions_of_an_answer_are_named(gateway: FakeGateway) -> None:
    text = flat(call("recommend", "--target", gateway.target, "--verbose").output)
    for timing in ("embed", "1.0", "12.0", "10.0", "Milliseconds"):
        assert timing in text
    for version in ("version v1", "generation g1", "ranking model: m1", "visual → rank"):
        assert version in text
    assert "1.5 s behind the catalog; 3 photos pending embedding" in text


def test_json_is_the_whole_message_in_the_standard_mapping(gateway: FakeGateway) -> None:
    result = call("recommend", "--target", gateway.target, "--json")
    assert result.exit_code == 0
    parsed = json_format.Parse(result.stdout, recommendation_service_pb2.RecommendResponse())
    assert parsed == answer()
    assert json.loads(result.stdout)["noGoodMatch"] is False


def test_a_refusal_ends_with_1_and_names_option_and_fix(gateway: FakeGateway, photo: Path) -> None:
    refused = status(
        code_pb2.INVALID_ARGUMENT,
        "not a photo",
        reason="IMAGE_UNDECODABLE",
        violations=(("signals[0].image", "text, not a photo"),),
    )
    gateway.fail("Recommend", refused)
    result = call("recommend", "--target", gateway.target, "--image", str(photo))
    assert result.exit_code == 1
    assert result.stdout == ""
    assert flat(result.stderr) == (
        "IMAGE_UNDECODABLE: not a photo --image (signals[0].image): text, not a photo"
        " Fix: use a complete file in a supported format: JPEG, PNG, WebP, GIF, AVIF, HEIC,"
        " TIFF or BMP"
    )


def test_a_wait_that_the_suite_asks_for_is_said(gateway: FakeGateway) -> None:
    busy = status(
        code_pb2.RESOURCE_EXHAUSTED,
        "queue full",
        reason="EMBED_QUEUE_FULL",
        retry_after=timedelta(seconds=2),
    )
    gateway.fail("Recommend", busy)
    result = call("recommend", "--target", gateway.target)
    assert "asks to wait 2 s" in flat(result.stderr)


@pytest.mark.parametrize("command", ["recommend", "status"])
def test_no_gateway_ends_with_1_and_without_a_traceback(command: str) -> None:
    result = call(command, "--target", "127.0.0.1:1")
    assert result.exit_code == 1
    assert "GATEWAY_UNREACHABLE" in result.stderr
    assert "--target" in result.stderr
    assert "Traceback" not in result.output


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments",
    [
        ("events", "import", "e.csv"),
        ("products", "import", "p.csv"),
        ("products", "import", "p.csv", "--mode", "full", "--dry-run"),
        ("products", "offers", "p.csv", "--ignore", "title"),
        ("recommend", "--batch", "b.jsonl", "--out", "o.jsonl"),
    ],
)
def test_long_work_ends_soon_where_nobody_is_there_to_begin_with(
    arguments: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("e.csv").write_text("event_id,type,user_id\ne,VIEW,u\n")
    Path("p.csv").write_text("id,title,price,currency\n1,t,3,EUR\n")
    Path("b.jsonl").write_text("{}\n" * 20)
    Path("o.jsonl").write_text("of an earlier run")
    since = time.monotonic()
    result = call(*arguments, "--target", "127.0.0.1:1")
    assert time.monotonic() - since < SECONDS  # it tries for minutes once it has begun
    assert result.exit_code == 1
    assert "GATEWAY_UNREACHABLE" in result.stderr
    assert Path("o.jsonl").read_text() == "of an earlier run"


@pytest.mark.parametrize(
    ("arguments", "culprit"),
    [
        (("recommend", "--image", "/no/such/photo.jpg"), "--image"),
        (("recommend", "--top", "0"), "--top"),
        (("recommend", "--top", "201"), "--top"),
        (("recommend", "--user", "a", "--visitor", "b"), "--visitor"),
        (("recommend", "--timeout", "0"), "--timeout"),
        (("recommend", "--timeout", "inf"), "--timeout"),
        (("recommend", "--image", "/"), "--image"),
        (("recommend", "--image", "/proc/self/mem"), "--image"),
        (("recommend", "--image", "/dev/zero"), "--image"),
        (("recommend", "--product", "\udcff"), "--product"),
        (("recommend", "--text", "\udcff"), "--text"),
        (("recommend", "--user", "\udcff"), "--user"),
        (("recommend", "--visitor", "\udcff"), "--visitor"),
        (("recommend", "--scene", "\udcff"), "--scene"),
        (("status", "--catalog", "\udcff"), "--catalog"),
        (("status", "--target", "\udcff"), "--target"),
        (("status", "--target", ""), "--target"),
        (("status", "--target", "http://127.0.0.1:8600"), "without http://"),
        (("status", "--target", "localhost"), "localhost has no port"),
        (("status", "--target", "::1"), "has no port"),
        (("products", "get", ""), "ID"),
        (("products", "delete", "a", " "), "ID"),
        (("similar", ""), "PRODUCT"),
        (("jobs", "watch", ""), "JOB"),
        (("models", "promote", ""), "VERSION"),
        (("events", "merge", "", "u"), "VISITOR"),
        (("events", "merge", "v", ""), "USER"),
        (
            ("events", "purge", "--before", "yesterday"),
            "'yesterday' is not a time: write 2026-03-01",
        ),
        (("events", "purge", "--type", "LOOK"), "'LOOK' is not one of 'impression', 'view'"),
        (("recommend", "--top", "x"), "is not a whole number"),
        (("recommend", "--top", "999"), "is above the maximum, 200"),
        (("recommend", "--timeout", "x"), "is not a number"),
        (("recommend", "--timeout", "0"), "is below the minimum, 0.001"),
        (("recommend", "--exclude", "\udcff"), "--exclude"),
        (("recommend", "--image-uri", "\udcff"), "--image-uri"),
        (("recommend", "--filter", "brand = \udcff"), "--filter"),
        (("recommend", "--filter", "price < 99999999999999999999 EUR"), "--filter"),
        (("recommend", "--currency", "\udcff"), "--currency"),
        (("search", "--image", "/dev/zero"), "--image"),
        (("search", "--product", "\udcff"), "--product"),
        (("similar", "\udcff"), "PRODUCT"),
        (("products", "get", "\udcff"), "ID"),
        (("products", "delete", "a", "\udcff"), "ID"),
        (("products", "import", "--import-id", "\udcff"), "--import-id"),
        (("events", "purge", "--product", "\udcff"), "--product"),
        (("events", "purge", "--user", "\udcff"), "--user"),
        (("events", "purge", "--visitor", "\udcff"), "--visitor"),
        (("events", "purge", "--before", "0001-01-01T00:00:00+0500"), "--before"),
        (("events", "merge", "\udcff", "u"), "VISITOR"),
        (("events", "merge", "v", "\udcff"), "USER"),
        (("jobs", "list", "--kind", "\udcff"), "--kind"),
        (("jobs", "watch", "\udcff"), "JOB"),
        (("jobs", "cancel", "\udcff"), "JOB"),
        (("models", "promote", "\udcff"), "VERSION"),
        (("recommend", "--nonsense"), "--nonsense"),
        (("nonsense",), "nonsense"),
    ],
)
def test_wrong_usage_ends_with_2_and_names_the_culprit(
    arguments: tuple[str, ...], culprit: str
) -> None:
    result = call(*arguments)
    assert result.exit_code == 2
    printed = " ".join(result.stderr.replace("│", " ").split())
    assert culprit in printed
    assert not re.search("Value error|Input should|%Y|range", printed), "the library's own words"
    assert result.stdout == ""


@pytest.mark.parametrize(
    "target", ["127.0.0.1:1", "[::1]:1", "dns:///nobody.invalid:1", "unix:/nowhere/at/all"]
)
def test_every_way_to_name_a_gateway_is_tried(target: str) -> None:
    result = call("status", "--target", target, "--timeout", "2")
    assert result.exit_code == 1, result.output
    assert re.search("GATEWAY_UNREACHABLE|DEADLINE_EXCEEDED", result.stderr)


def test_a_healthy_suite_is_0_and_shows_its_figures(gateway: FakeGateway) -> None:
    result = call("status", "--target", gateway.target)
    assert result.exit_code == 0
    text = flat(result.output)
    for figure in (
        *("gateway answers", "products in the catalog: 100", "99 in the index"),
        *("1 pending embedding", "not known could not be embedded", "scenes: default"),
    ):
        assert figure in text


def test_status_shows_how_much_searches_find(gateway: FakeGateway) -> None:
    gateway.status.recall.add(plan="graph", filter_class="none", k=200, recall=1, upper=1)
    gateway.status.recall.add(
        plan="graph",
        filter_class="narrow",
        k=100,
        recall=0.875,
        lower=0.75,
        upper=0.9,
        search_count=40,
        below_floor=True,
        ef_factor=1.5,
    )
    text = flat(call("status", "--target", gateway.target).output)
    assert "recall at 200 (graph, without filter): 1.000, 0.000 to 1.000 by 0 searches" in text
    assert (
        "recall at 100 (graph, narrow filters): 0.875, 0.750 to 0.900 by 40 searches; ef ×1.5;"
        " BELOW THE FLOOR" in text
    )


def test_a_suite_with_a_part_down_is_1_and_says_which(gateway: FakeGateway) -> None:
    down = status(code_pb2.UNAVAILABLE, "connection refused")
    gateway.status.components.append(
        admin_service_pb2.ComponentStatus(component="ranker", status=down)
    )
    result = call("status", "--target", gateway.target)
    assert result.exit_code == 1
    assert "ranker UNAVAILABLE: connection refused" in flat(result.stdout)
    machine = call("status", "--target", gateway.target, "--json")
    assert machine.exit_code == 1
    assert json.loads(machine.stdout)["components"][1]["status"]["code"] == 14


def test_the_target_may_come_from_the_environment(gateway: FakeGateway) -> None:
    result = CliRunner().invoke(app, ["status"], env={"SIGHTLINE_TARGET": gateway.target})
    assert result.exit_code == 0


def test_help_teaches_the_exit_codes_and_examples() -> None:
    assert "Exit codes: 0 done; 1 rejected or failed" in flat(call("--help").output)
    assert "sightline recommend --image" in flat(call("recommend", "--help").output)


def test_every_fix_is_for_a_reason_that_the_docs_or_the_client_name() -> None:
    rows = re.findall(r"^\| ([A-Z_, ]+) \|", ERRORS, re.MULTILINE)
    documented = {reason for row in rows for reason in row.split(", ")}
    assert len(documented) > 20
    assert set(failures.FIXES) - documented == {"GATEWAY_UNREACHABLE", "HTTP_PORT"}
