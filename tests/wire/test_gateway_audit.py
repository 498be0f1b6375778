"""The audit log of administrative and destructive calls: written by a gateway, stored by two
services.
"""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
import sqlalchemy as sa
from google.protobuf.descriptor_pb2 import MethodOptions
from google.protobuf.timestamp_pb2 import Timestamp
from prometheus_client import REGISTRY
from typer.testing import CliRunner

from gateway.model.errors import VisitorProofInvalid
from gateway.settings import GatewaySettings
from gateway.state.scenes import SceneFiles
from gateway.wiring import Gateway, access_of, build
from servicekit.admission.access import Role, rule
from servicekit.audit import entries as audit
from servicekit.audit.entries import METRICS, Audit
from servicekit.audit.record import AuditRecord
from servicekit.config import ServerSettings
from servicekit.keys.keyring import open_keys
from servicekit.rpc import server
from servicekit.rpc.audit_service import AuditServicer
from servicekit.rpc.server import Binding, RunningServer
from servicekit.sql.database import Database
from sightline.common.v1 import audit_service_pb2 as audit_pb
from sightline.gateway.v1 import (
    admin_service_pb2_grpc,
    catalog_service_pb2,
    catalog_service_pb2_grpc,
    user_event_service_pb2,
    user_event_service_pb2_grpc,
)
from sightline.ranker.v1 import model_service_pb2
from sightline_client.cli import app
from tests.fakes.kit_logs import json_logs
from tests.stores import NewStore
from tests.unit.gateway.callers.conftest import entry
from tests.unit.gateway.callers.test_admission import BY_NAME, NAMES, asked
from tests.waiting import SECONDS, until
from tests.wire.gateway_calls import refused

CATALOGS = ("default", "other")
LOOK_AFTER = {Role.MODELS, Role.PRIVACY, Role.OPERATE}
"""Roles of those who look after the suite: what they change is noted."""
DESTROYS = (
    "common.v1.JobService/CancelJob",
    "gateway.v1.CatalogService/CloseImport",
    "gateway.v1.CatalogService/DeleteProducts",
    "gateway.v1.CatalogService/PurgeProducts",
    "gateway.v1.UserEventService/MergeShopper",
)
"""Irreversible calls of other roles."""
WRITES = (
    "CatalogService/ImportProducts",
    "CatalogService/OpenImport",
    "CatalogService/UpdateOffers",
    "CatalogService/UpdateProducts",
    "CatalogService/UpsertProducts",
    "UserEventService/WriteEvents",
    "WatchService/SendFrames",
)
"""Regular writes of a shop and its cameras, which are not logged."""
DECIDES = (
    "gateway.v1.CatalogService/MarkDistinctProducts",
    "gateway.v1.CatalogService/UnmarkDistinctProducts",
)
"""Decisions of merchandisers and of who writes the catalog."""


class Counting(AuditServicer):
    """Audit service that counts the entries that it gets; with `old`, it behaves as release
    0.16."""

    appended = 0
    old = False

    async def AppendAuditEntries(self, request: Any, context: Any) -> Any:
        if self.old:
            raise NotImplementedError
        self.appended += len(request.entries)
        return await super().AppendAuditEntries(request, context)


@dataclass
class Keeper:
    """A service that keeps audit entries and does nothing else, and can be stopped."""

    db: Database
    days: float = 90.0
    running: RunningServer | None = None
    port: int = 0

    def __post_init__(self) -> None:
        self.servicer = Counting(CATALOGS, AuditRecord(self.db), self.days)

    async def up(self) -> None:
        offered = [Binding.of(self.servicer)]
        self.running = await server.start(offered, ServerSettings(port=self.port), "keeper")
        self.port = self.running.port

    async def down(self) -> None:
        if self.running is not None:
            await self.running.stop()
            self.running = None


@dataclass
class Said:
    """Output of a command, without the log lines of the services in this process."""

    exit_code: int
    stdout: str
    stderr: str


LOGGED = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d \[.*\n")


def archives(folder: Path) -> list[Path]:
    """Return the archives in a folder, oldest first."""
    return sorted(folder.glob("audit-*.jsonl"))


@dataclass
class Front:
    """A gateway with a key for each role, before two keepers."""

    retriever: Keeper
    ranker: Keeper
    channel: grpc.aio.Channel
    admin: admin_service_pb2_grpc.AdminServiceStub
    catalog: catalog_service_pb2_grpc.CatalogServiceStub
    events: user_event_service_pb2_grpc.UserEventServiceStub
    gateway: Gateway
    port: int

    async def line(self, *words: str) -> Said:
        """Return the output of the command line with this gateway."""
        where = ("--target", f"127.0.0.1:{self.port}", "--token", "auditor")
        done = await asyncio.to_thread(CliRunner().invoke, app, ["audit", *words, *where])
        return Said(done.exit_code, LOGGED.sub("", done.stdout), LOGGED.sub("", done.stderr))

    async def page(self, **asked: Any) -> audit_pb.ListAuditEntriesResponse:
        """Return a page without the entries of reading the log. Each list adds an entry, which the
        only writer stores after all earlier ones, so a second list includes them."""
        request = audit_pb.ListAuditEntriesRequest(**asked)
        await self.admin.ListAuditEntries(request, metadata=by("auditor"))
        found = await self.admin.ListAuditEntries(request, metadata=by("auditor"))
        others = [each for each in found.entries if each.caller != "the-auditor"]
        del found.entries[:]
        found.entries.extend(others)
        return found

    async def whole(self) -> bool:
        """Return whether the entries of both services can be listed."""
        try:
            await self.page()
        except grpc.aio.AioRpcError:
            return False
        return True

    async def entries(self, **asked: Any) -> list[tuple[str, str, str]]:
        """Return caller, call and outcome of each entry."""
        return [
            (each.caller, each.method.rpartition("/")[2], each.reason or each.code)
            for each in (await self.page(**asked)).entries
        ]

    async def paged(self) -> list[str]:
        """Return the callers except the auditor, read one entry per page."""
        found, token = [], ""
        while True:
            request = audit_pb.ListAuditEntriesRequest(page_size=1, page_token=token)
            page = await self.admin.ListAuditEntries(request, metadata=by("auditor"))
            found += [each.caller for each in page.entries if each.caller != "the-auditor"]
            token = page.next_page_token
            if not token:
                return found

    async def chain(self, store: str, catalog: str = "default") -> list[audit_pb.AuditEntry]:
        request = audit_pb.ReadAuditChainRequest(store=store, catalog_id=catalog)
        return [*(await self.admin.ReadAuditChain(request, metadata=by("auditor"))).entries]

    async def train(self, role: str, **fields: str) -> str:
        """Return the reason of a rejected call."""
        request = model_service_pb2.TrainModelRequest(**fields)
        return (await refused(self.admin.TrainModel(request, metadata=by(role)))).reason


def level(name: str) -> int:
    return int(BY_NAME[name].GetOptions().idempotency_level)


def audit_lines(written: str) -> list[dict[str, Any]]:
    """Return the lines of the audit log among those of a process."""
    lines = [json.loads(line) for line in written.splitlines()]
    return [line for line in lines if line.get("event") == "audit"]


async def stored(keeper: Keeper, catalog: str) -> list[audit_pb.AuditEntry]:
    """Return the chain, read from the store itself."""
    request = audit_pb.ReadAuditChainRequest(catalog_id=catalog)
    context: Any = None
    return [*(await keeper.servicer.ReadAuditChain(request, context)).entries]


def by(role: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {role}"),)


@pytest.fixture
def quotas() -> dict[str, float]:
    """Return no quotas; a test may override this."""
    return {}


@pytest.fixture
async def front(
    tmp_path: Path, new_store: NewStore, quotas: dict[str, float]
) -> AsyncIterator[Front]:
    keys = tmp_path / "keys.toml"
    everywhere = entry("the-auditor", "auditor", '["operate"]', '["*"]')
    keys.write_text(
        "".join(entry(f"the-{role}", role, f'["{role}"]') for role in Role) + everywhere
    )
    keepers = []
    for package in ("retriever", "ranker"):
        migrations = f"{package}.record.migrations"
        db = Database(new_store(migrations, f"{package}.db"), migrations=migrations)
        keepers.append(Keeper(db))
        await keepers[-1].up()
    retriever, ranker = keepers
    settings = GatewaySettings(
        port=0,
        keys_file=keys,
        catalogs=CATALOGS,
        retriever_target=f"127.0.0.1:{retriever.port}",
        ranker_target=f"127.0.0.1:{ranker.port}",
        embedder_target="127.0.0.1:1",
        **quotas,
    )
    built = build(settings, SceneFiles(), open_keys)
    running = await server.start(
        built.bindings, settings, "gateway", access_of(settings), built.audit
    )
    async with grpc.aio.insecure_channel(f"127.0.0.1:{running.port}") as channel:
        yield Front(
            retriever,
            ranker,
            channel,
            admin_service_pb2_grpc.AdminServiceStub(channel),
            catalog_service_pb2_grpc.CatalogServiceStub(channel),
            user_event_service_pb2_grpc.UserEventServiceStub(channel),
            built,
            running.port,
        )
    await running.stop()
    await built.close(0)
    for keeper in keepers:
        await keeper.down()
        keeper.db.close()


async def test_who_is_known_leaves_an_entry_whatever_comes_of_the_call(front: Front) -> None:
    assert await front.train("models") == "UNIMPLEMENTED"
    assert await front.train("read") == "ROLE_MISSING"
    assert await front.train("models", catalog_id="other") == "CATALOG_FORBIDDEN"
    assert await front.entries() == [
        ("the-read", "TrainModel", "ROLE_MISSING"),
        ("the-models", "TrainModel", "UNIMPLEMENTED"),
    ]
    assert await front.entries(caller="the-read") == [("the-read", "TrainModel", "ROLE_MISSING")]
    assert await front.entries(before_time=Timestamp(seconds=1)) == []
    request = audit_pb.ListAuditEntriesRequest(catalog_id="other")
    error = await refused(front.admin.ListAuditEntries(request, metadata=by("operate")))
    assert error.reason == "CATALOG_FORBIDDEN"
    assert await front.entries(catalog_id="other") == [
        ("the-operate", "ListAuditEntries", "CATALOG_FORBIDDEN"),
        ("the-models", "TrainModel", "CATALOG_FORBIDDEN"),
    ]


async def test_a_rejected_call_is_filed_under_the_catalog_that_it_named(front: Front) -> None:
    assert await front.train("read", catalog_id="other") == "ROLE_MISSING"
    assert await front.train("read", catalog_id="undeclared") == "ROLE_MISSING"
    training = [("the-read", "TrainModel", "ROLE_MISSING")]
    assert await front.entries() == []
    assert await front.entries(catalog_id="other") == training
    assert await front.entries(catalog_id="?") == training


async def test_reading_the_log_is_recorded(front: Front) -> None:
    await front.chain("retriever")
    await front.admin.ListAuditEntries(audit_pb.ListAuditEntriesRequest(), metadata=by("operate"))
    calls = [(each.caller, each.method.rpartition("/")[2]) for each in await front.chain("ranker")]
    assert calls == []
    calls = [
        (each.caller, each.method.rpartition("/")[2]) for each in await front.chain("retriever")
    ]
    assert calls == [
        ("the-auditor", "ReadAuditChain"),
        ("the-operate", "ListAuditEntries"),
        ("the-auditor", "ReadAuditChain"),
    ]


async def test_a_flood_of_rejected_calls_leaves_one_entry_and_the_number_left_out(
    front: Front,
) -> None:
    for _ in range(10):
        await asyncio.gather(*(front.train("read", catalog_id="other") for _ in range(20)))
    assert len(await front.entries(catalog_id="other")) == 1
    await front.gateway.audit.close(SECONDS)  # ends the minute
    chain = await stored(front.retriever, "other")
    first, last = [each for each in chain if each.caller == "the-read"]
    assert (first.left_out, last.left_out, last.reason) == (0, 198, "ROLE_MISSING")


async def test_a_flood_of_rejected_calls_sends_nothing_to_the_store_that_others_use(
    front: Front,
) -> None:
    servicer = front.retriever.servicer
    await front.train("read")
    await front.page()
    before = servicer.appended
    for _ in range(10):
        await asyncio.gather(*(front.train("read") for _ in range(20)))
    assert servicer.appended == before


@pytest.mark.parametrize("quotas", [{"quota_calls": 0.001, "quota_burst_seconds": 3_600.0}])
async def test_rejected_calls_beyond_their_caller_s_quota_are_not_recorded(front: Front) -> None:
    reasons = [await front.train("read") for _ in range(5)]
    assert reasons == [*["ROLE_MISSING"] * 3, *["QUOTA_EXHAUSTED"] * 2]
    reasons = [await front.train("models", catalog_id="other") for _ in range(4)]
    assert reasons == [*["CATALOG_FORBIDDEN"] * 3, "QUOTA_EXHAUSTED"]
    await front.gateway.audit.close(SECONDS)
    for catalog in ("default", "other"):
        first, last = await stored(front.retriever, catalog)
        assert (first.left_out, last.left_out) == (0, 1)
        assert {first.reason, last.reason} <= {"ROLE_MISSING", "CATALOG_FORBIDDEN"}


@pytest.mark.parametrize("role", ["read", "nobody"])
async def test_rejected_calls_are_counted_by_reason(front: Front, role: str) -> None:
    reason = await front.train(role)
    labels = {"service": "gateway", "reason": reason}
    before = REGISTRY.get_sample_value("sightline_refused_total", labels)
    assert before is not None
    for _ in range(3):
        await front.train(role)
    assert REGISTRY.get_sample_value("sightline_refused_total", labels) == before + 3


async def test_a_change_is_stored_before_its_caller_is_answered(front: Front) -> None:
    await front.admin.ListAuditEntries(audit_pb.ListAuditEntriesRequest(), metadata=by("operate"))
    (entry,) = await stored(front.retriever, "default")
    assert (entry.caller, entry.code, entry.number) == ("the-operate", "OK", 1)


async def test_a_release_before_that_stores_one_entry_a_call_is_served_too(front: Front) -> None:
    front.retriever.servicer.old = True
    await front.train("read")
    assert await front.entries() == [("the-read", "TrainModel", "ROLE_MISSING")]


async def test_an_entry_that_is_stored_stands_in_the_log_too(
    front: Front, capsys: pytest.CaptureFixture[str]
) -> None:
    with json_logs():
        await front.train("read", request_id="r1")
        await front.train("models", request_id="r2")
        await front.train("guessed")
    (second, first) = (await front.page()).entries
    noted = ("caller", "method", "code", "reason", "request_id")
    lines = audit_lines(capsys.readouterr().err)
    assert [[line[name] for name in ("catalog", *noted)] for line in lines] == [
        [each.catalog_id, *(getattr(each, name) for name in noted)] for each in (first, second)
    ]
    assert [line["level"] for line in lines] == ["warning", "warning"]


async def test_who_is_not_known_and_who_only_reads_leave_none(front: Front) -> None:
    assert await front.train("guessed") == "TOKEN_INVALID"
    listing = model_service_pb2.ListModelsRequest()
    await refused(front.admin.ListModels(listing, metadata=by("models")))
    writing = catalog_service_pb2.UpsertProductsRequest()
    await refused(front.catalog.UpsertProducts(writing, metadata=by("catalog")))
    assert await front.entries() == []


async def test_what_destroys_leaves_one_also_on_the_public_port(front: Front) -> None:
    deleting = catalog_service_pb2.DeleteProductsRequest(product_ids=["a secret product"])
    await refused(front.catalog.DeleteProducts(deleting, metadata=by("catalog")))
    purging = user_event_service_pb2.PurgeEventsRequest(product_id="a secret product")
    await refused(front.events.PurgeEvents(purging, metadata=by("privacy")))
    assert [each[:2] for each in await front.entries()] == [
        ("the-privacy", "PurgeEvents"),
        ("the-catalog", "DeleteProducts"),
    ]


async def test_a_call_that_is_exempt_leaves_an_entry_only_if_it_fails() -> None:
    """Check an exempt call, such as a merge with a visitor's proof at login."""
    kept: list[audit_pb.AuditEntry] = []

    async def store(entries: Sequence[audit_pb.AuditEntry]) -> None:
        kept.extend(entries)

    log = Audit(store, CATALOGS)
    for exempt, error in ((True, None), (True, VisitorProofInvalid()), (False, None)):
        token = audit.exempt.set(exempt)
        await log.note("sightline.gateway.v1.UserEventService/MergeShopper", "default", error)
        audit.exempt.reset(token)
    await log.close(SECONDS)
    assert [each.reason for each in kept] == ["VISITOR_PROOF_INVALID", ""]


async def test_what_one_service_can_not_take_the_other_one_does(front: Front) -> None:
    await front.train("models")
    await front.page()
    await front.retriever.down()
    await front.train("read")
    error = await refused(front.page())
    assert error.reason == "RETRIEVER_UNAVAILABLE", "a list without its entries would look whole"
    await front.retriever.up()
    await until(front.whole)
    assert await front.paged() == ["the-read", "the-models"]


async def test_an_entry_that_nobody_takes_stands_in_the_log(
    front: Front, capsys: pytest.CaptureFixture[str]
) -> None:
    unstored = METRICS.dropped.labels("shutdown")._value
    before = unstored.get()
    await front.retriever.down()
    await front.ranker.down()
    with json_logs():
        await front.train("read", request_id="r1")
    (audit,) = audit_lines(capsys.readouterr().err)
    assert {name: audit[name] for name in ("caller", "catalog", "code", "reason")} == {
        "caller": "the-read",
        "catalog": "default",
        "code": "PERMISSION_DENIED",
        "reason": "ROLE_MISSING",
    }
    assert audit["method"] == "sightline.gateway.v1.AdminService/TrainModel"
    await front.gateway.audit.close(0)
    assert unstored.get() == before + 1


def test_what_is_noted_is_every_change_but_a_shops_own_writes() -> None:
    assert rule("sightline.ranker.v1.RankingService/Rank").audited is False
    every_change = {name for name in NAMES if level(name) != MethodOptions.NO_SIDE_EFFECTS}
    destroys = {f"sightline.{name}" for name in (*DESTROYS, *DECIDES)}
    writes = {f"sightline.gateway.v1.{name}" for name in WRITES}
    administers = {name for name in every_change if rule(name).roles & LOOK_AFTER}
    assert every_change == administers | destroys | writes, "each has been decided on"
    assert not writes & (administers | destroys)
    shown = (
        *("GetShopperProfile", "ListExperimentUnits", "ExportUser", "GetErasure", "GetConsent"),
        *("ListAuditEntries", "ReadAuditChain"),
    )
    reads = {
        *(f"sightline.gateway.v1.AdminService/{name}" for name in shown),
        "sightline.gateway.v1.RecommendationService/ReplayRecommendation",
    }
    assert {name for name in NAMES if rule(name).audited} == administers | destroys | reads


async def test_every_call_that_administers_or_destroys_leaves_an_entry(front: Front) -> None:
    expected = set()
    for name in NAMES:
        role = min(set(Role) - rule(name).roles)
        assert (await asked(front.channel, name, role)).reason == "ROLE_MISSING"
        if rule(name).audited:
            expected.add((f"the-{role}", name, "default", "PERMISSION_DENIED", "ROLE_MISSING"))
    found = [
        (each.caller, each.method, each.catalog_id, each.code, each.reason)
        for each in (await front.page(page_size=1_000)).entries
    ]
    assert sorted(found) == sorted(expected)


LATER = "2100-01-01"


async def act(keeper: Keeper, statement: str) -> None:
    """Execute a statement as the database's owner can, with the triggers disabled."""

    def change(connection: sa.Connection) -> None:
        if keeper.db.local:
            for name in ("audit_no_update", "audit_no_delete"):
                connection.execute(sa.text(f"DROP TRIGGER IF EXISTS {name}"))
        else:
            connection.execute(sa.text("SET LOCAL session_replication_role = replica"))
        connection.execute(sa.text(statement))

    await keeper.db.write(change)


@pytest.mark.full
async def test_the_command_line_verifies_archives_and_drops(front: Front, tmp_path: Path) -> None:
    front.retriever.servicer._days = 0.0
    for role in ("read", "models", "catalog"):
        await front.train(role)
    await front.page()
    verified = await front.line("verify", "--json")
    assert verified.exit_code == 0, verified.stderr
    retriever, ranker = json.loads(verified.stdout)["chains"]
    assert (retriever["store"], retriever["entries"]) == ("retriever", 5)
    assert (ranker["store"], ranker["entries"]) == ("ranker", 0)

    archived = await front.line("archive", str(tmp_path), "--before", LATER)
    assert archived.exit_code == 0, archived.stderr
    (path,) = archives(tmp_path)
    assert path.name == "audit-default-retriever-1-7.jsonl", "with what read the log"
    dropped = await front.line("drop", str(path))
    assert dropped.stdout == "7 entries dropped from the retriever\n"

    again = await front.line("verify", "--head", retriever["head"], "--json")
    assert again.exit_code == 0, again.stderr
    chain = json.loads(again.stdout)["chains"][0]
    assert chain["after"] == 7
    second = await front.line("archive", str(tmp_path), "--before", LATER)
    paths = [*map(str, archives(tmp_path))]
    assert len(paths) == 2, second.stderr
    assert (await front.line("verify", *paths)).exit_code == 0
    await front.line("drop", paths[1])
    mismatched = await front.line("drop", paths[0])
    assert (mismatched.exit_code, "AUDIT_SEAL_MISMATCH" in mismatched.stderr) == (1, True)
    assert (await front.line("verify", paths[1], paths[0])).exit_code == 1


@pytest.mark.first(2)
@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        ("UPDATE audit_entries SET caller = 'x' WHERE number = 2", "entry 2 ("),
        ("DELETE FROM audit_entries WHERE number = 2", "entry 2 is missing: entry 3 ("),
        ("UPDATE audit_entries SET number = number + 10 WHERE number = 1", "entry 1 is missing"),
        (
            "INSERT INTO audit_entries"
            " (id, time, catalog_id, caller, method, code, reason, request_id)"
            " VALUES ('forged', 4000000000000000, 'default', 'ops', 'm', 'OK', '', '')",
            "entry forged",
        ),
    ],
)
async def test_verify_names_the_first_bad_entry_and_exits_with_1(
    front: Front, statement: str, problem: str
) -> None:
    for role in ("read", "models", "catalog"):
        await front.train(role)
    await front.page()
    assert (await front.line("verify")).exit_code == 0
    await act(front.retriever, statement)
    verified = await front.line("verify")
    assert verified.exit_code == 1
    assert f"AUDIT_BROKEN: retriever, catalog default: {problem}" in " ".join(
        verified.stderr.split()
    )


async def test_entries_from_before_the_chains_are_said_to_be_so(front: Front) -> None:
    await act(
        front.retriever,
        "INSERT INTO audit_entries (id, time, catalog_id, caller, method, code, reason, request_id)"
        " VALUES ('old', 1000, 'default', 'ops', 'm', 'OK', '', '')",
    )
    await front.train("read")
    await front.page()
    verified = await front.line("verify")
    assert verified.exit_code == 0, verified.stderr
    assert "1 entries are from before there were chains: not verified" in verified.stdout


async def test_young_entries_are_not_dropped(front: Front, tmp_path: Path) -> None:
    await front.train("read")
    await front.page()
    await front.line("archive", str(tmp_path), "--before", LATER)
    (path,) = archives(tmp_path)
    dropped = await front.line("drop", str(path))
    assert (dropped.exit_code, "AUDIT_TERM" in dropped.stderr) == (1, True)
    spoilt = path.read_text("utf-8").replace("the-read", "nobody")
    path.write_text(spoilt, "utf-8")
    dropped = await front.line("drop", str(path))
    assert (dropped.exit_code, "AUDIT_BROKEN" in dropped.stderr) == (1, True)
