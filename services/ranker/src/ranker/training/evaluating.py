"""An evaluation as a job: measures the recipe of a model on what happened until now.

Unlike in a training, where it rests on the global split alone, there are per-user tails beside it,
and the model is compared with the one that serves now.
"""

from dataclasses import replace

from ranker.domain.errors import DataInsufficient
from ranker.domain.log import Log
from ranker.domain.model import Model
from ranker.evaluation.evaluate import Options, evaluate
from ranker.training.fitting import Progress, fitted
from ranker.training.job import Workshop, attributes_used, recipe_in
from servicekit.jobs import now_micros


async def run(job_id: str, workshop: Workshop, progress: Progress) -> dict[str, str]:
    """Evaluate for the job and keep what was found; the model's version and the verdict.

    ModelNotFound, ModelCorrupt, DataInsufficient when there is no event at all.
    """
    job = await workshop.jobs.get(job_id)
    model = await workshop.registry.get(job.catalog_id, str(job.params["model_version"]))
    manifest = workshop.store.manifest(job.catalog_id, model.version, model.manifest_sha256)
    recipe = recipe_in(manifest)
    given = await workshop.given(job.catalog_id)
    if not len(given.log):
        raise DataInsufficient("there are no events to measure by")
    production = await workshop.production(job.catalog_id, given)
    if production is not None and production.version == model.version:
        production = None  # nothing is learned from comparing it with itself
    subject = given if attributes_used(manifest) else replace(given, attributes={})

    def fit(log: Log) -> Model:
        return fitted(subject.at(log), recipe).model

    report = evaluate(
        given.log,
        given.products,
        fit,
        production,
        Options(signals=recipe.signals, attribute_keys=recipe.attribute_keys, seed=recipe.seed),
        progress=progress,
        now_micros=now_micros(),
    )
    await workshop.evaluations.put(job.catalog_id, model.version, report)
    return {"model_version": model.version, "verdict": report.verdict.value}
