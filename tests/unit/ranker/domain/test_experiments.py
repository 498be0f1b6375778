"""The verdicts on an experiment's figures."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from ranker.domain.experiments import ArmCounts, ArmVerdict, Design, findings
from ranker.domain.online import Moments

DESIGN = Design([0.5, 0.5], "conversion_rate", 10_000, {"hide_rate": 0.01})


def arm(units: int = 5_000, exposed: int = 0, **rates: float) -> ArmCounts:
    """Return an arm in which these shares of units had a value above 0, each of which paid 10."""
    given: Mapping[str, float] = {"conversion_rate": 0.1, "hide_rate": 0.02, **rates}
    samples = {name: Moments(units, rate * units, rate * units) for name, rate in given.items()}
    payers = given["conversion_rate"] * units
    samples["revenue"] = Moments(units, 10 * payers, 100 * payers)
    return ArmCounts("any", exposed or units, samples)


@pytest.mark.parametrize(
    ("control", "other", "verdict"),
    [
        (arm(), arm(), ArmVerdict.UNDECIDED),
        (arm(), arm(conversion_rate=0.14), ArmVerdict.BETTER),
        (arm(), arm(conversion_rate=0.07), ArmVerdict.WORSE),
        (arm(99), arm(99, conversion_rate=0.9), ArmVerdict.TOO_FEW),
        (arm(conversion_rate=0.0), arm(conversion_rate=0.005), ArmVerdict.TOO_FEW),
        (arm(), arm(conversion_rate=0.14, hide_rate=0.06), ArmVerdict.GUARDRAIL_BROKEN),
        (arm(), arm(conversion_rate=0.14, hide_rate=0.025), ArmVerdict.BETTER),
        (arm(20_000), arm(20_000, conversion_rate=0.14, hide_rate=0.028), ArmVerdict.BETTER),
        (arm(), arm(exposed=5_800, hide_rate=0.06), ArmVerdict.SAMPLE_RATIO_MISMATCH),
    ],
)
def test_the_verdict_is_what_the_figures_say(control, other, verdict):
    found = findings(DESIGN, [control, other])

    assert [one.verdict for one in found.arms] == [None, verdict]
    assert found.mismatch is (verdict is ArmVerdict.SAMPLE_RATIO_MISMATCH)


def test_where_less_is_better_less_wins():
    design = replace(DESIGN, metric="hide_rate", guardrails={"conversion_rate": 0.01})

    found = findings(design, [arm(hide_rate=0.06), arm(hide_rate=0.02)])
    worse = findings(design, [arm(), arm(conversion_rate=0.05)])

    assert found.arms[1].verdict is ArmVerdict.BETTER
    assert worse.arms[1].broken == ("conversion_rate",)


def test_an_effect_is_a_difference_of_means_and_wider_among_several_arms():
    pair = findings(DESIGN, [arm(), arm(conversion_rate=0.12)]).arms[1].effects
    three = (
        findings(replace(DESIGN, shares=[1 / 3] * 3), [arm(), arm(conversion_rate=0.12), arm()])
        .arms[1]
        .effects
    )

    assert pair["revenue"].value == pytest.approx(0.2)
    assert pair["conversion_rate"].value == pytest.approx(0.02)
    assert three["conversion_rate"].lower < pair["conversion_rate"].lower
