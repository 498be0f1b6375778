"""Wilson's interval of a share."""

import pytest

from sightline_rules.shares import wilson


def test_an_interval_is_wilsons() -> None:
    # Brown, Cai, DasGupta 2001 work with the same formula; 2 of 10, by hand; others as published.
    for share, size, interval in (
        (0.2, 10, (0.0567, 0.5098)),
        (0.9, 50, (0.7864, 0.9565)),
        (0.5, 100, (0.4038, 0.5962)),
        (1.0, 10, (0.7225, 1.0)),
        (0.0, 10, (0.0, 0.2775)),
    ):
        assert wilson(share, size) == pytest.approx(interval, abs=1e-4)


@pytest.mark.parametrize("share", [0.0, 0.03, 0.5, 1.0])
@pytest.mark.parametrize("size", [1, 7.5, 1e6])
def test_an_interval_holds_its_share_and_stays_a_share(share: float, size: float) -> None:
    lower, upper = wilson(share, size)
    assert 0 <= lower <= share <= upper <= 1
    assert lower < upper


def test_without_trials_anything_is_possible() -> None:
    assert wilson(0.0, 0.0) == (0.0, 1.0)
