"""From a training to a promotion: evidence, evaluations on request, forced promotions and
rollbacks.
"""

from datetime import UTC, datetime, timedelta

import pytest

from ranker.adapters.model_store import ModelStore
from ranker.adapters.retriever import Catalog
from ranker.learning.training.job import TrainingInputs, evaluate_again
from ranker.settings import TrainSettings
from servicekit.rpc.channel import connect
from sightline.common.v1 import event_pb2, job_pb2, job_service_pb2
from sightline.ranker.v1 import evaluation_pb2 as evaluations
from sightline.ranker.v1 import model_service_pb2 as pb
from tests.wire.ranker_suite import Suite, at_work, crowd, event, refusal, suite

pytestmark = pytest.mark.full

__all__ = ["suite"]

PEOPLE = 130
"""Number of people, above the minimum of a verdict."""


def shop(people: range = range(PEOPLE), *, various: bool = False) -> list[event_pb2.Event]:
    """Return events of people of whom half buy reds and half whites, an hour apart: four times the
    same one, then another, which nobody bought before, so that only a model knows that it is alike.
    `various`: another one of six each time."""
    return [
        event(
            f"{'rw'[person % 2]}"
            f"{(person // 2 + step) % 6 if various else step // 4 * (person // 2 % 5 + 1)}",
            "PURCHASE",
            ago=3600 * (6 - step) + person,
            event_id=f"b-{person}-{step}",
            shopper=event_pb2.Shopper(user_id=f"p-{person}"),
        )
        for person in people
        for step in range(5)
    ]


async def evaluate(suite: Suite, version: str) -> dict[str, str]:
    """Evaluate without a process of its own, which is quicker."""
    settings = TrainSettings()
    channel = connect(settings.retriever_target)
    workshop = TrainingInputs(suite.database, Catalog(channel), ModelStore(settings.model_store))
    job = await workshop.jobs.create("evaluate", "default", {"model_version": version})
    try:
        return await evaluate_again(job.id, workshop, lambda done, total: None)
    finally:
        await channel.close(None)


async def found(suite: Suite, version: str = "") -> evaluations.Evaluation:
    return await suite.models.GetEvaluation(pb.GetEvaluationRequest(model_version=version))


async def listed(suite: Suite) -> list[pb.Model]:
    answer = await suite.models.ListModels(pb.ListModelsRequest())
    night = answer.next_training_time.ToDatetime(UTC)
    assert timedelta() < night - datetime.now(UTC) <= timedelta(days=1)
    assert (night.hour, night.minute) == (3, 0)
    return list(answer.models)


async def test_too_little_evidence_is_shown_refused_and_served_by_popularity_until_it_is_forced(
    suite: Suite,
) -> None:
    await suite.append(*crowd())
    version = await suite.learn()
    reported = await found(suite)
    assert reported.model_version == version
    assert reported.verdict == evaluations.Evaluation.VERDICT_INCONCLUSIVE
    (model,) = await listed(suite)
    assert (model.verdict, model.verdict_summary) == (reported.verdict, reported.summary)

    refused = await refusal(suite.promote(version, force=False))
    assert refused.reason == "MODEL_UNPROVEN"
    assert reported.summary in refused.message
    answer = await suite.rank()
    assert (answer.model_version, [part.name for part in answer.parts]) == ("", ["popularity"])

    promoted = await suite.promote(version, force=True)
    assert promoted.forced
    assert (await suite.rank()).model_version == version
    again = await suite.promote(version, force=False)
    assert again.model_version == version


async def test_what_passes_serves_without_force_until_another_one_is_shown_to_be_no_worse(
    suite: Suite,
) -> None:
    await suite.append(*shop())
    first = await suite.learn()
    reported = await found(suite, first)
    assert reported.verdict == evaluations.Evaluation.VERDICT_PASSED, reported.summary
    assert reported.shopper_count == PEOPLE
    assert not (await suite.promote(first, force=False)).forced

    await suite.append(*shop(range(PEOPLE, PEOPLE + 40)))
    second = await suite.learn()
    against = await found(suite, second)
    assert against.production_version == first
    assert against.production_form == evaluations.Evaluation.PRODUCTION_FORM_REFITTED
    assert against.verdict == evaluations.Evaluation.VERDICT_PASSED, against.summary
    await suite.promote(second, force=False)

    # An evaluation without a serving model proves nothing against the second one.
    old = await refusal(suite.promote(first, force=False))
    assert (old.reason, second in old.message) == ("MODEL_UNPROVEN", True)
    result = await evaluate(suite, first)
    assert result == {"model_version": first, "verdict": "PASSED"}
    assert (await found(suite, first)).production_version == second
    await suite.promote(first, force=False)

    back = await suite.models.RollbackModel(pb.RollbackModelRequest())
    assert back.model_version == second
    assert (await suite.rank()).model_version == second


async def test_an_evaluation_adds_tails_and_compares_on_the_same_histories(suite: Suite) -> None:
    await suite.append(*shop(various=True))
    version = await suite.learn()
    await suite.promote(version)
    await evaluate(suite, version)
    reported = await found(suite, version)
    assert reported.production_version == ""  # it is not compared with itself
    assert [trial.protocol for trial in reported.trials] == [
        evaluations.EvaluationTrial.PROTOCOL_GLOBAL,
        evaluations.EvaluationTrial.PROTOCOL_PER_USER_TAIL,
    ]
    names = [system.name for system in reported.trials[0].systems]
    popular = ("popularity", "no model", "popularity of 7 days")
    assert names == ["candidate", *popular, "item-kNN", "EASE", "V-SKNN", "sequential rules"]
    tuned = [one.name for one in reported.trials[0].systems if one.settings]
    assert tuned == ["item-kNN", "EASE"]
    assert [one.against for one in reported.trials[0].order_tests] == [
        "candidate",
        "sequential rules",
    ]
    assert "order" in reported.findings[-1]
    for trial in reported.trials:
        counts = {
            figure.sample_count
            for system in trial.systems
            for part in system.slices
            if part.name == "regulars"
            for figure in part.figures
        }
        assert counts == {PEOPLE}


async def test_an_evaluation_is_a_job_of_the_worker(suite: Suite) -> None:
    await suite.append(*crowd())
    version = await suite.learn()
    async with at_work(suite):
        job = await suite.models.EvaluateModel(pb.EvaluateModelRequest(request_id="once"))
        same = await suite.models.EvaluateModel(pb.EvaluateModelRequest(request_id="once"))
        watch = job_service_pb2.WatchJobRequest(job_id=job.job_id)
        ended = [state async for state in suite.jobs.WatchJob(watch)][-1]
    assert (job.job_id, job.kind) == (same.job_id, "evaluate")
    assert ended.state == job_pb2.Job.STATE_SUCCEEDED
    results = {one.name: one.value for one in ended.results}
    assert results == {"model_version": version, "verdict": "INCONCLUSIVE"}
    assert len((await found(suite)).trials) == 2


@pytest.mark.parametrize("version", ["", "lfm-none"])
async def test_what_there_is_no_model_of_is_not_evaluated(suite: Suite, version: str) -> None:
    request = pb.EvaluateModelRequest(model_version=version)
    assert (await refusal(suite.models.EvaluateModel(request))).reason == "MODEL_NOT_FOUND"
    assert (await refusal(found(suite, version))).reason == "MODEL_NOT_FOUND"
