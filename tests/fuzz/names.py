"""Names that can be made again: catalogs, aliases, webhooks and shoppers."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sequence
from typing import Any, TypeVar

from google.protobuf.message import Message

from sightline.common.v1.event_pb2 import EVENT_TYPE_SEARCH, EVENT_TYPE_VIEW, Event, Shopper
from sightline.common.v1.job_pb2 import Job
from sightline.common.v1.job_service_pb2 import GetJobRequest, ListJobsRequest
from sightline.common.v1.product_pb2 import Product
from sightline.gateway.v1 import admin_service_pb2 as admin
from sightline.gateway.v1 import catalog_service_pb2 as products
from sightline.gateway.v1 import recommendation_service_pb2 as answers
from sightline.gateway.v1.user_event_service_pb2 import WriteEventsRequest, WriteEventsResponse
from sightline.ranker.v1 import privacy_service_pb2 as privacy
from sightline.ranker.v1 import profile_service_pb2 as profiles
from sightline.retriever.v1 import catalog_registry_service_pb2 as registry
from sightline.retriever.v1 import synonym_service_pb2 as synonyms
from sightline.vision.v1 import webhook_service_pb2 as webhooks
from tests.fuzz.keeping import Unanswered
from tests.fuzz.model import FUZZ, Answer, Call
from tests.fuzz.surface import named
from tests.fuzz.vocabulary import RECEIVER
from tests.fuzz.wire import Sender

FREE_SECONDS = 60.0
"""Most seconds until a name is free again, or a job is over."""
_DEADLINE = 10.0
_LATER = frozenset({"ALREADY_EXISTS", "FAILED_PRECONDITION", "NOT_FOUND", "UNAVAILABLE", "ABORTED"})
_ENDED = (Job.STATE_SUCCEEDED, Job.STATE_FAILED, Job.STATE_CANCELLED)

Read = tuple[str, Message]
"""A call and its request."""
M = TypeVar("M", bound=Message)


class Asking:
    """Sender of right requests."""

    def __init__(self, sender: Sender, chance: random.Random) -> None:
        self.sender, self.chance = sender, chance
        self.tokens: dict[str, list[str]] = {"page_token": [], "attribution_token": []}
        """Tokens of all incarnations' answers."""

    async def send(self, name: str, request: Message) -> Answer:
        """Send a request once."""
        path = named(name).path
        return await self.sender.send(Call(path, request.SerializeToString(), _DEADLINE))

    async def ask(self, name: str, request: Message, response: M) -> M:
        """Send a request until it is answered, while the name is not free. Raises Unanswered."""
        until = time.monotonic() + FREE_SECONDS
        while True:
            answer = await self.send(name, request)
            if answer.code == "OK":
                response.ParseFromString(answer.responses[0])
                return response
            if answer.code not in _LATER or time.monotonic() > until:
                raise Unanswered(f"{name} answers {answer.code}: {answer.message[:200]}")
            await asyncio.sleep(0.5)

    def token(self, kind: str) -> str:
        """Return a token of any incarnation, or none."""
        return self.chance.choice(["", "", *self.tokens[kind][-40:]])

    def learn(self, response: Message) -> None:
        """Keep the tokens of an answer."""
        for kind, field in (("page_token", "next_page_token"), ("attribution_token",) * 2):
            if token := getattr(response, field, ""):
                self.tokens[kind].append(token)

    async def fill(self, catalog: str, nonce: str) -> None:
        """Write products, searches, synonyms and a scene, always with the same ids."""
        made = [
            Product(product_id=f"p-{n}", title=f"chair {nonce} {n}", brand=f"Brand {nonce}")
            for n in range(4)
        ]
        await self.ask(
            "UpsertProducts",
            products.UpsertProductsRequest(catalog_id=catalog, products=made),
            products.UpsertProductsResponse(),
        )
        await self.visit(catalog, "v-", nonce)
        rule = synonyms.SynonymRule(terms=["chair", nonce])
        await self.send(
            "SetSynonyms", synonyms.SetSynonymsRequest(catalog_id=catalog, rules=[rule])
        )
        await self.send(
            "WriteSceneDraft",
            admin.WriteSceneDraftRequest(catalog_id=catalog, scene="home", toml=f"# {nonce}"),
        )

    async def visit(self, catalog: str, visitors: str, nonce: str, count: int = 3) -> None:
        """Write the views and searches of some visitors."""
        request = WriteEventsRequest(catalog_id=catalog)
        for n in range(count):
            shopper = Shopper(user_id=f"{visitors}{n}")
            for kind in (EVENT_TYPE_VIEW, EVENT_TYPE_SEARCH):
                event = Event(event_id=f"{kind}-{n}-{nonce}", type=kind, shopper=shopper)
                event.event_time.FromSeconds(int(time.time()))
                if kind == EVENT_TYPE_VIEW:
                    event.product_id = f"p-{n}"
                else:
                    event.query = f"chair {nonce}"
                request.events.append(event)
        await self.ask("WriteEvents", request, WriteEventsResponse())

    def of_catalog(self, catalog: str) -> Sequence[Read]:
        """Return reads of what a catalog has."""
        shopper = Shopper(user_id="v-1")
        ask = answers.QuerySignal(text="chair")
        like = answers.QuerySignal(product_id="p-1")
        recommend = answers.RecommendRequest(
            catalog_id=catalog, page_size=2, signals=[like], shopper=shopper
        )
        explained = answers.RecommendRequest(catalog_id=catalog, page_size=2, signals=[ask])
        paged = answers.RecommendRequest(catalog_id=catalog, page_size=2, signals=[like])
        paged.page_token = self.token("page_token")
        seen = Event(event_id="of a token", type=EVENT_TYPE_VIEW, product_id="p-1", shopper=shopper)
        seen.event_time.FromSeconds(int(time.time()))
        seen.attribution_token = self.token("attribution_token")
        listing: Any = {
            "catalog_id": catalog,
            "page_size": 2,
            "page_token": self.token("page_token"),
        }
        return (
            ("Recommend", recommend),
            ("Recommend", paged),
            ("Search", answers.SearchRequest(catalog_id=catalog, signals=[ask])),
            ("Suggest", answers.SuggestRequest(catalog_id=catalog, prefix="ch")),
            ("Suggest", answers.SuggestRequest(catalog_id=catalog, prefix="zq")),
            ("List", answers.ListRequest(**listing)),
            ("ListProducts", products.ListProductsRequest(**listing)),
            ("GetProduct", products.GetProductRequest(catalog_id=catalog, product_id="p-1")),
            (
                "ExplainRecommendation",
                answers.ExplainRecommendationRequest(request=explained, product_id="p-1"),
            ),
            ("WriteEvents", WriteEventsRequest(catalog_id=catalog, events=[seen])),
            ("ListTopSearches", admin.ListTopSearchesRequest(catalog_id=catalog)),
            ("GetSynonyms", synonyms.GetSynonymsRequest(catalog_id=catalog)),
            ("GetSceneDocument", admin.GetSceneDocumentRequest(catalog_id=catalog, scene="home")),
            ("ExportUser", privacy.ExportUserRequest(catalog_id=catalog, shopper=shopper)),
            ("ListJobs", ListJobsRequest(catalog_id=catalog)),
        )


class CatalogName:
    """A catalog that is deleted with all its content."""

    def __init__(self, asking: Asking, name: str) -> None:
        self.name, self.asking = name, asking

    def planned(self, nonce: str) -> str:
        """Return the nonce: all content is new."""
        return nonce

    async def begin(self, nonce: str) -> None:
        """Create the catalog, and fill it."""
        made = registry.Catalog(display_name=nonce)
        request = registry.CreateCatalogRequest(catalog_id=self.name, catalog=made)
        await self.asking.ask("CreateCatalog", request, registry.Catalog())
        await self.asking.fill(self.name, nonce)

    async def end(self) -> None:
        """Delete it; sometimes it is restored and deleted once more."""
        request = registry.DeleteCatalogRequest(catalog_id=self.name, undo_days=1)
        if self.asking.chance.random() < 0.3:
            await self.asking.ask("DeleteCatalog", request, registry.Catalog())
            back = registry.UndeleteCatalogRequest(catalog_id=self.name)
            await self.asking.ask("UndeleteCatalog", back, registry.Catalog())
        request.undo_days = 0
        await self.asking.ask("DeleteCatalog", request, registry.Catalog())

    def reads(self) -> Sequence[Read]:
        """Return reads of all that it has."""
        named_so = registry.GetCatalogRequest(catalog_id=self.name)
        return (*self.asking.of_catalog(self.name), ("GetCatalog", named_so))


class AliasName:
    """An alias that stands for one catalog, then for another."""

    name = "fuzz-again-alias"

    def __init__(self, asking: Asking) -> None:
        self.asking = asking
        self._catalogs: dict[str, str] = {}
        """Marks in the content of incarnations, by catalog."""
        self._turn = 0

    def planned(self, nonce: str) -> str:
        """Turn to the other catalog. Return what is unique to its content."""
        self._turn += 1
        return self._catalogs.get(self._catalog, nonce)

    async def begin(self, nonce: str) -> None:
        """Set the alias to the catalog."""
        if self._catalog not in self._catalogs:
            await CatalogName(self.asking, self._catalog).begin(nonce)
            self._catalogs[self._catalog] = nonce
        request = registry.SetCatalogAliasRequest(catalog_id=self._catalog, alias_id=self.name)
        await self.asking.ask("SetCatalogAlias", request, registry.CatalogAlias())

    async def end(self) -> None:
        """Delete the alias; sometimes it is just set to the other catalog."""
        if self.asking.chance.random() < 0.5:
            request = registry.DeleteCatalogAliasRequest(
                catalog_id=self._catalog, alias_id=self.name
            )
            await self.asking.ask(
                "DeleteCatalogAlias", request, registry.DeleteCatalogAliasResponse()
            )

    def reads(self) -> Sequence[Read]:
        """Return reads of the catalog behind it."""
        return self.asking.of_catalog(self.name)

    @property
    def _catalog(self) -> str:
        return f"{self.name}-{self._turn % 2}"


class WebhookName:
    """A webhook with another address each time."""

    name = "fuzz-again-hook"

    def __init__(self, asking: Asking) -> None:
        self.asking = asking

    def planned(self, nonce: str) -> str:
        """Return the nonce: all content is new."""
        return nonce

    async def begin(self, nonce: str) -> None:
        """Create the webhook."""
        request = webhooks.CreateWebhookRequest(
            catalog_id=FUZZ, webhook_id=self.name, uri=f"{RECEIVER}{nonce}"
        )
        await self.asking.ask("CreateWebhook", request, webhooks.CreateWebhookResponse())

    async def end(self) -> None:
        """Delete the webhook."""
        request = webhooks.DeleteWebhookRequest(catalog_id=FUZZ, webhook_id=self.name)
        await self.asking.ask("DeleteWebhook", request, webhooks.DeleteWebhookResponse())

    def reads(self) -> Sequence[Read]:
        """Return the read of all webhooks."""
        return (("ListWebhooks", webhooks.ListWebhooksRequest(catalog_id=FUZZ)),)


class ShopperName:
    """A customer whose data are erased, and who comes back."""

    name = "fuzz-again-user-0"

    def __init__(self, asking: Asking) -> None:
        self.asking, self._shopper = asking, Shopper(user_id=self.name)

    def planned(self, nonce: str) -> str:
        """Return the nonce: all content is new."""
        return nonce

    async def begin(self, nonce: str) -> None:
        """Write events of the customer."""
        await self.asking.visit(FUZZ, self.name.removesuffix("0"), nonce, count=1)

    async def end(self) -> None:
        """Erase the customer."""
        request = privacy.EraseUserRequest(catalog_id=FUZZ, shopper=self._shopper, force=True)
        job = await self.asking.ask("EraseUser", request, Job())
        until = time.monotonic() + FREE_SECONDS
        while job.state not in _ENDED:
            if time.monotonic() > until:
                raise Unanswered(f"the erasure of {self.name} does not end")
            await asyncio.sleep(0.5)
            again = GetJobRequest(catalog_id=FUZZ, job_id=job.job_id)
            job = await self.asking.ask("GetJob", again, Job())

    def reads(self) -> Sequence[Read]:
        """Return reads of what is known of the customer."""
        return (
            ("ExportUser", privacy.ExportUserRequest(catalog_id=FUZZ, shopper=self._shopper)),
            (
                "GetShopperProfile",
                profiles.GetShopperProfileRequest(catalog_id=FUZZ, shopper=self._shopper),
            ),
        )
