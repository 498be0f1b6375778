"""What services of one process lend, beside what they send for the same input.

`python -m tests.lending` prints, for every call of the protocols in core/lending.py, how many
calls were compared, and where what a borrower gets is not what a client reads from messages.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import sys
import tempfile
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from google.protobuf import json_format
from google.protobuf.message import Message

from embedder.settings import EmbedderSettings
from gateway.clients import columns, embedder, ranker, retriever
from gateway.clients.local_embedder import LocalEmbedder
from gateway.clients.local_ranker import LocalRanker
from gateway.clients.local_retriever import LocalRetriever
from gateway.clients.peer_calls import PeerCaller
from gateway.model.causes import Peer
from gateway.model.diversity import Diversity
from gateway.model.filters import carried, of_words
from gateway.model.query import AnswerScope, Signal, SignalKind
from gateway.ranking.fuse import fuse
from servicekit import deadlines, telemetry
from servicekit.config import ServerSettings
from servicekit.errors import ServiceError
from servicekit.rpc import hosting, server
from servicekit.rpc.channel import connect
from sightline.common.v1 import facet_pb2, filter_pb2, photo_pb2, vector_pb2
from sightline_core import ranking as core
from sightline_core.branch import Branch
from sightline_core.candidates import CandidateList
from sightline_core.columns import ProductColumns
from sightline_core.search import ListingRequest, VectorBlend
from sightline_core.shoppers import Identity, Shopper
from tests.both_ways import compare, one_moment, serve, sold
from tests.calls.catalog import DIMENSION, KINDS, product_id, write_catalog
from tests.calls.suite import filled, settings_of
from tests.fakes.photos import photo
from tests.fakes.triton import FakeTriton

CATALOG = "default"
CHANGING = frozenset({"work", "decoding", "freshness", "history_token"})
"""Fields that hold times and random values."""
SECONDS = 30.0
INTERACTIVE = vector_pb2.PRIORITY_INTERACTIVE
Ask = Callable[[Any], Awaitable[Any]]
"""Makes a call of a client."""


def plain(value: Any) -> Any:
    """Return what a borrower can read of a value, in a form that says it by itself."""
    if isinstance(value, ServiceError):
        return [str(value.code), value.reason, value.message]
    if isinstance(value, ProductColumns):
        names = columns._UNKNOWN
        return {name: plain(value.read(name, unknown)) for name, unknown in names.items()} | {
            "stamp": plain(value.stamp),
            "own": [
                plain(getattr(value, name)) or [names[name]] * len(value.product_ids)
                for name in ("product_ids", "parent_ids", "image_hashes", "create_time_micros")
            ],
        }
    if isinstance(value, Message):
        return json_format.MessageToDict(value, preserving_proto_field_name=True)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names_of = [each.name for each in dataclasses.fields(value)]
        return {name: plain(getattr(value, name)) for name in names_of if name not in CHANGING}
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, (set, frozenset)):
        return sorted(map(plain, value))
    if isinstance(value, str) or not isinstance(value, Sequence):
        return value if isinstance(value, (str, int, float, bool, type(None))) else str(value)
    return [plain(each) for each in value]


def of_retriever(scope: AnswerScope) -> dict[str, list[Ask]]:
    """Return calls by the method of LentRetriever that they use."""
    ids = [product_id(number) for number in (*range(14), 55, 77)] + ["gone"]
    own, other = ids[1], ids[2]
    vector = vector_pb2.Vector(
        space="visual", space_version="made", dimension=DIMENSION, data=bytes(4 * DIMENSION)
    )
    unknown = json_format.ParseDict(compare("nothing", {"text": "x"}), filter_pb2.Filter())
    wrong = AnswerScope(filter=carried(unknown))
    options: dict[str, Any] = {"top_k": 20, "exclude": (ids[13],), "min_index_token": ""}
    blend = VectorBlend("visual", ((1.0, own), (0.5, other)))
    worded: dict[str, Any] = {"top_k": 20, "exclude": ()}
    facet = [facet_pb2.FacetRequest(field="category"), facet_pb2.FacetRequest(field="price")]
    listed = [
        ListingRequest(order="PRICE_RISING", size=10),
        ListingRequest(order="NEWEST", size=10, exclude=ids[:3], costs=True, facets=facet),
        ListingRequest(order="RANKED", size=10, ranked=ids, last_ids=ids[:2]),
        ListingRequest(order="NOT_THERE", size=10),
    ]
    return {
        "search": [
            *(
                lambda of, near=near: of.search(CATALOG, near, scope, **options)
                for near in (own, blend, vector, "gone")
            ),
            lambda of: of.search(CATALOG, own, wrong, **options),
        ],
        "search_each": [
            lambda of: of.search_each(
                CATALOG, [blend, VectorBlend("visual", ((1.0, "gone"),))], scope, **options
            )
        ],
        "keywords": [
            *(
                lambda of, text=text: of.keywords(
                    CATALOG, text, scope, correct=True, language_code="en", **worded
                )
                for text in ("product of kind 3", "prodcut", "nowhere")
            ),
            lambda of: of.keywords(CATALOG, "kind 5", scope, labelled=True, **worded),
        ],
        "columns": [lambda of: of.columns(CATALOG, ids, scope)],
        "checked": [lambda of: of.checked(CATALOG, ids, scope)],
        "newest": [lambda of: of.newest(CATALOG, scope, 15)],
        "products": [
            lambda of: of.products(CATALOG, ids, scope, [*ids[:3], "gone"]),
            lambda of: of.products(CATALOG, ids, scope, unshown=True),
        ],
        "facets": [
            lambda of: of.facets(CATALOG, facet, scope),
            lambda of: of.product_count(CATALOG, scope),
        ],
        "browse": [lambda of, asked=asked: of.browse(CATALOG, asked, scope) for asked in listed],
        "suggest": [
            lambda of, text=text: of.suggest(CATALOG, text, "en", 5)
            for text in ("product of ki", "kind 5 r", "brand", "or")
        ],
        "read_filter": [lambda of: of.columns(CATALOG, ids, wrong)],
    }


async def of_ranker(of: retriever.RetrieverClient, answer_id: str) -> dict[str, list[Ask]]:
    """Return calls by the method of LentRanker that they use. `of`: gives the candidates."""
    shoppers = [Shopper(Identity.USER, each) for each in ("shopper-0", "nobody")]
    scope = AnswerScope()
    near = await of.search(CATALOG, product_id(1), scope, top_k=40, exclude=(), min_index_token="")
    listed = CandidateList(
        Branch.VISUAL,
        1.0,
        near.columns,
        near.similarities,
        near.image_ids,
        collapsed=near.collapsed,
    )
    candidates, rows = (
        fuse([listed], (), 1_000),
        await of.products(CATALOG, near.columns.product_ids[:3], scope),
    )
    weights = {"visual": 1.0, "behavior": 0.5, "popularity": 0.2, "content": 0.3}

    def ranked(shopper: Shopper | None, **more: Any) -> core.RankRequest:
        return core.RankRequest(
            **(
                {
                    "catalog_id": CATALOG,
                    "language_code": "en",
                    "shopper": shopper,
                    "session_id": "",
                    "candidates": candidates,
                    "weights": weights,
                    "drop_seen": False,
                    "seed": 7,
                    "diversity": Diversity(),
                    "time_micros": 1_790_000_000_000_000,
                    "page_size": 10,
                }
                | more
            )
        )

    asked = core.Recommenders(
        ("co_view", "best_sellers"), core.RequestAnchors((product_id(KINDS),)), last_products=5
    )
    generated = [
        core.NominateRequest(CATALOG, each, "", 30, (product_id(5),), recommenders=asked)
        for each in (*shoppers, None)
    ]
    orders = [
        *map(ranked, (*shoppers, None)),
        ranked(shoppers[0], explain=True, top_k=12, reason_count=3, drop_seen=True),
        ranked(shoppers[0], diversity=Diversity(diversity=0.3, brand_cap=2), collapse=False),
        ranked(shoppers[0], model_version="none"),
    ]
    reasoned = core.ReasonRequest(
        CATALOG,
        "en",
        shoppers[0],
        "",
        rows.rows,
        [("visual", [0.3, 0.2, 0.1])],
        weights,
        explain=True,
    )
    ranges = [
        core.AnswerRange(answer_id),
        core.AnswerRange(answer_id, 5, 10, shoppers[0], drop_seen=True),
        core.AnswerRange("0" * 32),
    ]
    return {
        "generate": [lambda to, order=order: to.generate(order) for order in generated],
        "rank": [lambda to, order=order: to.rank(order) for order in orders],
        "reasons": [lambda to: to.reasons(reasoned)],
        "answer": [lambda to, part=part: to.answer(CATALOG, part) for part in ranges],
    }


def of_embedder() -> dict[str, list[Ask]]:
    """Return calls by the method of LentEmbedder that they use; there is no model of texts.
    tests/unit/embedder/servicer/test_lent.py compares their vectors, categories and addresses."""
    texts = [Signal(at, SignalKind.TEXT, text=text) for at, text in enumerate(("red", "blue"))]
    out = photo_pb2.Box(left=0.5, top=0.5, right=0.4, bottom=1)
    file = photo()
    mixed = [
        Signal(0, SignalKind.IMAGE, image=file),
        Signal(1, SignalKind.IMAGE, image=file, box=out),
        Signal(2, SignalKind.IMAGE, image=b"no photo"),
        Signal(3, SignalKind.IMAGE, image=bytes(11 * 2**20)),
        Signal(4, SignalKind.TEXT, text="red"),
        Signal(5, SignalKind.TEXT),
    ]
    address = Signal(6, SignalKind.IMAGE_URI, image_uri="https://shop.example/a.png")
    asked: list[tuple[list[Signal], str, dict[str, Any]]] = [
        *((texts, "", {"space": space}) for space in ("text", "none")),
        (mixed, "", {"space": "visual", "views": 2, "classify": True, "language_code": "de"}),
        ([*mixed, address], "none", {"space": ""}),
        (mixed[:1] * 65, "", {"space": ""}),
    ]
    return {
        "embed": [
            lambda to, each=each: to.embed(CATALOG, each[0], INTERACTIVE, each[1], **each[2])
            for each in asked
        ]
    }


async def differences(
    settings: Mapping[str, ServerSettings], host: hosting.Host, answer_id: str
) -> dict[str, Any]:
    """Return by method how many calls were compared, and the results that differ."""
    kinds: dict[str, tuple[Any, Any, tuple[Any, ...]]] = {
        "retriever": (retriever.RetrieverClient, LocalRetriever, (lambda *_: None,)),
        "ranker": (ranker.RankerClient, LocalRanker, ()),
        "embedder": (embedder.EmbedderClient, LocalEmbedder, ()),
    }
    found, channels = dict[str, Any](), []
    with deadlines.within(300.0):
        for name, (sending, lending, more) in kinds.items():
            channel = connect(f"127.0.0.1:{settings[name].port}")
            channels.append(channel)
            caller = PeerCaller(Peer(name), reserve=0.0, longest=SECONDS)
            sends = sending(channel, caller, *more)
            lends = lending(channel, caller, *more, lambda name=name: host.borrowed(name))
            if name == "retriever":
                calls, products = {}, sends
                for scope in SCOPES:
                    for method, asks in of_retriever(scope).items():
                        calls.setdefault(method, []).extend(asks)
            else:
                calls = await of_ranker(products, answer_id) if name == "ranker" else of_embedder()
            for method, asks in calls.items():
                # A stopped clock ends the deadlines of calls to the model server.
                with nullcontext() if name == "embedder" else one_moment():
                    pairs = [(await outcome(ask, lends), await outcome(ask, sends)) for ask in asks]
                wrong = [
                    [at, *difference(*pair)] for at, pair in enumerate(pairs) if pair[0] != pair[1]
                ]
                found[f"{name}.{method}"] = {
                    "answered": sum("error" not in lent for lent, _ in pairs),
                    "failed": sum("error" in lent for lent, _ in pairs),
                    "different": wrong,
                }
    for channel in channels:
        await channel.close(None)
    return found


SCOPES = (
    AnswerScope(),
    AnswerScope(filter=of_words("price < 80 EUR"), buyable_only=True),
    AnswerScope(market_id="de"),
)


async def outcome(ask: Ask, client: Any) -> Any:
    """Return the result or the error of a call, in a form that can be compared."""
    try:
        return {"result": plain(await ask(client))}
    except ServiceError as error:
        return {"error": plain(error)}


def difference(lent: Any, sent: Any, path: str = "") -> list[Any]:
    """Return the first place at which two results differ, and both values there."""
    if isinstance(lent, dict) and isinstance(sent, dict):
        for name in {**lent, **sent}:
            if lent.get(name) != sent.get(name):
                return difference(lent.get(name), sent.get(name), f"{path}.{name}")
    if isinstance(lent, list) and isinstance(sent, list) and len(lent) == len(sent):
        for at, pair in enumerate(zip(lent, sent, strict=True)):
            if pair[0] != pair[1]:
                return difference(*pair, f"{path}[{at}]")
    return [path, lent, sent]


def main() -> None:
    """Print the differences as JSON. For a process of its own: it changes this one."""
    with tempfile.TemporaryDirectory() as folder, (Path(folder) / "log").open("w") as log:
        write_catalog(Path(folder), sold)
        settings = settings_of(Path(folder))
        own = settings["embedder"]
        assert isinstance(own, EmbedderSettings)
        sys.stderr = log
        telemetry.configure_logging("all")

        def measure(loop: asyncio.AbstractEventLoop, host: hosting.Host) -> dict[str, Any]:
            def in_loop(work: Coroutine[Any, Any, Any]) -> Any:
                return asyncio.run_coroutine_threadsafe(work, loop).result()

            shop = filled(settings, in_loop)
            shop.cases()  # records an answer
            ((answer_id,), *_) = shop.records.execute("SELECT answer_id FROM answers").fetchall()
            found: dict[str, Any] = in_loop(differences(settings, host, answer_id))
            return found

        async def beside_triton() -> dict[str, Any]:
            async with FakeTriton().serving(int(own.triton_target.rpartition(":")[2])):
                found: dict[str, Any] = await serve(settings, measure)
                return found

        try:
            found = server.run(beside_triton())
        except BaseException:
            log.flush()
            sys.stdout.write((Path(folder) / "log").read_text()[-20_000:])
            raise
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
