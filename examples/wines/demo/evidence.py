"""The last scene but one: the evaluation of a new model, which is not promoted."""

from examples.wines.demo.model import DemoFailed, Figures, Scene, require
from sightline_client import (
    Evaluation,
    EvaluationTrial,
    EvaluationVerdict,
    FailedPrecondition,
    SightlineClient,
)
from sightline_client.cli.show import evaluation_words as words

SHOWN = ("ndcg@10", "hit@10", "auc", "coverage@10", "diversity@10", "popularity@10")
UNPROVEN = "MODEL_UNPROVEN"


async def evidence(client: SightlineClient, model_version: str) -> Scene:
    """Show scene 6: the model's evaluation, and its rejected promotion."""
    found = await client.get_evaluation(model_version)
    require(
        found.verdict is not EvaluationVerdict.PASSED,
        f"so few people can prove nothing, but the verdict is {found.verdict}",
    )
    refusal = await _refusal(client, model_version)
    trial = found.trials[0]
    return Scene(
        title="6. Is a trained model proven better?",
        intro="The training measured its own recipe on the last fifth of the ratings in time, which"
        " it had not seen, beside classic recommenders. A model serves only when it is shown"
        " to be better than the answers without one.",
        figures=(_figures(found, trial), _differences(trial)),
        findings=(
            f"The verdict is {found.verdict}. {found.summary}",
            f"Its promotion was refused ({refusal}). The shop goes on as before: answers follow"
            " what each shopper did.",
        ),
    )


async def _refusal(client: SightlineClient, model_version: str) -> str:
    try:
        await client.promote_model(model_version)
    except FailedPrecondition as error:
        if error.reason != UNPROVEN:
            raise
        return error.reason
    raise DemoFailed("a model without evidence was promoted without force")


def _figures(found: Evaluation, trial: EvaluationTrial) -> Figures:
    rows = []
    for system in trial.systems:
        part = system.slice("regulars")
        figures = [part.figure(name) if part else None for name in SHOWN]
        rows.append(
            (system.name, *(words.figure(one, interval=one is figures[0]) for one in figures))
        )
    meanings = " ".join(words.FIGURES[name] for name in SHOWN)
    return Figures(
        title=f"What {found.shopper_count} people with a history liked later",
        headers=("", *(words.FIGURES[name].partition(":")[0] for name in SHOWN)),
        rows=tuple(rows),
        caption=f"{words.split(trial)} {meanings} {words.INTERVALS}",
    )


def _differences(trial: EvaluationTrial) -> Figures:
    return Figures(
        title="The model's nDCG@10 less each other's, over the same people",
        headers=("against", "difference", "95% interval", "smallest effect"),
        rows=tuple(
            (
                one.against,
                f"{one.difference:+.4f}",
                f"{one.low:+.4f} to {one.high:+.4f}",
                "–" if one.smallest_effect is None else f"{one.smallest_effect:.4f}",
            )
            for one in trial.comparisons
        ),
        caption="Smallest effect: the smallest true difference that so many people would show in"
        " four of five such measurements.",
    )
