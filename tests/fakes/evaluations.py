"""An evaluation of a small shop, as the wire has it."""

from sightline.ranker.v1 import evaluation_pb2 as pb

SYSTEMS = {
    "candidate": pb.EvaluatedSystem.KIND_CANDIDATE,
    "production": pb.EvaluatedSystem.KIND_PRODUCTION,
    "popularity": pb.EvaluatedSystem.KIND_BASELINE,
    "<b>EASE</b>": pb.EvaluatedSystem.KIND_BASELINE,
}
"""One has a name that a page must not take for its own."""
FIGURES = ("ndcg@10", "recall@10", "hit@10", "mrr@10", "auc", "novelty@10", "popularity@10")


def evaluation() -> pb.Evaluation:
    """Return an evaluation with two splits, four systems and too little evidence."""
    found = pb.Evaluation(
        model_version="lfm-1",
        verdict=pb.Evaluation.VERDICT_INCONCLUSIVE,
        summary="Only 56 shoppers could be asked.",
        production_version="lfm-0",
        production_form=pb.Evaluation.PRODUCTION_FORM_REFITTED,
        shopper_count=56,
        trials=[_trial(one) for one in (1, 2)],
        findings=["<b>EASE</b> is better than the candidate by ndcg@10."],
    )
    found.evaluate_time.seconds = 1_790_000_000
    return found


def _trial(protocol: pb.EvaluationTrial.Protocol.ValueType) -> pb.EvaluationTrial:
    trial = pb.EvaluationTrial(
        protocol=protocol,
        share=0.2,
        event_count_before=800,
        event_count_after=200,
        product_count=100,
        systems=[_system(place, *named) for place, named in enumerate(SYSTEMS.items())],
        comparisons=[_comparison(name) for name in list(SYSTEMS)[1:]],
    )
    if protocol == pb.EvaluationTrial.PROTOCOL_GLOBAL:
        trial.split_time.seconds = 1_780_000_000
    return trial


def _system(place: int, name: str, kind: pb.EvaluatedSystem.Kind.ValueType) -> pb.EvaluatedSystem:
    figures = [
        pb.EvaluationFigure(
            name=one, value=0.4 - place / 10, low=0.3 - place / 10, high=0.5, sample_count=56
        )
        for one in FIGURES
    ]
    whole = {"coverage@10": 0.87, "popularity_lift@10": -0.2}
    figures += [
        pb.EvaluationFigure(name=one, value=value, sample_count=56) for one, value in whole.items()
    ]
    return pb.EvaluatedSystem(
        name=name,
        kind=kind,
        settings="λ 350, last 10 products" if "EASE" in name else "",
        slices=[
            pb.EvaluationSlice(name="regulars", figures=figures),
            pb.EvaluationSlice(name="new_shoppers"),
        ],
        exposures=[
            pb.BrandExposure(brand="Bodega", place_share=0.5, product_share=0.1, interest_share=0.2)
        ],
    )


def _comparison(against: str) -> pb.EvaluationComparison:
    margin = 0.012 if against == "production" else 0.0
    decides = against in ("production", "popularity")
    return pb.EvaluationComparison(
        against=against,
        metric="ndcg@10",
        difference=0.115,
        low=0.045,
        high=0.208,
        smallest_effect=0.116,
        margin=margin,
        verdict=pb.Evaluation.VERDICT_INCONCLUSIVE,
        decides=decides,
    )
