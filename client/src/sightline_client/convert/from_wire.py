"""The contract's messages into plain values. A value that this client is too old to know becomes
UNKNOWN or UNSPECIFIED, never an error."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from types import MappingProxyType
from typing import TypeVar

from google.protobuf.duration_pb2 import Duration
from google.rpc import status_pb2
from google.type.money_pb2 import Money as MoneyMessage

from sightline.common.v1 import (
    answer_pb2,
    event_pb2,
    import_pb2,
    job_pb2,
    photo_pb2,
    product_pb2,
)
from sightline.gateway.v1 import admin_service_pb2 as admin
from sightline.gateway.v1 import catalog_service_pb2 as catalog
from sightline.gateway.v1 import recommendation_service_pb2 as rec
from sightline.gateway.v1 import user_event_service_pb2 as user_event
from sightline.ranker.v1 import evaluation_pb2, model_service_pb2, recipe_pb2
from sightline.retriever.v1 import backup_service_pb2, index_service_pb2
from sightline_client import errors
from sightline_client.convert.wire_values import member as _member
from sightline_client.convert.wire_values import time as _time
from sightline_client.values import answers, events, operations, signals, trainings
from sightline_client.values import catalog as catalogue
from sightline_client.values.evaluation import Verdict

E = TypeVar("E", bound=StrEnum)

_EVENT_TYPES: Mapping[int, events.EventType] = MappingProxyType(
    {event_pb2.EventType.Value(f"EVENT_TYPE_{one}"): one for one in events.EventType}
)


def recommendations(message: rec.RecommendResponse) -> answers.Recommendations:
    """An answer of Recommend."""
    return answers.Recommendations(
        results=tuple(_recommended(item) for item in message.results),
        no_good_match=message.no_good_match,
        degradations=degradations(message.degradations),
        stage_timings=_timings(message.stage_timings),
        versions=versions(message.versions),
        freshness=freshness(message.freshness) if message.HasField("freshness") else None,
        missing_product_ids=tuple(message.missing_product_ids),
        hidden_count=message.hidden_count,
        attribution_token=message.attribution_token,
        next_page_token=message.next_page_token,
        request_id=message.request_id,
        subjects=_subjects(message.subjects),
    )


def found(message: rec.SearchResponse) -> answers.Found:
    """An answer of Search."""
    return answers.Found(
        results=tuple(
            answers.FoundProduct(
                product=product(item.product),
                rank=item.rank,
                similarity=item.similarity,
                matched_image_id=item.matched_image_id,
                collapsed_product_ids=tuple(item.collapsed_product_ids),
            )
            for item in message.results
        ),
        degradations=degradations(message.degradations),
        stage_timings=_timings(message.stage_timings),
        versions=versions(message.versions),
        freshness=freshness(message.freshness) if message.HasField("freshness") else None,
        request_id=message.request_id,
        subjects=_subjects(message.subjects),
    )


def _subjects(messages: Iterable[rec.SignalSubject]) -> dict[int, signals.Subject]:
    return {item.signal: subject(item.subject) for item in messages}


def subject(message: photo_pb2.Subject) -> signals.Subject:
    """What a photo shows most of."""
    return signals.Subject(_box(message.box), tuple(_box(item) for item in message.alternatives))


def _box(message: photo_pb2.Box) -> signals.Box:
    return signals.Box(message.left, message.top, message.right, message.bottom)


def category_guess(message: photo_pb2.CategoryGuess) -> catalogue.CategoryGuess:
    """A category that a photo may be of."""
    return catalogue.CategoryGuess(tuple(message.category_path), message.probability)


def _doubt(message: product_pb2.CategoryDoubt) -> catalogue.CategoryDoubt:
    return catalogue.CategoryDoubt(
        image_id=message.image_id,
        probability=message.probability,
        instead=category_guess(message.instead) if message.HasField("instead") else None,
        space_version=message.space_version,
    )


def product(message: product_pb2.Product) -> catalogue.Product:
    """A product as the catalogue knows it."""
    return catalogue.Product(
        product_id=message.product_id,
        title=message.title,
        parent_id=message.parent_id,
        description=message.description,
        category_path=tuple(message.category_path),
        brand=message.brand,
        price=money(message.price) if message.HasField("price") else None,
        availability=_availability(message.availability),
        tags=tuple(message.tags),
        attributes=tuple(_attribute(item) for item in message.attributes),
        images=tuple(image(item) for item in message.images),
        language=message.language_code,
        uri=message.uri,
        create_time=_time(message.create_time) if message.HasField("create_time") else None,
        update_time=_time(message.update_time) if message.HasField("update_time") else None,
        etag=message.etag,
        category_doubt=(
            _doubt(message.category_doubt) if message.HasField("category_doubt") else None
        ),
    )


def image(message: product_pb2.ProductImage) -> catalogue.ProductImage:
    """A photo, with its bytes where they were sent."""
    return catalogue.ProductImage(
        content=message.content,
        image_id=message.image_id,
        media_type=message.media_type,
        width=message.width,
        height=message.height,
    )


def money(message: MoneyMessage) -> catalogue.Money:
    """Exact: units and nanos are integers."""
    amount = Decimal(message.units) + Decimal(message.nanos).scaleb(-9)
    return catalogue.Money(amount, message.currency_code)


def upsert_outcomes(
    messages: Iterable[catalog.UpsertResult],
) -> tuple[catalogue.UpsertOutcome, ...]:
    """What became of the products of a batch."""
    return tuple(
        catalogue.UpsertOutcome(
            product_id=item.product_id,
            etag=item.etag,
            image_ids=tuple(item.image_ids),
            error=_error(item.status),
        )
        for item in messages
    )


def deletion(message: catalog.DeleteProductsResponse) -> catalogue.Deletion:
    """What was deleted."""
    return catalogue.Deletion(message.deleted_count, message.index_token)


def product_purge(message: catalog.PurgeProductsResponse) -> operations.ProductPurge:
    """What is, or would be, deleted."""
    return operations.ProductPurge(
        product_count=message.product_count,
        sample_product_ids=tuple(message.sample_product_ids),
        job=job(message.job) if message.HasField("job") else None,
    )


def offer_batch(
    product_ids: Sequence[str], message: catalog.UpdateOffersResponse, done: int
) -> catalogue.OfferBatch:
    """What became of the offers of a batch; ``done`` is the count of all settled ones."""
    failures = tuple(
        catalogue.OfferFailure(product_id, error)
        for product_id, status in zip(product_ids, message.statuses, strict=True)
        if (error := _error(status)) is not None
    )
    stored = len(product_ids) - len(failures)
    return catalogue.OfferBatch(stored, failures, message.index_token, done)


def import_state(message: import_pb2.ImportState) -> catalogue.ImportState:
    """How far an import is."""
    full = message.mode == import_pb2.IMPORT_MODE_FULL
    return catalogue.ImportState(
        import_id=message.import_id,
        mode=catalogue.ImportMode.FULL if full else catalogue.ImportMode.INCREMENTAL,
        rows_done=message.rows_done,
        stored_count=message.stored_count,
        refused_count=message.refused_count,
        closed=message.closed,
    )


def import_close(message: catalog.CloseImportResponse) -> operations.ImportClose:
    """What an ended import deletes."""
    return operations.ImportClose(
        state=import_state(message.state),
        delete_count=message.delete_count,
        sample_product_ids=tuple(message.sample_product_ids),
        job=job(message.job) if message.HasField("job") else None,
    )


def event_purge(message: user_event.PurgeEventsResponse) -> events.EventPurge:
    """What is, or would be, deleted."""
    has_first, has_last = (
        message.HasField("first_event_time"),
        message.HasField("last_event_time"),
    )
    return events.EventPurge(
        event_count=message.event_count,
        first_event_time=_time(message.first_event_time) if has_first else None,
        last_event_time=_time(message.last_event_time) if has_last else None,
        job=job(message.job) if message.HasField("job") else None,
    )


def event_batch(
    event_ids: Sequence[str], message: user_event.WriteEventsResponse, done: int
) -> events.EventBatch:
    """What became of the events of a batch; ``done`` is the count of all settled ones."""
    failures = (
        events.EventFailure(event_id, error)
        for event_id, status in zip(event_ids, message.statuses, strict=True)
        if (error := _error(status)) is not None
    )
    return events.EventBatch(message.written_count, message.duplicate_count, tuple(failures), done)


def job(message: job_pb2.Job) -> operations.Job:
    """A job as it stands."""
    return operations.Job(
        job_id=message.job_id,
        kind=message.kind,
        catalog=message.catalog_id,
        state=_job_state(message.state),
        done=message.done,
        total=message.total,
        error=_error(message.error),
        results=MappingProxyType({item.name: item.value for item in message.results}),
        create_time=_time(message.create_time) if message.HasField("create_time") else None,
        start_time=_time(message.start_time) if message.HasField("start_time") else None,
        end_time=_time(message.end_time) if message.HasField("end_time") else None,
    )


def backup(message: backup_service_pb2.Backup) -> operations.Backup:
    """A backup of a list."""
    return operations.Backup(
        backup_id=message.backup_id,
        catalog=message.catalog_id,
        create_time=_time(message.create_time) if message.HasField("create_time") else None,
        size=message.size,
        product_count=message.product_count,
        image_count=message.image_count,
        vector_count=message.vector_count,
        spaces=tuple(_space(space) for space in message.spaces),
        service_version=message.service_version,
        error=_error(message.status),
    )


def model(message: model_service_pb2.Model) -> operations.Model:
    """A ranking model."""
    return operations.Model(
        model_version=message.model_version,
        promoted=message.state == model_service_pb2.Model.STATE_PROMOTED,
        train_time=_time(message.train_time) if message.HasField("train_time") else None,
        promote_time=_time(message.promote_time) if message.HasField("promote_time") else None,
        event_count=message.event_count,
        shopper_count=message.shopper_count,
        product_count=message.product_count,
        first_event_time=_time(message.first_event_time)
        if message.HasField("first_event_time")
        else None,
        last_event_time=_time(message.last_event_time)
        if message.HasField("last_event_time")
        else None,
        metrics=tuple(
            operations.Metric(item.name, item.value, item.sample_count) for item in message.metrics
        ),
        verdict=_member(Verdict, evaluation_pb2.Evaluation.Verdict, message.verdict, "VERDICT_"),
        verdict_summary=message.verdict_summary,
        forced=message.forced,
        pruned=message.state == model_service_pb2.Model.STATE_PRUNED,
        recipe=_recipe(message.recipe) if message.HasField("recipe") else None,
        seed=message.seed,
        blend={one.part: one.weight for one in message.blend},
        blend_learned_from=message.blend_learned_from,
        additions=tuple(map(_addition, message.additions)),
        base_version=message.base_version,
        search_trial_count=message.search_trial_count,
    )


def _recipe(message: recipe_pb2.Recipe) -> trainings.TrainingRecipe:
    given = {field.name: value for field, value in message.ListFields()}
    known = {field.name for field in fields(trainings.TrainingRecipe)}
    values = {name: value for name, value in given.items() if name in known}
    return trainings.TrainingRecipe(
        **values
        | {
            "loss": _member(trainings.TrainingLoss, recipe_pb2.Recipe.Loss, message.loss, "LOSS_"),
            "item_item": _member(
                trainings.ItemItem, recipe_pb2.Recipe.ItemItem, message.item_item, "ITEM_ITEM_"
            ),
            "attribute_keys": tuple(message.attribute_keys),
        }
    )


def _addition(message: recipe_pb2.PartAddition) -> trainings.PartAddition:
    kinds = recipe_pb2.PartAddition.Verdict
    return trainings.PartAddition(
        part=message.part,
        metric=message.metric,
        with_it=message.with_it,
        without=message.without,
        addition=message.addition,
        low=message.low,
        high=message.high,
        shopper_count=message.shopper_count,
        verdict=_member(trainings.PartVerdict, kinds, message.verdict, "VERDICT_"),
    )


def generation(message: index_service_pb2.Generation) -> operations.Generation:
    """An index generation."""
    parameters = message.parameters
    return operations.Generation(
        name=message.name,
        space=message.space,
        space_version=message.space_version,
        dimension=message.dimension,
        metric=_member(operations.IndexMetric, index_service_pb2.Metric, message.metric, "METRIC_"),
        parameters=operations.IndexParameters(
            kind=_member(
                operations.IndexKind,
                index_service_pb2.IndexParameters.Kind,
                parameters.kind,
                "KIND_",
            ),
            m=parameters.m,
            ef_construction=parameters.ef_construction,
            ef=parameters.ef,
            partitions=parameters.partitions,
        ),
        state=_member(
            operations.GenerationState,
            index_service_pb2.Generation.State,
            message.state,
            "STATE_",
        ),
        active=message.active,
        previous=message.previous,
        indexed_count=_count(message.indexed_count),
        pending_count=_count(message.pending_count),
        failed_count=_count(message.failed_count),
        verification=_verification(message.verification)
        if message.HasField("verification")
        else None,
        create_time=_time(message.create_time) if message.HasField("create_time") else None,
        activate_time=_time(message.activate_time) if message.HasField("activate_time") else None,
        forced=message.forced,
    )


def _verification(message: index_service_pb2.Verification) -> operations.Verification:
    return operations.Verification(
        passed=message.passed,
        findings=tuple(message.findings),
        sample_count=message.sample_count,
        least_agreement=message.least_agreement,
        recall=message.recall,
        filtered_recall=message.filtered_recall if message.HasField("filtered_recall") else None,
        k=message.k,
        record_count=message.record_count,
        index_count=message.index_count,
        unsound_count=message.unsound_count,
        end_time=_time(message.end_time) if message.HasField("end_time") else None,
    )


def status(message: admin.GetStatusResponse) -> operations.Status:
    """How the suite is."""
    has_space = message.HasField("visual_space")
    return operations.Status(
        components=tuple(
            operations.ComponentStatus(
                component=item.component,
                error=_error(item.status),
                latency=_span(item.latency) if item.HasField("latency") else None,
                version=item.version,
            )
            for item in message.components
        ),
        visual_space=_space(message.visual_space) if has_space else None,
        embedder_space_version=message.embedder_space_version,
        products=_count(message.products),
        indexed_images=_count(message.indexed_images),
        pending_images=_count(message.pending_images),
        failed_images=_count(message.failed_images),
        indexed_texts=_count(message.indexed_texts),
        pending_texts=_count(message.pending_texts),
        failed_texts=_count(message.failed_texts),
        freshness=freshness(message.freshness) if message.HasField("freshness") else None,
        model_version=message.model_version,
        scenes=tuple(message.scenes),
        advice=tuple(message.advice),
        embedder_spaces=tuple(
            operations.EmbedderSpace(
                space=item.space,
                version=item.version,
                model=item.model,
                dimension=item.dimension,
                ready=item.ready,
                default=item.default_version,
            )
            for item in message.embedder_spaces
        ),
        recall=tuple(map(_recall, message.recall)),
    )


def _recall(message: answer_pb2.RecallEstimate) -> operations.RecallEstimate:
    return operations.RecallEstimate(
        plan=message.plan,
        filter_class=message.filter_class,
        k=message.k,
        recall=message.recall,
        lower=message.lower,
        upper=message.upper,
        search_count=message.search_count,
        row_count=message.row_count,
        below_floor=message.below_floor,
        ef_factor=message.ef_factor,
    )


def freshness(message: answer_pb2.IndexFreshness) -> answers.Freshness:
    """How fresh the index is."""
    micros = message.index_time_micros
    return answers.Freshness(
        index_token=message.index_token,
        lag=_span(message.index_lag),
        time=_instant(micros) if micros else None,
        pending=message.pending,
    )


def _recommended(message: rec.RecommendedProduct) -> answers.RecommendedProduct:
    return answers.RecommendedProduct(
        product=product(message.product),
        rank=message.rank,
        raw_score=message.raw_score,
        parts=parts(message.parts),
        reasons=reasons(message.reasons),
        matched_image_id=message.matched_image_id,
        branches=tuple(message.branches),
        collapsed_product_ids=tuple(message.collapsed_product_ids),
        score=message.score if message.HasField("score") else None,
        score_event=_EVENT_TYPES.get(message.score_event),
        score_rank=message.score_rank,
        moves=moves(message.moves),
    )


def parts(messages: Iterable[answer_pb2.ScorePart]) -> tuple[answers.ScorePart, ...]:
    """The parts of a score."""
    return tuple(
        answers.ScorePart(
            name=item.name,
            value=item.value,
            features=tuple(answers.ScoreFeature(one.name, one.value) for one in item.features),
        )
        for item in messages
    )


def moves(messages: Iterable[answer_pb2.Move]) -> tuple[answers.Move, ...]:
    """What moved a product."""
    return tuple(
        answers.Move(
            _member(answers.MoveCause, answer_pb2.Move.Cause, item.cause, "CAUSE_"), item.places
        )
        for item in messages
    )


def reasons(messages: Iterable[answer_pb2.Reason]) -> tuple[answers.Reason, ...]:
    """Why a product is in an answer."""
    return tuple(
        answers.Reason(
            code=item.code,
            text=item.text,
            parameters=MappingProxyType({p.name: p.value for p in item.parameters}),
        )
        for item in messages
    )


def degradations(messages: Iterable[answer_pb2.Degradation]) -> tuple[answers.Degradation, ...]:
    """What was lost on the way."""
    return tuple(
        answers.Degradation(item.stage, _cause(item.cause), item.substitute) for item in messages
    )


def _timings(messages: Iterable[answer_pb2.StageTiming]) -> tuple[answers.StageTiming, ...]:
    return tuple(
        answers.StageTiming(
            stage=item.stage,
            start=_span(item.start),
            total=_span(item.total),
            network=_span(item.network) if item.HasField("network") else None,
            work=_span(item.work) if item.HasField("work") else None,
        )
        for item in messages
    )


def versions(message: answer_pb2.Versions) -> answers.Versions:
    """Which versions made an answer."""
    return answers.Versions(
        spaces=tuple(_space(item) for item in message.spaces),
        model_version=message.model_version,
        scene=message.scene,
        scene_version=message.scene_version,
        plan=message.plan,
        service_version=message.service_version,
    )


def _space(message: answer_pb2.SpaceVersion) -> answers.SpaceVersion:
    return answers.SpaceVersion(message.space, message.version, message.generation)


def _attribute(message: product_pb2.Attribute) -> catalogue.Attribute:
    kind = message.WhichOneof("value")
    if kind == "number":
        return catalogue.Attribute(message.key, message.number)
    if kind == "flag":
        return catalogue.Attribute(message.key, message.flag)
    return catalogue.Attribute(message.key, message.text)


def _availability(value: product_pb2.Availability.ValueType) -> catalogue.Availability:
    if value not in product_pb2.Availability.values():
        return catalogue.Availability.UNSPECIFIED
    name = product_pb2.Availability.Name(value).removeprefix("AVAILABILITY_")
    return catalogue.Availability(name)


def _cause(value: answer_pb2.Degradation.Cause.ValueType) -> answers.Cause:
    known = value in answer_pb2.Degradation.Cause.values()
    name = answer_pb2.Degradation.Cause.Name(value).removeprefix("CAUSE_") if known else "UNKNOWN"
    return answers.Cause(name) if name in answers.Cause.__members__ else answers.Cause.UNKNOWN


def _job_state(value: job_pb2.Job.State.ValueType) -> operations.JobState:
    return _member(operations.JobState, job_pb2.Job.State, value, "STATE_")


def _error(message: status_pb2.Status) -> errors.SightlineError | None:
    return errors.from_status(message) if message.code else None


def _count(value: int) -> int | None:
    return None if value < 0 else value


def _instant(micros: int) -> datetime | None:
    """Microseconds since 1970 as a time; None for what no datetime can hold."""
    try:
        return datetime.fromtimestamp(0, UTC) + timedelta(microseconds=micros)
    except OverflowError:
        return None


def _span(value: Duration) -> timedelta:
    """What a timedelta can't hold becomes the longest that it can."""
    try:
        return value.ToTimedelta()
    except (OverflowError, ValueError):
        return timedelta.max if value.seconds > 0 else timedelta.min
