"""Repeatable calls: each call between services declares it in its proto, and all code that retries
a call, or shares its answer, follows the declaration.
"""

import ast
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.descriptor_pb2 import MethodOptions

from gateway.clients import embedder, ranker, retriever
from ranker.adapters import retriever as read_by_ranker
from servicekit.admission import access
from servicekit.admission.access import PeerName
from servicekit.rpc import owned
from tests.code import tree

ROOT = Path(__file__).parents[2]
CLIENTS = ROOT / "services" / "gateway" / "src" / "gateway" / "clients"
OWNERS = ("embedder", "ranker", "retriever", "vision")

STARTS_A_JOB = "each request without a request_id starts another job"
ONCE = {
    "embedder.v1.SpaceService/FitSpace": "a stream of photos, which is not kept to be sent again",
    "gateway.v1.AdminService/ExportEvents": STARTS_A_JOB,
    "gateway.v1.UserEventService/PurgeEvents": STARTS_A_JOB,
    "gateway.v1.AdminService/DemoteModel": "the second finds no model to demote",
    "gateway.v1.AdminService/EvaluateModel": STARTS_A_JOB,
    "gateway.v1.AdminService/PublishModel": STARTS_A_JOB,
    "gateway.v1.AdminService/RollbackModel": "two go back two models",
    "gateway.v1.AdminService/TrainModel": STARTS_A_JOB,
    "gateway.v1.AdminService/CreateBackup": STARTS_A_JOB,
    "gateway.v1.AdminService/RestoreBackup": STARTS_A_JOB,
    "gateway.v1.AdminService/CopyCatalog": "the second finds the first's catalog",
    "gateway.v1.AdminService/FitSpace": STARTS_A_JOB,
    "gateway.v1.InspectionService/StartReferenceFit": STARTS_A_JOB,
    "gateway.v1.AdminService/CreateGeneration": "the second meets the first's: GENERATION_EXISTS",
    "gateway.v1.AdminService/RollbackGeneration": "two go back two generations",
    "gateway.v1.CatalogService/PurgeProducts": STARTS_A_JOB,
    "gateway.v1.AdminService/RebuildIndex": STARTS_A_JOB,
    "gateway.v1.WebhookService/SendTestDelivery": "each sends a message",
    "gateway.v1.WebhookService/RotateWebhookSecret": "the second ends the first's former secret",
}
"""Calls between services that are not made again, and why."""

TABLES = {
    "gateway to embedder": (embedder.IDEMPOTENT, ("embedder.v1.EmbeddingService",)),
    "gateway to ranker": (ranker.IDEMPOTENT, ("ranker", "common.v1.JobService")),
    "gateway to retriever": (retriever.IDEMPOTENT, ("retriever", "common.v1.JobService")),
    "ranker to retriever": (
        {*read_by_ranker.IDEMPOTENT} - {*owned.idempotent_of(PeerName.RETRIEVER)},
        ("common.v1.JobService", "retriever.v1.ProductService", "retriever.v1.VectorService"),
    ),
}
"""Calls that a channel retries, and the packages and services called through it."""


def levels(*within: str) -> Iterator[tuple[str, int]]:
    """Yield each call, as SERVICE/NAME below sightline, with its level."""
    files = sorted((ROOT / "protos" / "sightline").glob("*/v1/*_service.proto"))
    assert files
    for file in files:
        module: Any = import_module(f"sightline.{file.parts[-3]}.v1.{file.stem}_pb2")
        for service in module.DESCRIPTOR.services_by_name.values():
            name = service.full_name.removeprefix("sightline.")
            if any(name == each or name.startswith(f"{each}.") for each in within):
                for method in service.methods:
                    yield f"{name}/{method.name}", method.GetOptions().idempotency_level


def owned_levels() -> Iterator[tuple[str, int]]:
    """Yield each public call that an owner behind the gateway answers, in the same way."""
    for owner in OWNERS:
        for method in owned.methods_of(PeerName(owner)):
            name = owned.path_of(method).removeprefix("sightline.")
            once = access.rule(owned.path_of(method)).once
            yield name, 0 if once else method.GetOptions().idempotency_level


def shared(tree: ast.AST) -> Iterator[str]:
    """Yield the names of the calls of a module whose answer equal ones of a request share."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            method = node.args[0] if node.args else None
            if node.func.attr in ("call_idempotent", "_call") and isinstance(method, ast.Attribute):
                yield method.attr


def test_every_call_between_services_says_whether_it_may_be_made_again() -> None:
    undecided = {name for name, level in (*levels(*OWNERS), *owned_levels()) if not level}
    assert undecided == ONCE.keys()


@pytest.mark.parametrize("table", TABLES)
def test_what_is_tried_again_is_what_the_protos_say(table: str) -> None:
    found, called = TABLES[table]
    tried = {f"{service.removeprefix('sightline.')}/{method}" for service, method in found}
    assert tried == {name for name, level in levels(*called) if level}


@pytest.mark.parametrize("peer", OWNERS)
def test_what_a_gateway_forwards_is_tried_again_by_its_own_level(peer: str) -> None:
    table = owned.idempotent_of(PeerName(peer))
    for method in owned.methods_of(PeerName(peer)):
        path = owned.path_of(method)
        again = not any(path == f"sightline.{each}" for each in ONCE)
        assert (tuple(path.split("/")) in table) == again, path


def test_calls_that_share_an_answer_change_nothing() -> None:
    names = {name for file in CLIENTS.glob("*.py") for name in shared(tree(file))}
    assert names > {"Search", "SearchKeywords", "BatchGetProducts"}
    changing = {
        name
        for name, level in (*levels(*OWNERS), *owned_levels())
        if name.rpartition("/")[2] in names and level != MethodOptions.NO_SIDE_EFFECTS
    }
    assert changing == set()
