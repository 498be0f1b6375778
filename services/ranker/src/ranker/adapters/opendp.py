"""Noise by OpenDP (extra `privacy`): Vadhan et al., https://docs.opendp.org/en/v0.14.0."""

import importlib.util
import json
import math
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

from ranker.domain.errors import NoiseUnavailable
from ranker.domain.private_counts import DELTA, CountsOrder, Key, NoisyCounts


def add_noise(counts: Mapping[Key, int], order: CountsOrder, floor: int) -> NoisyCounts:
    """Add discrete Laplace noise to counts and leave out those below a threshold of at least
    `floor`. The seed is the system's. Raise NoiseUnavailable without the extra."""
    try:
        import opendp.prelude as dp
    except ImportError:
        raise NoiseUnavailable from None
    dp.enable_features("contrib")
    changed = (order.most_products, order.most_products, 1)
    scale = order.most_products / order.epsilon
    threshold = max(floor, math.ceil(1 + scale * math.log(order.most_products / DELTA)))
    made = _measurement(dp, scale, threshold)
    epsilon, delta = made.map(changed)
    # A rounding of the division may exceed the order by one part in 2^52.
    if epsilon > order.epsilon * (1 + 1e-9) or delta > DELTA:
        raise ArithmeticError(f"the noise gives epsilon {epsilon} and delta {delta}")
    noisy = made({json.dumps(key): count for key, count in counts.items()})
    found = {_key(text): count for text, count in sorted(noisy.items())}
    return NoisyCounts(found, threshold, scale)


def add_noise_apart(counts: Mapping[Key, int], order: CountsOrder, floor: int) -> NoisyCounts:
    """Add noise in a process of its own: OpenDP takes 130 MiB, which end with it. Raises what
    `add_noise` does."""
    if importlib.util.find_spec("opendp") is None:
        raise NoiseUnavailable
    with ProcessPoolExecutor(1, get_context("spawn")) as process:
        return process.submit(add_noise, counts, order, floor).result()


def _measurement(dp: Any, scale: float, threshold: int) -> Any:
    counts = dp.map_domain(dp.atom_domain(T=str), dp.atom_domain(T=int))
    metric = dp.l01inf_distance(dp.absolute_distance(T=int))
    return dp.m.make_laplace_threshold(counts, metric, scale=scale, threshold=threshold)


def _key(text: str) -> Key:
    value, product_id = json.loads(text)
    return value, product_id
