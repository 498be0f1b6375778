"""Results of a load as figures; first, whether the sender kept the rate."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from bench.harness.model import BenchTable
from bench.open_load.schedule import Curve
from bench.open_load.sending import DEGRADED, UNSENT, WHOLE, Sent

PERCENTILES = (50.0, 75.0, 90.0, 95.0, 99.0, 99.9, 99.99)
LATE = 0.02
"""Delay in seconds from which a request counts as sent late."""
MOST_LATE = 0.01
"""Maximum fraction of requests that may be sent late."""
SLICES = 60


@dataclass(frozen=True, slots=True)
class LoadFindings:
    """Findings of all processes together."""

    curve: Curve
    sent: Sent

    @property
    def late_share(self) -> float:
        """Fraction of requests that the sender sent late, or not at all."""
        late = np.array(self.sent.late) > LATE
        unsent = np.array([end == UNSENT for end in self.sent.ends])
        return float(np.mean(late | unsent)) if len(late) else 1.0

    @property
    def kept(self) -> bool:
        """Return whether the rate was kept, so that the figures describe the service."""
        return self.late_share <= MOST_LATE

    @property
    def ends(self) -> Mapping[str, int]:
        return dict(Counter(self.sent.ends).most_common())

    def milliseconds(self) -> dict[str, float]:
        """Return exact percentiles of answered requests, in milliseconds since their scheduled
        time.
        """
        pairs = zip(self.sent.seconds, self.sent.ends, strict=True)
        answered = [each for each, end in pairs if end in (WHOLE, DEGRADED)]
        if not answered:
            return {}
        found = {f"p{each:g}": np.percentile(answered, each) for each in PERCENTILES}
        return {
            name: round(float(value) * 1e3, 3)
            for name, value in {**found, "max": max(answered)}.items()
        }

    def figures(self) -> dict[str, object]:
        """Return all figures, for programs."""
        late = np.array(self.sent.late) * 1e3
        return {
            "kept_the_rate": self.kept,
            "sent_late_share": self.late_share,
            "sent_late_ms": {f"p{each:g}": float(np.percentile(late, each)) for each in (50, 99)},
            "curve": list(self.curve.points),
            "requests": len(self.sent.ends),
            "requests_per_second": len(self.sent.ends) / self.curve.seconds,
            "ends": self.ends,
            "milliseconds": self.milliseconds(),
            "over_time": self._over_time(),
        }

    def _over_time(self) -> list[dict[str, float]]:
        """Return for slices of the curve the requests sent, the share answered whole, and p99."""
        due, seconds = np.array(self.sent.due), np.array(self.sent.seconds)
        whole = np.array([end == WHOLE for end in self.sent.ends])
        edges = np.linspace(0, self.curve.seconds, SLICES + 1)
        found = []
        for start, end in pairwise(edges.tolist()):
            within = (due >= start) & (due < end)
            if within.any():
                found.append(
                    {
                        "second": round(start, 3),
                        "requests_per_second": float(within.sum() / (end - start)),
                        "whole_share": float(whole[within].mean()),
                        "p99_ms": float(np.percentile(seconds[within], 99) * 1e3),
                    }
                )
        return found

    def tables(self) -> list[BenchTable]:
        """Return tables for people."""
        count = max(len(self.sent.ends), 1)
        ends = [
            (name, f"{number:,}", f"{100 * number / count:.3f}")
            for name, number in self.ends.items()
        ]
        percentiles = [(name, f"{value:,.1f}") for name, value in self.milliseconds().items()]
        rate = len(self.sent.ends) / self.curve.seconds
        return [
            BenchTable(
                "Outcomes of the requests",
                ("end", "requests", "%"),
                tuple(ends),
                f"{rate:,.1f} requests/s over {self.curve.seconds:,.0f} s.",
                None,
            ),
            BenchTable(
                "Latency of the answers",
                ("", "ms"),
                tuple(percentiles),
                "From the scheduled time of a request; rejected and failed ones are separate.",
                None,
            ),
        ]

    def verdict(self) -> str:
        """Return a sentence that says whether the rate was kept."""
        late = f"{LATE * 1e3:.0f} ms"
        share = f"{100 * self.late_share:.2f}% of the requests were sent more than {late} late"
        if self.kept:
            return f"The rate was kept: {share}."
        return (
            f"THE RATE WAS NOT KEPT: {share}, or not at all. These figures describe the sender,"
            " not the service: lower the rate, add --processes, or use a separate machine."
        )
