"""The verdict on a model: whether the evidence suffices to serve it.

On the global split's shoppers, by nDCG@10 and paired intervals of 95%:

- against the model in production it has to be **no worse** than a margin: the whole interval of the
  difference lies above −margin × production's figure. Without production, this is not tested.
- against popularity, and against the answers without a model (baselines.untrained), it has to be
  **better**: the whole interval lies above 0. A model that can't be told apart from none serves
  nobody.
- against the best of the promoted models it has to be no worse than the same margin, for which the
  largest margin over popularity that one of them was shown to have is added to popularity's figures
  of today. Production may be a little worse each night; all nights together may not. The figures
  are of different days, so it is FAILED if the whole interval is below the margin, and PASSED
  otherwise: chance refuses no model.

A whole interval on the wrong side is FAILED. Everything between is INCONCLUSIVE. Only PASSED models
are promoted without force.

**Fewer than LEAST_SHOPPERS.** With most shoppers at 0, 95% intervals of the bootstrap contained the
true value in .83 to .91 of simulated cases with 10 to 50 shoppers, and in .94 with 100. Below, the
interval is `bootstrap.of_few`, which counts one more shopper, for whom the model was as bad as can
be: of models that are no better at most .025 pass, and at most .07 in all nights together of a shop
that grows to LEAST_SHOPPERS (`make lab BENCH=small_shops`). The price is power: with 6 shoppers
only a perfect model passes. Production is then not worse if the difference itself is within the
margin and the interval does not refute it: so few shoppers could never show more, the first model
would stay for ever, and each later one still has to be better than none.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from ranker.domain.arrays import Doubles
from ranker.domain.model import ModelVerdict
from ranker.domain.report import (
    POPULARITY,
    UNTRAINED,
    ProvenMargin,
    SplitReport,
    SystemComparison,
    SystemKind,
)
from ranker.learning.evaluation import bootstrap, metrics
from ranker.learning.evaluation.baselines import RECENT

METRIC = metrics.DECISIVE
"""The decisive metric."""
MARGIN = 0.05
"""Tolerated deficit as a share of production's figure. Retraining with another seed changes nDCG@10
by about 2% on MovieLens-100k."""
BEST = "best promoted"
"""Name of the best promoted model in comparisons."""
LEAST_SHOPPERS = 100
"""Number of shoppers from which the intervals of the bootstrap are wide enough."""
_POWER = f"{bootstrap.POWER:.0%}"


def compare(
    against: str,
    candidate: Doubles,
    other: Doubles,
    *,
    margin: float,
    decides: bool,
    seed: int = 0,
) -> SystemComparison:
    """Compare two systems by figures of the same shoppers, (shoppers,), at least one. `margin`:
    the share of the other's mean that the candidate may lose; 0: it has to be better."""
    differences = candidate - other
    low, high = _interval_of(differences, seed)
    floor = -margin * float(other.mean())
    smallest = bootstrap.smallest_effect(differences)
    return SystemComparison(
        against=against,
        metric=METRIC,
        difference=float(differences.mean()),
        low=low,
        high=high,
        smallest_effect=smallest if np.isfinite(smallest) else None,
        margin=-floor if margin else 0.0,
        verdict=_verdict(differences, (low, high), floor, strict=not margin),
        decides=decides,
    )


def _interval_of(differences: Doubles, seed: int) -> tuple[float, float]:
    if len(differences) < LEAST_SHOPPERS:
        return bootstrap.of_few(differences, seed=seed)
    found = bootstrap.intervals(differences[:, None], seed=seed)
    return float(found.low[0]), float(found.high[0])


def compare_with_best(
    candidate: Doubles, popular: Doubles, best: ProvenMargin, *, margin: float, seed: int = 0
) -> SystemComparison:
    """Compare with the best promoted model: by figures of the same shoppers, (shoppers,), at least
    one, as if it were as much better than popularity today as it was shown to be."""
    found = compare(BEST, candidate, popular + best.margin, margin=margin, decides=True, seed=seed)
    inconclusive = found.verdict is ModelVerdict.INCONCLUSIVE
    return replace(found, verdict=ModelVerdict.PASSED) if inconclusive else found


def decide(comparisons: Sequence[SystemComparison], shoppers: int) -> tuple[ModelVerdict, str]:
    """Return the verdict of the decisive comparisons, and its reason. `shoppers`: number of
    measured shoppers."""
    deciding = [one for one in comparisons if one.decides]
    if not deciding:
        return ModelVerdict.INCONCLUSIVE, (
            "There is nothing to measure: no shopper with a history liked anything new in the"
            " held-out part, or there was too little to learn from before it."
        )
    verdicts = {one.verdict for one in deciding}
    if ModelVerdict.FAILED in verdicts:
        verdict = ModelVerdict.FAILED
    elif verdicts == {ModelVerdict.PASSED}:
        verdict = ModelVerdict.PASSED
    else:
        verdict = ModelVerdict.INCONCLUSIVE
    sentences = [_sentence(one) for one in deciding]
    if shoppers < LEAST_SHOPPERS:
        sentences.append(
            f"Only {shoppers} of {LEAST_SHOPPERS} returning shoppers could be tested: intervals"
            " are wider, as if there were one more, for whom the model was as bad as can be."
        )
    return verdict, " ".join(sentences)


def findings(split: SplitReport) -> tuple[str, ...]:
    """Return sentences on the baselines that beat the candidate with the whole interval, and on the
    order of histories."""
    kinds = {one.name: one.kind for one in split.systems}
    found = [
        f"{one.against} is better than the candidate by {one.metric}:"
        f" {_interval(-one.difference, -one.high, -one.low)}.{_USES.get(one.against, '')}"
        for one in split.comparisons
        if one.high < 0 and kinds.get(one.against) is SystemKind.BASELINE
    ]
    return (*found, *_order(split.order_tests))


_ALONE = "[parts_without_signals] item_item = 1.0 in the scene, without other parts of behavior"
_USES = {
    "item-kNN": f" A scene can use it: train with item_item = cosine, and set {_ALONE}.",
    "EASE": f" A scene can use it: train with item_item = ease, and set {_ALONE}.",
    RECENT: " A scene can use its order: branches.trending and the part trending.",
    POPULARITY: " A scene can use its order: without a model, popularity orders.",
    UNTRAINED: " Without a model, answers are these.",
}
"""Settings by which a scene uses a baseline, by its name."""


def _order(tests: Sequence[SystemComparison]) -> Iterator[str]:
    """Yield a sentence on whether the order of a shopper's products matters."""
    if not tests:
        return
    details = "; ".join(
        f"{one.against} {_interval(one.difference, one.low, one.high)}" for one in tests
    )
    shown = "Order matters" if any(one.low > 0 for one in tests) else "No effect of order is shown"
    yield f"{shown}; nDCG@10 in order, less that with shuffled histories: {details}."


def _interval(value: float, low: float, high: float) -> str:
    return f"{value:+.4f} (95% interval {low:+.4f} to {high:+.4f})"


def _verdict(
    differences: Doubles, interval: tuple[float, float], floor: float, *, strict: bool
) -> ModelVerdict:
    low, high = interval
    if high < floor:
        return ModelVerdict.FAILED
    if len(differences) < LEAST_SHOPPERS and not strict:
        low = float(differences.mean())
    passed = low > floor or (low == floor and not strict)
    return ModelVerdict.PASSED if passed else ModelVerdict.INCONCLUSIVE


def _sentence(one: SystemComparison) -> str:
    asked = f"no worse than {one.margin:.4f} below" if one.margin else "better than"
    outcome = {
        ModelVerdict.PASSED: "not refuted" if one.low < -one.margin else "shown",
        ModelVerdict.FAILED: "refuted",
        ModelVerdict.INCONCLUSIVE: "inconclusive",
    }[one.verdict]
    known = (
        "."
        if one.smallest_effect is None
        else f"; the smallest difference that the data show in {_POWER} of cases is"
        f" {one.smallest_effect:.4f}."
    )
    return (
        f"{asked[0].upper()}{asked[1:]} {one.against} by {one.metric}: {outcome}"
        f" ({one.difference:+.4f}, 95% interval {one.low:+.4f} to {one.high:+.4f}){known}"
        f"{_ANEW if one.against == BEST and one.verdict is not ModelVerdict.PASSED else ''}"
    )


_ANEW = (
    " If the shop has changed so that no model can be as good as that one was, promote with force:"
    " later models are then compared with the one that was forced."
)
