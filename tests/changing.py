"""Answers that are formed while what they are made of changes.

In one process, a change happens once at a boundary between two stages of an answer: before or after
a call to what the retriever or the ranker lends. The answer must equal that of before the change or
that of after it. `python -m tests.changing` prints the answers that equal neither, and the number
of answers by request, change and boundary.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
import tempfile
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from google.protobuf import json_format

from gateway.settings import GatewaySettings
from ranker.domain.selection import PurgePlace, Selection
from ranker.record.selections import SelectionRecord
from ranker.record.tables import MIGRATIONS
from ranker.servicer.lent import Lent as LentRanker
from retriever.domain.collection_names import shaped
from retriever.domain.generation import GenerationState
from retriever.domain.product import ProductWrite
from retriever.domain.vectors import VectorWrite
from retriever.record import Record
from retriever.servicer.lent import Lent as LentRetriever
from servicekit import telemetry
from servicekit.clock import now_micros
from servicekit.rpc import hosting, server
from servicekit.sql.database import Database
from sightline.common.v1 import event_pb2
from sightline.gateway.v1 import recommendation_service_pb2 as pb
from sightline_client import Event, EventType, SyncSightlineClient
from sightline_core.shoppers import Identity, Shopper
from sightline_rules.filters import Money
from tests.both_ways import Request, Way, compare, one_moment, serve
from tests.calls.catalog import (
    DIMENSION,
    PRODUCTS,
    image_of,
    made,
    product_id,
    write_catalog,
)
from tests.calls.catalog import KINDS as KINDS_OF_PRODUCTS
from tests.calls.suite import filled, learn, settings_of

PAGE = 10
DEAR = {"money": {"currency_code": "EUR", "units": 150}}
CALLS = (
    *((LentRetriever, name) for name in ("search", "search_each", "keywords", "columns")),
    *((LentRetriever, name) for name in ("checked", "newest", "products", "browse")),
    *((LentRanker, name) for name in ("generate", "rank", "reasons")),
)
Change = Callable[[Sequence[str]], Awaitable[None]]
"""Changes what an answer with these products is made of."""


class Boundary:
    """Runs a change once, before or after a call to what is lent."""

    def __init__(self) -> None:
        self.met: list[str] = []
        """Boundaries that the last answer passed."""
        self.at = ""
        self.change: Callable[[], Awaitable[None]] | None = None

    async def __call__(self, name: str) -> None:
        self.met.append(name)
        if name == self.at and (change := self.change) is not None:
            self.change = None
            await change()

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Let every call to what is lent pass here."""
        with ExitStack() as patches:
            for of, name in CALLS:
                patches.enter_context(mock.patch.object(of, name, self._around(of, name)))
            yield

    def _around(self, of: type, name: str) -> Callable[..., Coroutine[Any, Any, Any]]:
        call = getattr(of, name)

        async def around(*given: Any, **named: Any) -> Any:
            await self(f"before {name}")
            found = await call(*given, **named)
            await self(f"after {name}")
            return found

        return around


KINDS = ("by product", "by two products", "for a user", "search", "list", "list for a user")
BY_WORD, WORD, NAMED = "by product and word", "Zephyr", 5
"""A request of two branches, its word, and the number of the product that the word finds."""


def requests(user: str) -> dict[str, Request]:
    """Return requests by name."""
    near, shopper = [pb.QuerySignal(product_id=product_id(0))], event_pb2.Shopper(user_id=user)
    cheap = json_format.ParseDict({"filter": compare("price", DEAR, "LESS")}, pb.ListRequest())
    asked: dict[str, Any] = {"page_size": PAGE, "filter": cheap.filter}
    two = [*near, pb.QuerySignal(product_id=product_id(12))]
    found: Sequence[Request] = (
        pb.RecommendRequest(signals=near, **asked),
        pb.RecommendRequest(signals=two, **asked),
        pb.RecommendRequest(shopper=shopper, **asked),
        pb.SearchRequest(signals=near, sort=pb.SORT_PRICE_RISING, **asked),
        pb.ListRequest(sort=pb.SORT_PRICE_RISING, **asked),
        pb.ListRequest(shopper=shopper, **asked),
    )
    by_word = pb.RecommendRequest(signals=[*near, pb.QuerySignal(text=WORD)], **asked)
    return {**dict(zip(KINDS, found, strict=True)), BY_WORD: by_word}


class Shop:
    """The running suite, and what may happen to it while an answer is formed."""

    def __init__(
        self,
        way: Way,
        record: Record,
        client: SyncSightlineClient,
        ranker: Any,
        events: Any,
        model: str,
    ) -> None:
        self.way, self._record, self._client, self._count = way, record, client, 0
        self._ranker, self._events, self._model = ranker, events, model
        self._users = itertools.count()
        self.next_user()

    async def written(self, ids: Sequence[str]) -> None:
        """Write products in one batch: titles and prices say the same number; half become dear."""
        self._count += 1
        writes = []
        for place, name in enumerate(ids):
            units = 1_000 + self._count if place % 2 else 1 + self._count % 100
            content = replace(
                made(_number(name)).content,
                title=f"Now {units}",
                price=Money("EUR", units * 1_000_000),
            )
            writes.append(ProductWrite(content, {}))
        await self._record.write("default", writes)

    async def restored(self, ids: Sequence[str]) -> None:
        """Write products as they were at first."""
        await self._record.write("default", [made(_number(name)) for name in ids])

    async def exchanged(self, ids: Sequence[str]) -> None:
        """Make in one batch the first product dear, and the one that WORD finds cheap."""
        await self._record.write("default", [_named(_number(ids[0]), 170), _named(NAMED, 10, WORD)])

    async def exchanged_back(self, ids: Sequence[str]) -> None:
        """Write these products as they were."""
        await self._record.write("default", [made(_number(ids[0])), _named(NAMED, 170, WORD)])

    async def deleted(self, ids: Sequence[str]) -> None:
        """Delete some products."""
        await self._record.delete("default", ids[1:4])

    async def erased(self, ids: Sequence[str]) -> None:
        """Erase the shopper, as the worker does once it has taken the job."""
        await asyncio.to_thread(self._client.erase_user, user=self.user)
        _, actor = self._ranker._whose("default", Shopper(Identity.USER, self.user))
        erased = Selection("default", actor=actor, received_micros=now_micros() + 1)
        await self._events.delete(erased, PurgePlace(), 1_000)

    async def rolled_back(self, ids: Sequence[str]) -> None:
        """Let the generation before the present one serve."""
        await self._record.rollback("default", "visual")

    async def activated(self, ids: Sequence[str]) -> None:
        """Let the second generation serve."""
        await self._record.activate("default", "second", force=True)

    async def model_rolled_back(self, ids: Sequence[str]) -> None:
        """Let the model before the present one serve."""
        await asyncio.to_thread(self._client.rollback_model)

    async def model_promoted(self, ids: Sequence[str]) -> None:
        """Let the newest model serve again."""
        await asyncio.to_thread(self._client.promote_model, self._model, force=True)

    def next_user(self) -> None:
        """Ask for a new shopper from now on, whom no model knows and who has viewed products."""
        self.user = f"new-{next(self._users)}"
        viewed = [product_id(3 + KINDS_OF_PRODUCTS * number) for number in range(6)]
        self._client.write_events(
            [Event(f"{self.user} {name}", EventType.VIEW, name, user=self.user) for name in viewed]
        )


def _number(name: str) -> int:
    return int(name.removeprefix("sku-"))


def _named(number: int, units: int, title: str = "") -> ProductWrite:
    """Return a product at another price, and with another title if one is given."""
    first = made(number)
    price = Money("EUR", units * 1_000_000)
    content = replace(first.content, title=title or first.content.title, price=price)
    return ProductWrite(content, {})


def _said(answer: Any) -> Any:
    """Return what an answer says but for the note that it was formed anew."""
    text = json.dumps(answer, ensure_ascii=False)
    for note in ("formed anew \u2192 ", " \u2192 formed anew"):
        text = text.replace(note, "")
    return json.loads(text)


async def second_generation(record: Record) -> None:
    """Store other vectors of all photos."""
    first = await record.generation("default", "visual", "made")
    assert first is not None
    second = await record.create_generation(
        replace(
            first,
            name="second",
            space_version="second",
            collection=shaped("calls_second"),
            state=GenerationState.READY,
            active=False,
        )
    )
    looks = np.random.default_rng(2).standard_normal((PRODUCTS, DIMENSION))
    looks /= np.linalg.norm(looks, axis=1, keepdims=True)
    await record.save_vectors(
        second, [VectorWrite(image_of(n), looks[n].astype(np.float32)) for n in range(PRODUCTS)]
    )


CHANGES: dict[str, tuple[str, str, Sequence[str]]] = {
    "written": ("written", "restored", KINDS),
    "deleted": ("deleted", "", KINDS),
    "exchanged": ("exchanged", "exchanged_back", (BY_WORD,)),
    "erased": ("erased", "", ("for a user", "list for a user")),
    "generation": ("activated", "rolled_back", ("by product", "by two products", "search")),
    "model": ("model_rolled_back", "model_promoted", ("by product", "for a user")),
}
"""By name of a change, the methods of Shop that do and undo it, and the requests it concerns."""


def wrong(
    shop: Shop, boundary: Boundary, in_loop: Callable[[Coroutine[Any, Any, Any]], Any], only: str
) -> Iterator[tuple[str, Any]]:
    """Yield each case with None, or with the three answers if that of during the change is
    neither that of before nor that of after."""
    for change, (_, _, kinds) in CHANGES.items():
        for kind in kinds:
            shop.way.ask(requests(shop.user)[kind])  # some lists are kept for later requests
            boundary.met = []
            shop.way.ask(requests(shop.user)[kind])
            for at in dict.fromkeys(boundary.met):
                if only and only not in f"{kind}, {change}, {at}":
                    continue
                with one_moment():
                    yield (
                        f"{kind}, {change}, {at}",
                        _case(shop, boundary, in_loop, kind, change, at),
                    )


def _case(
    shop: Shop,
    boundary: Boundary,
    in_loop: Callable[[Coroutine[Any, Any, Any]], Any],
    kind: str,
    change: str,
    at: str,
) -> Any:
    request, (do, undo, _) = requests(shop.user)[kind], CHANGES[change]
    before, _ = shop.way.ask(request)
    ids = [each["product"]["product_id"] for each in before["results"]]
    boundary.at, boundary.change = at, lambda: getattr(shop, do)(ids)
    during, _ = shop.way.ask(request)
    assert boundary.change is None, f"no stage was {at}"
    after, _ = shop.way.ask(request)
    if undo:
        in_loop(getattr(shop, undo)(ids))
    if change == "erased":
        shop.next_user()
    assert before != after, f"{change} changes no answer {kind}"
    said = _said(during)
    return None if said in (before, after) else {"before": before, "during": said, "after": after}


def answers(only: str = "") -> tuple[dict[str, Any], Counter[str]]:
    """Return the wrong answers by case, and the number of cases by request and change. For a
    process of its own: it changes this one."""
    with tempfile.TemporaryDirectory() as folder, (Path(folder) / "log").open("w") as log:
        write_catalog(Path(folder))
        settings = settings_of(Path(folder))
        own = settings["gateway"]
        assert isinstance(own, GatewaySettings)
        sys.stderr = log
        telemetry.configure_logging("all")
        boundary = Boundary()

        def measure(loop: asyncio.AbstractEventLoop, host: hosting.Host) -> Any:
            def in_loop(work: Coroutine[Any, Any, Any]) -> Any:
                return asyncio.run_coroutine_threadsafe(work, loop).result()

            filled(settings, in_loop)
            borrowed = host.borrowed("retriever")
            assert borrowed is not None
            record: Any = borrowed.lent.of_products.record
            in_loop(second_generation(record))
            with SyncSightlineClient(f"127.0.0.1:{own.port}", timeout=60) as client:
                model: str = in_loop(learn(settings, seed=1))
                client.promote_model(model, force=True)
                loan, url = host.borrowed("ranker"), settings["ranker"].database_url  # type: ignore[attr-defined]
                assert loan is not None
                events = SelectionRecord(Database(url.get_secret_value(), migrations=MIGRATIONS))
                shop = Shop(Way(own.port), record, client, loan.lent, events, model)
                found, counted = dict[str, Any](), Counter[str]()
                in_loop(shop.exchanged_back([product_id(NAMED + KINDS_OF_PRODUCTS)]))
                with boundary.watched():
                    for case, problem in wrong(shop, boundary, in_loop, only):
                        counted[", ".join(case.split(", ")[:2])] += 1
                        if problem is not None:
                            found[case] = problem
            return found, counted

        try:
            return server.run(serve(settings, measure))
        except BaseException:
            log.flush()
            sys.stdout.write((Path(folder) / "log").read_text()[-20_000:])
            raise


def main() -> None:
    """Print the wrong answers as JSON. Arguments: a part of the names of cases."""
    found, counted = answers(sys.argv[1] if sys.argv[1:] else "")
    print(json.dumps({"wrong": found, "cases": counted}, indent=1))


if __name__ == "__main__":
    main()
