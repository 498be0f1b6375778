"""Events, models, jobs, products: what is asked, what is shown, how it ends."""

import json
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from google.rpc import code_pb2
from pyarrow import parquet
from typer.testing import CliRunner, Result

from sightline.common.v1 import event_pb2, job_pb2, product_pb2
from sightline_client.cli import app
from sightline_client.cli.commands import products
from sightline_client.cli.work.patience import Patience
from tests.fakes.gateway import FakeGateway, status, wine


class Line:
    """The command line on a gateway."""

    def __init__(self, gateway: FakeGateway) -> None:
        self.gateway = gateway

    def __call__(self, *arguments: str, catalog: str = "shop") -> Result:
        where = ("--target", self.gateway.target, "--catalog", catalog)
        return CliRunner().invoke(app, [*arguments, *where])


@pytest.fixture
def line(gateway: FakeGateway) -> Line:
    return Line(gateway)


def flat(text: str) -> str:
    return " ".join(text.split())


OFFERS = "id,price,currency\nwine-1,9,EUR\n"
EVENTS = "event_id,type,product_id,user_id,visitor_id,time,value\n"


def test_events_are_imported_once_however_often(
    line: Line, gateway: FakeGateway, tmp_path: Path
) -> None:
    path = tmp_path / "e.csv"
    rows = "".join(f"e{n},VIEW,p{n},u,,2026-03-01T12:00:00Z,\n" for n in range(2500))
    path.write_text(EVENTS + rows)
    first = line("events", "import", str(path))
    assert first.exit_code == 0, first.output
    assert "2,500 new, 0 there already" in first.stdout
    again = json.loads(line("events", "import", str(path), "--json").stdout)
    assert (again["writtenCount"], again["duplicateCount"]) == (0, 2500)
    sizes = sorted(len(request.events) for request in gateway.requests["WriteEvents"])
    assert sizes == [500, 500, 1000, 1000, 1000, 1000]
    assert gateway.events["e7"].event_time.seconds == 1772366400


def test_bad_events_are_told_by_row_and_never_end_the_rest(
    line: Line, gateway: FakeGateway, tmp_path: Path
) -> None:
    path = tmp_path / "e.csv"
    path.write_text(
        EVENTS + "e1,VIEW,p,u,,,\ne2,LOOK,p,u,,,\ne3,VIEW,p,u,,2026-03-01T12:00:00,\n"
        "e4,VIEW,p\ne5,VIEW,p,u,,2099-01-01T00:00:00Z,\ne6,RATING,p,,v,,4.5\n"
    )
    gateway.refused["e5"] = status(
        code_pb2.INVALID_ARGUMENT, "in the future", reason="EVENT_TIME_INVALID"
    )
    result = line("events", "import", str(path))
    assert result.exit_code == 1
    text = flat(result.stderr)
    for told in (
        *("Row 2 (e2): ROW_INVALID: type: 'LOOK' is none of", "Row 3 (e3): ROW_INVALID: time:"),
        *("Row 4 (e4): ROW_INVALID: row: line 5 has 3", "Row 5 (e5): EVENT_TIME_INVALID"),
    ):
        assert told in text
    assert set(gateway.events) == {"e1", "e6"}
    kept = (tmp_path / "e.rejected.csv").read_text().splitlines()
    assert [row.split(",")[0] for row in kept] == ["event_id", "e2", "e3", "e4", "e5"]


def test_only_the_first_refused_rows_are_told_one_by_one(
    line: Line, gateway: FakeGateway, tmp_path: Path
) -> None:
    path = tmp_path / "e.csv"
    path.write_text(EVENTS + "".join(f"e{n},LOOK,p,u,,,\n" for n in range(50)))
    result = line("events", "import", str(path))
    assert flat(result.stderr).count("Row ") == 10
    assert "50 refused" in result.stdout
    assert len((tmp_path / "e.rejected.csv").read_text().splitlines()) == 51


def test_a_row_with_half_a_character_is_kept_and_never_ends_the_rest(
    line: Line, gateway: FakeGateway, tmp_path: Path
) -> None:
    path = tmp_path / "p.jsonl"
    path.write_text(
        '{"id": "\\ud800", "title": "t"}\n'
        '{"id": "a", "title": "t", "attributes": {"\\ud800": "x"}}\n'
        '{"id": "b", "title": "t"}\n'
    )
    assert line("products", "import", str(path)).exit_code == 1
    assert gateway.stored == ["b"]
    kept = (tmp_path / "p.rejected.jsonl").read_text().splitlines()
    assert [json.loads(row)["id"] for row in kept] == ["\ud800", "a"]


@pytest.mark.parametrize("command", ["events import", "products offers"])
def test_a_suite_that_is_away_is_waited_for_and_it_is_told_once(
    line: Line, gateway: FakeGateway, tmp_path: Path, command: str
) -> None:
    path = tmp_path / "f.csv"
    rows = "".join(f"e{n},VIEW,p,u,,,\n" for n in range(3000))
    path.write_text(EVENTS + rows if command == "events import" else OFFERS)
    away = status(code_pb2.UNAVAILABLE, "connection refused")
    for method in ("WriteEvents", "UpdateOffers"):
        gateway.fail(method, *[away] * 12)
    result = line(*command.split(), str(path))
    assert result.exit_code == 0, result.output
    told = r"The suite does not answer \(GATEWAY_UNREACHABLE\): trying for 1[12]\d s more\."
    assert re.fullmatch(told, flat(result.stderr))


def rejected(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_products_of_a_parquet_file_are_imported_and_the_bad_ones_kept(
    line: Line, gateway: FakeGateway, tmp_path: Path
) -> None:
    columns = {
        "id": [1, 2, 3, 4],
        "title": [b"Barolo", b"Bytes", b"Price", b"Not a number"],
        "price": ["12.50", "3", "cheap", None],
        "currency": ["EUR"] * 4,
        "tags": [["Beef", "Lamb"], [], None, []],
    }
    table = pa.table(columns)
    texts = table.set_column(1, "title", table["title"].cast(pa.string()))
    parquet.write_table(texts, tmp_path / "texts.parquet")
    result = line("products", "import", str(tmp_path / "texts.parquet"))
    assert result.exit_code == 1
    assert "Row 3 (3): ROW_INVALID: price: 'cheap' is not a number" in flat(result.stderr)
    assert sorted(gateway.stored) == ["1", "2", "4"]
    made = gateway.products["1"]
    assert (made.title, made.price.units, list(made.tags)) == ("Barolo", 12, ["Beef", "Lamb"])
    (kept,) = rejected(tmp_path / "texts.rejected.jsonl")
    assert kept["id"] == 3
    assert (kept["price"], kept["_row"], kept["_reason"]) == ("cheap", 3, "ROW_INVALID")

    figures = table.set_column(2, "price", pa.array([12.5, 3.0, float("nan"), None]))
    parquet.write_table(figures, tmp_path / "bytes.parquet")
    for name in ("bytes.parquet", "bytes.rejected.jsonl"):
        path = tmp_path / name
        path = path.rename(tmp_path / "again.jsonl") if name.endswith("jsonl") else path
        result = line("products", "import", str(path), "--json")
        assert json.loads(result.stdout)["rowsRefused"] == "4"
        assert "title: is " in result.stderr
    again = rejected(tmp_path / "again.rejected.jsonl")
    assert [row["title"] for row in again][:2] == [
        [["bytes", b"Barolo".hex()]],
        [["bytes", "4279746573"]],
    ]
    assert again[2]["price"] == [["float", "nan"]]


def test_events_of_a_parquet_file_are_imported_and_naive_times_told_how_to_mend(
    line: Line, gateway: FakeGateway, tmp_path: Path
) -> None:
    naive = pa.array([1772366400_000_000_001, None], pa.int64()).cast(pa.timestamp("ns"))
    columns = {"event_id": ["e1", "e2"], "type": ["VIEW", "CLICK"], "user_id": [7, 8]}
    columns |= {"product_id": ["p", "p"], "position": [1, 2]}
    path = tmp_path / "clicks.parquet"
    parquet.write_table(pa.table(columns | {"time": naive}), path)
    result = line("events", "import", str(path))
    assert result.exit_code == 1
    told = flat(result.stderr)
    assert "Row 1 (e1): ROW_INVALID: time: 2026-03-01T12:00:00 has no time zone" in told
    assert 'in pandas frame["time"].dt.tz_localize("UTC")' in told
    assert "append Z" not in told, "nobody can append to a column of times"
    assert set(gateway.events) == {"e2"}
    (kept,) = rejected(tmp_path / "clicks.rejected.jsonl")
    assert (kept["time"], kept["user_id"]) == ("2026-03-01T12:00:00", 7)

    zoned = naive.cast(pa.timestamp("us"), safe=False).cast(pa.timestamp("us", "UTC"))
    parquet.write_table(pa.table(columns | {"time": zoned}), path)
    assert line("events", "import", str(path)).exit_code == 0
    made = gateway.events["e1"]
    assert (made.event_time.seconds, made.shopper.user_id, made.position) == (1772366400, "7", 1)


def test_a_suite_that_answers_for_too_few_rows_is_at_fault(
    line: Line, gateway: FakeGateway, tmp_path: Path
) -> None:
    gateway.unanswered = 1
    events, products = tmp_path / "e.csv", tmp_path / "p.csv"
    events.write_text(EVENTS + "e1,VIEW,p,u,,,\n")
    products.write_text("id,title,price,currency\nwine-1,Barolo,9,EUR\n")
    for arguments in (
        ("events", "import", str(events)),
        ("products", "import", str(products)),
        ("products", "offers", str(products), "--ignore", "title"),
    ):
        result = line(*arguments)
        assert result.exit_code == 1
        assert "1 items were sent, and the suite answered for 0" in flat(result.stderr)


def test_a_purge_of_events_counts_first(line: Line, gateway: FakeGateway) -> None:
    result = line("events", "purge", "--before", "2024-01-01", "--type", "view", "--type", "CLICK")
    assert result.exit_code == 0, result.output
    assert "7 events would be deleted; --force deletes them: from 2020-09-13" in flat(result.stdout)
    (request,) = gateway.requests["PurgeEvents"]
    assert not request.force
    assert list(request.types) == [event_pb2.EVENT_TYPE_VIEW, event_pb2.EVENT_TYPE_CLICK]
    assert request.before_time.seconds == 1704067200
    assert "7 events deleted" in flat(line("events", "purge", "--user", "u", "--force").stdout)
    assert gateway.requests["PurgeEvents"][1].shopper.user_id == "u"
    assert gateway.requests["PurgeEvents"][1].request_id


def test_a_visitor_becomes_a_customer(line: Line, gateway: FakeGateway) -> None:
    assert "3 events moved" in line("events", "merge", "cookie", "u7").stdout
    (request,) = gateway.requests["MergeShopper"]
    assert getattr(request, "from").visitor_id == "cookie"
    assert request.to.user_id == "u7"


def test_training_is_followed_and_promoted(line: Line, gateway: FakeGateway) -> None:
    result = line("models", "train", "--seed", "7", "--promote")
    assert result.exit_code == 0, result.output
    assert "Model m1 serves now" in result.stdout
    assert gateway.requests["TrainModel"][0].seed == 7
    assert gateway.requests["PromoteModel"][0].model_version == "m1"


def too_little(gateway: FakeGateway) -> job_pb2.Job:
    ended = gateway.job_states[-1]
    ended.state = job_pb2.Job.STATE_FAILED
    ended.error.CopyFrom(
        status(code_pb2.FAILED_PRECONDITION, "too few", reason="TRAINING_DATA_INSUFFICIENT")
    )
    return ended


def test_too_little_to_learn_from_ends_well_where_a_promotion_was_asked_for(
    line: Line, gateway: FakeGateway
) -> None:
    too_little(gateway)
    result = line("models", "train", "--promote")
    assert result.exit_code == 0
    said = flat(result.stderr)
    assert "Nothing was learned yet: too few." in said
    assert "Serving now: model m0." in said
    assert "sightline events import FILE" in said
    assert not gateway.requests["PromoteModel"]


def test_a_model_without_evidence_is_kept_and_what_is_missing_is_said(
    line: Line, gateway: FakeGateway
) -> None:
    unproven = status(
        code_pb2.FAILED_PRECONDITION, "the evidence is INCONCLUSIVE", reason="MODEL_UNPROVEN"
    )
    gateway.fail("PromoteModel", unproven)
    result = line("models", "train", "--promote")
    assert result.exit_code == 0
    said = flat(result.stderr)
    assert "Model m1 is trained and kept, and does not serve yet." in said
    assert "Evidence: the evidence is INCONCLUSIVE" in said
    assert "Serving now: model m0." in said
    assert "Come back when there is more of it" in said
    assert "sightline models promote m1 --force" in said


@pytest.mark.parametrize("options", [(), ("--promote",)])
def test_training_that_fails_or_is_cancelled_is_told_once(
    line: Line, gateway: FakeGateway, options: tuple[str, ...]
) -> None:
    ended = too_little(gateway)
    ended.error.CopyFrom(status(code_pb2.ABORTED, "NaN", reason="TRAINING_DIVERGED"))
    result = line("models", "train", *options)
    assert result.exit_code == 1
    assert flat(result.stderr) == "Job ranker/1 ended as FAILED: TRAINING_DIVERGED: NaN"
    ended.state = job_pb2.Job.STATE_CANCELLED
    ended.ClearField("error")
    result = line("models", "train", *options)
    assert result.exit_code == 1
    assert flat(result.stderr) == "Job ranker/1 ended as CANCELLED"
    assert "serves now" not in result.stdout


def test_training_may_be_only_started(line: Line, gateway: FakeGateway) -> None:
    assert line("models", "train", "--no-wait").exit_code == 0
    assert not gateway.requests["WatchJob"]
    assert line("models", "train", "--no-wait", "--promote").exit_code == 2


def test_models_are_listed_promoted_and_rolled_back(line: Line, gateway: FakeGateway) -> None:
    assert "m0 serves" in flat(line("models", "list").stdout)
    assert "ndcg@10 0.500 (n=7)" in flat(line("models", "list").stdout)
    assert "m7 serves" in flat(line("models", "promote", "m7").stdout)
    assert json.loads(line("models", "rollback", "--json").stdout)["modelVersion"] == "m0"
    gateway.fail("RollbackModel", status(code_pb2.UNAVAILABLE, "lost"))
    assert line("models", "rollback").exit_code == 1
    assert len(gateway.requests["RollbackModel"]) == 2, "going back twice is two models back"


def test_a_model_is_demoted_once(line: Line, gateway: FakeGateway) -> None:
    assert "Model m7 serves no more; none does." in flat(line("models", "demote").stdout)
    gateway.fail("DemoteModel", status(code_pb2.UNAVAILABLE, "lost"))
    assert line("models", "demote").exit_code == 1
    assert len(gateway.requests["DemoteModel"]) == 2, "never tried again by itself"


def test_a_model_is_published_and_the_job_followed(line: Line, gateway: FakeGateway) -> None:
    gateway.fail("PublishModel", status(code_pb2.UNAVAILABLE, "lost"))
    result = line("models", "publish", "m7", "--rewrite")
    assert result.exit_code == 0
    assert "SUCCEEDED" in flat(result.stdout)
    first, second = gateway.requests["PublishModel"]
    assert (first.model_version, first.rewrite) == ("m7", True)
    assert first == second
    assert first.request_id, "a try again must not start a second job"
    ended = gateway.job_states[-1]
    ended.state = job_pb2.Job.STATE_FAILED
    assert line("models", "publish").exit_code == 1
    assert gateway.requests["PublishModel"][-1].model_version == ""


def test_events_are_exported_and_the_folder_told(line: Line, gateway: FakeGateway) -> None:
    gateway.fail("ExportEvents", status(code_pb2.UNAVAILABLE, "lost"))
    gateway.job_states[-1].results.add(name="folder", value="s3://bucket/exports/default/1")
    result = line("events", "export", "--since", "2026-01-01", "--type", "click", "--type", "VIEW")
    assert result.exit_code == 0
    assert "folder s3://bucket/exports/default/1" in flat(result.stdout)
    first, second = gateway.requests["ExportEvents"]
    assert first == second
    assert first.request_id, "a try again must not start a second job"
    assert (first.from_time.seconds, first.HasField("before_time")) == (1_767_225_600, False)
    assert list(first.types) == [event_pb2.EVENT_TYPE_CLICK, event_pb2.EVENT_TYPE_VIEW]
    gateway.job_states[-1].state = job_pb2.Job.STATE_FAILED
    assert line("events", "export").exit_code == 1


def test_a_backup_is_made_and_listed(line: Line, gateway: FakeGateway) -> None:
    assert "ranker/1 train SUCCEEDED 2 of 2" in flat(line("backup", "create").stdout)
    assert "b0 – 7 0 0 2.5" in flat(line("backup", "list", "--top", "3").stdout)
    assert gateway.requests["ListBackups"][0].page_size == 3
    assert json.loads(line("backup", "list", "--json").stdout)["backups"][0]["backupId"] == "b0"


def test_a_backup_is_restored(line: Line, gateway: FakeGateway) -> None:
    assert line("backup", "restore", "b0", "--from", "shop", "--force").exit_code == 0
    (request,) = gateway.requests["RestoreBackup"]
    assert (request.backup_id, request.source_catalog_id, request.force) == ("b0", "shop", True)
    gateway.fail(
        "RestoreBackup",
        status(
            code_pb2.FAILED_PRECONDITION,
            "not empty",
            reason="CATALOG_NOT_EMPTY",
            violations=(("force", "is needed"),),
        ),
    )
    result = line("backup", "restore", "b0")
    assert result.exit_code == 1
    assert "--force (force): is needed Fix: restore into an empty" in flat(result.stderr)


def test_a_restore_that_fails_is_1(line: Line, gateway: FakeGateway) -> None:
    ended = gateway.job_states[-1]
    ended.state = job_pb2.Job.STATE_FAILED
    ended.error.CopyFrom(status(code_pb2.DATA_LOSS, "photos/x: no", reason="BACKUP_DAMAGED"))
    result = line("backup", "restore", "b0")
    assert result.exit_code == 1
    assert "ended as FAILED: BACKUP_DAMAGED: photos/x: no" in flat(result.stderr)
    assert line("backup", "restore", "b0", "--no-wait").exit_code == 0


def test_an_index_is_rebuilt(line: Line, gateway: FakeGateway) -> None:
    assert "SUCCEEDED" in line("index", "rebuild").stdout
    assert line("index", "rebuild", "--space", "text", "--no-wait").exit_code == 0
    assert [request.space for request in gateway.requests["RebuildIndex"]] == ["visual", "text"]


def test_jobs_are_listed_watched_and_cancelled(line: Line, gateway: FakeGateway) -> None:
    assert "ranker/1 train SUCCEEDED 2 of 2" in flat(line("jobs", "list", "--kind", "train").stdout)
    assert gateway.requests["ListJobs"][0].kind == "train"
    assert line("jobs", "watch", "ranker/1").exit_code == 0
    assert "CANCELLED" in line("jobs", "cancel", "ranker/1").stdout
    gateway.job_states[-1].state = job_pb2.Job.STATE_CANCELLED
    assert line("jobs", "watch", "ranker/1").exit_code == 1


def test_products_are_shown_listed_and_deleted(line: Line, gateway: FakeGateway) -> None:
    for number in range(2, 5):
        gateway.products[f"wine-{number}"] = wine(f"wine-{number}")
    text = flat(line("products", "get", "wine-1").stdout)
    assert "country=Italy, abv=13.5, organic=True" in text
    assert flat(line("products", "list").stdout).count("Barolo") == 4
    listed = json.loads(line("products", "list", "--top", "2", "--json").stdout)
    assert [product["productId"] for product in listed["products"]] == ["wine-1", "wine-2"]
    assert "There are more" in line("products", "list", "--top", "2").stdout
    line("products", "list", "--filter", "price < 9 EUR", "--order", "newest")
    request = gateway.requests["ListProducts"][-1]
    assert request.filter.all.filters[0].comparison.value.money.units == 9
    assert request.order == 2
    assert "1 deleted; 1 did not exist" in line("products", "delete", "wine-2", "none").stdout
    assert line("products", "get", "wine-2").exit_code == 1


def test_a_purge_of_products_counts_first(line: Line, gateway: FakeGateway) -> None:
    gateway.products["x"] = product_pb2.Product(product_id="x", title="X", brand="Other")
    result = line("products", "purge", "--filter", "brand = Aurora")
    assert "1 product would be deleted; --force deletes them. wine-1" in flat(result.stdout)
    assert len(gateway.products) == 2
    assert line("products", "purge", "--filter", "brand = Aurora", "--force").exit_code == 0
    assert set(gateway.products) == {"x"}
    assert line("products", "purge", "--all", "--force").exit_code == 0
    assert not gateway.products


def test_what_waits_for_its_vector_is_told(line: Line, gateway: FakeGateway) -> None:
    assert "1 wait for their vector" in flat(line("products", "status").stdout)
    gateway.status.pending_images = 0
    assert line("products", "status", "--wait").exit_code == 0
    gateway.status.pending_texts = 27_000
    assert "27,000 wait for their vector" in flat(line("products", "status").stdout)
    gateway.status.products = -1
    assert line("products", "status").exit_code == 1


def test_a_wait_for_vectors_says_how_to_stop_and_outlives_a_passing_failure(
    line: Line, gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway.status.pending_texts = 3

    class Waiting(Patience):
        async def wait(self, call: Callable[[], Awaitable[Any]]) -> Any:
            gateway.status.pending_images = gateway.status.pending_texts = 0
            gateway.status.freshness.ClearField("index_lag")
            draining = status(code_pb2.UNAVAILABLE, "draining", reason="DRAINING")
            gateway.fail("GetStatus", *[draining] * 5)
            return await super().wait(call)

    monkeypatch.setattr(products, "Patience", Waiting)
    result = line("products", "status", "--wait")
    assert result.exit_code == 0, result.output
    assert "0 wait for their vector" in flat(result.stdout)
    first, second = result.stderr.splitlines()
    assert first == "Waiting for vectors. Ctrl-C ends the wait; the suite goes on."
    assert re.fullmatch(r"The suite is not ready \(DRAINING\): trying for 1[12]\d s more\.", second)


def test_the_set_up_is_checked_with_versions(line: Line, gateway: FakeGateway) -> None:
    text = flat(line("config", "check").stdout)
    assert f"gateway: {gateway.target} answers, version 0.7.0" in text
    assert "catalog: shop is there, with 100 products" in text
    gateway.fail("Recommend", status(code_pb2.UNAVAILABLE, "x", reason="NOTHING_AVAILABLE"))
    facts = json.loads(line("config", "check", "--json").stdout)
    assert facts["clientVersion"]
    missing = status(code_pb2.NOT_FOUND, "no such catalog", reason="CATALOG_NOT_FOUND")
    gateway.fail("GetStatus", missing)
    result = line("config", "check", catalog="shoos")
    assert result.exit_code == 1
    assert "--catalog" in result.stderr


def test_every_command_takes_catalog_and_target_and_json_and_teaches_by_example() -> None:
    group = CliRunner()
    pages = {
        command: flat(group.invoke(app, [*command, "--help"], terminal_width=200).output)
        for command in COMMANDS
    }
    for command, text in pages.items():
        for option in ("--target", "--catalog", "--json"):
            assert option in text, (command, option)
        assert f"sightline {' '.join(command)}" in text.replace("Usage: sightline", ""), command


@pytest.mark.parametrize("command", [(), ("products",), ("products", "import"), ("jobs", "list")])
def test_a_flag_shows_no_type_that_nobody_can_write(command: tuple[str, ...]) -> None:
    text = CliRunner().invoke(app, [*command, "--help"]).output
    assert "--help" in text
    assert "<bool>" not in text


COMMANDS = [
    *(("recommend",), ("search",), ("similar",), ("status",), ("config", "check")),
    *(
        ("products", name)
        for name in ("import", "get", "list", "delete", "offers", "purge", "status")
    ),
    *(("events", name) for name in ("import", "purge", "merge")),
    *(("models", name) for name in ("train", "list", "show", "promote", "publish", "rollback")),
    *(
        ("index", name)
        for name in ("list", "create", "backfill", "verify", "activate", "rollback", "drop")
    ),
    ("index", "upgrade"),
    *(("jobs", name) for name in ("list", "watch", "cancel")),
    *(("backup", name) for name in ("create", "list", "restore")),
    ("index", "rebuild"),
]


def test_a_shell_can_learn_the_commands() -> None:
    result = CliRunner().invoke(app, ["--help"])
    assert "--install-completion" in result.output
    listed = CliRunner().invoke(
        app,
        env={
            "_SIGHTLINE_COMPLETE": "complete_bash",
            "COMP_WORDS": "sightline pro",
            "COMP_CWORD": "1",
        },
    )
    assert "products" in listed.output


def test_the_version_is_told() -> None:
    assert CliRunner().invoke(app, ["--version"]).output.strip() == "0.7.0"
