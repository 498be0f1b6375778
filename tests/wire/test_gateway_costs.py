"""Whatever products cost, callers without the operator's role get the same answers of every method.

Each world has services and stores of its own, in which the same calls are made in the same order.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.type import money_pb2
from PIL import Image

from gateway.model.errors import PeerUnavailable
from gateway.settings import GatewaySettings
from gateway.state.scenes import SceneFiles
from gateway.wiring import Gateway, build
from servicekit import deadlines
from servicekit.admission import access
from servicekit.admission.access import Caller, Role
from servicekit.errors import ServiceError
from servicekit.keys.keyring import signing_keys
from sightline.common.v1 import product_pb2
from sightline.ranker.v1.answer_service_pb2 import AnswerRecord
from sightline.ranker.v1.privacy_service_pb2 import ExportUserResponse, PersonalRecord
from sightline_rules.photos import image_id
from tests.engines import free_port
from tests.fakes.gateway_rest import answer_rest
from tests.fakes.gateway_script import Script
from tests.fakes.gateway_wire import Peer
from tests.fakes.gateway_wire_embedder import Embedding, FittedSpaces
from tests.fakes.photos import encoded, photo
from tests.waiting import until
from tests.wire import gateway_requests
from tests.wire.cancelled_calls import filled
from tests.wire.gateway_requests import VALUES
from tests.wire.test_gateway_objectives import BRANCHES, OBJECTIVE
from tests.wire.test_gateway_snapshot import program, wine

pytestmark = pytest.mark.full

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
SLIGHT = OBJECTIVE.replace("strength = 1.0", "strength = 0.000001")
"""Products are ordered by margins, by so little that none moves; their costs are recorded."""
SCENES = {"plain": PLAIN, "weighed": WEIGHED, "slight": SLIGHT, "earn": OBJECTIVE}
PHOTO = photo(seed=1)
BLACK = encoded(Image.new("RGB", (64, 48)))
SHOPPER = {"visitor_id": "v"}
ONE = {"comparison": {"field": "brand", "operator": "OPERATOR_EQUAL", "value": {"text": "w3"}}}
"""Matches one product, which has one place whatever it costs."""
WHOLE: tuple[dict[str, Any], ...] = (
    {"scene": "plain", "shopper": SHOPPER, "page_size": 10},
    {"scene": "weighed", "shopper": SHOPPER, "page_size": 10},
    {"scene": "slight", "shopper": SHOPPER, "page_size": 10},
    {"scene": "earn", "shopper": SHOPPER, "page_size": 10, "filter": ONE},
)
RECOMMEND = tuple({**each, "explain": True} for each in WHOLE)
RUN: Mapping[str, Sequence[Mapping[str, Any]]] = {
    "RecommendationService/Recommend": tuple({**each, "explain": True} for each in WHOLE),
    "RecommendationService/ReplayRecommendation": (),
    "AdminService/DiffScene": tuple(
        {"scene": scene, "toml": toml, "answer_count": 1, **whom}
        for scene in ("plain", "weighed", "slight")
        for toml in ("", *SCENES.values())
        for whom in ({}, {"shopper": SHOPPER})
    ),
    "RecommendationService/List": WHOLE,
    "RecommendationService/RecommendValues": tuple(
        {"field": "brand", "request": each} for each in WHOLE
    ),
    "RecommendationService/RecommendShelves": tuple(
        {
            "shopper": SHOPPER,
            "shelves": [
                {"shelf_id": "a", "recommend": {k: v for k, v in each.items() if k != "shopper"}}
            ],
        }
        for each in WHOLE
    ),
    "RecommendationService/ExplainRecommendation": tuple(
        {"request": each, "product_id": "w3"} for each in WHOLE
    ),
    "RecommendationService/Search": ({"signals": [{"text": "w3"}]},),
    "RecommendationService/Suggest": ({"prefix": "w"},),
    "CatalogService/ListProducts": ({},),
    "CatalogService/ListMisfits": ({},),
    "AdminService/CheckScene": tuple({"scene": "plain", "toml": each} for each in SCENES.values()),
    "WatchService/SendFrames": ({"watch_id": "shelf", "frames": [{"image": BLACK}]},),
}
"""Requests, the first ones in this order. ReplayRecommendation gets the tokens of the answers of
Recommend, and DiffScene compares these answers."""
OTHERS: Mapping[str, Any] = {
    **VALUES,
    "image": PHOTO,
    "image_id": image_id(PHOTO),
    "import_id": "i1",
    "product_id": "w3",
    "product_ids": "w3",
    "reference_id": "r",
    "shopper": SHOPPER,
    "watch_id": "shelf",
}
"""Fields of the requests of all other methods, by their names."""
ROWS: Mapping[str, Mapping[str, Any]] = {
    **gateway_requests.ROWS,
    "AdminService/ExportCounts": {"request_id": "monthly", "epsilon": 1.0, "most_products": 1},
    "AdminService/SetConsent": {"given": ["PURPOSE_PHOTOS"], "source": "banner"},
    "CatalogService/ImportProducts": {
        "rows": [{"row_number": 1, "product": {"product_id": "w3", "title": "w3"}}]
    },
    "AdminService/CancelPlannedScene": {"scene": "plain"},
    "AdminService/DeleteSceneDocument": {"scene": "plain"},
    "AdminService/GetSceneDocument": {"scene": "plain"},
    "AdminService/PublishScene": {"scene": "plain", "in_advance": True},
    "AdminService/WriteSceneDraft": {"scene": "plain", "toml": WEIGHED},
    "CatalogService/OpenImport": {"mode": "IMPORT_MODE_INCREMENTAL"},
    "CatalogService/PurgeProducts": {"filter": {"all": {}}},
    "CatalogService/UpdateProducts": {
        "updates": [
            {
                "product": {"product_id": "w3", "title": "Wine"},
                "update_mask": {"paths": ["title"]},
            }
        ]
    },
}
"""Further fields of some of them."""
DELETING = ("/Delete", "/Purge", "/Erase", "/TakeDown")
"""Methods that are called last."""
EMPTY = {
    "no model was trained": (
        *("DemoteModel", "EvaluateModel", "GetEvaluation", "GetProductProfile", "PromoteModel"),
        *("PublishModel", "RollbackModel"),
    ),
    "no scene has an experiment: tests/unit/gateway/servicer/test_experiments.py": (
        *("GetExperimentReport", "ListExperimentUnits"),
    ),
    "no worker indexes photos": ("ListMisfits",),
    "no scene is in the record yet": ("GetSceneDocument",),
    "nothing has this id": ("CancelJob", "GetErasure", "GetJob", "WatchJob", "GetAlertPhoto"),
}
"""Methods that find nothing in these worlds, by why."""
TOLD = tuple(
    f"{service}/{name}"
    for service, name in (
        *(("RecommendationService", name) for name in ("Recommend", "List")),
        *(("AdminService", "DiffScene"), ("CatalogService", "ListProducts")),
    )
)
"""Methods by which operators are told of costs."""
OF_THE_CALL = frozenset(
    {
        *("attribution_token", "request_id", "request_cost_ms", "index_token", "job_id"),
        *("answer_id", "next_page_token", "visitor_id", "resume_token", "alert_id"),
        *("stage_timings", "visitor_proof", "request_digest", "settings_digest"),
    }
)
"""Fields that differ from call to call, whatever products cost, as all times do."""
TIMES = ("google.protobuf.Timestamp", "google.protobuf.Duration")
REPLAY = "RecommendationService/ReplayRecommendation"
REASON = re.compile("[A-Z_]+: ")
BUSY = re.compile(r"CAUSE_(?!SPACE)\w+_UNAVAILABLE|SERVICE_UNAVAILABLE|DEADLINE_EXCEEDED")
"""An answer without what a busy machine was too slow for."""


@asynccontextmanager
async def world(folder: Path, costs: Mapping[str, int | None]) -> AsyncIterator[Shop]:
    """Run all services on stores of their own, with products of these costs."""
    ports = {name: free_port() for name in ("retriever", "ranker", "vision")}
    scenes = folder / "scenes"
    scenes.mkdir(parents=True)
    for name, text in SCENES.items():
        (scenes / f"{name}.toml").write_text(text)
    script = Script()
    embedder = Peer.of("embedder", script, Embedding(script), FittedSpaces(script))
    answer_rest(embedder.bindings, script, "embedder")
    async with AsyncExitStack() as stack:
        await embedder.up()
        stack.push_async_callback(embedder.down)
        for name in ports:
            stack.enter_context(program(name, {**ports, "embedder": embedder.port}, folder))
        settings = GatewaySettings(
            embedder_target=f"127.0.0.1:{embedder.port}",
            **{f"{name}_target": f"127.0.0.1:{port}" for name, port in ports.items()},  # type: ignore[arg-type]
        )
        gateway = build(settings, SceneFiles(scenes), signing_keys(None))
        stack.push_async_callback(gateway.close, 0.1)
        shop = Shop(gateway)
        await shop.write(costs)
        await until(shop.watch)
        yield shop


class Shop:
    """Calls of a gateway by name."""

    def __init__(self, gateway: Gateway) -> None:
        self.methods: dict[str, tuple[Any, Any]] = {}
        reads_first = sorted(gateway.bindings, key=lambda each: "Recommend" not in each.full_name)
        for binding in reads_first:
            service = access.POOL.FindServiceByName(binding.full_name)
            for method in service.methods:
                call = getattr(binding.servicer, method.name)
                self.methods[f"{service.name}/{method.name}"] = (method, call)

    def open_to(self, caller: Caller) -> list[str]:
        """Return the methods that a caller may call: those of RUN, others, those that delete."""
        found = []
        for name, (method, _) in self.methods.items():
            service = method.containing_service.full_name
            if access.rule(f"{service}/{method.name}").roles & caller.roles:
                found.append(name)
        last = [name for name in found if any(each in name for each in DELETING)]
        rest = [name for name in found if name not in RUN and name not in last]
        return [*(name for name in RUN if name in found), *rest, *last]

    async def ask(self, name: str, caller: Caller, fields: Mapping[str, Any]) -> Any:
        """Return the answer of a call, the first one of a stream."""
        method, call = self.methods[name]
        request: Any = filled(method, {} if name in RUN else OTHERS, fields)
        held = access.caller.set(caller)
        try:
            with deadlines.within(30):
                if method.server_streaming:
                    async with aclosing(call(request, None)) as answers:
                        answer = await anext(answers)
                else:
                    answer = await call(request, None)
                kind = GetMessageClass(method.output_type)
                return kind.FromString(answer) if isinstance(answer, bytes) else answer
        finally:
            access.caller.reset(held)

    async def watch(self) -> bool:
        """Create a watch. Return whether the service of cameras is there."""
        rule = {"rule_id": "black", "fault": {"fault": "FAULT_BLACK"}, "hold": {}}
        watch = {"watch": {"watch_id": "shelf", "rules": [rule]}}
        try:
            await self.ask("WatchService/CreateWatch", OPERATOR, watch)
        except PeerUnavailable:
            return False  # it starts
        return True

    async def write(self, costs: Mapping[str, int | None]) -> None:
        """Write the products with these costs, and wait until answers have them."""
        products = []
        for at, (name, cost) in enumerate(costs.items()):
            product = wine(name, name, 100, product_pb2.AVAILABILITY_IN_STOCK)
            product.rating, product.rating_count = 1 + at / 2, 40
            if name == "w3":
                product.images.add(content=PHOTO)
            if cost is not None:
                product.cost.CopyFrom(money_pb2.Money(currency_code="EUR", units=cost))
            products.append(product)

        async def written() -> bool:
            try:
                answer = await self.ask(
                    "CatalogService/UpsertProducts", OPERATOR, {"products": products}
                )
            except ServiceError:
                return False  # it starts
            return not any(each.status.code for each in answer.results)

        async def ranked() -> bool:
            asked = {"scene": "weighed", "page_size": 10}
            answer = await self.ask("RecommendationService/Recommend", OPERATOR, asked)
            return not answer.degradations and len(answer.results) == len(costs)

        await until(written)
        await until(ranked)

    async def answers(self, caller: Caller, names: Sequence[str]) -> dict[str, str]:
        """Return what a caller is answered, by method and request."""
        found: dict[str, str] = {}
        tokens: list[str] = []
        for name in names:
            if name == REPLAY:
                await until(lambda: self._replayed(caller, tokens, found), 30)
                continue
            for at, fields in enumerate(RUN.get(name, (ROWS.get(name, {}),))):
                answer = await self._told(name, caller, fields)
                if name == "RecommendationService/Recommend":
                    tokens.append(answer.attribution_token)
                found[f"{name} {at}"] = same(answer)
        return found

    async def _replayed(self, caller: Caller, tokens: list[str], found: dict[str, str]) -> bool:
        """Replay answers; return whether all of them are recorded, which is after the answer."""
        for at, token in enumerate(tokens):
            answer = await self._told(REPLAY, caller, {"attribution_token": token})
            if isinstance(answer, ServiceError):
                return False
            found[f"{REPLAY} {at}"] = same(answer)
        return True

    async def _told(self, name: str, caller: Caller, fields: Mapping[str, Any]) -> Any:
        answer: Any = None

        async def told() -> bool:
            nonlocal answer
            try:
                answer = await self.ask(name, caller, fields)
            except ServiceError as error:
                answer = error
            return not BUSY.search(text(answer))

        await until(told)
        return answer


def text(answer: Any) -> str:
    return f"{answer.reason}: {answer}" if isinstance(answer, ServiceError) else str(answer)


def same(answer: Any) -> str:
    """Return the text of an answer, or of an error, without what differs from call to call."""
    if isinstance(answer, ExportUserResponse):
        return "\n".join(sorted(map(exported, answer.records)))
    clear(answer)
    return text(answer)


def exported(record: PersonalRecord) -> str:
    """Return what is exported of an answer, or another record."""
    if "content" not in (row := json.loads(record.json)):
        return str(record)
    answer = AnswerRecord.FromString(bytes.fromhex(row["content"]))
    answer.inputs.request.ClearField("time_micros")
    clear(answer)
    return str(answer)


def clear(message: Any) -> None:
    """Remove what differs from call to call."""
    for field, value in message.ListFields() if isinstance(message, Message) else ():
        kind = field.message_type
        if field.name in OF_THE_CALL or (kind and kind.full_name in TIMES):
            message.ClearField(field.name)
        elif kind and not kind.GetOptions().map_entry:
            for each in value if field.is_repeated else (value,):
                clear(each)


@pytest.mark.slow
async def test_answers_are_equal_in_worlds_that_differ_in_costs_alone(tmp_path: Path) -> None:
    draw, told = random.Random(7), []
    for at in range(2):
        costs = {name: draw.choice([None, *draw.choices(range(1, 150), k=3)]) for name in NAMES}
        async with world(tmp_path / str(at), costs) as shop:
            known = await shop.answers(OPERATOR, TOLD)
            told.append((await shop.answers(READER, shop.open_to(READER)), known))
    (one, known), (other, other_known) = told
    assert {name for name in one if one[name] != other[name]} == set()
    differ = {name.split()[0] for name in known if known[name] != other_known[name]}
    assert differ == {*TOLD}, "operators are told of costs"
    refused = {name.split()[0].partition("/")[2] for name in one if REASON.match(one[name])}
    assert refused == {name for names in EMPTY.values() for name in names}
