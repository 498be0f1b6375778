"""Calls of AdminService.

Made from the contract by client/generator: change that or its tables, and run ``make proto``.
"""

from collections.abc import AsyncIterator, Iterable, Mapping
from datetime import datetime

from sightline.common.v1 import audit_service_pb2
from sightline.embedder.v1 import embedding_service_pb2, space_service_pb2
from sightline.gateway.v1 import admin_service_pb2
from sightline.ranker.v1 import (
    event_service_pb2,
    experiment_service_pb2,
    exposure_report_pb2,
    model_service_pb2,
    online_report_pb2,
    privacy_service_pb2,
    profile_service_pb2,
)
from sightline.retriever.v1 import (
    backup_service_pb2,
    catalog_registry_service_pb2,
    fit_service_pb2,
    index_service_pb2,
    photo_service_pb2,
    rebuild_service_pb2,
    synonym_service_pb2,
)
from sightline_client.api.base import Connected
from sightline_client.convert import from_wire, requests, to_wire
from sightline_client.values.catalogs import Catalog, CatalogAlias
from sightline_client.values.evaluation import Evaluation
from sightline_client.values.events import EventType
from sightline_client.values.experiments import ExperimentList, ExperimentReport, ExperimentUnit
from sightline_client.values.fairness import ExposureReport
from sightline_client.values.online import OnlineReport
from sightline_client.values.operations import (
    AuditEntry,
    AuditPage,
    Backup,
    Generation,
    IndexMetric,
    IndexParameters,
    Job,
    Model,
    Status,
    Takedown,
)
from sightline_client.values.privacy import Consents, Erasure, PrivacyBudget, Purpose
from sightline_client.values.profiles import ProductProfile, Segments, ShopperProfile
from sightline_client.values.scenes import (
    SceneCheck,
    SceneDiff,
    SceneDocument,
    SceneDocuments,
    SceneFile,
    SceneList,
)
from sightline_client.values.spaces import Space
from sightline_client.values.suggestions import TopSearches
from sightline_client.values.synonyms import SynonymRule, Synonyms
from sightline_client.values.trainings import TrainingRecipe


class AdminServiceCalls(Connected):
    """Calls of AdminService."""

    async def status(self, *, timeout: float | None = None) -> Status:
        """Return the state of each service and of its dependencies. Answers even if services are
        down."""
        return from_wire.status(
            await self._ask(self.calls.admin.GetStatus, admin_service_pb2.GetStatusRequest, timeout)
        )

    async def get_catalog(self, catalog_id: str = "", *, timeout: float | None = None) -> Catalog:
        """Return a catalog. Fails with CATALOG_NOT_FOUND.

        Args:
            catalog_id: "" = that of this client.

        Raises:
            NotFound: CATALOG_NOT_FOUND.
        """
        return from_wire.registered_catalog(
            await self._ask(
                self.calls.admin.GetCatalog,
                catalog_registry_service_pb2.GetCatalogRequest,
                timeout,
                catalog_id=catalog_id or self.catalog,
            )
        )

    async def list_catalogs(self, *, timeout: float | None = None) -> tuple[Catalog, ...]:
        """Return the catalogs that the caller's token permits, by id, those that settings declare
        included. ``timeout`` is that of one page."""
        return tuple(
            [
                from_wire.registered_catalog(each)
                async for page in self._ask_pages(
                    self.calls.admin.ListCatalogs,
                    catalog_registry_service_pb2.ListCatalogsRequest,
                    timeout,
                    page_size=1000,
                )
                for each in page.catalogs
            ]
        )

    async def delete_catalog(
        self,
        catalog_id: str,
        *,
        undo_days: float = 7.0,
        etag: str = "",
        timeout: float | None = None,
    ) -> Catalog:
        """Delete a catalog. From then on calls that name it are rejected with CATALOG_DELETED,
        everywhere within 5 seconds. At ``purge_time`` all services remove what they have of it;
        until then ``undelete_catalog`` restores it. A repeated call changes nothing. Fails with
        CATALOG_NOT_FOUND, CATALOG_DECLARED (settings declare it), CATALOG_HAS_ALIAS (an alias
        stands for it), CATALOG_IS_ALIAS, ETAG_MISMATCH.

        Args:
            catalog_id: Catalog.
            undo_days: Days for which the catalog can be restored, 0 to 365. 0: its removal
                begins once the calls that were in progress have ended
                (RETRIEVER_CATALOG_SETTLE_SECONDS).
            etag: If given, it must match the catalog's etag.

        Raises:
            NotFound: CATALOG_DELETED, CATALOG_NOT_FOUND.
            FailedPrecondition: CATALOG_DECLARED, CATALOG_HAS_ALIAS, CATALOG_IS_ALIAS.
            Conflict: ETAG_MISMATCH.
        """
        return from_wire.registered_catalog(
            await self._ask(
                self.calls.admin.DeleteCatalog,
                catalog_registry_service_pb2.DeleteCatalogRequest,
                timeout,
                catalog_id=catalog_id,
                undo_days=undo_days,
                etag=etag,
            )
        )

    async def undelete_catalog(self, catalog_id: str, *, timeout: float | None = None) -> Catalog:
        """Restore a deleted catalog, with all its content. A repeated call changes nothing. Fails
        with CATALOG_NOT_FOUND, CATALOG_REMOVING (its removal has begun).

        Args:
            catalog_id: Catalog.

        Raises:
            NotFound: CATALOG_NOT_FOUND.
            FailedPrecondition: CATALOG_REMOVING.
        """
        return from_wire.registered_catalog(
            await self._ask(
                self.calls.admin.UndeleteCatalog,
                catalog_registry_service_pb2.UndeleteCatalogRequest,
                timeout,
                catalog_id=catalog_id,
            )
        )

    async def copy_catalog(
        self, target_catalog: str, *, request_id: str = "", timeout: float | None = None
    ) -> Job:
        """Start a job that copies a catalog into a new one. Of kind "copy_catalog", it is a job of
        the copied catalog. It fills a new catalog with the products of one commit, while writes
        continue: with their ids, etags, times, photos, and the vectors of all generations that the
        embedder can serve for it, texts' included, which are not embedded again. Display name,
        language, labels and quota share are those of the copied catalog at the call. Events,
        consents, profiles, records of answers, models, vectors of products that callers or models
        gave, fitted spaces, takedowns and imports are not copied. The new catalog can be used when
        the job succeeds, all at once; until then calls that name it are rejected with
        CATALOG_COPYING. Its index is then filled, as after writes. A killed job begins again, with
        the products of that moment. If it is cancelled or fails, the new catalog is deleted and all
        that was copied is removed; if its workers were killed 20 times, it stays as it is, and
        ``delete_catalog`` removes it. Fails with CATALOG_EXISTS: there is a catalog of the new id,
        even an empty one. Fails with CATALOG_IS_ALIAS, CATALOGS_FULL. The same request_id returns
        the same job.

        Args:
            target_catalog: Id of the new catalog, not an alias. The caller's token must permit
                both catalogs.
            request_id: The same id returns the same job.

        Raises:
            FailedPrecondition: CATALOG_COPYING, CATALOG_IS_ALIAS.
            AlreadyExists: CATALOG_EXISTS.
            ResourceExhausted: CATALOGS_FULL.
        """
        return from_wire.job(
            await self._ask(
                self.calls.admin.CopyCatalog,
                catalog_registry_service_pb2.CopyCatalogRequest,
                timeout,
                target_catalog_id=target_catalog,
                request_id=requests.own_id(request_id),
            )
        )

    async def set_catalog_alias(
        self, alias_id: str, catalog_id: str, *, etag: str = "", timeout: float | None = None
    ) -> CatalogAlias:
        """Let a name stand for a catalog, in place of the catalog that it stood for. A repeated
        call changes nothing. Fails with CATALOG_EXISTS (the name is the id of a catalog),
        CATALOG_NOT_FOUND, CATALOG_DELETED, CATALOG_IS_ALIAS (``catalog_id`` is an alias),
        ETAG_MISMATCH, CATALOG_ALIASES_FULL (there are 200).

        Args:
            alias_id: Name. The caller's token must permit it as if it were a catalog.
            catalog_id: Catalog that the name shall stand for: its id, not an alias. The
                caller's token must permit it.
            etag: If given, it must match the alias's etag, unless the alias stands for the
                catalog already. Default: any.

        Raises:
            AlreadyExists: CATALOG_EXISTS.
            NotFound: CATALOG_NOT_FOUND, CATALOG_DELETED.
            FailedPrecondition: CATALOG_IS_ALIAS.
            Conflict: ETAG_MISMATCH.
            ResourceExhausted: CATALOG_ALIASES_FULL.
        """
        return from_wire.catalog_alias(
            await self._ask(
                self.calls.admin.SetCatalogAlias,
                catalog_registry_service_pb2.SetCatalogAliasRequest,
                timeout,
                alias_id=alias_id,
                catalog_id=catalog_id,
                etag=etag,
            )
        )

    async def list_catalog_aliases(
        self, *, timeout: float | None = None
    ) -> tuple[CatalogAlias, ...]:
        """Return the aliases that stand for catalogs that the caller's token permits, by name."""
        return tuple(
            [
                from_wire.catalog_alias(each)
                for each in (
                    await self._ask(
                        self.calls.admin.ListCatalogAliases,
                        catalog_registry_service_pb2.ListCatalogAliasesRequest,
                        timeout,
                    )
                ).aliases
            ]
        )

    async def delete_catalog_alias(
        self, alias_id: str, *, etag: str = "", timeout: float | None = None
    ) -> bool:
        """Delete an alias; its catalog stays. A repeated call changes nothing. Fails with
        ETAG_MISMATCH.

        Args:
            alias_id: Name of the alias. The caller's token must permit it as if it were a
                catalog.
            etag: If given, it must match the alias's etag. Default: any.

        Raises:
            Conflict: ETAG_MISMATCH.
        """
        return (
            await self._ask(
                self.calls.admin.DeleteCatalogAlias,
                catalog_registry_service_pb2.DeleteCatalogAliasRequest,
                timeout,
                alias_id=alias_id,
                etag=etag,
            )
        ).deleted

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
        """Start a training job over all events and products. If requested, the job searches for a
        recipe and measures what each part adds. It evaluates the recipe on events held out in time,
        then fits a model on all events. The model does not serve until it is promoted, and the
        serving model is not affected. Result: "model_version". If nothing has changed since a model
        was trained alike (same seed, recipe and options), the job trains nothing and its results
        are that "model_version" and "nothing_new": "true". Errors: TRAINING_DATA_INSUFFICIENT,
        TRAINING_DIVERGED, TRAINING_BASE_UNUSABLE, MODEL_STORE_UNWRITABLE. The same request_id
        returns the same job.

        Args:
            recipe: Overrides of the installation's recipe. Not together with ``incremental``.
            seed: Seed of the training. The same data and seed give the same model, bit for bit.
                Default: 0.
            search_trials: Number of recipes to try on a validation split, including this one,
                before the best is trained, up to 10,000. 0 disables the search. Default:
                ``search_trials`` of RANKER_RECIPE_FILE, 0.
            search_seconds: Duration in seconds after which no further recipe is tried, above 0,
                up to 604,800. Default: ``search_seconds`` of RANKER_RECIPE_FILE, 3,600.
            ablation: If true, measures what each part adds and turns off parts that add
                nothing. Default: ``ablation`` of RANKER_RECIPE_FILE, true.
            incremental: If true, continues from the serving model with its recipe: a few passes
                over events since then and a sample of earlier events. No recipe is searched and no
                part is turned off. The job fails with TRAINING_BASE_UNUSABLE if no model serves or
                an older release trained it, and with TRAINING_DATA_INSUFFICIENT if there are no new
                events.
            request_id: The same id returns the same job.

        Raises:
            FailedPrecondition: TRAINING_DATA_INSUFFICIENT, TRAINING_DIVERGED,
                TRAINING_BASE_UNUSABLE, MODEL_STORE_UNWRITABLE.
        """
        return from_wire.job(
            await self._ask(
                self.calls.admin.TrainModel,
                model_service_pb2.TrainModelRequest,
                timeout,
                recipe=recipe,
                seed=seed,
                search_trials=search_trials,
                search_seconds=search_seconds,
                ablation=ablation,
                incremental=incremental,
                request_id=requests.own_id(request_id),
            )
        )

    async def list_models(self, *, timeout: float | None = None) -> tuple[Model, ...]:
        """Return the ranking models, newest first. ``timeout`` is that of one page."""
        return tuple(
            [
                from_wire.model(each)
                async for page in self._ask_pages(
                    self.calls.admin.ListModels,
                    model_service_pb2.ListModelsRequest,
                    timeout,
                    page_size=1000,
                )
                for each in page.models
            ]
        )

    async def evaluate_model(
        self, model_version: str = "", *, request_id: str = "", timeout: float | None = None
    ) -> Job:
        """Start a job that evaluates a model on held-out events. Of kind "evaluate", it evaluates
        the model's recipe and compares it with the model in production and with classic baselines
        (results "model_version", "verdict"). ``get_evaluation`` returns what it found. Every
        training evaluates itself on the global split; this job adds per-user tails and compares
        with the model that serves now. The serving model is not affected. Fails with
        MODEL_NOT_FOUND. The same request_id returns the same job.

        Args:
            model_version: The model. Default: the newest.
            request_id: The same id returns the same job.

        Raises:
            NotFound: MODEL_NOT_FOUND.
        """
        return from_wire.job(
            await self._ask(
                self.calls.admin.EvaluateModel,
                model_service_pb2.EvaluateModelRequest,
                timeout,
                model_version=model_version,
                request_id=requests.own_id(request_id),
            )
        )

    async def get_evaluation(
        self, model_version: str = "", *, timeout: float | None = None
    ) -> Evaluation:
        """Return the newest evaluation of a model. Fails with MODEL_NOT_FOUND,
        EVALUATION_NOT_FOUND.

        Args:
            model_version: The model. Default: the newest.

        Raises:
            NotFound: MODEL_NOT_FOUND, EVALUATION_NOT_FOUND.
        """
        return from_wire.evaluation(
            await self._ask(
                self.calls.admin.GetEvaluation,
                model_service_pb2.GetEvaluationRequest,
                timeout,
                model_version=model_version,
            )
        )

    async def promote_model(
        self, model_version: str, *, force: bool = False, timeout: float | None = None
    ) -> Model:
        """Make a model the serving one, immediately and without failing a request. Fails with
        MODEL_UNPROVEN unless its evaluation against the current serving model passed, or ``force``
        is set; MODEL_NOT_FOUND, also if its files were pruned; MODEL_CORRUPT if the files do not
        match the hashes in its manifest.

        Args:
            model_version: The model to promote.
            force: If true, the model is promoted even if its evaluation did not pass. Forced
                promotions are logged.

        Raises:
            FailedPrecondition: MODEL_UNPROVEN.
            NotFound: MODEL_NOT_FOUND.
            ServerFault: MODEL_CORRUPT.
        """
        return from_wire.model(
            await self._ask(
                self.calls.admin.PromoteModel,
                model_service_pb2.PromoteModelRequest,
                timeout,
                model_version=model_version,
                force=force,
            )
        )

    async def rollback_model(self, *, timeout: float | None = None) -> Model:
        """Restore the model that served before the current one. Fails with MODEL_NOT_FOUND if there
        is none: to undo a first promotion use ``demote_model``.

        Raises:
            NotFound: MODEL_NOT_FOUND.
        """
        return from_wire.model(
            await self._ask(
                self.calls.admin.RollbackModel, model_service_pb2.RollbackModelRequest, timeout
            )
        )

    async def demote_model(self, *, timeout: float | None = None) -> Model:
        """Take the serving model out of service. Products are ranked by similarity, popularity and
        novelty, as before the first promotion, until a model is promoted. Return the model that
        served, which is not deleted and can be promoted again. Fails with MODEL_NOT_FOUND if no
        model serves.

        Raises:
            NotFound: MODEL_NOT_FOUND.
        """
        return from_wire.model(
            await self._ask(
                self.calls.admin.DemoteModel, model_service_pb2.DemoteModelRequest, timeout
            )
        )

    async def publish_model(
        self,
        model_version: str = "",
        *,
        rewrite: bool = False,
        request_id: str = "",
        timeout: float | None = None,
    ) -> Job:
        """Start a job that publishes a model's products into the index's "collaborative" space. Of
        kind "publish", it writes the products into a generation of the retriever's "collaborative"
        space, with the model's version as the space's version, and activates it if the model
        serves. The previous generation is kept for a rollback. A product's vector is the model's
        vector with the product's bias as an additional component; a shopper's vector ends with a 1,
        so that the inner product (IP) is the score. Follow the job with ``watch_job`` (``done``:
        products; results "generation", "vector_count", "active"). It resumes after a crash and
        waits for a retriever that does not answer. It fails with PUBLISH_INCOMPLETE,
        GENERATIONS_FULL or MODEL_CORRUPT. The same request_id returns the same job. Fails with
        MODEL_NOT_FOUND. With RANKER_PUBLISH the worker starts this job after each promotion and
        rollback.

        Args:
            model_version: The model. Default: the serving one. A model that does not serve is
                published and becomes active when it serves.
            rewrite: If true, a published model is written again, with products that returned to
                the catalog since. By default its generation is activated as it is.
            request_id: The same id returns the same job.

        Raises:
            FailedPrecondition: PUBLISH_INCOMPLETE.
            ResourceExhausted: GENERATIONS_FULL.
            ServerFault: MODEL_CORRUPT.
            NotFound: MODEL_NOT_FOUND.
        """
        return from_wire.job(
            await self._ask(
                self.calls.admin.PublishModel,
                model_service_pb2.PublishModelRequest,
                timeout,
                model_version=model_version,
                rewrite=rewrite,
                request_id=requests.own_id(request_id),
            )
        )

    async def shopper_profile(
        self,
        *,
        language: str = "",
        user: str | None = None,
        visitor: str | None = None,
        timeout: float | None = None,
    ) -> ShopperProfile:
        """Return the profile of a shopper. A shopper without events has an empty profile. Profiles
        are computed on request, from the shopper's current events and the serving model's data
        about products. They are not stored, so purged events leave no trace in them.

        Args:
            language: BCP 47 language of the texts: "en" or "zh". For other languages, English
                is used. Default: "en".
            user: Id of a known customer; excludes ``visitor``.
            visitor: Id of a visitor who is not logged in.
        """
        return from_wire.shopper_profile(
            await self._ask(
                self.calls.admin.GetShopperProfile,
                profile_service_pb2.GetShopperProfileRequest,
                timeout,
                language_code=language,
                shopper=to_wire.shopper(user, visitor),
            )
        )

    async def product_profile(
        self, product_id: str, *, language: str = "", timeout: float | None = None
    ) -> ProductProfile:
        """Return the profile of a product. Fails with PRODUCT_NOT_FOUND if no model serves, or the
        model was trained before the product was added.

        Args:
            language: BCP 47 language of the texts: "en" or "zh". For other languages, English
                is used. Default: "en".
            product_id: Id of the product.

        Raises:
            NotFound: PRODUCT_NOT_FOUND.
        """
        return from_wire.product_profile(
            await self._ask(
                self.calls.admin.GetProductProfile,
                profile_service_pb2.GetProductProfileRequest,
                timeout,
                language_code=language,
                product_id=product_id,
            )
        )

    async def set_shopper_attributes(
        self,
        attributes: Mapping[str, str],
        *,
        consent: bool,
        user: str | None = None,
        visitor: str | None = None,
        timeout: float | None = None,
    ) -> int:
        """Replace the attributes that a shopper gave, or deletes them when the consent is
        withdrawn. Fails with CONSENT_REQUIRED for attributes without consent. Idempotent.

        Args:
            attributes: All attributes to store, up to 20, with unique keys.
            consent: True if the shopper consents that these attributes are stored and used for
                recommendations. Required to store attributes, unless they consented before
                (``set_consent``). False without attributes withdraws the consent: all stored
                attributes are deleted, and the next training removes them from models.
            user: Id of a known customer; excludes ``visitor``.
            visitor: Id of a visitor who is not logged in.

        Raises:
            FailedPrecondition: CONSENT_REQUIRED.
        """
        return (
            await self._ask(
                self.calls.admin.SetShopperAttributes,
                profile_service_pb2.SetShopperAttributesRequest,
                timeout,
                attributes=attributes,
                consent=consent,
                shopper=to_wire.shopper(user, visitor),
            )
        ).kept_count

    async def list_segments(self, *, language: str = "", timeout: float | None = None) -> Segments:
        """Return the shopper segments (groups with similar interests) of the serving model, largest
        first. Empty without a model, or with too few shoppers.

        Args:
            language: BCP 47 language of the texts: "en" or "zh". For other languages, English
                is used. Default: "en".
        """
        return from_wire.segments(
            await self._ask(
                self.calls.admin.ListSegments,
                profile_service_pb2.ListSegmentsRequest,
                timeout,
                language_code=language,
            )
        )

    async def top_searches(
        self, *, top: int = 0, nothing_found: bool = False, timeout: float | None = None
    ) -> TopSearches:
        """Return the texts that most shoppers searched for, with the number of products that have
        their words: what sells, and what is missing. By SEARCH events of shoppers who consent to
        TRAIN; texts of fewer shoppers than RANKER_LEAST_SHOPPERS are never returned.

        Args:
            top: Maximum number of texts, 1 to 200. Default: 50. There are no further pages.
            nothing_found: If true, returns only those of these texts that find no product by
                their words.
        """
        return from_wire.top_searches(
            await self._ask(
                self.calls.admin.ListTopSearches,
                admin_service_pb2.ListTopSearchesRequest,
                timeout,
                page_size=top,
                nothing_found=nothing_found,
            )
        )

    async def online_report(
        self,
        *,
        days: int = 7,
        conversion_days: int = 7,
        by_day: bool = False,
        timeout: float | None = None,
    ) -> OnlineReport:
        """Return how shoppers responded to answers: click-through, conversion and hide rate by
        model version, scene and arm, off-policy estimates, and drift. Based on attributed events.
        Changes nothing.

        Args:
            days: Number of days of answers, 1 to 365. Answers whose records were deleted
                (RANKER_ANSWER_DAYS) are not counted.
            conversion_days: Number of days in which a purchase counts, after a click or,
                without a click, after an impression: 1 to 90. For more recent answers, further
                purchases may follow.
            by_day: If true, the report has ``days``. Default: False, as it takes about twice
                the time.
        """
        return from_wire.online_report(
            await self._ask(
                self.calls.admin.GetOnlineReport,
                online_report_pb2.GetOnlineReportRequest,
                timeout,
                days=days,
                conversion_days=conversion_days,
                by_day=by_day,
            )
        )

    async def exposure_report(
        self,
        *,
        scene: str = "",
        days: int = 7,
        by: str = "brand",
        shoppers_by: str = "",
        timeout: float | None = None,
    ) -> ExposureReport:
        """Return how much exposure groups of products got, and what groups of shoppers got.

        Args:
            scene: Scene of the answers. If empty, all scenes.
            days: Number of days until now, 1 to 90.
            by: What groups products: "brand", "category" (the topmost level), "popularity" (ten
                groups of equally many products, 1 = the most popular), "newness" (products whose
                first event was in the last 30 days, and others) or "attribute.KEY", such as
                "attribute.seller", if the serving model learns from that attribute.
            shoppers_by: Key of an attribute that shoppers gave, such as "age_band": also
                reports what shoppers with each value got. Empty: does not.
        """
        return from_wire.exposure_report(
            await self._ask(
                self.calls.admin.GetExposureReport,
                exposure_report_pb2.GetExposureReportRequest,
                timeout,
                scene=scene,
                days=days,
                by=by,
                shoppers_by=shoppers_by,
            )
        )

    async def list_experiments(self, *, timeout: float | None = None) -> ExperimentList:
        """Return the experiments of a catalog, latest start first."""
        return from_wire.experiments(
            await self._ask(
                self.calls.admin.ListExperiments,
                experiment_service_pb2.ListExperimentsRequest,
                timeout,
            )
        )

    async def experiment_report(
        self, name: str, *, timeout: float | None = None
    ) -> ExperimentReport:
        """Return the results of an experiment by arm. Fails with EXPERIMENT_NOT_FOUND.

        Args:
            name: Name of the experiment.

        Raises:
            NotFound: EXPERIMENT_NOT_FOUND.
        """
        return from_wire.experiment_report(
            await self._ask(
                self.calls.admin.GetExperimentReport,
                experiment_service_pb2.GetExperimentReportRequest,
                timeout,
                name=name,
            )
        )

    async def experiment_units(
        self, name: str, *, timeout: float | None = None
    ) -> tuple[ExperimentUnit, ...]:
        """Return the units counted in an experiment, hashed, for your own analysis. Fails with
        EXPERIMENT_NOT_FOUND. ``timeout`` is that of one page.

        Args:
            name: Name of the experiment.

        Raises:
            NotFound: EXPERIMENT_NOT_FOUND.
        """
        return tuple(
            [
                from_wire.experiment_unit(each)
                async for page in self._ask_pages(
                    self.calls.admin.ListExperimentUnits,
                    experiment_service_pb2.ListExperimentUnitsRequest,
                    timeout,
                    name=name,
                    page_size=10000,
                )
                for each in page.units
            ]
        )

    async def export_events(
        self,
        *,
        since: datetime | None = None,
        before: datetime | None = None,
        types: Iterable[EventType] = (),
        order_ids: bool = False,
        queries: bool = False,
        request_id: str = "",
        timeout: float | None = None,
    ) -> Job:
        """Start a job that writes events to Parquet files. They go to a folder or bucket of the
        worker (RANKER_EXPORT_STORE). Its result names the folder; it may fail with
        EXPORT_UNWRITABLE. Shoppers appear in the files as pseudonyms only. Follow it with
        ``watch_job``.

        Args:
            since: Earliest time of the events, inclusive (UTC). If None, no lower bound.
            before: Latest time of the events, exclusive (UTC). If None, no upper bound.
            types: Types of the events. If empty, all types.
            order_ids: If true, exports order ids as stored. By default they are hashed with a
                salt of this export, which keeps purchases of one order together but hides the
                order.
            queries: If true, exports the words of searches, which may contain names or
                addresses.
            request_id: The same id returns the same job.

        Raises:
            FailedPrecondition: EXPORT_UNWRITABLE.
        """
        return from_wire.job(
            await self._ask(
                self.calls.admin.ExportEvents,
                event_service_pb2.ExportEventsRequest,
                timeout,
                from_time=since,
                before_time=before,
                types=types,
                include_order_ids=order_ids,
                include_queries=queries,
                request_id=requests.own_id(request_id),
            )
        )

    async def erase_user(
        self,
        *,
        user: str | None = None,
        visitor: str | None = None,
        force: bool = False,
        request_id: str = "",
        timeout: float | None = None,
    ) -> Job:
        """Start a job that erases a shopper, with all visitors merged into them; a merged visitor
        stands for the user. It covers events, answers, attributes, merges, parameters of jobs, rows
        of exported files, and vectors in models. A restore of an older backup erases them again.
        What the shopper does after this call is new data and stays. If an erasure is under way, or
        nothing was stored since a complete one, the earlier job is returned. Fails with
        SHOPPER_NOT_FOUND if nothing is stored, without ``force``. Idempotent.

        Args:
            user: Id of a known customer; excludes ``visitor``.
            visitor: Id of a visitor who is not logged in.
            force: If true, searches all stores although the record has nothing on the shopper:
                models and exports may, after a purge of their events. Default: False.
            request_id: The same id returns the same job.

        Raises:
            NotFound: SHOPPER_NOT_FOUND.
        """
        return from_wire.job(
            await self._ask(
                self.calls.admin.EraseUser,
                privacy_service_pb2.EraseUserRequest,
                timeout,
                shopper=to_wire.shopper(user, visitor),
                force=force,
                request_id=requests.own_id(request_id),
            )
        )

    async def get_erasure(
        self, *, user: str | None = None, visitor: str | None = None, timeout: float | None = None
    ) -> Erasure:
        """Return the receipt of a shopper's newest erasure. Fails with ERASURE_NOT_FOUND if there
        was none.

        Args:
            user: Id of a known customer; excludes ``visitor``.
            visitor: Id of a visitor who is not logged in.

        Raises:
            NotFound: ERASURE_NOT_FOUND.
        """
        return from_wire.erasure(
            await self._ask(
                self.calls.admin.GetErasure,
                privacy_service_pb2.GetErasureRequest,
                timeout,
                shopper=to_wire.shopper(user, visitor),
            )
        )

    async def set_consent(
        self,
        *,
        source: str,
        user: str | None = None,
        visitor: str | None = None,
        as_default: bool = False,
        given: Iterable[Purpose] = (),
        withdrawn: Iterable[Purpose] = (),
        timeout: float | None = None,
    ) -> Consents:
        """Store what a shopper consents to, or a catalog's default, and returns the resulting
        consents. It applies from the next call on: answers, events, trainings and experiments.
        Within minutes, stored data that no consent covers any more is deleted: events without
        PERSONALISE and TRAIN, records of answers without PERSONALISE, attributes without
        ATTRIBUTES, vectors in models without TRAIN. A visitor's consents become the user's by a
        merge. Repeated with the same source, it changes nothing.

        Args:
            source: Where the decision was made, such as "cookie banner 3", 1 to 128 bytes
                without control characters. It must not identify the shopper: it is kept, as proof
                of a withdrawal, after their erasure.
            user: Id of a known customer; excludes ``visitor``.
            visitor: Id of a visitor who is not logged in.
            as_default: If true, stores the catalog's default, which applies to every shopper
                who has not decided. Default: False.
            given: Purposes that are consented to, up to 5.
            withdrawn: Purposes whose consent is withdrawn, up to 5; none of ``given``. One
                purpose in total is required.
        """
        return from_wire.consents(
            await self._ask(
                self.calls.admin.SetConsent,
                privacy_service_pb2.SetConsentRequest,
                timeout,
                source=source,
                shopper=to_wire.shopper(user, visitor),
                as_default=as_default,
                given=given,
                withdrawn=withdrawn,
            )
        )

    async def get_consent(
        self,
        *,
        user: str | None = None,
        visitor: str | None = None,
        as_default: bool = False,
        timeout: float | None = None,
    ) -> Consents:
        """Return what a shopper consents to, or a catalog's default, with the history of their
        decisions.

        Args:
            user: Id of a known customer; excludes ``visitor``.
            visitor: Id of a visitor who is not logged in.
            as_default: If true, returns the catalog's default. Default: False.
        """
        return from_wire.consents(
            await self._ask(
                self.calls.admin.GetConsent,
                privacy_service_pb2.GetConsentRequest,
                timeout,
                shopper=to_wire.shopper(user, visitor),
                as_default=as_default,
            )
        )

    async def export_counts(
        self,
        *,
        epsilon: float,
        types: Iterable[EventType] = (),
        since: datetime | None = None,
        before: datetime | None = None,
        attribute: str = "",
        most_products: int = 0,
        request_id: str = "",
        timeout: float | None = None,
    ) -> Job:
        """Start a job that counts the shoppers of each product with differential privacy. It writes
        the counts to a file: who reads it learns next to nothing on any one shopper. It spends
        ``epsilon`` of the catalog's budget. Fails with PRIVACY_BUDGET_SPENT if that is not left.

        Args:
            epsilon: Share of the budget to spend, above 0, at most 10. The probability of any
                result changes by a factor of at most e^epsilon if one shopper is added or left out.
                Smaller values need more noise.
            types: Types of the events. If empty, PURCHASE.
            since: Earliest time of the events, inclusive (UTC). If None, no lower bound.
            before: Latest time of the events, exclusive (UTC). If None, no upper bound.
            attribute: Key of an attribute that shoppers gave, such as "country": counts by its
                values, of shoppers who gave it. If empty, of all shoppers.
            most_products: Maximum number of products in which one shopper is counted, 1 to 100.
                More products count more of what busy shoppers did, and need more noise. Default: 8.
            request_id: The same id returns the same job.

        Raises:
            FailedPrecondition: PRIVACY_BUDGET_SPENT.
        """
        return from_wire.job(
            await self._ask(
                self.calls.admin.ExportCounts,
                privacy_service_pb2.ExportCountsRequest,
                timeout,
                epsilon=epsilon,
                types=types,
                from_time=since,
                before_time=before,
                attribute=attribute,
                most_products=most_products,
                request_id=requests.own_id(request_id),
            )
        )

    async def get_privacy_budget(self, *, timeout: float | None = None) -> PrivacyBudget:
        """Return what is left of a catalog's budget for counts, and what spent it."""
        return from_wire.privacy_budget(
            await self._ask(
                self.calls.admin.GetPrivacyBudget,
                privacy_service_pb2.GetPrivacyBudgetRequest,
                timeout,
            )
        )

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
        """Register a generation. The worker creates its collection within about a second. From then
        on it receives every write; existing products need a backfill. The first generation of a
        space is active and ready immediately, unless its vectors are written by a client
        (``dimension``). Fails with GENERATION_EXISTS, SPACE_UNAVAILABLE (the embedder did not serve
        this version at the worker's last check, every five seconds; the message lists the served
        versions), INDEX_PARAMETERS_INVALID, GENERATIONS_FULL (the space has eight live
        generations). A generation is a catalog's vectors in one version of one space, in one
        collection of the engine. A new version of a space is rolled out beside the old one: create,
        backfill, verify, activate. One call rolls it back. Searches without a generation use the
        active one of their space.

        Args:
            name: Name of the generation, 1 to 64 characters of a-z, 0-9 and "-". If empty, the
                service generates one.
            space: Name of the space. Default: "visual".
            space_version: Version of the space. Default: the embedder's default version.
            metric: Similarity metric.
            parameters: Parameters of its index. Default: flat.

        Raises:
            AlreadyExists: GENERATION_EXISTS.
            NotFound: SPACE_UNAVAILABLE.
            InvalidRequest: INDEX_PARAMETERS_INVALID.
            ResourceExhausted: GENERATIONS_FULL.
        """
        return from_wire.generation(
            await self._ask(
                self.calls.admin.CreateGeneration,
                index_service_pb2.CreateGenerationRequest,
                timeout,
                name=name,
                space=space,
                space_version=space_version,
                metric=metric,
                parameters=parameters,
            )
        )

    async def backfill_generation(
        self, name: str, *, request_id: str = "", timeout: float | None = None
    ) -> Job:
        """Start a job that embeds every stored photo that the generation lacks; follow it with
        ``watch_job`` (``done``: photos). If such a job is running, returns it. Embedded photos are
        kept: the next job resumes after a cancellation or crash. It ends when the index holds all
        photos except those that fail permanently (result "failing_count"). Fails with
        GENERATION_NOT_FOUND.

        Args:
            name: Name of the generation.
            request_id: The same id returns the same job.

        Raises:
            NotFound: GENERATION_NOT_FOUND.
        """
        return from_wire.job(
            await self._ask(
                self.calls.admin.BackfillGeneration,
                index_service_pb2.BackfillGenerationRequest,
                timeout,
                name=name,
                request_id=requests.own_id(request_id),
            )
        )

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
        """Start a job that verifies a generation and stores its findings in Generation. If such a
        job is running, returns it. Fails with GENERATION_NOT_FOUND.

        Args:
            name: Name of the generation.
            sample_size: Number of photos to embed again, 1 to 10,000. Default: 200, or all if
                there are fewer.
            k: Number of neighbours to search, 1 to 1,000. Default: 100.
            min_recall: Minimum recall, with and without a filter, 0 to 1. Default: 0.98.
            request_id: The same id returns the same job.

        Raises:
            NotFound: GENERATION_NOT_FOUND.
        """
        return from_wire.job(
            await self._ask(
                self.calls.admin.VerifyGeneration,
                index_service_pb2.VerifyGenerationRequest,
                timeout,
                name=name,
                sample_size=sample_size,
                k=k,
                min_recall=min_recall,
                request_id=requests.own_id(request_id),
            )
        )

    async def activate_generation(
        self, name: str, *, force: bool = False, timeout: float | None = None
    ) -> Generation:
        """Make a generation the active one of its space. The previous one stays loaded for a
        rollback. Rejected with GENERATION_NOT_VERIFIED unless a backfill has ended, its newest
        verification passed and no write has waited for it for more than 30 s, or ``force`` is set.
        Has no effect if the generation is already active. Fails with GENERATION_NOT_FOUND.

        Args:
            name: Name of the generation.
            force: If true, activates the generation regardless of its verification. Logged, and
                shown in Generation.

        Raises:
            FailedPrecondition: GENERATION_NOT_VERIFIED.
            NotFound: GENERATION_NOT_FOUND.
        """
        return from_wire.generation(
            await self._ask(
                self.calls.admin.ActivateGeneration,
                index_service_pb2.ActivateGenerationRequest,
                timeout,
                name=name,
                force=force,
            )
        )

    async def rollback_generation(
        self, *, space: str = "", timeout: float | None = None
    ) -> Generation:
        """Restore the generation that was active before the current one. Two calls go back two
        generations. Fails with ROLLBACK_UNAVAILABLE if there is none, or it was dropped.

        Args:
            space: Name of the space. Default: "visual".

        Raises:
            FailedPrecondition: ROLLBACK_UNAVAILABLE.
        """
        return from_wire.generation(
            await self._ask(
                self.calls.admin.RollbackGeneration,
                index_service_pb2.RollbackGenerationRequest,
                timeout,
                space=space,
            )
        )

    async def drop_generation(self, name: str, *, timeout: float | None = None) -> Generation:
        """Take a generation out of service. A job of kind "drop_generation" deletes its collection
        and, unless another generation has its version, its vectors. Fails with GENERATION_ACTIVE if
        it is the active one, GENERATION_NOT_FOUND.

        Args:
            name: Name of the generation.

        Raises:
            FailedPrecondition: GENERATION_ACTIVE.
            NotFound: GENERATION_NOT_FOUND.
        """
        return from_wire.generation(
            await self._ask(
                self.calls.admin.DropGeneration,
                index_service_pb2.DropGenerationRequest,
                timeout,
                name=name,
            )
        )

    async def list_generations(
        self, *, space: str = "", include_dropped: bool = False, timeout: float | None = None
    ) -> tuple[Generation, ...]:
        """Return the generations of a catalog, oldest first.

        Args:
            space: Name of the space. If empty, all spaces.
            include_dropped: If true, lists dropped generations too.
        """
        return tuple(
            [
                from_wire.generation(each)
                for each in (
                    await self._ask(
                        self.calls.admin.ListGenerations,
                        index_service_pb2.ListGenerationsRequest,
                        timeout,
                        space=space,
                        include_dropped=include_dropped,
                    )
                ).generations
            ]
        )

    async def create_backup(self, *, request_id: str = "", timeout: float | None = None) -> Job:
        """Start a job that writes the catalog to a backup. Of kind "backup", it writes a snapshot
        at one commit, while writes continue. Its results contain the backup_id. A job that fails or
        is cancelled leaves no backup. The same request_id returns the same job. Fails with
        BACKUP_QUOTA if the catalog has the maximum number or size of backups. A backup is a folder
        with products, photos, vectors and index generations, in a format that is independent of the
        engine. The setting RETRIEVER_BACKUPS names their location.

        Args:
            request_id: The same id returns the same job.

        Raises:
            ResourceExhausted: BACKUP_QUOTA.
        """
        return from_wire.job(
            await self._ask(
                self.calls.admin.CreateBackup,
                backup_service_pb2.CreateBackupRequest,
                timeout,
                request_id=requests.own_id(request_id),
            )
        )

    async def list_backups(self, *, timeout: float | None = None) -> tuple[Backup, ...]:
        """Return the backups of a catalog, newest first. ``timeout`` is that of one page."""
        return tuple(
            [
                from_wire.backup(each)
                async for page in self._ask_pages(
                    self.calls.admin.ListBackups,
                    backup_service_pb2.ListBackupsRequest,
                    timeout,
                    page_size=200,
                )
                for each in page.backups
            ]
        )

    async def delete_backup(self, backup_id: str, *, timeout: float | None = None) -> int:
        """Delete a backup. A backup that does not exist counts as deleted. A restore that reads it
        continues.

        Args:
            backup_id: Id of the backup, from ``list_backups``.
        """
        return (
            await self._ask(
                self.calls.admin.DeleteBackup,
                backup_service_pb2.DeleteBackupRequest,
                timeout,
                backup_id=backup_id,
            )
        ).size

    async def restore_backup(
        self,
        backup_id: str,
        *,
        source_catalog: str = "",
        force: bool = False,
        accept_unsigned: bool = False,
        request_id: str = "",
        timeout: float | None = None,
    ) -> Job:
        """Start a job that restores a backup. Of kind "restore", it first checks the whole backup
        against its hashes. Then it restores the products in batches, with their ids, etags, times,
        photos and vectors. The index is updated automatically; photos whose vectors are in the
        backup are not embedded again. Products that are written completely during the restore keep
        their new content. A cancelled job leaves what it has restored. A generation counts as
        verified only if it was verified in this catalog. Fails with BACKUP_NOT_FOUND;
        CATALOG_NOT_EMPTY if the catalog holds products and ``force`` is False; BACKUP_UNSIGNED if
        none of the operator's keys signed the backup (RETRIEVER_BACKUP_KEYS_FILE) and
        ``accept_unsigned`` is False; BACKUP_CATALOG_MISMATCH if the backup is of another catalog
        than ``source_catalog``. The same request_id returns the same job.

        Args:
            backup_id: Id of the backup, from ``list_backups``.
            source_catalog: Catalog of the backup. Default: the one to restore into. It need not
                be declared in the settings, but a token must permit both catalogs
                (CATALOG_FORBIDDEN).
            force: If true, also restores into a catalog that holds products: the backup's
                products replace those with the same id. At the end the other products are deleted,
                except those written after this call.
            accept_unsigned: If true, also restores a backup that none of the operator's keys
                signed, such as one made before keys were configured. Such a backup may have been
                changed by anyone with write access to it.
            request_id: The same id returns the same job.

        Raises:
            NotFound: BACKUP_NOT_FOUND.
            FailedPrecondition: CATALOG_NOT_EMPTY, BACKUP_UNSIGNED, BACKUP_CATALOG_MISMATCH.
        """
        return from_wire.job(
            await self._ask(
                self.calls.admin.RestoreBackup,
                backup_service_pb2.RestoreBackupRequest,
                timeout,
                backup_id=backup_id,
                source_catalog_id=source_catalog,
                force=force,
                accept_unsigned=accept_unsigned,
                request_id=requests.own_id(request_id),
            )
        )

    async def take_down_photo(
        self, image_id: str, *, reason: str = "", timeout: float | None = None
    ) -> tuple[str, ...]:
        """Take a photo down immediately: it can't be read, is removed from all products, and its
        bytes and vectors are deleted. The products keep their other photos. Writes of the same
        bytes are rejected with IMAGE_TAKEN_DOWN, and restores skip them, until the takedown is
        lifted. Backups made before still contain the photo.

        Args:
            image_id: Id of the photo: the SHA-256 of its bytes, 64 characters of 0-9 and a-f.
                It need not be stored.
            reason: Reason, for readers of the list, up to 500 characters. Optional.

        Raises:
            FailedPrecondition: IMAGE_TAKEN_DOWN.
        """
        return tuple(
            (
                await self._ask(
                    self.calls.admin.TakeDownPhoto,
                    photo_service_pb2.TakeDownPhotoRequest,
                    timeout,
                    image_id=image_id,
                    reason=reason,
                )
            ).product_ids
        )

    async def lift_takedown(self, image_id: str, *, timeout: float | None = None) -> bool:
        """Lift a takedown: the photo may be stored again. It is not restored.

        Args:
            image_id: Id of the photo.
        """
        return (
            await self._ask(
                self.calls.admin.LiftTakedown,
                photo_service_pb2.LiftTakedownRequest,
                timeout,
                image_id=image_id,
            )
        ).lifted

    async def list_takedowns(self, *, timeout: float | None = None) -> tuple[Takedown, ...]:
        """Return the takedowns of a catalog that are in force, by photo id. ``timeout`` is that of
        one page."""
        return tuple(
            [
                from_wire.takedown(each)
                async for page in self._ask_pages(
                    self.calls.admin.ListTakedowns,
                    photo_service_pb2.ListTakedownsRequest,
                    timeout,
                    page_size=1000,
                )
                for each in page.takedowns
            ]
        )

    async def get_synonyms(self, *, timeout: float | None = None) -> Synonyms:
        """Return the synonyms of a catalog: words and phrases that mean the same to its shoppers;
        none if they were never set. Searches by words and suggestions use them everywhere within 2
        seconds after a change."""
        return from_wire.synonyms(
            await self._ask(
                self.calls.admin.GetSynonyms, synonym_service_pb2.GetSynonymsRequest, timeout
            )
        )

    async def set_synonyms(
        self, rules: Iterable[SynonymRule], *, etag: str = "", timeout: float | None = None
    ) -> Synonyms:
        """Publish synonyms of a catalog in place of all others, as a version of the scene
        "_synonyms" (``publish_scene``); its draft stays. If they are the stored ones, nothing
        changes and the etag is not compared. Fails with SYNONYMS_INVALID (names each rule, at most
        50), ETAG_MISMATCH.

        Args:
            rules: All rules, 0 to 2,000.
            etag: Required version of the stored rules. Default: any.

        Raises:
            InvalidRequest: SYNONYMS_INVALID.
            Conflict: ETAG_MISMATCH.
        """
        return from_wire.synonyms(
            await self._ask(
                self.calls.admin.SetSynonyms,
                synonym_service_pb2.SetSynonymsRequest,
                timeout,
                rules=rules,
                etag=etag,
            )
        )

    async def rebuild_index(
        self, *, space: str = "", request_id: str = "", timeout: float | None = None
    ) -> Job:
        """Start a job that rebuilds the index from the record. Of kind "rebuild_index": the worker
        compares every live generation of a space with the record, creates collections that the
        engine lost, and writes missing and outdated rows. No photo is embedded again. The job ends
        when the index is complete; its results count the rows. Fails with SPACE_UNAVAILABLE if the
        space has no index in this catalog. The same request_id returns the same job.

        Args:
            space: Name of the space. Default: "visual".
            request_id: The same id returns the same job.

        Raises:
            NotFound: SPACE_UNAVAILABLE.
        """
        return from_wire.job(
            await self._ask(
                self.calls.admin.RebuildIndex,
                rebuild_service_pb2.RebuildIndexRequest,
                timeout,
                space=space,
                request_id=requests.own_id(request_id),
            )
        )

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
        """Start a job that fits a visual space on the catalog's photos. Of kind "fit" (``done`` and
        ``total`` count photos), it sends the catalog's photos and their labels to the embedder,
        which fits a space on them. Results: "space_version", "model", "verdict", "skipped". If such
        a job is running, returns it. The job fails with the embedder's reason, e.g. Fails with
        FIT_INVALID.

        Args:
            backbone: Backbone model, e.g. "efficientnet_lite2". Default: the embedder's
                setting.
            max_dimension: Maximum length of the vectors, 16 to 256. Default: 256.
            seed: Seed of folds, augmentation and resampling.
            max_photos: Maximum number of photos, 100 to 1,000,000. Default: 50,000. If there
                are more, products are sampled by the seed, each with all its photos.
            shopper_photo_tags: Tags of products whose photos were taken by shoppers, e.g.
                "shopper-photo", up to 16. All other photos count as the catalog's.
            request_id: The same id returns the same job.

        Raises:
            FailedPrecondition: FIT_INVALID.
        """
        return from_wire.job(
            await self._ask(
                self.calls.admin.FitSpace,
                fit_service_pb2.FitSpaceRequest,
                timeout,
                backbone=backbone,
                max_dimension=max_dimension,
                seed=seed,
                max_photos=max_photos,
                shopper_photo_tags=shopper_photo_tags,
                request_id=requests.own_id(request_id),
            )
        )

    async def list_spaces(
        self, *, include_all: bool = False, timeout: float | None = None
    ) -> tuple[Space, ...]:
        """Return serving, candidate and retired spaces with their evaluations. A space whose model
        does not answer is listed with ``ready`` false.

        Args:
            include_all: If true, lists candidates and retired spaces too.
        """
        return tuple(
            [
                from_wire.space(each)
                for each in (
                    await self._ask(
                        self.calls.admin.ListSpaces,
                        embedding_service_pb2.ListSpacesRequest,
                        timeout,
                        include_all=include_all,
                    )
                ).spaces
            ]
        )

    async def promote_space(
        self, version: str, *, force: bool = False, timeout: float | None = None
    ) -> Space:
        """Make a fitted space available for embedding: Triton serves it. Rejected with
        PROMOTION_REFUSED unless its verdict is BETTER or ``force`` is set. Fails with
        SPACE_UNSIGNED if the operator has keys (EMBEDDER_SPACE_KEYS_FILE), none of them signed it,
        and ``force`` is not set. Fails with SPACES_FULL if eight spaces of the catalog are served
        (each is a process of Triton): retire one first. Fails with SPACE_NOT_FOUND, MODEL_NOT_READY
        (Triton can't load it; the spaces served before are not affected). To roll the space out,
        continue with ``create_generation``.

        Args:
            version: Version of the space, or name of its model.
            force: If true, promotes the space regardless of its evaluation. Logged, and shown
                in Space.

        Raises:
            FailedPrecondition: PROMOTION_REFUSED, SPACE_UNSIGNED, MODEL_NOT_READY.
            ResourceExhausted: SPACES_FULL.
            NotFound: SPACE_NOT_FOUND.
        """
        return from_wire.space(
            await self._ask(
                self.calls.admin.PromoteSpace,
                space_service_pb2.PromoteSpaceRequest,
                timeout,
                version=version,
                force=force,
            )
        )

    async def list_audit(
        self,
        *,
        since: datetime | None = None,
        before: datetime | None = None,
        caller: str = "",
        timeout: float | None = None,
    ) -> AsyncIterator[AuditEntry]:
        """Yield audited calls (administrative and destructive ones) with their callers, newest
        first. They are read page by page; ``timeout`` is that of one page.

        Args:
            since: Earliest time, inclusive (UTC). If None, no lower bound.
            before: Latest time, exclusive (UTC). If None, no upper bound.
            caller: Caller. If empty, all callers.
        """
        async for page in self._ask_pages(
            self.calls.admin.ListAuditEntries,
            audit_service_pb2.ListAuditEntriesRequest,
            timeout,
            from_time=since,
            before_time=before,
            caller=caller,
            page_size=200,
        ):
            for each in page.entries:
                yield from_wire.audit_entry(each)

    async def read_audit_chain(
        self, store: str, *, timeout: float | None = None
    ) -> AsyncIterator[AuditPage]:
        """Read a store's chain of the audit log, oldest entry first, to verify or archive it. They
        are read page by page; ``timeout`` is that of one page.

        Args:
            store: Store of the chain: "retriever" or "ranker". Required by the gateway.
        """
        async for page in self._ask_pages(
            self.calls.admin.ReadAuditChain,
            audit_service_pb2.ReadAuditChainRequest,
            timeout,
            store=store,
            page_size=1000,
        ):
            yield from_wire.audit_page(page)

    async def retire_space(self, version: str, *, timeout: float | None = None) -> Space:
        """Take a fitted space out of service. Its files are kept, and it can be promoted again.
        Fails with SPACE_NOT_FOUND. Rejected with SPACE_IN_USE while a generation that is not
        dropped uses it.

        Args:
            version: Version of the space, or name of its model.

        Raises:
            NotFound: SPACE_NOT_FOUND.
            FailedPrecondition: SPACE_IN_USE.
        """
        return from_wire.space(
            await self._ask(
                self.calls.admin.RetireSpace,
                space_service_pb2.RetireSpaceRequest,
                timeout,
                version=version,
            )
        )

    async def list_scenes(self, *, timeout: float | None = None) -> SceneList:
        """Return the scenes by name."""
        return from_wire.scene_list(
            await self._ask(
                self.calls.admin.ListScenes, admin_service_pb2.ListScenesRequest, timeout
            )
        )

    async def get_scene(self, scene: str = "", *, timeout: float | None = None) -> SceneFile:
        """Return a scene with its file. Fails with SCENE_NOT_FOUND.

        Args:
            scene: Name of the scene. Default: "default".

        Raises:
            NotFound: SCENE_NOT_FOUND.
        """
        return from_wire.scene_file(
            await self._ask(
                self.calls.admin.GetScene, admin_service_pb2.GetSceneRequest, timeout, scene=scene
            )
        )

    async def check_scene(
        self, toml: str, *, scene: str = "", timeout: float | None = None
    ) -> SceneCheck:
        """Validate a scene file and list what it would change, without applying it.

        Args:
            toml: The file (TOML), at most 64 KiB in lines of up to 400 characters.
            scene: Name of the scene. Default: "default". An invalid name is one of the
                ``problems``, not an error.
        """
        return from_wire.scene_check(
            await self._ask(
                self.calls.admin.CheckScene,
                admin_service_pb2.CheckSceneRequest,
                timeout,
                toml=toml,
                scene=scene,
            )
        )

    async def diff_scene(
        self,
        *,
        scene: str = "",
        toml: str = "",
        answer_count: int = 0,
        since: datetime | None = None,
        place_count: int = 0,
        model_version: str = "",
        current_model_version: str = "",
        user: str | None = None,
        visitor: str | None = None,
        timeout: float | None = None,
    ) -> SceneDiff:
        """Compare a scene with a changed one: answers the last requests to the scene by both, and
        returns which places change and which products gain exposure. Each process of the gateway
        knows its own requests of the last hour; without one, the candidates of recorded answers are
        ranked again. Fails with SCENE_NOT_FOUND, SCENE_INVALID (with the entries),
        RANKER_UNAVAILABLE, RETRIEVER_UNAVAILABLE.

        Args:
            scene: Scene whose answers are compared. Default: "default".
            toml: The changed file (TOML), at most 64 KiB in lines of up to 400 characters. If
                empty, answers are compared with those of the current scene.
            answer_count: Maximum number of answers, newest first, 1 to 200. Default: 100.
            since: Earliest time at which the answers were served (UTC). If None, no lower
                bound.
            place_count: Number of first places to compare, 1 to 200. Default: 20.
            model_version: Ranking model of the changed scene, in place of that of its file, up
                to 64 characters. If empty, that of the file. With this or
                ``current_model_version``, recent requests alone are compared: what is recorded of
                an answer does not show how another model would rank it. Loading a model may take 30
                s; requests that lack it then are skipped.
            current_model_version: Ranking model of the scene before the change, up to 64
                characters. If empty, that in use.
            user: Id of a known customer; excludes ``visitor``.
            visitor: Id of a visitor who is not logged in.

        Raises:
            NotFound: SCENE_NOT_FOUND.
            InvalidRequest: SCENE_INVALID.
            Unavailable: RANKER_UNAVAILABLE, RETRIEVER_UNAVAILABLE.
        """
        return from_wire.scene_diff(
            await self._ask(
                self.calls.admin.DiffScene,
                admin_service_pb2.DiffSceneRequest,
                timeout,
                scene=scene,
                toml=toml,
                answer_count=answer_count,
                from_time=since,
                place_count=place_count,
                model_version=model_version,
                current_model_version=current_model_version,
                shopper=to_wire.shopper(user, visitor),
            )
        )

    async def list_scene_documents(
        self, *, with_texts: bool = False, timeout: float | None = None
    ) -> SceneDocuments:
        """Return the scenes that the record has of a catalog, by name, at most 200: for each its
        draft and its newest version. They are in use if the catalog is steered by the record
        (``Catalog.steered_by``).

        Args:
            with_texts: If true, newest versions have their texts.
        """
        return from_wire.scene_documents(
            await self._ask(
                self.calls.admin.ListSceneDocuments,
                admin_service_pb2.ListSceneDocumentsRequest,
                timeout,
                with_texts=with_texts,
            )
        )

    async def get_scene_document(
        self, scene: str, *, timeout: float | None = None
    ) -> SceneDocument:
        """Return a scene of the record: its draft and all versions that are kept, with their texts.
        Under the reserved name "_synonyms" this and the next calls have the catalog's synonyms,
        which no list has: their text is a rule a line, at most 5 MiB ("sneaker, trainer" mean the
        same, "vino => wine" is one way, what follows a # is a comment), and of versions fewer are
        kept if they have more than 16 MiB together. Fails with SCENE_DOCUMENT_NOT_FOUND.

        Args:
            scene: Name of the scene.

        Raises:
            NotFound: SCENE_DOCUMENT_NOT_FOUND.
        """
        return from_wire.scene_document(
            await self._ask(
                self.calls.admin.GetSceneDocument,
                admin_service_pb2.GetSceneDocumentRequest,
                timeout,
                scene=scene,
            )
        )

    async def write_scene_draft(
        self,
        scene: str,
        toml: str,
        *,
        comment: str = "",
        etag: str = "",
        timeout: float | None = None,
    ) -> SceneDocument:
        """Store the draft of a scene, in place of the former one. Answers do not change before
        ``publish_scene``, which also checks the text; that of synonyms is checked here
        (SYNONYMS_INVALID, which names lines). If it is the stored draft, nothing changes and the
        etag is not compared. Fails with ETAG_MISMATCH, SCENE_DOCUMENTS_FULL.

        Args:
            scene: Name of the scene: 1 to 64 of a-z, 0-9, _ and -, starting with a letter or
                digit; or "_synonyms".
            toml: The file (TOML), at most 64 KiB. Of synonyms: a rule a line, at most 5 MiB;
                empty: none.
            comment: Comment for others, up to 500 characters.
            etag: Required version of the document; "none": there is no document yet. Default:
                any.

        Raises:
            InvalidRequest: SYNONYMS_INVALID.
            Conflict: ETAG_MISMATCH.
            ResourceExhausted: SCENE_DOCUMENTS_FULL.
        """
        return from_wire.scene_document(
            await self._ask(
                self.calls.admin.WriteSceneDraft,
                admin_service_pb2.WriteSceneDraftRequest,
                timeout,
                scene=scene,
                toml=toml,
                comment=comment,
                etag=etag,
            )
        )

    async def publish_scene(
        self,
        scene: str,
        *,
        number: int = 0,
        comment: str = "",
        etag: str = "",
        in_advance: bool = False,
        publish_time: datetime | None = None,
        timeout: float | None = None,
    ) -> SceneDocument:
        """Publish the draft of a scene as its next version, or an earlier version again, which
        undoes later ones. The text is checked as by ``check_scene``, and rejected with
        SCENE_INVALID and all its problems. All gateways use it within 2 seconds; synonyms are used
        by all searches within 2 seconds, whatever steers the catalog. Without a draft, and for a
        text that the newest version has, nothing changes. With publish_time a version is planned,
        but for synonyms. There is one at a time: the next publication, planned or not, takes its
        place, and ``cancel_planned_scene`` cancels it. Where a planned text is invalid by its time,
        the former one stays in use, as ``list_scenes`` says. Fails with SCENE_DOCUMENT_NOT_FOUND
        (the document or the version), SCENES_FROM_FILES, ETAG_MISMATCH.

        Args:
            scene: Name of the scene.
            number: Version that is published again. Default: the draft.
            comment: Comment for others, up to 500 characters. Default: the comment of the draft
                or version.
            etag: Required version of the document. Default: any.
            in_advance: If true, a scene of a catalog that is steered by files is published too:
                it is in use once the catalog is steered by the record. Otherwise that is rejected
                with SCENES_FROM_FILES.
            publish_time: When it is published, within 366 days (UTC): it is planned until then,
                and the draft stays. Default, and a time that has passed: at once.

        Raises:
            InvalidRequest: SCENE_INVALID.
            NotFound: SCENE_DOCUMENT_NOT_FOUND.
            FailedPrecondition: SCENES_FROM_FILES.
            Conflict: ETAG_MISMATCH.
        """
        return from_wire.scene_document(
            await self._ask(
                self.calls.admin.PublishScene,
                admin_service_pb2.PublishSceneRequest,
                timeout,
                scene=scene,
                number=number,
                comment=comment,
                etag=etag,
                in_advance=in_advance,
                publish_time=publish_time,
            )
        )

    async def cancel_planned_scene(
        self, scene: str, *, etag: str = "", timeout: float | None = None
    ) -> SceneDocument:
        """Cancel what is planned of a scene. Its draft and its versions, that in use among them,
        stay; without a planned version nothing changes and the etag is not compared. Fails with
        ETAG_MISMATCH.

        Args:
            scene: Name of the scene.
            etag: Required version of the document. Default: any.

        Raises:
            Conflict: ETAG_MISMATCH.
        """
        return from_wire.scene_document(
            await self._ask(
                self.calls.admin.CancelPlannedScene,
                admin_service_pb2.CancelPlannedSceneRequest,
                timeout,
                scene=scene,
                etag=etag,
            )
        )

    async def delete_scene_document(
        self, scene: str, *, draft_only: bool = False, etag: str = "", timeout: float | None = None
    ) -> bool:
        """Delete a scene of the record with its draft and versions, or its draft alone. Requests
        that name the scene then get the built-in or shared one of that name, if any; of deleted
        synonyms searches use none. Fails with ETAG_MISMATCH.

        Args:
            scene: Name of the scene.
            draft_only: If true, only the draft is deleted, and a document without versions with
                it.
            etag: Required version of the document. Default: any.

        Raises:
            Conflict: ETAG_MISMATCH.
        """
        return (
            await self._ask(
                self.calls.admin.DeleteSceneDocument,
                admin_service_pb2.DeleteSceneDocumentRequest,
                timeout,
                scene=scene,
                draft_only=draft_only,
                etag=etag,
            )
        ).deleted
