"""``sightline models evaluate``, and the evidence that promotions report."""

import json
import re
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from google.rpc import code_pb2

from sightline.common.v1 import job_pb2
from sightline_client import (
    EvaluationVerdict,
    ProductionForm,
    SightlineClient,
    SplitProtocol,
    SystemKind,
)
from sightline_client.cli.work import entry_points, offline_evaluation
from tests.fakes import evaluations
from tests.fakes.gateway import FakeGateway
from tests.fakes.gateway_messages import status
from tests.unit.client.command_line import Line, flat, line

__all__ = ["line"]

EVENTS = "event_id,type,product_id,user_id,time\ne1,VIEW,p1,u1,2026-03-01T12:00:00Z\n"
PRODUCTS = "id,title,category,images\np1,A wine,Red,gone.jpg\n"


async def test_an_evaluation_comes_as_plain_values(
    client: SightlineClient, gateway: FakeGateway
) -> None:
    job = await client.evaluate_model("m1", request_id="once")
    assert (job.job_id, gateway.requests["EvaluateModel"][0].request_id) == ("ranker/1", "once")
    found = await client.get_evaluation("m1")
    assert (found.verdict, found.shopper_count) == (EvaluationVerdict.INCONCLUSIVE, 56)
    assert found.production_form is ProductionForm.REFITTED
    assert [one.protocol for one in found.trials] == [
        SplitProtocol.GLOBAL,
        SplitProtocol.PER_USER_TAIL,
    ]
    assert (found.trials[0].split_time is None, found.trials[1].split_time) == (False, None)
    candidate = found.trials[0].systems[0]
    assert candidate.kind is SystemKind.CANDIDATE
    regulars = candidate.slice("regulars")
    assert regulars is not None
    ndcg, coverage = regulars.figure("ndcg@10"), regulars.figure("coverage@10")
    assert ndcg is not None
    assert coverage is not None
    assert (ndcg.value, ndcg.low, coverage.low) == (0.4, 0.3, None)
    assert candidate.slice("elsewhere") is None
    assert found.trials[0].comparisons[0].smallest_effect == 0.116


def test_a_model_is_measured_followed_and_shown(line: Line, gateway: FakeGateway) -> None:
    result = line("models", "evaluate", "m1")
    assert result.exit_code == 0, result.output
    assert gateway.requests["EvaluateModel"][0].model_version == "m1"
    assert gateway.requests["WatchJob"]
    printed = flat(result.stdout)
    assert "INCONCLUSIVE: not shown to be better" in printed
    assert "Only 56 shoppers could be asked." in printed
    assert "<b>EASE</b> is better than the candidate by ndcg@10." in printed
    assert "<b>EASE</b> (λ 350, last 10 products)" in printed
    assert "0.400 [0.300, 0.500]" in printed
    assert "popularity better +0.1150 +0.0450 to +0.2080 0.1160 INCONCLUSIVE" in printed
    assert "production at most 0.0120 worse" in printed
    assert "nDCG@10: share of the first ten" in printed


def test_what_was_found_is_shown_again_without_measuring(line: Line, gateway: FakeGateway) -> None:
    found = json.loads(line("models", "evaluate", "m1", "--show", "--json").stdout)
    assert found["verdict"] == "VERDICT_INCONCLUSIVE"
    assert not gateway.requests["EvaluateModel"]
    gateway.fail("GetEvaluation", status(code_pb2.NOT_FOUND, "no", reason="EVALUATION_NOT_FOUND"))
    result = line("models", "evaluate", "m1", "--show")
    assert result.exit_code == 1
    assert "sightline models evaluate" in flat(result.stderr)


def test_an_evaluation_that_fails_is_1(line: Line, gateway: FakeGateway) -> None:
    gateway.job_states[-1].state = job_pb2.Job.STATE_FAILED
    assert line("models", "evaluate").exit_code == 1
    assert not gateway.requests["GetEvaluation"]


def test_the_page_explains_itself_and_trusts_no_name(line: Line, tmp_path: Path) -> None:
    page = tmp_path / "deep" / "page.html"
    result = line("models", "evaluate", "--show", "--html", str(page))
    assert result.exit_code == 0, result.output
    text = page.read_text()
    assert "<b>EASE</b>" not in text
    assert '<meta http-equiv="Content-Security-Policy" content="default-src' in text
    assert "&lt;b&gt;EASE" in text
    for words in ("Exposure by brand", "Smallest effect", "Appendix", "No shopper was measured"):
        assert words in text
    assert "http" not in text.replace("http://www.w3.org", "").replace("http-equiv", "")
    assert "<script" not in text


def test_a_model_without_proof_is_trained_shown_and_not_promoted(
    line: Line, gateway: FakeGateway
) -> None:
    unproven = status(
        code_pb2.FAILED_PRECONDITION, "the evidence is INCONCLUSIVE", reason="MODEL_UNPROVEN"
    )
    gateway.fail("PromoteModel", unproven)
    result = line("models", "train", "--promote")
    assert result.exit_code == 0
    assert "SUCCEEDED" in result.stdout
    assert "is serving" not in result.stdout
    assert "the evidence is INCONCLUSIVE" in flat(result.stderr)
    assert "sightline models promote m1 --force" in flat(result.stderr)


def test_promotions_are_forced_only_when_asked(line: Line, gateway: FakeGateway) -> None:
    assert line("models", "train", "--promote", "--force").exit_code == 0
    assert line("models", "promote", "m1", "--force").exit_code == 0
    assert line("models", "promote", "m1").exit_code == 0
    assert [one.force for one in gateway.requests["PromoteModel"]] == [True, True, False]
    assert line("models", "train", "--force").exit_code == 2


class Installed:
    """A package that measures."""

    def __init__(self) -> None:
        self.asked: dict[str, object] = {}

    def __call__(self, events, products, **options):
        options["progress"](1, 1)
        self.asked = {"events": events, "products": products, **options}
        return evaluations.evaluation()


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, ...]:
    (tmp_path / "e.csv").write_text(EVENTS)
    (tmp_path / "p.csv").write_text(PRODUCTS)
    return ("--events", str(tmp_path / "e.csv"), "--products", str(tmp_path / "p.csv"))


def test_files_are_measured_without_a_suite(
    line: Line, gateway: FakeGateway, files: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    package = Installed()
    monkeypatch.setattr(offline_evaluation, "evaluator", lambda: package)
    options = ("--split", "per-user-tail", "--share", "0.3", "--seed", "7", "--json")
    result = line("models", "evaluate", *files, *options)
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["trials"]
    assert package.asked["protocols"] == ["per-user-tail"]
    assert (package.asked["share"], package.asked["seed"]) == (0.3, 7)
    assert [one.event_id for one in package.asked["events"]] == ["e1"]
    assert [list(one.category_path) for one in package.asked["products"]] == [["Red"]]
    assert not gateway.requests
    line("models", "evaluate", *files)
    assert package.asked["protocols"] == ["global", "per-user-tail"]


@pytest.mark.parametrize(
    "wrong",
    [("--events",), ("--products",), ("--split", "global"), ("m1", "--events", "--products")],
)
def test_files_and_a_suite_are_not_mixed(
    line: Line, files: tuple[str, ...], wrong: tuple[str, ...]
) -> None:
    paths = dict(zip(files[::2], files[1::2], strict=True))
    arguments = [part for one in wrong for part in ((one, paths[one]) if one in paths else (one,))]
    assert line("models", "evaluate", *arguments).exit_code == 2


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ("e2,VIEW,p1,u1,", "row 2: INVALID_ARGUMENT|time.*missing"),
        ("e2,LOOK,p1,u1,2026-03-01T12:00:00Z", "row 2: .*LOOK"),
        ("e2,VIEW", "row 2"),
    ],
)
def test_one_bad_row_ends_it(
    line: Line,
    files: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
    row: str,
    says: str,
) -> None:
    monkeypatch.setattr(offline_evaluation, "evaluator", Installed)
    Path(files[1]).write_text(f"{EVENTS}{row}\n")
    result = line("models", "evaluate", *files)
    assert result.exit_code == 1
    assert re.search(says, flat(result.stderr)), result.stderr


@pytest.mark.parametrize(
    "points", [[], [EntryPoint("none", "no.such.module:it", offline_evaluation.GROUP)]]
)
def test_without_the_package_it_says_what_to_install(
    line: Line,
    files: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
    points: list[EntryPoint],
) -> None:
    monkeypatch.setattr(entry_points, "entry_points", lambda group: points)
    result = line("models", "evaluate", *files)
    assert result.exit_code == 1
    assert "make setup" in flat(result.stderr)
