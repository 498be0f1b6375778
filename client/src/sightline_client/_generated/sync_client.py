"""The client of Sightline's public API for programs without asyncio.

Made from client.py by generate_sync.py: change that one and run it.
"""

from collections.abc import AsyncIterable, Iterable, Iterator, Mapping
from datetime import datetime
from types import TracebackType
from typing import Self, Unpack

import grpc

from sightline_client.client import RecommendOptions, SightlineClient
from sightline_client.transport import writing
from sightline_client.transport.looping import Loop, SyncBatches
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
from sightline_client.values.photos import Photo
from sightline_client.values.profiles import ProductProfile, Segments, ShopperProfile
from sightline_client.values.signals import Box, Unlike
from sightline_client.values.spaces import Space
from sightline_client.values.trainings import TrainingRecipe


class SyncSightlineClient:
    """``SightlineClient`` for programs without asyncio: the same calls, answered when they return.
    May be used from several threads. Use it as a context manager::

        with SyncSightlineClient("127.0.0.1:8600") as client:
            answer = client.recommend(image=Path("shelf.jpg"), page_size=5)

    It runs the asynchronous client in a thread of its own.
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
        self._loop = Loop()
        self._client = self._loop.run(
            self._loop.make(
                lambda: SightlineClient(
                    target,
                    catalog=catalog,
                    timeout=timeout,
                    batch_timeout=batch_timeout,
                    credentials=credentials,
                )
            )
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends the connections; calls in flight are cancelled."""
        self._loop.close(self._client.close)

    def recommend(
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
        return self._loop.run(
            self._client.recommend(
                image=image,
                images=images,
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
                unlike=unlike,
                box=box,
                find_subject=find_subject,
                timeout=timeout,
            )
        )

    def recommend_pages(self, **request: Unpack[RecommendOptions]) -> Iterator[Recommendations]:
        """An answer page by page, until there is no more or you stop: takes what ``recommend``
        takes. NotFound (ANSWER_RECORD_MISSING) when the answer has expired meanwhile."""
        return self._loop.iterate(self._client.recommend_pages(**request))

    def explain(self, product_id: str, **request: Unpack[RecommendOptions]) -> Explanation:
        """Why a product is, or is not, in the answer to a request: takes what ``recommend`` takes.
        The request is carried out anew and not recorded."""
        return self._loop.run(self._client.explain(product_id, **request))

    def search(
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
        return self._loop.run(
            self._client.search(
                image=image,
                images=images,
                text=text,
                products=products,
                filter=filter,
                page_size=page_size,
                min_index_token=min_index_token,
                unlike=unlike,
                box=box,
                find_subject=find_subject,
                timeout=timeout,
            )
        )

    def classify(
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
        return self._loop.run(
            self._client.classify(
                image, box=box, find_subject=find_subject, top=top, timeout=timeout
            )
        )

    def upsert_products(
        self,
        products: Iterable[Product] | AsyncIterable[Product],
        *,
        batch_size: int = writing.MAX_PRODUCTS,
    ) -> SyncBatches[UpsertBatch, UpsertReport]:
        """Creates or replaces products whole, in batches of up to ``batch_size`` (1 to 100)
        products and 32 MiB.

        A collection is sent when this is called.

        ``report()`` gives a report; ``for`` gives each batch as soon as it is durable. A
        refused product is in the outcomes with its error and never fails the rest; a failed call
        raises, and what was yielded before it stays stored.
        """
        return SyncBatches(
            self._loop,
            lambda: self._client.upsert_products(products, batch_size=batch_size),
            products,
        )

    def get_product(self, product_id: str, *, timeout: float | None = None) -> Product:
        """One product; NotFound (PRODUCT_NOT_FOUND)."""
        return self._loop.run(self._client.get_product(product_id, timeout=timeout))

    def list_products(
        self,
        *,
        filter: Filter | None = None,
        order: Order = Order.PRODUCT_ID,
        doubted_only: bool = False,
        timeout: float | None = None,
    ) -> Iterator[Product]:
        """Every product that passes, read page by page; ``timeout`` is that of one page.
        ``doubted_only``: only those with a ``category_doubt``."""
        return self._loop.iterate(
            self._client.list_products(
                filter=filter, order=order, doubted_only=doubted_only, timeout=timeout
            )
        )

    def delete_products(
        self, product_ids: str | Iterable[str], *, timeout: float | None = None
    ) -> Deletion:
        """Deletes up to 1,000 products; one that does not exist counts as deleted."""
        return self._loop.run(self._client.delete_products(product_ids, timeout=timeout))

    def update_products(
        self, updates: Iterable[ProductUpdate], *, timeout: float | None = None
    ) -> tuple[UpsertOutcome, ...]:
        """Changes the named fields of up to 100 products, no product twice; a refused change is in
        the outcomes with its error and never fails the rest."""
        return self._loop.run(self._client.update_products(updates, timeout=timeout))

    def update_offers(
        self,
        offers: Iterable[Offer] | AsyncIterable[Offer],
        *,
        batch_size: int = writing.MAX_OFFERS,
    ) -> SyncBatches[OfferBatch, OfferReport]:
        """Sets prices and availabilities, in batches of up to ``batch_size`` (1 to 1,000); what is
        shown and filtered follows at once.

        A collection is sent when this is called.

        ``report()`` gives a report; ``for`` gives each batch as soon as it is durable.
        """
        return SyncBatches(
            self._loop, lambda: self._client.update_offers(offers, batch_size=batch_size), offers
        )

    def purge_products(
        self,
        filter: Filter,
        *,
        force: bool = False,
        request_id: str = "",
        timeout: float | None = None,
    ) -> ProductPurge:
        """Counts the products that pass and names some; with ``force``, starts a job that deletes
        them. ``all_of()`` passes every product. The same ``request_id`` answers the same job."""
        return self._loop.run(
            self._client.purge_products(filter, force=force, request_id=request_id, timeout=timeout)
        )

    def open_import(
        self,
        import_id: str,
        *,
        mode: ImportMode = ImportMode.INCREMENTAL,
        timeout: float | None = None,
    ) -> ImportState:
        """Begins an import, or says how far the one of this id is."""
        return self._loop.run(self._client.open_import(import_id, mode=mode, timeout=timeout))

    def import_products(
        self,
        import_id: str,
        products: Iterable[Product] | AsyncIterable[Product],
        *,
        after: int = 0,
        in_flight: int = 4,
        patience: float = 120.0,
    ) -> SyncBatches[ImportBatch, ImportReport]:
        """Writes the rows of an open import: the first product is row 1. The rows up to ``after``
        (the state's ``rows_done``) are passed over. ``in_flight`` batches are under way at once;
        while the suite is away a batch is tried again for up to ``patience`` seconds.

        A collection is sent when this is called.

        ``report()`` gives a report; ``for`` gives each batch as soon as it is durable.
        Interrupted anywhere, the import goes on when it is opened again under the same id.
        """
        return SyncBatches(
            self._loop,
            lambda: self._client.import_products(
                import_id, products, after=after, in_flight=in_flight, patience=patience
            ),
            products,
        )

    def close_import(
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
        return self._loop.run(
            self._client.close_import(import_id, dry_run=dry_run, force=force, timeout=timeout)
        )

    def get_image(self, image_id: str, *, timeout: float | None = None) -> ProductImage:
        """A photo with its bytes; NotFound (IMAGE_NOT_FOUND)."""
        return self._loop.run(self._client.get_image(image_id, timeout=timeout))

    def write_events(
        self,
        events: Iterable[Event] | AsyncIterable[Event],
        *,
        batch_size: int = writing.MAX_EVENTS,
        in_flight: int = 1,
    ) -> SyncBatches[EventBatch, EventReport]:
        """Writes events, in batches of up to ``batch_size`` (1 to 1,000), ``in_flight`` of them at
        once; idempotent by ``event_id``.

        A collection is sent when this is called.

        ``report()`` gives a report; ``for`` gives each batch as soon as it is durable.
        """
        return SyncBatches(
            self._loop,
            lambda: self._client.write_events(events, batch_size=batch_size, in_flight=in_flight),
            events,
        )

    def merge_shopper(self, visitor: str, user: str, *, timeout: float | None = None) -> int:
        """Makes a visitor's events, present and future, those of a user: after a login. How many
        moved now."""
        return self._loop.run(self._client.merge_shopper(visitor, user, timeout=timeout))

    def purge_events(
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
        return self._loop.run(
            self._client.purge_events(
                before=before,
                types=types,
                product_id=product_id,
                user=user,
                visitor=visitor,
                force=force,
                request_id=request_id,
                timeout=timeout,
            )
        )

    def export_events(
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
        return self._loop.run(
            self._client.export_events(
                since=since, before=before, types=types, request_id=request_id, timeout=timeout
            )
        )

    def train_model(
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
        return self._loop.run(
            self._client.train_model(
                recipe,
                seed=seed,
                search_trials=search_trials,
                search_seconds=search_seconds,
                ablation=ablation,
                incremental=incremental,
                request_id=request_id,
                timeout=timeout,
            )
        )

    def list_models(self, *, timeout: float | None = None) -> tuple[Model, ...]:
        """Every ranking model, newest first; ``timeout`` is that of one page."""
        return self._loop.run(self._client.list_models(timeout=timeout))

    def evaluate_model(
        self, model_version: str = "", *, request_id: str = "", timeout: float | None = None
    ) -> Job:
        """Starts a job that measures a model on events that were held out, beside the model that
        serves and classic baselines; no version = the newest. Follow it with ``watch_job``, then
        ``get_evaluation``. NotFound (MODEL_NOT_FOUND). The same ``request_id`` answers the same
        job."""
        return self._loop.run(
            self._client.evaluate_model(model_version, request_id=request_id, timeout=timeout)
        )

    def get_evaluation(
        self, model_version: str = "", *, timeout: float | None = None
    ) -> Evaluation:
        """What the newest evaluation of a model found; no version = the newest model. NotFound
        (MODEL_NOT_FOUND, EVALUATION_NOT_FOUND)."""
        return self._loop.run(self._client.get_evaluation(model_version, timeout=timeout))

    def promote_model(
        self, model_version: str, *, force: bool = False, timeout: float | None = None
    ) -> Model:
        """Makes a model the serving one. FailedPrecondition (MODEL_UNPROVEN) unless its evaluation
        passed against the model that serves now, or ``force``; NotFound (MODEL_NOT_FOUND)."""
        return self._loop.run(
            self._client.promote_model(model_version, force=force, timeout=timeout)
        )

    def publish_model(
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
        return self._loop.run(
            self._client.publish_model(
                model_version, rewrite=rewrite, request_id=request_id, timeout=timeout
            )
        )

    def online_report(
        self, *, days: int = 7, conversion_days: int = 7, timeout: float | None = None
    ) -> OnlineReport:
        """How the answers of the last ``days`` fared with shoppers: clicks, purchases up to
        ``conversion_days`` later and hides by model version, scene and arm, what other orders would
        have earned, and what drifted."""
        return self._loop.run(
            self._client.online_report(days=days, conversion_days=conversion_days, timeout=timeout)
        )

    def shopper_profile(
        self,
        *,
        user: str | None = None,
        visitor: str | None = None,
        language: str = "",
        timeout: float | None = None,
    ) -> ShopperProfile:
        """What is known of a user or a visitor, and what it was inferred from; texts in
        ``language`` ("en", "zh"). Somebody who never did anything has an empty profile."""
        return self._loop.run(
            self._client.shopper_profile(
                user=user, visitor=visitor, language=language, timeout=timeout
            )
        )

    def product_profile(
        self, product_id: str, *, language: str = "", timeout: float | None = None
    ) -> ProductProfile:
        """What the serving model knows of a product; NotFound (PRODUCT_NOT_FOUND)."""
        return self._loop.run(
            self._client.product_profile(product_id, language=language, timeout=timeout)
        )

    def set_shopper_attributes(
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
        return self._loop.run(
            self._client.set_shopper_attributes(
                attributes, consent=consent, user=user, visitor=visitor, timeout=timeout
            )
        )

    def list_segments(self, *, language: str = "", timeout: float | None = None) -> Segments:
        """The groups of shoppers with like interests that the serving model knows."""
        return self._loop.run(self._client.list_segments(language=language, timeout=timeout))

    def rollback_model(self, *, timeout: float | None = None) -> Model:
        """Makes the model that served before the present one the serving one again; NotFound
        (MODEL_NOT_FOUND) when there was none. Never tried again by itself."""
        return self._loop.run(self._client.rollback_model(timeout=timeout))

    def demote_model(self, *, timeout: float | None = None) -> Model:
        """Takes the serving model out of service, and returns it: answers come from similarity,
        popularity and novelty until one is promoted. NotFound (MODEL_NOT_FOUND) when none serves.
        Never tried again by itself."""
        return self._loop.run(self._client.demote_model(timeout=timeout))

    def create_generation(
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
        return self._loop.run(
            self._client.create_generation(
                name=name,
                space=space,
                space_version=space_version,
                metric=metric,
                parameters=parameters,
                timeout=timeout,
            )
        )

    def backfill_generation(
        self, name: str, *, request_id: str = "", timeout: float | None = None
    ) -> Job:
        """Starts a job that embeds every stored photo that a generation lacks, or tells of the one
        that is on it; follow it with ``watch_job``. NotFound (GENERATION_NOT_FOUND)."""
        return self._loop.run(
            self._client.backfill_generation(name, request_id=request_id, timeout=timeout)
        )

    def verify_generation(
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
        return self._loop.run(
            self._client.verify_generation(
                name,
                sample_size=sample_size,
                k=k,
                min_recall=min_recall,
                request_id=request_id,
                timeout=timeout,
            )
        )

    def activate_generation(
        self, name: str, *, force: bool = False, timeout: float | None = None
    ) -> Generation:
        """Makes a generation the active one of its space. FailedPrecondition
        (GENERATION_NOT_VERIFIED) unless its newest verification passed, or ``force``."""
        return self._loop.run(self._client.activate_generation(name, force=force, timeout=timeout))

    def rollback_generation(self, *, space: str = "", timeout: float | None = None) -> Generation:
        """Makes the generation active again that was so before the present one of a space ("" =
        "visual"); FailedPrecondition (ROLLBACK_UNAVAILABLE). Never tried again by itself."""
        return self._loop.run(self._client.rollback_generation(space=space, timeout=timeout))

    def drop_generation(self, name: str, *, timeout: float | None = None) -> Generation:
        """Drops a generation; a job clears up after it. FailedPrecondition (GENERATION_ACTIVE)."""
        return self._loop.run(self._client.drop_generation(name, timeout=timeout))

    def list_generations(
        self, *, space: str = "", include_dropped: bool = False, timeout: float | None = None
    ) -> tuple[Generation, ...]:
        """The index generations of a space ("" = of all), oldest first."""
        return self._loop.run(
            self._client.list_generations(
                space=space, include_dropped=include_dropped, timeout=timeout
            )
        )

    def create_backup(self, *, request_id: str = "", timeout: float | None = None) -> Job:
        """Starts a job that copies the catalogue into one file, as it is at one moment; follow it
        with ``watch_job``. Its results name the ``backup_id``. The same ``request_id`` answers the
        same job."""
        return self._loop.run(self._client.create_backup(request_id=request_id, timeout=timeout))

    def list_backups(self, *, timeout: float | None = None) -> tuple[Backup, ...]:
        """Every backup of the catalog, newest first; ``timeout`` is that of one page."""
        return self._loop.run(self._client.list_backups(timeout=timeout))

    def restore_backup(
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
        return self._loop.run(
            self._client.restore_backup(
                backup_id,
                source_catalog=source_catalog,
                force=force,
                request_id=request_id,
                timeout=timeout,
            )
        )

    def fit_space(
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
        return self._loop.run(
            self._client.fit_space(
                backbone=backbone,
                max_dimension=max_dimension,
                seed=seed,
                max_photos=max_photos,
                shopper_photo_tags=shopper_photo_tags,
                request_id=request_id,
                timeout=timeout,
            )
        )

    def list_spaces(
        self, *, include_all: bool = False, timeout: float | None = None
    ) -> tuple[Space, ...]:
        """The spaces that can be embedded into; ``include_all``: also fitted ones that are
        candidates or retired."""
        return self._loop.run(self._client.list_spaces(include_all=include_all, timeout=timeout))

    def promote_space(
        self, version: str, *, force: bool = False, timeout: float | None = None
    ) -> Space:
        """Brings a fitted space into service, by its version or model; one that serves stays as it
        is. FailedPrecondition (PROMOTION_REFUSED) unless it is better, or ``force``; NotFound
        (SPACE_NOT_FOUND); FailedPrecondition (MODEL_NOT_READY) when it can't be served. Takes some
        seconds."""
        return self._loop.run(self._client.promote_space(version, force=force, timeout=timeout))

    def retire_space(self, version: str, *, timeout: float | None = None) -> Space:
        """Takes a fitted space out of service; FailedPrecondition (SPACE_IN_USE) while an index
        generation stands on it."""
        return self._loop.run(self._client.retire_space(version, timeout=timeout))

    def rebuild_index(
        self, *, space: str = "", request_id: str = "", timeout: float | None = None
    ) -> Job:
        """Starts a job that makes a space's index hold again what the record says; it ends when
        the index does. "" = visual. FailedPrecondition (SPACE_UNAVAILABLE) when there is none."""
        return self._loop.run(
            self._client.rebuild_index(space=space, request_id=request_id, timeout=timeout)
        )

    def list_jobs(self, *, kind: str = "", timeout: float | None = None) -> Iterator[Job]:
        """Every job, newest first, read page by page; ``kind`` "" = of all kinds."""
        return self._loop.iterate(self._client.list_jobs(kind=kind, timeout=timeout))

    def get_job(self, job_id: str, *, timeout: float | None = None) -> Job:
        """A job as it stands; NotFound (JOB_NOT_FOUND)."""
        return self._loop.run(self._client.get_job(job_id, timeout=timeout))

    def cancel_job(self, job_id: str, *, timeout: float | None = None) -> Job:
        """Asks a job to stop; it ends as CANCELLED soon after, unless it ended first."""
        return self._loop.run(self._client.cancel_job(job_id, timeout=timeout))

    def watch_job(self, job_id: str, *, timeout: float | None = None) -> Iterator[Job]:
        """The job at once and at every change until it has ended; ``timeout`` None = as long as
        that takes. A lost connection is taken up again, so that a state may be seen twice."""
        return self._loop.iterate(self._client.watch_job(job_id, timeout=timeout))

    def status(self, *, timeout: float | None = None) -> Status:
        """How the suite is; answers whatever is down behind the gateway."""
        return self._loop.run(self._client.status(timeout=timeout))
