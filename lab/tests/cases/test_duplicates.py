"""The measurement of near-duplicates for given pairs of pictures."""

from pathlib import Path

import numpy as np
import pytest

from lab.cases import duplicates
from lab.cases.duplicates import MatchRate, PairDistances
from sightline_rules.duplicates import CERTAIN, COLOUR, COSINE, POSSIBLE, same_picture

LUMINANCE = [0, CERTAIN, CERTAIN + 1, POSSIBLE, POSSIBLE, POSSIBLE + 1, 0, 28]
COLOURS = [0, COLOUR, 0, 0, 0, 0, COLOUR + 1, 8]
COSINES = [0.1, 0.5, COSINE, COSINE, COSINE - 0.1, 1.0, 1.0, np.nan]
ALIKE = PairDistances(*(np.array(values) for values in (LUMINANCE, COLOURS, LUMINANCE, COSINES)))


def test_the_rates_are_those_of_the_rule() -> None:
    pairs = [
        (0, (((1 << bits) - 1) << 8) | ((1 << colour) - 1), cosine)
        for bits, colour, cosine in zip(LUMINANCE, COLOURS, COSINES, strict=True)
    ]
    base = 1 << 63
    alone = [same_picture(base, base ^ other) for _, other, _ in pairs]
    both = [same_picture(base, base ^ other, cosine) for _, other, cosine in pairs]
    assert ALIKE.rate() == MatchRate(8, sum(alone), sum(both)) == MatchRate(8, 2, 4)


def test_a_threshold_takes_whatever_is_within_it() -> None:
    by_bits = {point.bits: point for point in duplicates.points(ALIKE)}
    assert (by_bits[2].any_colour, by_bits[2].same_colour) == (2, 1)
    assert by_bits[12].any_colour == 7
    assert by_bits[12].by_cosine == {"0.8": 4, "0.85": 3, "0.9": 3, "0.95": 1}


def test_without_photos_nothing_is_measured(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for given in ("", str(tmp_path)):
        monkeypatch.setenv("SIGHTLINE_DATA", given)
        result = duplicates.run(lambda line: None)
        assert (result.tables, len(result.warnings)) == ((), 1)


def test_every_change_is_a_row_and_shares_are_honest() -> None:
    copies = dict.fromkeys([*duplicates.CHANGES, *duplicates.RECOLOURED], ALIKE)
    rates, sweep = duplicates.result(copies, {"hats": ALIKE}).tables
    assert len(rates.rows) == len(copies) + 1
    assert rates.rows[0][1:4] == ("8", "25.0%", "50.0%")
    assert rates.rows[-1][0] == "different products: hats"
    assert {row[0] for row in sweep.rows} == {str(bits) for bits in duplicates.THRESHOLDS}
