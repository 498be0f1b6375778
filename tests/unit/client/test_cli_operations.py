"""Products, backups, jobs and every command: requests, output and exit codes."""

import json
import re
import tomllib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from google.rpc import code_pb2
from typer.testing import CliRunner

from sightline.common.v1 import job_pb2, product_pb2
from sightline_client.cli import app
from sightline_client.cli.commands import products
from sightline_client.cli.work.patience import Patience
from tests.fakes.gateway import FakeGateway
from tests.fakes.gateway_messages import status, wine
from tests.unit.client.command_line import Line, flat, line

__all__ = ["line"]  # fixtures


def test_a_backup_is_made_and_listed(line: Line, gateway: FakeGateway) -> None:
    assert "ranker/1 train SUCCEEDED 2 of 2" in flat(line("backup", "create").stdout)
    assert "b0 – 7 0 0 2.5" in flat(line("backup", "list", "--top", "3").stdout)
    assert gateway.requests["ListBackups"][0].page_size == 3
    assert json.loads(line("backup", "list", "--json").stdout)["backups"][0]["backupId"] == "b0"


def test_a_backup_is_deleted(line: Line, gateway: FakeGateway) -> None:
    assert "deleted 2.5 MB" in flat(line("backup", "delete", "b0").stdout)
    assert gateway.requests["DeleteBackup"][0].backup_id == "b0"


def test_a_photo_is_taken_down_listed_and_allowed_again(line: Line, gateway: FakeGateway) -> None:
    image = "a" * 64
    taken = line("photos", "take-down", image, "--reason", "a face")
    assert "taken down; 2 products had it. p1, p2" in flat(taken.stdout)
    (request,) = gateway.requests["TakeDownPhoto"]
    assert (request.image_id, request.reason) == (image, "a face")
    assert f"{'0' * 64} 2023-11-14 22:13:20Z a face" in flat(line("photos", "taken-down").stdout)
    assert "may be stored again" in flat(line("photos", "lift", image).stdout)
    assert "was not taken down" in flat(line("photos", "lift", "0" * 64).stdout)


def test_products_are_marked_as_different(line: Line, gateway: FakeGateway) -> None:
    marked = flat(line("products", "mark-distinct", "b", "a", "c").stdout)
    assert "a b ann 2023-11-14 22:13:20Z a c ann" in marked
    assert flat(line("products", "distinct", "--top", "7").stdout) == marked
    assert gateway.requests["ListDistinctProducts"][-1].page_size == 7
    taken = line("products", "unmark-distinct", "a", "b", "c")
    assert "3 pairs taken back" in flat(taken.stdout)
    assert "No products of one picture" in line("products", "distinct").stdout
    (listed,) = gateway.requests["MarkDistinctProducts"]
    assert [*listed.product_ids] == ["b", "a", "c"]


def test_a_catalog_is_created_listed_and_changed(line: Line, gateway: FakeGateway) -> None:
    made = line(
        *("catalogs", "create", "staging", "--name", "Staging shop", "--language", "de"),
        *("--label", "team=shop", "--quota-share", "0.5"),
    )
    assert "staging Staging shop active de 0.5 team=shop 2023-11-14 22:13:20Z" in flat(made.stdout)
    assert "shop-0 active – 0" in flat(line("catalogs", "list").stdout)
    assert "staging" in line("catalogs", "show", "staging").stdout
    assert line("catalogs", "update", "staging", "--quota-share", "2").exit_code == 0
    (request,) = gateway.requests["UpdateCatalog"]
    assert list(request.update_mask.paths) == ["quota_share"]
    steered = line("catalogs", "update", "staging", "--steered-by", "record")
    assert "active, scenes from the record" in flat(steered.stdout)
    deleted = line("catalogs", "delete", "staging", "--undo-days", "0")
    assert "deleted, removal 2023-11-14 22:13:20Z" in flat(deleted.stdout)
    assert gateway.requests["DeleteCatalog"][0].undo_days == 0
    assert gateway.requests["DeleteCatalog"][0].HasField("undo_days")
    assert "active" in flat(line("catalogs", "undelete", "staging").stdout)
    for label in ("team", "team=a"):
        refused = line("catalogs", "update", "staging", "--label", "team=b", "--label", label)
        assert refused.exit_code == 2
        assert "is not NAME=VALUE" in flat(refused.stderr)


def test_a_catalog_is_copied(line: Line, gateway: FakeGateway) -> None:
    assert line("catalogs", "copy", "production", "staging").exit_code == 0
    (request,) = gateway.requests["CopyCatalog"]
    assert (request.catalog_id, request.target_catalog_id) == ("production", "staging")
    assert gateway.requests["WatchJob"][0].catalog_id == "production"


def test_an_alias_is_set_listed_and_deleted(line: Line, gateway: FakeGateway) -> None:
    made = line("catalogs", "alias", "set", "shop", "staging", "--etag", "e0")
    assert "shop staging 2023-11-14 22:13:20Z" in flat(made.stdout)
    (request,) = gateway.requests["SetCatalogAlias"]
    assert (request.alias_id, request.catalog_id, request.etag) == ("shop", "staging", "e0")
    assert "shop staging" in flat(line("catalogs", "alias", "list").stdout)
    assert "deleted" in line("catalogs", "alias", "delete", "shop").stdout
    assert "no such alias" in flat(line("catalogs", "alias", "delete", "other").stdout)


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
    assert "ranker/1 train SUCCEEDED" in flat(line("jobs", "show", "ranker/1").stdout)
    assert "CANCELLED" in line("jobs", "cancel", "ranker/1").stdout
    gateway.job_states[-1].state = job_pb2.Job.STATE_CANCELLED
    assert line("jobs", "watch", "ranker/1").exit_code == 1


def test_the_audit_log_is_listed_page_by_page(line: Line, gateway: FakeGateway) -> None:
    first = flat(
        line("audit", "list", "--since", "2026-11-01", "--caller", "ops", "--top", "1").stdout
    )
    assert "ops DropGeneration OK" in first
    assert "--page 1" in first
    asked = gateway.requests["ListAuditEntries"][0]
    assert (asked.caller, asked.page_size, asked.HasField("before_time")) == ("ops", 1, False)
    assert asked.from_time.ToDatetime().isoformat() == "2026-11-01T00:00:00"
    assert "ops DropGeneration ROLE_MISSING" in flat(line("audit", "list", "--page", "1").stdout)
    listed = json.loads(line("audit", "list", "--before", "2026-11-01T00:00:00Z", "--json").stdout)
    assert [entry["entryId"] for entry in listed["entries"]] == ["e0"]
    assert line("audit", "list", "--before", "yesterday").exit_code == 2


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


def test_what_waits_for_its_vector_is_reported(line: Line, gateway: FakeGateway) -> None:
    assert "1 pending embedding" in flat(line("products", "status").stdout)
    gateway.status.pending_images = 0
    assert line("products", "status", "--wait").exit_code == 0
    gateway.status.pending_texts = 27_000
    assert "27,000 pending embedding" in flat(line("products", "status").stdout)
    gateway.status.products = -1
    assert line("products", "status").exit_code == 1


@pytest.mark.slow
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
    assert "0 pending embedding" in flat(result.stdout)
    first, second = result.stderr.splitlines()
    assert first == "Waiting for vectors. Ctrl-C ends the wait, not the embedding."
    assert re.fullmatch(r"The suite is not ready \(DRAINING\): trying for 1[12]\d s more\.", second)


def test_the_set_up_is_checked_with_versions(line: Line, gateway: FakeGateway) -> None:
    text = flat(line("config", "check").stdout)
    assert f"gateway: {gateway.target} answers, version 1.2.3" in text
    assert "catalog: shop is there, with 100 products" in text
    gateway.fail("Recommend", status(code_pb2.UNAVAILABLE, "x", reason="NOTHING_AVAILABLE"))
    facts = json.loads(line("config", "check", "--json").stdout)
    assert facts["clientVersion"]
    missing = status(code_pb2.NOT_FOUND, "no such catalog", reason="CATALOG_NOT_FOUND")
    gateway.fail("GetStatus", missing)
    result = line("config", "check", catalog="shoos")
    assert result.exit_code == 1
    assert "--catalog" in result.stderr


@pytest.mark.full
@pytest.mark.slow
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


def test_the_version_is_reported() -> None:
    manifest = (Path(__file__).parents[3] / "client/pyproject.toml").read_text("utf-8")
    wanted = tomllib.loads(manifest)["project"]["version"]
    assert CliRunner().invoke(app, ["--version"]).output.strip() == wanted


def test_synonyms_are_shown_as_they_are_set(
    line: Line, gateway: FakeGateway, tmp_path: Path
) -> None:
    assert line("synonyms", "show").stdout == "vino, vin => wine\n"
    assert json.loads(line("synonyms", "show", "--json").stdout)["etag"] == "e0"
    file = tmp_path / "synonyms.txt"
    file.write_text("# shoes\n\nsneaker, trainer # the same\nvino=>wine\n", encoding="utf-8")
    assert "2 rules, etag e1" in line("synonyms", "set", str(file), "--etag", "e0").stdout
    (sent,) = gateway.requests["SetSynonyms"]
    assert [(*rule.terms, "=>", *rule.replacements) for rule in sent.rules] == [
        ("sneaker", "trainer", "=>"),
        ("vino", "=>", "wine"),
    ]
    assert sent.etag == "e0"


def test_a_wrong_rule_is_named_by_its_line(
    line: Line, gateway: FakeGateway, tmp_path: Path
) -> None:
    file = tmp_path / "synonyms.txt"
    file.write_text("sofa, couch\n\n# wines\nalone\n", encoding="utf-8")
    failure = status(
        code_pb2.INVALID_ARGUMENT,
        "the rules are wrong",
        reason="SYNONYMS_INVALID",
        violations=(("rules[1].terms", "has one entry, unlike rules[0] and rules[7]"),),
    )
    gateway.fail("SetSynonyms", failure)
    done = line("synonyms", "set", str(file))
    assert done.exit_code == 1
    assert "line 4.terms: has one entry, unlike line 1 and rules[7]" in flat(done.stderr)
    file.write_bytes(b"\xff\xfe")
    assert "is not UTF-8" in flat(line("synonyms", "set", str(file)).stderr)
