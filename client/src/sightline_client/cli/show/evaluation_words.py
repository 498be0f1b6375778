"""What an evaluation's figures mean, in the words that the terminal and the page share."""

from sightline_client.values import evaluation

FIGURES = {
    "ndcg@10": "nDCG@10: how many of the first ten places hold something that the shopper liked"
    " later, the first places counting most; 0 to 1. Verdicts rest on it.",
    "recall@10": "recall@10: share of what the shopper liked later that is among the first ten.",
    "precision@10": "precision@10: share of the first ten that the shopper liked later.",
    "map@10": "MAP@10: mean of the precisions at each hit among the first ten.",
    "mrr@10": "MRR@10: one over the place of the first hit; 0 without one.",
    "hit@10": "hit@10: share of shoppers with at least one hit among the first ten.",
    "auc": "AUC: chance that something liked later stands before something that is not; 0.5 is by"
    " chance.",
    "coverage@10": "coverage: share of the catalog that is among a shopper's first ten.",
    "novelty@10": "novelty: how rare a liking of the listed products is, in bits; more = rarer.",
    "diversity@10": "diversity: how unlike each other the first ten are by their features; 0 to 1.",
    "popularity@10": "popularity: share of shoppers who like a listed product.",
    "popularity_lift@10": "popularity lift: how much more popular the listed products are than what"
    " the shoppers like themselves; 0 = alike, above it is a bias to the popular.",
    "gini@10": "Gini: how unevenly the places go to products; 0 = evenly, 1 = all to one.",
}
"""The figures that are shown, in this order, and what each means."""

SLICES = {
    "regulars": "Shoppers with a history: what the verdict rests on.",
    "new_shoppers": "Shoppers without one, given their first three later interests and asked for"
    " the rest.",
    "new_items": "Regulars, measured on products that had no likes before.",
}

INTERVALS = (
    "Intervals are of 95%, by drawing shoppers anew (BCa bootstrap); coverage, Gini and lift are of"
    " all lists together and have none."
)

VERDICTS = {
    evaluation.EvaluationVerdict.PASSED: "better than popularity, and no worse than what serves",
    evaluation.EvaluationVerdict.FAILED: "surely worse than popularity or than what serves",
    evaluation.EvaluationVerdict.INCONCLUSIVE: "too little evidence: popularity and similarity, or"
    " the model that serves, go on serving",
    evaluation.EvaluationVerdict.UNKNOWN: "not evaluated",
}


def split(trial: evaluation.EvaluationTrial) -> str:
    """Say how the events were split."""
    counts = f"{trial.event_count_before:,} events to learn from, {trial.event_count_after:,} held"
    counts += f" out, {trial.product_count:,} products"
    if trial.protocol is evaluation.SplitProtocol.GLOBAL:
        moment = f" at {trial.split_time:%Y-%m-%d %H:%M}Z" if trial.split_time else ""
        return f"Global split in time{moment}: {counts}. No later event is used for any shopper."
    return (
        f"Per-user tails, the last {trial.share:.0%} of each shopper's events: {counts}. An"
        " appendix, for comparison with published figures: others' future is known."
    )


def production(value: evaluation.Evaluation) -> str:
    """Say what the candidate was compared with."""
    version = value.production_version
    if not version:
        return "No model served: the candidate has to be better than popularity."
    if value.production_form is evaluation.ProductionForm.REFITTED:
        return (
            f"In production: {version}, its recipe learned anew from the earlier events, as the"
            " model itself knows what is asked for."
        )
    return f"In production: {version}, as it serves; all that it knows is older than the split."


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
    """Say what the candidate had to show."""
    return f"no worse by {value.margin:.4f}" if value.margin else "better"


def role(kind: evaluation.SystemKind) -> str:
    """Name a system's role, for a page's classes and a table's style."""
    return kind.value.lower()
