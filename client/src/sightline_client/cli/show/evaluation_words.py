"""Explanations of an evaluation's figures, shared by the terminal and the page."""

from sightline_client.cli.language import _, later
from sightline_client.values import evaluation

FIGURES = {
    "ndcg@10": "nDCG@10: share of the first ten positions with products that the shopper liked"
    " later, the first positions weighted most; 0 to 1. It decides the verdict.",
    "recall@10": "recall@10: share of the products liked later that are among the first ten.",
    "precision@10": "precision@10: share of the first ten that the shopper liked later.",
    "map@10": "MAP@10: mean of the precisions at each hit among the first ten.",
    "mrr@10": "MRR@10: 1 ÷ position of the first hit; 0 without a hit.",
    "hit@10": "hit@10: share of shoppers with at least one hit among the first ten.",
    "auc": "AUC: probability that a product liked later is ranked before one that was not; 0.5 ="
    " random order.",
    "coverage@10": "coverage: share of the catalog that is among the first ten of any shopper.",
    "novelty@10": "novelty: how rarely the listed products are liked, in bits; higher = rarer.",
    "diversity@10": "diversity: how different the features of the first ten are; 0 to 1.",
    "popularity@10": "popularity: share of shoppers who like a listed product.",
    "popularity_lift@10": "popularity lift: how much more popular the listed products are than"
    " those that the shoppers like; 0 = equal, positive = bias towards popular products.",
    "gini@10": "Gini: inequality of the products' numbers of positions; 0 = all equal, 1 = one"
    " product has all.",
}
"""Explanation of each figure, in the order of display."""

SHORT = {
    "coverage@10": later("coverage"),
    "popularity@10": later("popularity"),
    "ndcg@10": "nDCG@10",
}
"""Names of figures on the axes of plots."""

SLICES = {
    "regulars": "Shoppers with a history; they decide the verdict.",
    "new_shoppers": "Shoppers without a history: three held-out interests"
    " are given, the others are predicted.",
    "new_items": "Shoppers with a history, measured on products without earlier likes.",
}

INTERVALS = later(
    "Intervals are of 95%, by a BCa bootstrap over shoppers; coverage, Gini and lift are computed"
    " over all lists and have none."
)

VERDICTS = {
    evaluation.EvaluationVerdict.PASSED: "better than the answers without a model,"
    " no worse than the serving model",
    evaluation.EvaluationVerdict.FAILED: "significantly worse than the answers without a"
    " model, or than the serving model",
    evaluation.EvaluationVerdict.INCONCLUSIVE: "not shown to be better than the answers"
    " without a model: these, or the serving model, stay in use",
    evaluation.EvaluationVerdict.UNKNOWN: "not evaluated",
}


def advice(value: evaluation.Evaluation) -> str:
    """Say in a sentence what to do with the model."""
    verdict = value.verdict
    if verdict is evaluation.EvaluationVerdict.PASSED:
        if value.production_version:
            return _("Promote: better than no model, and no worse than the serving one.")
        return _("Promote: better than no model.")
    if verdict is evaluation.EvaluationVerdict.FAILED:
        return _("Do not promote: worse than no model, or than the serving one.")
    if verdict is evaluation.EvaluationVerdict.UNKNOWN:
        return _("Not evaluated.")
    return _(
        "Do not promote: no difference is proven by {count:,} returning shoppers.",
        count=value.shopper_count,
    )


def short(name: str) -> str:
    """Return a figure's name without its cutoff, such as "coverage"."""
    return _(SHORT.get(name, name))


def split(trial: evaluation.EvaluationTrial) -> str:
    """Say how the events were split."""
    counts = _(
        "{before:,} events to train on, {after:,} held out, {products:,} products",
        before=trial.event_count_before,
        after=trial.event_count_after,
        products=trial.product_count,
    )
    if trial.protocol is evaluation.SplitProtocol.GLOBAL:
        moment = _(" at {split_time:%Y-%m-%d %H:%M}Z", trial) if trial.split_time else ""
        return _(
            "Global split in time{moment}: {counts}. No later event is used for any shopper.",
            moment=moment,
            counts=counts,
        )
    return _(
        "Per-user tails, the last {share:.0%} of each shopper's events: {counts}. Only "
        "for comparison with published figures: later events of other shoppers are "
        "trained on.",
        trial,
        counts=counts,
    )


def production(value: evaluation.Evaluation) -> str:
    """Say what the candidate was compared with."""
    version = value.production_version
    if not version:
        return _("No model served: the candidate has to be better than the answers without one.")
    if value.production_form is evaluation.ProductionForm.REFITTED:
        return _(
            "In production: {version}, trained again on the earlier events, because the "
            "serving model was trained on held-out ones.",
            version=version,
        )
    return _(
        "In production: {version}, as it serves; it was trained on events before the split only.",
        version=version,
    )


def figure(value: evaluation.EvaluationFigure | None, *, interval: bool = True) -> str:
    """Write a figure with its interval."""
    if value is None:
        return "–"
    digits = 2 if value.name.startswith("novelty") else 3
    text = f"{value.value:.{digits}f}"
    if interval and value.low is not None and value.high is not None:
        text += f" [{value.low:.{digits}f}, {value.high:.{digits}f}]"
    return text


def asked(value: evaluation.EvaluationComparison) -> str:
    """Say what the candidate had to achieve."""
    return _("at most {margin:.4f} worse", value) if value.margin else _("better")


def role(kind: evaluation.SystemKind) -> str:
    """Name a system's role, for a page's classes and a table's style."""
    return kind.value.lower()
