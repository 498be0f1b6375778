"""The client of Sightline's public API."""

import asyncio
import uuid
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Mapping
from datetime import datetime
from types import TracebackType
from typing import Any, Self, TypedDict, Unpack

import grpc

from sightline.common.v1 import job_service_pb2
from sightline.embedder.v1 import embedding_service_pb2, space_service_pb2
from sightline.gateway.v1 import admin_service_pb2 as admin
from sightline.gateway.v1 import catalog_service_pb2 as catalog_pb2
from sightline.gateway.v1 import user_event_service_pb2 as user_event
from sightline.ranker.v1 import (
    event_service_pb2,
    model_service_pb2,
    online_report_pb2,
    profile_service_pb2,
)
from sightline.retriever.v1 import (
    backup_service_pb2,
    fit_service_pb2,
    index_service_pb2,
    rebuild_service_pb2,
)
from sightline_client.convert import (
    classifications_from_wire,
    evaluation_from_wire,
    explanations_from_wire,
    from_wire,
    online_from_wire,
    profiles_from_wire,
    requests,
    spaces_from_wire,
    to_wire,
)
from sightline_client.errors import Unavailable, check_answered
from sightline_client.transport import importing, writing
from sightline_client.transport.batching import Batches
from sightline_client.transport.calls import Calls
from sightline_client.values.answers import Found, Recommendations
from sightline_client.values.catalog import (
    Deletion,
    ImportBatch,
    ImportMode,
    ImportReport,
    ImportState,
    Offer,
    OfferBatch,
    OfferReport,
    Order,
    Product,
    ProductImage,
    ProductUpdate,
    UpsertBatch,
    UpsertOutcome,
    UpsertReport,
)
from sightline_client.values.classifications import Classification
from sightline_client.values.evaluation import Evaluation
from sightline_client.values.events import Event, EventBatch, EventPurge, EventReport, EventType
from sightline_client.values.explanations import Explanation
from sightline_client.values.filters import Filter
from sightline_client.values.online import OnlineReport
from sightline_client.values.operations import (
    Backup,
    Generation,
    ImportClose,
    IndexMetric,
    IndexParameters,
    Job,
    Model,
    ProductPurge,
    Status,
)
from sightline_client.values.photos import Photo, Uri, load
from sightline_client.values.profiles import ProductProfile, Segments, ShopperProfile
from sightline_client.values.signals import Box, Unlike
from sightline_client.values.spaces import Space
from sightline_client.values.trainings import TrainingRecipe

_WATCH_TRIES = 5
_WATCH_PAUSE = 0.5
"""Seconds before a lost watch is taken up again."""
_PAGE = 200


class RecommendOptions(TypedDict, total=False):
    """What ``recommend`` takes, but for the page's token."""

    image: Photo | None
    images: Iterable[Photo]
    text: str | None
    products: str | Iterable[str]
    user: str | None
    visitor: str | None
    session: str
    filter: Filter | None
    page_size: int
    scene: str
    language: str
    exclude: str | Iterable[str]
    min_index_token: str
    min_quality: float
    explain: bool
    unlike: Unlike | None
    box: Box | None
    find_subject: bool
    timeout: float | None


class SightlineClient:
    """A typed, asynchronous client. Use it as an async context manager, from one event loop::

        async with SightlineClient("127.0.0.1:8600") as client:
            answer = await client.recommend(image=Path("shelf.jpg"), page_size=5)

    Every call raises a ``SightlineError``; see ``sightline_client.errors`` for the kinds. A call
    that met no answer (UNAVAILABLE) is tried again up to three times within its timeout, but for
    products that carry an etag.
    """

    def __init__(
        self,
        target: str,
        *,
        catalog: str = "default",
        timeout: float = 10.0,
        batch_timeout: float = 60.0,
        credentials: grpc.ChannelCredentials | None = None,
    ) -> None:
        """``target`` is the gateway's host:port. ``timeout`` (seconds) is the deadline of every
        call that names no other; ``batch_timeout`` that of one batch of products or events.
        ``credentials`` None = plain text."""
        self.catalog = catalog
        self.timeout = timeout
        self.batch_timeout = batch_timeout
        self.calls = Calls(target, credentials=credentials)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Ends the connections; calls in flight are cancelled."""
        await self.calls.close()

    async def recommend(
        self,
        *,
        image: Photo | None = None,
        images: Iterable[Photo] = (),
        text: str | None = None,
        products: str | Iterable[str] = (),
        user: str | None = None,
        visitor: str | None = None,
        session: str = "",
        filter: Filter | None = None,
        page_size: int = 0,
        page_token: str = "",
        scene: str = "",
        language: str = "",
        exclude: str | Iterable[str] = (),
        min_index_token: str = "",
        min_quality: float = 0.0,
        explain: bool = False,
        unlike: Unlike | None = None,
        box: Box | None = None,
        find_subject: bool = False,
        timeout: float | None = None,
    ) -> Recommendations:
        """Ranked, explained products.

        Near to any mix of photos, a text and products (up to 8 in all), for a known ``user`` or a
        ``visitor``; with none of these, what is popular. ``filter``: only products that pass.
        ``page_size``: 1 to 200, 0 = 20. ``scene``: the named plan, "" = "default".
        ``exclude``: product ids to leave out. ``min_index_token``: see at least that catalogue
        write. ``min_quality``: similarity (0 to 1) below which ``no_good_match`` is set, 0 = the
        scene's own. ``explain``: split the parts of scores by feature, on the first page.
        ``unlike``: what is not wanted. ``box``: the part of the photos that is meant, None = all of
        them; ``find_subject``: look for it, and say where it is in ``subjects``.
        """
        request = requests.recommend(
            catalog=self.catalog,
            images=await _photos(image, images),
            text=text,
            products=products,
            user=user,
            visitor=visitor,
            session=session,
            filter=filter,
            page_size=page_size,
            page_token=page_token,
            scene=scene,
            language=language,
            exclude=exclude,
            min_index_token=min_index_token,
            min_quality=min_quality,
            explain=explain,
            unlike=await _unlike(unlike),
            box=box,
            find_subject=find_subject,
        )
        return from_wire.recommendations(
            await self.calls.recommend(request, self._deadline(timeout))
        )

    async def recommend_pages(
        self, **request: Unpack[RecommendOptions]
    ) -> AsyncIterator[Recommendations]:
        """An answer page by page, until there is no more or you stop: takes what ``recommend``
        takes. NotFound (ANSWER_RECORD_MISSING) when the answer has expired meanwhile."""
        request["images"] = await _photos(request.pop("image", None), request.pop("images", ()))
        request["unlike"] = await _unlike(request.get("unlike"))
        request["products"] = requests.ids(request.get("products", ()))
        request["exclude"] = requests.ids(request.get("exclude", ()))
        token = ""
        while True:
            page = await self.recommend(**request, page_token=token)
            yield page
            token = page.next_page_token
            if not token:
                return

    async def explain(self, product_id: str, **request: Unpack[RecommendOptions]) -> Explanation:
        """Why a product is, or is not, in the answer to a request: takes what ``recommend`` takes.
        The request is carried out anew and not recorded."""
        options: dict[str, Any] = {**request}
        timeout = self._deadline(options.pop("timeout", None))
        images = await _photos(options.pop("image", None), options.pop("images", ()))
        options["unlike"] = await _unlike(options.get("unlike"))
        asked = requests.recommend(catalog=self.catalog, images=images, **options)
        response = await self.calls.explain_recommendation(
            requests.explain(product_id, asked), timeout
        )
        return explanations_from_wire.explanation(response)

    async def search(
        self,
        *,
        image: Photo | None = None,
        images: Iterable[Photo] = (),
        text: str | None = None,
        products: str | Iterable[str] = (),
        filter: Filter | None = None,
        page_size: int = 0,
        min_index_token: str = "",
        unlike: Unlike | None = None,
        box: Box | None = None,
        find_subject: bool = False,
        timeout: float | None = None,
    ) -> Found:
        """The products nearest to photos, a text and products, not ranked for anyone; see
        ``recommend``."""
        request = requests.search(
            catalog=self.catalog,
            images=await _photos(image, images),
            text=text,
            products=products,
            filter=filter,
            page_size=page_size,
            min_index_token=min_index_token,
            unlike=await _unlike(unlike),
            box=box,
            find_subject=find_subject,
        )
        return from_wire.found(await self.calls.search(request, self._deadline(timeout)))

    async def classify(
        self,
        image: Photo,
        *,
        box: Box | None = None,
        find_subject: bool = False,
        top: int = 0,
        timeout: float | None = None,
    ) -> Classification:
        """What a photo is of: categories with their chances, and filters to search on with.
        ``top``: how many categories, 1 to 20, 0 = 5. FailedPrecondition (CLASSIFIER_UNAVAILABLE)
        where no fitted space of the catalog has learned categories."""
        request = requests.classify(
            await load(image), catalog=self.catalog, box=box, find_subject=find_subject, top=top
        )
        response = await self.calls.classify(request, self._deadline(timeout))
        return classifications_from_wire.classification(response)

    def upsert_products(
        self,
        products: Iterable[Product] | AsyncIterable[Product],
        *,
        batch_size: int = writing.MAX_PRODUCTS,
    ) -> Batches[UpsertBatch, UpsertReport]:
        """Creates or replaces products whole, in batches of up to ``batch_size`` (1 to 100)
        products and 32 MiB.

        ``await`` it for a report, or ``async for`` it for each batch as soon as it is durable. A
        refused product is in the outcomes with its error and never fails the rest; a failed call
        raises, and what was yielded before it stays stored.
        """
        return writing.upsert_products(
            self.calls, self.catalog, products, self.batch_timeout, batch_size
        )

    async def get_product(self, product_id: str, *, timeout: float | None = None) -> Product:
        """One product; NotFound (PRODUCT_NOT_FOUND)."""
        with to_wire.sendable("request"):
            request = catalog_pb2.GetProductRequest(catalog_id=self.catalog, product_id=product_id)
        return from_wire.product(await self.calls.get_product(request, self._deadline(timeout)))

    async def list_products(
        self,
        *,
        filter: Filter | None = None,
        order: Order = Order.PRODUCT_ID,
        doubted_only: bool = False,
        timeout: float | None = None,
    ) -> AsyncIterator[Product]:
        """Every product that passes, read page by page; ``timeout`` is that of one page.
        ``doubted_only``: only those with a ``category_doubt``."""
        with to_wire.sendable("request"):
            request = catalog_pb2.ListProductsRequest(
                catalog_id=self.catalog,
                filter=to_wire.filter_(filter),
                order=catalog_pb2.ListProductsRequest.Order.Value(f"ORDER_{order}"),
                page_size=_PAGE,
                doubted_only=doubted_only,
            )
        while True:
            page = await self.calls.list_products(request, self._deadline(timeout))
            for message in page.products:
                yield from_wire.product(message)
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    async def delete_products(
        self, product_ids: str | Iterable[str], *, timeout: float | None = None
    ) -> Deletion:
        """Deletes up to 1,000 products; one that does not exist counts as deleted."""
        with to_wire.sendable("request"):
            request = catalog_pb2.DeleteProductsRequest(
                catalog_id=self.catalog, product_ids=requests.ids(product_ids)
            )
        return from_wire.deletion(
            await self.calls.delete_products(request, self._deadline(timeout))
        )

    async def update_products(
        self, updates: Iterable[ProductUpdate], *, timeout: float | None = None
    ) -> tuple[UpsertOutcome, ...]:
        """Changes the named fields of up to 100 products, no product twice; a refused change is in
        the outcomes with its error and never fails the rest."""
        with to_wire.sendable("request"):
            request = catalog_pb2.UpdateProductsRequest(
                catalog_id=self.catalog, updates=[to_wire.update(update) for update in updates]
            )
        response = await self.calls.update_products(request, self._deadline(timeout))
        check_answered(len(request.updates), len(response.results))
        return from_wire.upsert_outcomes(response.results)

    def update_offers(
        self,
        offers: Iterable[Offer] | AsyncIterable[Offer],
        *,
        batch_size: int = writing.MAX_OFFERS,
    ) -> Batches[OfferBatch, OfferReport]:
        """Sets prices and availabilities, in batches of up to ``batch_size`` (1 to 1,000); what is
        shown and filtered follows at once.

        ``await`` it for a report, or ``async for`` it for each batch as soon as it is durable.
        """
        return writing.update_offers(
            self.calls, self.catalog, offers, self.batch_timeout, batch_size
        )

    async def purge_products(
        self,
        filter: Filter,
        *,
        force: bool = False,
        request_id: str = "",
        timeout: float | None = None,
    ) -> ProductPurge:
        """Counts the products that pass and names some; with ``force``, starts a job that deletes
        them. ``all_of()`` passes every product. The same ``request_id`` answers the same job."""
        with to_wire.sendable("request"):
            request = catalog_pb2.PurgeProductsRequest(
                catalog_id=self.catalog,
                request_id=request_id or str(uuid.uuid4()),
                filter=to_wire.filter_(filter),
                force=force,
            )
        return from_wire.product_purge(
            await self.calls.purge_products(request, self._deadline(timeout))
        )

    async def open_import(
        self,
        import_id: str,
        *,
        mode: ImportMode = ImportMode.INCREMENTAL,
        timeout: float | None = None,
    ) -> ImportState:
        """Begins an import, or says how far the one of this id is."""
        with to_wire.sendable("request"):
            request = catalog_pb2.OpenImportRequest(
                catalog_id=self.catalog, import_id=import_id, mode=to_wire.import_mode(mode)
            )
        return from_wire.import_state(
            await self.calls.open_import(request, self._deadline(timeout))
        )

    def import_products(
        self,
        import_id: str,
        products: Iterable[Product] | AsyncIterable[Product],
        *,
        after: int = 0,
        in_flight: int = 4,
        patience: float = 120.0,
    ) -> Batches[ImportBatch, ImportReport]:
        """Writes the rows of an open import: the first product is row 1. The rows up to ``after``
        (the state's ``rows_done``) are passed over. ``in_flight`` batches are under way at once;
        while the suite is away a batch is tried again for up to ``patience`` seconds.

        ``await`` it for a report, or ``async for`` it for each batch as soon as it is durable.
        Interrupted anywhere, the import goes on when it is opened again under the same id.
        """
        sender = importing.Sender(self.calls, self.catalog, import_id, self.batch_timeout, patience)
        return importing.import_products(sender, products, after=after, side_by_side=in_flight)

    async def close_import(
        self,
        import_id: str,
        *,
        dry_run: bool = False,
        force: bool = False,
        timeout: float | None = None,
    ) -> ImportClose:
        """Ends an import. A FULL one deletes, by a job, what it did not hold: ``dry_run`` only
        counts that and names some; ``force`` allows more than the suite's set share of the catalog
        (else FailedPrecondition, IMPORT_DELETES_TOO_MUCH)."""
        with to_wire.sendable("request"):
            request = catalog_pb2.CloseImportRequest(
                catalog_id=self.catalog, import_id=import_id, dry_run=dry_run, force=force
            )
        return from_wire.import_close(
            await self.calls.close_import(request, self._deadline(timeout))
        )

    async def get_image(self, image_id: str, *, timeout: float | None = None) -> ProductImage:
        """A photo with its bytes; NotFound (IMAGE_NOT_FOUND)."""
        with to_wire.sendable("request"):
            request = catalog_pb2.GetImageRequest(catalog_id=self.catalog, image_id=image_id)
        return from_wire.image(await self.calls.get_image(request, self._deadline(timeout)))

    def write_events(
        self,
        events: Iterable[Event] | AsyncIterable[Event],
        *,
        batch_size: int = writing.MAX_EVENTS,
        in_flight: int = 1,
    ) -> Batches[EventBatch, EventReport]:
        """Writes events, in batches of up to ``batch_size`` (1 to 1,000), ``in_flight`` of them at
        once; idempotent by ``event_id``.

        ``await`` it for a report, or ``async for`` it for each batch as soon as it is durable.
        """
        return writing.write_events(
            self.calls, self.catalog, events, self.batch_timeout, batch_size, in_flight
        )

    async def merge_shopper(self, visitor: str, user: str, *, timeout: float | None = None) -> int:
        """Makes a visitor's events, present and future, those of a user: after a login. How many
        moved now."""
        with to_wire.sendable("request"):
            request = user_event.MergeShopperRequest(
                catalog_id=self.catalog, to=to_wire.shopper(user, None)
            )
            # `from` is a word of Python's own.
            getattr(request, "from").visitor_id = visitor
        return (await self.calls.merge_shopper(request, self._deadline(timeout))).moved_count

    async def purge_events(
        self,
        *,
        before: datetime | None = None,
        types: Iterable[EventType] = (),
        product_id: str = "",
        user: str | None = None,
        visitor: str | None = None,
        force: bool = False,
        request_id: str = "",
        timeout: float | None = None,
    ) -> EventPurge:
        """Counts the events that fit every condition given, of which at least one is needed; with
        ``force``, starts a job that deletes them."""
        with to_wire.sendable("request"):
            request = user_event.PurgeEventsRequest(
                catalog_id=self.catalog,
                request_id=request_id or str(uuid.uuid4()),
                before_time=None if before is None else to_wire.timestamp(before),
                types=[to_wire.event_type(kind) for kind in types],
                product_id=product_id,
                shopper=to_wire.shopper(user, visitor),
                force=force,
            )
        return from_wire.event_purge(
            await self.calls.purge_events(request, self._deadline(timeout))
        )

    async def export_events(
        self,
        *,
        since: datetime | None = None,
        before: datetime | None = None,
        types: Iterable[EventType] = (),
        request_id: str = "",
        timeout: float | None = None,
    ) -> Job:
        """Starts a job that writes the events that fit to Parquet files, in a folder of the
        ranker's that the job's result names; follow it with ``watch_job``. The same ``request_id``
        answers the same job."""
        with to_wire.sendable("request"):
            request = event_service_pb2.ExportEventsRequest(
                catalog_id=self.catalog,
                # An id even when none is given: a try again must not start a second job.
                request_id=request_id or str(uuid.uuid4()),
                from_time=None if since is None else to_wire.timestamp(since),
                before_time=None if before is None else to_wire.timestamp(before),
                types=[to_wire.event_type(kind) for kind in types],
            )
        return from_wire.job(await self.calls.export_events(request, self._deadline(timeout)))

    async def train_model(
        self,
        recipe: TrainingRecipe | None = None,
        *,
        seed: int = 0,
        search_trials: int | None = None,
        search_seconds: float | None = None,
        ablation: bool | None = None,
        incremental: bool = False,
        request_id: str = "",
        timeout: float | None = None,
    ) -> Job:
        """Starts a training job over all events and products; follow it with ``watch_job``. The
        same ``request_id`` answers the same job.

        ``recipe`` is what differs from the installation's settings; ``search_trials`` recipes are
        tried on a validation split first, as long as ``search_seconds`` allow; ``ablation`` finds
        out what each part adds, and turns off what adds nothing. None = as the settings say.
        ``incremental`` goes on from the model that serves, by its recipe."""
        with to_wire.sendable("request"):
            request = model_service_pb2.TrainModelRequest(
                catalog_id=self.catalog,
                # An id even when none is given: a try again must not start a second job.
                request_id=request_id or str(uuid.uuid4()),
                seed=seed,
                recipe=None if recipe is None else to_wire.recipe(recipe),
                search_trials=search_trials,
                search_seconds=search_seconds,
                ablation=ablation,
                incremental=incremental,
            )
        return from_wire.job(await self.calls.train_model(request, self._deadline(timeout)))

    async def list_models(self, *, timeout: float | None = None) -> tuple[Model, ...]:
        """Every ranking model, newest first; ``timeout`` is that of one page."""
        request = model_service_pb2.ListModelsRequest(catalog_id=self.catalog, page_size=_PAGE)
        models: list[Model] = []
        while True:
            page = await self.calls.list_models(request, self._deadline(timeout))
            models.extend(from_wire.model(message) for message in page.models)
            if not page.next_page_token:
                return tuple(models)
            request.page_token = page.next_page_token

    async def evaluate_model(
        self, model_version: str = "", *, request_id: str = "", timeout: float | None = None
    ) -> Job:
        """Starts a job that measures a model on events that were held out, beside the model that
        serves and classic baselines; no version = the newest. Follow it with ``watch_job``, then
        ``get_evaluation``. NotFound (MODEL_NOT_FOUND). The same ``request_id`` answers the same
        job."""
        with to_wire.sendable("request"):
            request = model_service_pb2.EvaluateModelRequest(
                catalog_id=self.catalog,
                # An id even when none is given: a try again must not start a second job.
                request_id=request_id or str(uuid.uuid4()),
                model_version=model_version,
            )
        return from_wire.job(await self.calls.evaluate_model(request, self._deadline(timeout)))

    async def get_evaluation(
        self, model_version: str = "", *, timeout: float | None = None
    ) -> Evaluation:
        """What the newest evaluation of a model found; no version = the newest model. NotFound
        (MODEL_NOT_FOUND, EVALUATION_NOT_FOUND)."""
        with to_wire.sendable("request"):
            request = model_service_pb2.GetEvaluationRequest(
                catalog_id=self.catalog, model_version=model_version
            )
        return evaluation_from_wire.evaluation(
            await self.calls.get_evaluation(request, self._deadline(timeout))
        )

    async def promote_model(
        self, model_version: str, *, force: bool = False, timeout: float | None = None
    ) -> Model:
        """Makes a model the serving one. FailedPrecondition (MODEL_UNPROVEN) unless its evaluation
        passed against the model that serves now, or ``force``; NotFound (MODEL_NOT_FOUND)."""
        with to_wire.sendable("request"):
            request = model_service_pb2.PromoteModelRequest(
                catalog_id=self.catalog, model_version=model_version, force=force
            )
        return from_wire.model(await self.calls.promote_model(request, self._deadline(timeout)))

    async def publish_model(
        self,
        model_version: str = "",
        *,
        rewrite: bool = False,
        request_id: str = "",
        timeout: float | None = None,
    ) -> Job:
        """Starts a job that publishes a model's products into the index's `collaborative` space; no
        version = the model that serves. NotFound (MODEL_NOT_FOUND). The same ``request_id`` answers
        the same job; ``rewrite``: also where the model is published already."""
        with to_wire.sendable("request"):
            request = model_service_pb2.PublishModelRequest(
                catalog_id=self.catalog,
                # An id even when none is given: a try again must not start a second job.
                request_id=request_id or str(uuid.uuid4()),
                model_version=model_version,
                rewrite=rewrite,
            )
        return from_wire.job(await self.calls.publish_model(request, self._deadline(timeout)))

    async def online_report(
        self, *, days: int = 7, conversion_days: int = 7, timeout: float | None = None
    ) -> OnlineReport:
        """How the answers of the last ``days`` fared with shoppers: clicks, purchases up to
        ``conversion_days`` later and hides by model version, scene and arm, what other orders would
        have earned, and what drifted."""
        with to_wire.sendable("request"):
            request = online_report_pb2.GetOnlineReportRequest(
                catalog_id=self.catalog, days=days, conversion_days=conversion_days
            )
        found = await self.calls.get_online_report(request, self._deadline(timeout))
        return online_from_wire.report(found)

    async def shopper_profile(
        self,
        *,
        user: str | None = None,
        visitor: str | None = None,
        language: str = "",
        timeout: float | None = None,
    ) -> ShopperProfile:
        """What is known of a user or a visitor, and what it was inferred from; texts in
        ``language`` ("en", "zh"). Somebody who never did anything has an empty profile."""
        with to_wire.sendable("request"):
            request = profile_service_pb2.GetShopperProfileRequest(
                catalog_id=self.catalog,
                shopper=to_wire.shopper(user, visitor),
                language_code=language,
            )
        found = await self.calls.get_shopper_profile(request, self._deadline(timeout))
        return profiles_from_wire.shopper(found)

    async def product_profile(
        self, product_id: str, *, language: str = "", timeout: float | None = None
    ) -> ProductProfile:
        """What the serving model knows of a product; NotFound (PRODUCT_NOT_FOUND)."""
        with to_wire.sendable("request"):
            request = profile_service_pb2.GetProductProfileRequest(
                catalog_id=self.catalog, product_id=product_id, language_code=language
            )
        found = await self.calls.get_product_profile(request, self._deadline(timeout))
        return profiles_from_wire.product(found)

    async def set_shopper_attributes(
        self,
        attributes: Mapping[str, str],
        *,
        consent: bool,
        user: str | None = None,
        visitor: str | None = None,
        timeout: float | None = None,
    ) -> int:
        """Keeps what a shopper told of themselves, in the place of all that was kept before; how
        much that was. ``consent``: whether they consent to its use; FailedPrecondition
        (CONSENT_REQUIRED) without. No attributes and no consent = it is withdrawn."""
        with to_wire.sendable("request"):
            request = profile_service_pb2.SetShopperAttributesRequest(
                catalog_id=self.catalog,
                shopper=to_wire.shopper(user, visitor),
                attributes=[
                    profile_service_pb2.ShopperAttribute(key=key, text=text)
                    for key, text in attributes.items()
                ],
                consent=consent,
            )
        answer = await self.calls.set_shopper_attributes(request, self._deadline(timeout))
        return answer.former_count

    async def list_segments(self, *, language: str = "", timeout: float | None = None) -> Segments:
        """The groups of shoppers with like interests that the serving model knows."""
        request = profile_service_pb2.ListSegmentsRequest(
            catalog_id=self.catalog, language_code=language
        )
        return profiles_from_wire.segments(
            await self.calls.list_segments(request, self._deadline(timeout))
        )

    async def rollback_model(self, *, timeout: float | None = None) -> Model:
        """Makes the model that served before the present one the serving one again; NotFound
        (MODEL_NOT_FOUND) when there was none. Never tried again by itself."""
        request = model_service_pb2.RollbackModelRequest(catalog_id=self.catalog)
        return from_wire.model(await self.calls.rollback_model(request, self._deadline(timeout)))

    async def demote_model(self, *, timeout: float | None = None) -> Model:
        """Takes the serving model out of service, and returns it: answers come from similarity,
        popularity and novelty until one is promoted. NotFound (MODEL_NOT_FOUND) when none serves.
        Never tried again by itself."""
        request = model_service_pb2.DemoteModelRequest(catalog_id=self.catalog)
        return from_wire.model(await self.calls.demote_model(request, self._deadline(timeout)))

    async def create_generation(
        self,
        *,
        name: str = "",
        space: str = "",
        space_version: str = "",
        metric: IndexMetric = IndexMetric.COSINE,
        parameters: IndexParameters | None = None,
        timeout: float | None = None,
    ) -> Generation:
        """Registers an index generation; every write reaches it from then on, and a backfill brings
        what the catalogue holds already. ``name`` "" = the suite makes one, ``space`` "" =
        "visual", ``space_version`` "" = the embedder's default one, ``parameters`` None = flat.
        AlreadyExists (GENERATION_EXISTS), FailedPrecondition (SPACE_UNAVAILABLE). Never tried again
        by itself."""
        with to_wire.sendable("request"):
            request = index_service_pb2.CreateGenerationRequest(
                catalog_id=self.catalog,
                name=name,
                space=space,
                space_version=space_version,
                metric=to_wire.index_metric(metric),
                parameters=to_wire.index_parameters(parameters or IndexParameters()),
            )
        return from_wire.generation(
            await self.calls.create_generation(request, self._deadline(timeout))
        )

    async def backfill_generation(
        self, name: str, *, request_id: str = "", timeout: float | None = None
    ) -> Job:
        """Starts a job that embeds every stored photo that a generation lacks, or tells of the one
        that is on it; follow it with ``watch_job``. NotFound (GENERATION_NOT_FOUND)."""
        with to_wire.sendable("request"):
            request = index_service_pb2.BackfillGenerationRequest(
                catalog_id=self.catalog, request_id=request_id or str(uuid.uuid4()), name=name
            )
        return from_wire.job(await self.calls.backfill_generation(request, self._deadline(timeout)))

    async def verify_generation(
        self,
        name: str,
        *,
        sample_size: int = 0,
        k: int = 0,
        min_recall: float = 0.0,
        request_id: str = "",
        timeout: float | None = None,
    ) -> Job:
        """Starts a job that proves a generation; what it finds stands in ``list_generations``.
        ``sample_size`` 0 = 200 photos, ``k`` 0 = 100 neighbours, ``min_recall`` 0 = 0.98."""
        with to_wire.sendable("request"):
            request = index_service_pb2.VerifyGenerationRequest(
                catalog_id=self.catalog,
                request_id=request_id or str(uuid.uuid4()),
                name=name,
                sample_size=sample_size,
                k=k,
                min_recall=min_recall,
            )
        return from_wire.job(await self.calls.verify_generation(request, self._deadline(timeout)))

    async def activate_generation(
        self, name: str, *, force: bool = False, timeout: float | None = None
    ) -> Generation:
        """Makes a generation the active one of its space. FailedPrecondition
        (GENERATION_NOT_VERIFIED) unless its newest verification passed, or ``force``."""
        with to_wire.sendable("request"):
            request = index_service_pb2.ActivateGenerationRequest(
                catalog_id=self.catalog, name=name, force=force
            )
        return from_wire.generation(
            await self.calls.activate_generation(request, self._deadline(timeout))
        )

    async def rollback_generation(
        self, *, space: str = "", timeout: float | None = None
    ) -> Generation:
        """Makes the generation active again that was so before the present one of a space ("" =
        "visual"); FailedPrecondition (ROLLBACK_UNAVAILABLE). Never tried again by itself."""
        with to_wire.sendable("request"):
            request = index_service_pb2.RollbackGenerationRequest(
                catalog_id=self.catalog, space=space
            )
        return from_wire.generation(
            await self.calls.rollback_generation(request, self._deadline(timeout))
        )

    async def drop_generation(self, name: str, *, timeout: float | None = None) -> Generation:
        """Drops a generation; a job clears up after it. FailedPrecondition (GENERATION_ACTIVE)."""
        with to_wire.sendable("request"):
            request = index_service_pb2.DropGenerationRequest(catalog_id=self.catalog, name=name)
        return from_wire.generation(
            await self.calls.drop_generation(request, self._deadline(timeout))
        )

    async def list_generations(
        self, *, space: str = "", include_dropped: bool = False, timeout: float | None = None
    ) -> tuple[Generation, ...]:
        """The index generations of a space ("" = of all), oldest first."""
        with to_wire.sendable("request"):
            request = index_service_pb2.ListGenerationsRequest(
                catalog_id=self.catalog, space=space, include_dropped=include_dropped
            )
        response = await self.calls.list_generations(request, self._deadline(timeout))
        return tuple(from_wire.generation(message) for message in response.generations)

    async def create_backup(self, *, request_id: str = "", timeout: float | None = None) -> Job:
        """Starts a job that copies the catalogue into one file, as it is at one moment; follow it
        with ``watch_job``. Its results name the ``backup_id``. The same ``request_id`` answers the
        same job."""
        with to_wire.sendable("request"):
            request = backup_service_pb2.CreateBackupRequest(
                catalog_id=self.catalog,
                # An id even when none is given: a try again must not start a second job.
                request_id=request_id or str(uuid.uuid4()),
            )
        return from_wire.job(await self.calls.create_backup(request, self._deadline(timeout)))

    async def list_backups(self, *, timeout: float | None = None) -> tuple[Backup, ...]:
        """Every backup of the catalog, newest first; ``timeout`` is that of one page."""
        request = backup_service_pb2.ListBackupsRequest(catalog_id=self.catalog, page_size=_PAGE)
        backups: list[Backup] = []
        while True:
            page = await self.calls.list_backups(request, self._deadline(timeout))
            backups.extend(from_wire.backup(message) for message in page.backups)
            if not page.next_page_token:
                return tuple(backups)
            request.page_token = page.next_page_token

    async def restore_backup(
        self,
        backup_id: str,
        *,
        source_catalog: str = "",
        force: bool = False,
        request_id: str = "",
        timeout: float | None = None,
    ) -> Job:
        """Starts a job that restores a backup into this catalog; follow it with ``watch_job``.

        ``source_catalog`` is the one that the backup is of, "" = this one. FailedPrecondition
        (CATALOG_NOT_EMPTY) when this catalog holds products: with ``force`` the backup's replace
        those of the same id, and in the end those that it does not hold are deleted. NotFound
        (BACKUP_NOT_FOUND). The same ``request_id`` answers the same job."""
        with to_wire.sendable("request"):
            request = backup_service_pb2.RestoreBackupRequest(
                catalog_id=self.catalog,
                request_id=request_id or str(uuid.uuid4()),
                backup_id=backup_id,
                source_catalog_id=source_catalog,
                force=force,
            )
        return from_wire.job(await self.calls.restore_backup(request, self._deadline(timeout)))

    async def fit_space(
        self,
        *,
        backbone: str = "",
        max_dimension: int = 0,
        seed: int = 0,
        max_photos: int = 0,
        shopper_photo_tags: Iterable[str] = (),
        request_id: str = "",
        timeout: float | None = None,
    ) -> Job:
        """Starts a job that fits a visual space on the catalogue's own photos, or tells of the one
        that is on it; follow it with ``watch_job``. Its results name the ``space_version`` and the
        ``verdict``. ``backbone`` "" = the installation's own, ``max_dimension`` 0 = 256,
        ``max_photos`` 0 = 50,000; ``shopper_photo_tags``: of products that show shoppers' own
        photos. The same ``request_id`` answers the same job."""
        with to_wire.sendable("request"):
            request = fit_service_pb2.FitSpaceRequest(
                catalog_id=self.catalog,
                # An id even when none is given: a try again must not start a second job.
                request_id=request_id or str(uuid.uuid4()),
                backbone=backbone,
                max_dimension=max_dimension,
                seed=seed,
                max_photos=max_photos,
                shopper_photo_tags=shopper_photo_tags,
            )
        return from_wire.job(await self.calls.fit_space(request, self._deadline(timeout)))

    async def list_spaces(
        self, *, include_all: bool = False, timeout: float | None = None
    ) -> tuple[Space, ...]:
        """The spaces that can be embedded into; ``include_all``: also fitted ones that are
        candidates or retired."""
        request = embedding_service_pb2.ListSpacesRequest(
            catalog_id=self.catalog, include_all=include_all
        )
        response = await self.calls.list_spaces(request, self._deadline(timeout))
        return tuple(map(spaces_from_wire.space, response.spaces))

    async def promote_space(
        self, version: str, *, force: bool = False, timeout: float | None = None
    ) -> Space:
        """Brings a fitted space into service, by its version or model; one that serves stays as it
        is. FailedPrecondition (PROMOTION_REFUSED) unless it is better, or ``force``; NotFound
        (SPACE_NOT_FOUND); FailedPrecondition (MODEL_NOT_READY) when it can't be served. Takes some
        seconds."""
        with to_wire.sendable("request"):
            request = space_service_pb2.PromoteSpaceRequest(
                catalog_id=self.catalog, version=version, force=force
            )
        return spaces_from_wire.space(
            await self.calls.promote_space(request, self._deadline(timeout))
        )

    async def retire_space(self, version: str, *, timeout: float | None = None) -> Space:
        """Takes a fitted space out of service; FailedPrecondition (SPACE_IN_USE) while an index
        generation stands on it."""
        with to_wire.sendable("request"):
            request = space_service_pb2.RetireSpaceRequest(catalog_id=self.catalog, version=version)
        return spaces_from_wire.space(
            await self.calls.retire_space(request, self._deadline(timeout))
        )

    async def rebuild_index(
        self, *, space: str = "", request_id: str = "", timeout: float | None = None
    ) -> Job:
        """Starts a job that makes a space's index hold again what the record says; it ends when
        the index does. "" = visual. FailedPrecondition (SPACE_UNAVAILABLE) when there is none."""
        with to_wire.sendable("request"):
            request = rebuild_service_pb2.RebuildIndexRequest(
                catalog_id=self.catalog, request_id=request_id or str(uuid.uuid4()), space=space
            )
        return from_wire.job(await self.calls.rebuild_index(request, self._deadline(timeout)))

    async def list_jobs(
        self, *, kind: str = "", timeout: float | None = None
    ) -> AsyncIterator[Job]:
        """Every job, newest first, read page by page; ``kind`` "" = of all kinds."""
        with to_wire.sendable("request"):
            request = job_service_pb2.ListJobsRequest(
                catalog_id=self.catalog, kind=kind, page_size=_PAGE
            )
        while True:
            page = await self.calls.list_jobs(request, self._deadline(timeout))
            for message in page.jobs:
                yield from_wire.job(message)
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    async def get_job(self, job_id: str, *, timeout: float | None = None) -> Job:
        """A job as it stands; NotFound (JOB_NOT_FOUND)."""
        with to_wire.sendable("request"):
            request = job_service_pb2.GetJobRequest(catalog_id=self.catalog, job_id=job_id)
        return from_wire.job(await self.calls.get_job(request, self._deadline(timeout)))

    async def cancel_job(self, job_id: str, *, timeout: float | None = None) -> Job:
        """Asks a job to stop; it ends as CANCELLED soon after, unless it ended first."""
        with to_wire.sendable("request"):
            request = job_service_pb2.CancelJobRequest(catalog_id=self.catalog, job_id=job_id)
        return from_wire.job(await self.calls.cancel_job(request, self._deadline(timeout)))

    async def watch_job(self, job_id: str, *, timeout: float | None = None) -> AsyncIterator[Job]:
        """The job at once and at every change until it has ended; ``timeout`` None = as long as
        that takes. A lost connection is taken up again, so that a state may be seen twice."""
        with to_wire.sendable("request"):
            request = job_service_pb2.WatchJobRequest(catalog_id=self.catalog, job_id=job_id)
        clock, tries = asyncio.get_running_loop().time, 0
        end = None if timeout is None else clock() + timeout
        while True:
            left = None if end is None else end - clock()
            try:
                async for message in self.calls.watch_job(request, left):
                    tries = 0
                    job = from_wire.job(message)
                    yield job
                    if job.ended:
                        return
            except Unavailable:
                tries += 1
                late = end is not None and clock() + _WATCH_PAUSE >= end
                if tries == _WATCH_TRIES or late:
                    raise
                await asyncio.sleep(_WATCH_PAUSE)
            else:
                return

    async def status(self, *, timeout: float | None = None) -> Status:
        """How the suite is; answers whatever is down behind the gateway."""
        request = admin.GetStatusRequest(catalog_id=self.catalog)
        return from_wire.status(await self.calls.get_status(request, self._deadline(timeout)))

    def _deadline(self, timeout: float | None) -> float:
        return self.timeout if timeout is None else timeout


async def _photos(image: Photo | None, images: Iterable[Photo]) -> list[bytes | Uri]:
    photos = [*images] if image is None else [image, *images]
    return [await load(photo) for photo in photos]


async def _unlike(value: Unlike | None) -> Unlike | None:
    """The same with its photos loaded; what can be read once only is read here."""
    if value is None:
        return None
    texts, products = requests.ids(value.texts), requests.ids(value.products)
    return Unlike(await _photos(None, value.images), texts, products, value.weight)
