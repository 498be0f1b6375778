"""Names that are deleted and given again: no answer about the new one may have anything of its
predecessor's. Each life of a name has a mark in all its texts."""

from __future__ import annotations

import asyncio
import random
import re
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any, Protocol

from sightline.common.v1 import event_pb2
from tests.fuzz.model import FUZZ, Answer, Call, Finding, Outcome
from tests.fuzz.surface import named
from tests.fuzz.vocabulary import RECEIVER

SECONDS = 120.0
NAMES = 3
"""Names of each kind that live side by side."""
MARK = re.compile(rb"zq\d{6}x", re.IGNORECASE)
GONE_SECONDS = 60.0
"""Time in which a deleted name can be used again."""
_SECONDS = 20.0


class Sends(Protocol):
    """Sender of calls and keeper of findings."""

    async def send(self, call: Call) -> Answer:
        """Return the answer."""
        ...

    def find(self, finding: Finding) -> None:
        """Keep a finding."""
        ...


class Kind:
    """Kind of things with names."""

    alone = False
    """True if answers about a name have nothing of other names."""

    def __init__(self, sender: Sends) -> None:
        self._sender = sender

    async def make(self, name: str, mark: str) -> bool:
        """Create it. Return whether it is there."""
        raise NotImplementedError

    async def drop(self, name: str) -> bool:
        """Delete it. Return whether it is gone."""
        raise NotImplementedError

    async def read(self, name: str, mark: str) -> list[tuple[Call, Answer]]:
        """Return answers about it."""
        raise NotImplementedError

    async def ask(self, call: str, **fields: Any) -> tuple[Call, Answer]:
        """Send a call."""
        request = named(call).request(**fields)
        made = Call(named(call).path, request.SerializeToString(), _SECONDS)
        return made, await self._sender.send(made)

    async def done(self, call: str, **fields: Any) -> bool:
        """Send a call. Return whether it was accepted."""
        return (await self.ask(call, **fields))[1].code == "OK"


class Products(Kind):
    """Products of one catalog."""

    async def make(self, name: str, mark: str) -> bool:
        product = {"product_id": name, "title": f"Thing {mark}"}
        return await self.done("UpsertProducts", catalog_id=FUZZ, products=[product])

    async def drop(self, name: str) -> bool:
        return await self.done("DeleteProducts", catalog_id=FUZZ, product_ids=[name])

    async def read(self, name: str, mark: str) -> list[tuple[Call, Answer]]:
        return [await self.ask("GetProduct", catalog_id=FUZZ, product_id=name)]


class Webhooks(Kind):
    """Webhooks of one catalog."""

    async def make(self, name: str, mark: str) -> bool:
        uri = f"{RECEIVER}{mark}"
        return await self.done("CreateWebhook", catalog_id=FUZZ, webhook_id=name, uri=uri)

    async def drop(self, name: str) -> bool:
        return await self.done("DeleteWebhook", catalog_id=FUZZ, webhook_id=name)

    async def read(self, name: str, mark: str) -> list[tuple[Call, Answer]]:
        return [
            await self.ask("ListWebhooks", catalog_id=FUZZ),
            await self.ask("ListDeadLetters", catalog_id=FUZZ, webhook_id=name),
        ]


def watch_of(name: str, mark: str) -> dict[str, Any]:
    """Return a watch that reports a silent camera."""
    rule = {"rule_id": "silent", "condition": "CONDITION_SILENT", "hold": {"seconds": 60}}
    return {"watch_id": name, "display_name": f"Door {mark}", "rules": [rule]}


class Watches(Kind):
    """Watches of one catalog."""

    async def make(self, name: str, mark: str) -> bool:
        watch = watch_of(name, mark)
        return await self.done("CreateWatch", catalog_id=FUZZ, watch=watch)

    async def drop(self, name: str) -> bool:
        return await self.done("DeleteWatch", catalog_id=FUZZ, watch_id=name)

    async def read(self, name: str, mark: str) -> list[tuple[Call, Answer]]:
        return [
            await self.ask("GetWatch", catalog_id=FUZZ, watch_id=name),
            await self.ask("ListWatches", catalog_id=FUZZ),
            await self.ask("ListAlerts", catalog_id=FUZZ, watch_id=name),
        ]


def searched(number: int, user: str, mark: str) -> event_pb2.Event:
    """Return a shopper's search for a mark."""
    event = event_pb2.Event(
        event_id=f"{mark}-{number}", type=event_pb2.EVENT_TYPE_SEARCH, query=mark, session_id=mark
    )
    event.shopper.user_id = user
    event.event_time.FromSeconds(int(time.time()))
    return event


class Users(Kind):
    """Shoppers of one catalog, each erased and back again."""

    alone = True

    async def make(self, name: str, mark: str) -> bool:
        events = [searched(number, name, mark) for number in range(3)]
        return await self.done("WriteEvents", catalog_id=FUZZ, events=events)

    async def drop(self, name: str) -> bool:
        who = {"user_id": name}
        if not await self.done("EraseUser", catalog_id=FUZZ, shopper=who):
            return False
        until = time.monotonic() + GONE_SECONDS
        while time.monotonic() < until:
            _, answer = await self.ask("GetErasure", catalog_id=FUZZ, shopper=who)
            found: Any = named("GetErasure").response()
            if answer.code == "OK":
                found.ParseFromString(answer.responses[0])
                if found.HasField("complete_time"):
                    return True
            await asyncio.sleep(0.5)
        return False

    async def read(self, name: str, mark: str) -> list[tuple[Call, Answer]]:
        who = {"user_id": name}
        return [
            await self.ask("ExportUser", catalog_id=FUZZ, shopper=who),
            await self.ask("GetShopperProfile", catalog_id=FUZZ, shopper=who),
        ]


class Catalogs(Kind):
    """Whole catalogs, removed without a term, with all that they have."""

    alone = True

    def __init__(self, sender: Sends) -> None:
        super().__init__(sender)
        self._pages: dict[str, str] = {}
        """Page token of each name's products, in its former life too."""
        self._etags: dict[str, str] = {}
        self._former: dict[str, str] = {}
        """Etag of each name's former life."""

    async def make(self, name: str, mark: str) -> bool:
        catalog = {"display_name": mark}
        _, answer = await self.ask("CreateCatalog", catalog_id=name, catalog=catalog)
        if answer.code != "OK":
            return False
        made: Any = named("CreateCatalog").response()
        made.ParseFromString(answer.responses[0])
        self._etags[name] = made.etag
        products = [{"product_id": f"p-{n}", "title": f"Thing {mark}"} for n in range(3)]
        await self.ask("UpsertProducts", catalog_id=name, products=products)
        events = [searched(number, "ann", mark) for number in range(3)]
        await self.ask("WriteEvents", catalog_id=name, events=events)
        rules = [{"terms": [mark, "thing"]}]
        await self.ask("SetSynonyms", catalog_id=name, rules=rules)
        await self.ask("CreateWebhook", catalog_id=name, webhook_id="one", uri=RECEIVER + mark)
        watch = watch_of("one", mark)
        await self.ask("CreateWatch", catalog_id=name, watch=watch)
        return True

    async def drop(self, name: str) -> bool:
        gone = await self.done("DeleteCatalog", catalog_id=name, undo_days=0)
        if gone:
            self._former[name] = self._etags[name]
        return gone

    async def read(self, name: str, mark: str) -> list[tuple[Call, Answer]]:
        place: dict[str, Any] = {"catalog_id": name}
        ann = {"user_id": "ann"}
        answers = [
            await self.ask(call, **place)
            for call in ("GetCatalog", "ListWebhooks", "ListWatches", "GetSynonyms", "ListJobs")
        ]
        answers += [
            await self.ask("ListTopSearches", **place),
            await self.ask("ListModels", **place),
            await self.ask("Recommend", **place, shopper=ann, page_size=5),
            await self.ask("Search", **place, signals=[{"text": "thing"}], page_size=5),
            await self.ask("Suggest", **place, prefix="th"),
            await self.ask("Suggest", **place, prefix="zq"),
            await self.ask("ExportUser", **place, shopper=ann),
            await self.ask("GetShopperProfile", **place, shopper=ann),
            await self._page(name),
        ]
        if name in self._former:
            await self._old_etag(name, mark)
        return answers

    async def _page(self, name: str) -> tuple[Call, Answer]:
        """Read a page of products, with the token of an earlier one if there is one."""
        token = self._pages.pop(name, "")
        call, answer = await self.ask(
            "ListProducts", catalog_id=name, page_size=1, page_token=token
        )
        if answer.code == "OK":
            found: Any = named("ListProducts").response()
            found.ParseFromString(answer.responses[0])
            self._pages[name] = found.next_page_token
        return call, answer

    async def _old_etag(self, name: str, mark: str) -> None:
        call, answer = await self.ask(
            "UpdateCatalog",
            catalog_id=name,
            catalog={"display_name": mark, "etag": self._former[name]},
            update_mask={"paths": ["display_name"]},
        )
        if answer.code == "OK":
            why = f"{name}: the etag of its predecessor is accepted"
            self._sender.find(Finding("namesakes", why, call, answer))


class Aliases(Kind):
    """Aliases, each life of a name for the other of two catalogs, which gets the mark."""

    alone = True

    def __init__(self, sender: Sends) -> None:
        super().__init__(sender)
        self._odd: dict[str, bool] = {}

    async def make(self, name: str, mark: str) -> bool:
        target = f"{name}-of-{'b' if self._odd.get(name) else 'a'}"
        if not await self.done("CreateCatalog", catalog_id=target):
            return False
        product = {"product_id": "p", "title": f"Thing {mark}"}
        await self.ask("UpsertProducts", catalog_id=target, products=[product])
        return await self.done("SetCatalogAlias", catalog_id=target, alias_id=name)

    async def drop(self, name: str) -> bool:
        gone = await self.done("DeleteCatalogAlias", catalog_id=FUZZ, alias_id=name)
        self._odd[name] = self._odd.get(name, False) ^ gone
        return gone

    async def read(self, name: str, mark: str) -> list[tuple[Call, Answer]]:
        return [
            await self.ask("ListProducts", catalog_id=name),
            await self.ask("GetProduct", catalog_id=name, product_id="p"),
        ]


def kinds(sender: Sends) -> dict[str, Kind]:
    """Return all kinds, by what their names begin with."""
    return {
        "twin-product": Products(sender),
        "twin-webhook": Webhooks(sender),
        "twin-watch": Watches(sender),
        "twin-user": Users(sender),
        "twin-catalog": Catalogs(sender),
        "twin-alias": Aliases(sender),
    }


class Namesakes:
    """Lives of all names, one after another each."""

    def __init__(self, sender: Sends, given: dict[str, Kind], seed: int) -> None:
        self._sender, self._kinds, self._seed = sender, given, seed
        self._count = 0
        self._dead: set[bytes] = set()
        """Marks of lives that have ended."""
        self.lives: Counter[str] = Counter()
        """Lives of each kind that succeeded another one."""
        self._wrong = 0

    async def check(self, seconds: float = SECONDS) -> Outcome:
        """Let names live and die until the time is up."""
        until = time.monotonic() + seconds
        await asyncio.gather(
            *(
                self._name(
                    kind, f"{kind}-{number}", random.Random(f"{self._seed}{kind}{number}"), until
                )
                for kind in self._kinds
                for number in range(NAMES)
            )
        )
        lives = ", ".join(f"{self.lives[kind]} {kind}" for kind in self._kinds)
        never = [kind for kind in self._kinds if not self.lives[kind]]
        measured = f"given again: {lives}; {self._wrong} answers with something of a predecessor"
        return Outcome(not self._wrong and not never, measured)

    def _marks(self) -> Iterator[str]:
        while True:
            self._count += 1
            yield f"zq{self._count:06d}x"

    async def _name(self, kind: str, name: str, chance: random.Random, until: float) -> None:
        """Create, use and delete a name again and again."""
        of, lived = self._kinds[kind], False
        while time.monotonic() < until:
            mark = next(self._marks())
            if not await self._made(of, name, mark, until):
                return
            self.lives[kind] += lived
            for _ in range(chance.choice((1, 1, 2, 4))):
                await self._read(of, name, mark)
            while not await of.drop(name):
                if time.monotonic() > until:
                    return
                await asyncio.sleep(0.5)
            self._dead.add(mark.encode())
            lived = True
            await asyncio.sleep(chance.choice((0.0, 0.0, 0.05, 0.5)))

    async def _made(self, of: Kind, name: str, mark: str, until: float) -> bool:
        """Create a name, as soon as its predecessor has gone."""
        while not await of.make(name, mark):
            if time.monotonic() > until:
                return False
            await asyncio.sleep(0.5)
        return True

    async def _read(self, of: Kind, name: str, mark: str) -> None:
        dead = set(self._dead)
        for call, answer in await of.read(name, mark):
            said = b"".join(answer.responses) + answer.message.encode() + answer.details
            found = {each.lower() for each in MARK.findall(said)} - {mark.encode()}
            foreign = found if of.alone else found & dead
            if foreign:
                self._wrong += 1
                marks = b", ".join(sorted(foreign)).decode()
                why = f"{name}, now {mark}, answers {marks}"
                self._sender.find(Finding("namesakes", why, call, answer))
