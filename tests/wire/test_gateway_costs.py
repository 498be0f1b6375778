"""Whatever products cost, callers without the operator's role get the same answers."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.message_factory import GetMessageClass
from google.type import money_pb2

from gateway.settings import GatewaySettings
from gateway.state.scenes import SceneFiles
from gateway.wiring import Gateway, build
from servicekit import access, deadlines
from servicekit.access import Caller, Role
from servicekit.errors import ServiceError
from servicekit.keyring import signing_keys
from sightline.common.v1 import product_pb2
from tests.engines import free_port
from tests.waiting import until
from tests.wire.test_gateway_objectives import BRANCHES, OBJECTIVE
from tests.wire.test_gateway_snapshot import Behind, behind, wine

__all__ = ["behind"]  # fixtures
READER = Caller("shop", frozenset(Role) - {Role.OPERATE})
OPERATOR = Caller("it", frozenset(Role))
NAMES = [f"w{at}" for at in range(8)]
WEIGHED = f"""
{BRANCHES}
[parts_without_signals]
rating = 1.0
margin = 0.000001
[numbers]
usual_rating_count = 0
"""
"""Margins are weighed, by so little that they move no product."""
PLAIN = WEIGHED.replace("margin = 0.000001\n", "")
SHOPPER = {"visitor_id": "v"}
ONE = {"comparison": {"field": "brand", "operator": "OPERATOR_EQUAL", "value": {"text": "w3"}}}
"""Matches one product, which has one place whatever it costs."""
WHOLE: tuple[dict[str, Any], ...] = (
    {"scene": "plain", "shopper": SHOPPER, "page_size": 10},
    {"scene": "weighed", "shopper": SHOPPER, "page_size": 10},
    {"scene": "earn", "shopper": SHOPPER, "page_size": 10, "filter": ONE},
)
RECOMMEND = tuple({**each, "explain": True} for each in WHOLE)
RUN: dict[str, tuple[dict[str, Any], ...]] = {
    "Recommend": RECOMMEND,
    "List": WHOLE,
    "RecommendValues": tuple({"field": "brand", "request": each} for each in WHOLE),
    "RecommendShelves": tuple(
        {
            "shopper": SHOPPER,
            "shelves": [
                {"shelf_id": "a", "recommend": {k: v for k, v in each.items() if k != "shopper"}}
            ],
        }
        for each in WHOLE
    ),
    "ExplainRecommendation": tuple({"request": each, "product_id": "w3"} for each in WHOLE),
    "ReplayRecommendation": (),
    "Suggest": ({"prefix": "w"},),
    "GetProduct": ({"product_id": "w3"},),
    "ListProducts": ({},),
    "ListMisfits": ({},),
    "CheckScene": ({"scene": "plain", "toml": WEIGHED}, {"scene": "plain", "toml": OBJECTIVE}),
    "GetProductProfile": ({"product_id": "w3"},),
    "GetShopperProfile": ({"shopper": SHOPPER},),
}
"""Requests of the methods whose answers say something about products. ReplayRecommendation gets the
tokens of the answers of Recommend."""
NONE = {
    "is of the catalog, of models or of jobs as a whole": (
        *("GetStatus", "GetCatalog", "ListCatalogs", "ListCatalogAliases", "GetErasure"),
        *("TrainModel", "ListModels", "EvaluateModel", "GetEvaluation", "PromoteModel"),
        *("RollbackModel", "DemoteModel", "PublishModel", "FitSpace", "ListSpaces"),
        *("PromoteSpace", "RetireSpace", "AddReferencePhotos", "StartReferenceFit"),
        *("FitReference", "ListReferences", "PromoteReference", "DeleteReference"),
        *("ListScenes", "GetScene", "ListJobs", "WatchJob", "GetJob", "CancelJob"),
    ),
    "is of shoppers and their events, which have no costs": (
        *("SetShopperAttributes", "ListSegments", "ListTopSearches", "GetOnlineReport"),
        *("GetExposureReport", "ListExperimentUnits", "ExportEvents", "ExportUser"),
        *("EraseUser", "SetConsent", "GetConsent", "ExportCounts", "GetPrivacyBudget"),
        *("WriteEvents", "CreateVisitor", "MergeShopper", "PurgeEvents"),
    ),
    "writes what the caller sent": (
        *("UpsertProducts", "DeleteProducts", "UpdateProducts", "UpdateOffers"),
        *("PurgeProducts", "OpenImport", "ImportProducts", "CloseImport"),
    ),
    "is of photos, and needs an embedder": (
        *("TakeDownPhoto", "LiftTakedown", "ListTakedowns", "GetImage", "DetectProducts"),
        *("Inspect", "Classify", "DrawHeatMap", "GetWatch", "ListWatches", "SendFrames"),
        *("StreamFrames", "ListAlerts", "WatchAlerts", "GetAlertPhoto"),
    ),
    "has the answers of Recommend and is concealed with them": ("Search",),
    "compares recorded answers, of which each call adds some: tests/unit/gateway/servicer/"
    "test_scenes.py": ("DiffScene",),
    "needs an experiment: tests/unit/gateway/servicer/test_experiments.py": (
        *("ListExperiments", "GetExperimentReport"),
    ),
}
"""Methods that are not run, by why."""
OF_THE_CALL = frozenset(
    {
        *("attribution_token", "request_id", "request_cost_ms", "index_token", "etag"),
        *("answer_time", "answer_id", "next_page_token", "create_time", "update_time", "as_of"),
        "stage_timings",
    }
)
"""Fields that differ from call to call, whatever products cost."""


def handlers(gateway: Gateway) -> Iterator[tuple[str, Any, Any]]:
    """Yield the methods that a caller without the operator's role may call."""
    for binding in gateway.bindings:
        for method in access.POOL.FindServiceByName(binding.full_name).methods:
            if access.rule(f"{binding.full_name}/{method.name}").roles - {Role.OPERATE}:
                kind = GetMessageClass(method.input_type)
                yield method.name, kind, getattr(binding.servicer, method.name)


@pytest.fixture
async def gateway(behind: Behind, tmp_path: Path) -> AsyncIterator[Gateway]:
    scenes = tmp_path / "scenes"
    scenes.mkdir()
    for name, text in (("plain", PLAIN), ("weighed", WEIGHED), ("earn", OBJECTIVE)):
        (scenes / f"{name}.toml").write_text(text)
    settings = GatewaySettings(
        embedder_target=f"127.0.0.1:{free_port()}",
        **{f"{name}_target": f"127.0.0.1:{port}" for name, port in behind.ports.items()},  # type: ignore[arg-type]
    )
    made = build(settings, SceneFiles(scenes), signing_keys(None))
    yield made
    await made.close(0.1)


class Shop:
    """Calls of a gateway by name."""

    def __init__(self, gateway: Gateway) -> None:
        self.methods = {name: (kind, call) for name, kind, call in handlers(gateway)}

    async def ask(self, name: str, caller: Caller, **fields: Any) -> Any:
        kind, call = self.methods[name]
        held = access.caller.set(caller)
        try:
            with deadlines.within(30):
                return await call(kind(**fields), None)
        finally:
            access.caller.reset(held)

    async def write(self, costs: dict[str, int | None]) -> None:
        """Write the products with these costs, and wait until answers have them."""
        products = []
        for at, (name, cost) in enumerate(costs.items()):
            product = wine(name, name, 100, product_pb2.AVAILABILITY_IN_STOCK)
            product.rating, product.rating_count = 1 + at / 2, 40
            if cost is not None:
                product.cost.CopyFrom(money_pb2.Money(currency_code="EUR", units=cost))
            products.append(product)

        async def written() -> bool:
            try:
                answer = await self.ask("UpsertProducts", OPERATOR, products=products)
            except ServiceError:
                return False  # it starts
            return not any(each.status.code for each in answer.results)

        async def ranked() -> bool:
            answer = await self.ask("Recommend", OPERATOR, scene="weighed", page_size=10)
            margins = {
                each.product.product_id: round(1e6 * part.value, 3)
                for each in answer.results
                for part in each.parts
                if part.name == "margin"
            }
            expected = {
                n: round(max(0, 100 - (100 if c is None else c)) / 100, 3) for n, c in costs.items()
            }
            return not answer.degradations and {n: margins.get(n, 0.0) for n in costs} == expected

        await until(written)
        await until(ranked)

    async def answers(self, caller: Caller) -> dict[str, str]:
        """Return what a caller is answered, by method and request."""
        found, tokens = {}, []
        for name in (each for each in RUN if each != "ReplayRecommendation"):
            for at, fields in enumerate(RUN[name]):
                answer = await self._told(name, caller, fields)
                tokens += [answer.attribution_token] if name == "Recommend" else []
                found[f"{name} {at}"] = same(answer)
        for at, token in enumerate(tokens):

            async def recorded(
                token: str = token, name: str = f"ReplayRecommendation {at}"
            ) -> bool:
                asked = {"attribution_token": token}
                answer = await self._told("ReplayRecommendation", caller, asked)
                found[name] = same(answer)
                return not isinstance(answer, ServiceError)  # it is written after the answer

            await until(recorded, 30)
        return found

    async def _told(self, name: str, caller: Caller, fields: dict[str, Any]) -> Any:
        try:
            return await self.ask(name, caller, **fields)
        except ServiceError as error:
            return error


def same(answer: Any) -> str:
    """Return the text of an answer, or of an error, without what differs from call to call."""
    if isinstance(answer, ServiceError):
        return f"{answer.reason}: {answer}"
    clear(answer)
    return str(answer)


def clear(message: Any) -> None:
    for field, value in message.ListFields():
        if field.name in OF_THE_CALL:
            message.ClearField(field.name)
        elif field.message_type and not field.message_type.GetOptions().map_entry:
            for each in value if field.is_repeated else (value,):
                clear(each)


async def test_answers_are_equal_in_worlds_that_differ_in_costs_alone(gateway: Gateway) -> None:
    shop, worlds, told = Shop(gateway), random.Random(7), []
    for _ in range(3):
        await shop.write({name: worlds.choice([None, worlds.randint(1, 150)]) for name in NAMES})
        told.append((await shop.answers(READER), await shop.answers(OPERATOR)))
    (one, known), *others = told
    for other, _ in others:
        assert {name for name in one if one[name] != other[name]} == set()
    differ = {
        name.split()[0] for _, other in others for name in known if known[name] != other[name]
    }
    assert {"Recommend", "List", "ListProducts"} <= differ, "operators are told of costs"


async def test_each_method_is_run_or_tells_nothing_of_products(gateway: Gateway) -> None:
    listed = [*RUN, *(name for names in NONE.values() for name in names)]
    assert len(listed) == len({*listed})
    assert {*listed} == {name for name, _, _ in handlers(gateway)}
