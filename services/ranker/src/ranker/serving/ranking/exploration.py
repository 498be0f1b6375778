"""Exploration: randomly drawn new products in some positions, with the propensity of every product.

An exploration position is filled by a new product from after the last of these positions. The other
first positions do not depend on the draw. The draw depends on product ids and the seed only, not on
the version of a library, and is stable when other candidates change.
"""

import hashlib
import math
from collections.abc import Iterable, Sequence
from functools import partial
from operator import methodcaller

import numpy as np
import numpy.typing as npt

from ranker.domain.arrays import Doubles, Ints
from ranker.domain.events import DAY_MICROS


def seed_of(seed: int, actor: str | None, visit: str, time_micros: int) -> bytes:
    """Return the seed of an answer's random draws, 64 bytes.

    Shopper, visit and day (UTC) are part of it, because the request's own seed may be constant,
    which would make all draws equal.
    """
    drawn = (seed, actor or "", visit, time_micros // DAY_MICROS)
    return hashlib.blake2b(repr(drawn).encode("utf-8", "surrogatepass")).digest()


def explored(
    order: Ints,
    new: npt.NDArray[np.bool_],
    places: Sequence[int],
    ids: Sequence[str],
    seed: bytes,
) -> tuple[Ints, Doubles]:
    """Return the order with new products drawn into `places` (positions from 1, ascending), and
    propensities. A propensity is a product's probability, over all seeds, of having its position.
    `new` and `ids` are by product.

    With k places, the last of them P, the first P − k products of the order fill the other
    positions up to P. All others are the tail, which follows in its order; k products are drawn
    from its m new products, uniformly and without replacement. Hence the propensities:

    - 1 for positions that no draw changes, 1 / m for a product that was drawn;
    - for one in the tail with e of the m before it, of which j were drawn, that it was not drawn
      itself and that j of those before it were: C(e, j) · C(m' − e, k − j) / C(m, k), m' = m less
      itself if it is new.

    If there are fewer new products than places, only the first places are filled.
    """
    k, tail, pool = _pool(order, new, places)
    if k == 0:
        return order, np.zeros(order.size) + 1
    lots = zip(_lots(map(ids.__getitem__, pool), seed), pool, strict=True)
    drawn = [product for _, product in sorted(lots)[:k]]
    kept = iter(order.tolist())
    seats = dict(zip(places[:k], drawn, strict=True))
    head = [seats[seat] if seat in seats else next(kept) for seat in range(1, places[k - 1] + 1)]
    chosen, members = frozenset(drawn), frozenset(pool)
    rest = [product for product in tail if product not in chosen]
    chances = [1 / len(pool) if seat in seats else 1.0 for seat in range(1, len(head) + 1)]
    chances += tail_chances(tail, chosen, members)
    return np.array([*head, *rest], dtype=np.int64), np.array(chances)


def _pool(
    order: Ints, new: npt.NDArray[np.bool_], places: Sequence[int]
) -> tuple[int, list[int], list[int]]:
    """Return the number of places that can be filled, the tail after them, and its new products."""
    for k in range(len(places), 0, -1):
        tail = order[max(places[k - 1] - k, 0) :]
        pool = tail[new[tail]]
        if places[k - 1] <= order.size and pool.size >= k:
            return k, tail.tolist(), pool.tolist()
    return 0, [], []


def tail_chances(
    tail: Sequence[int], chosen: frozenset[int], members: frozenset[int]
) -> list[float]:
    """Return the propensities of the tail's products that were not drawn, in their order."""
    m, k = len(members), len(chosen)
    ways = others = math.comb(m, k)
    before, drawn, those = 0, 0, 1
    # those = C(before, drawn) and others = C(m - before, k - drawn), from one product to the next.
    chances: list[float] = []
    for product in tail:
        if product not in members:
            chances += (those * others / ways,)
            continue
        left, wanted = m - before, k - drawn
        before += 1
        if product in chosen:
            drawn += 1
            those, others = those * before // drawn, others * wanted // left
            continue
        others = others * (left - wanted) // left
        chances += (those * others / ways,)
        those = those * before // (before - drawn)
    return chances


_encoded = methodcaller("encode", "utf-8", "surrogatepass")
_digest = methodcaller("digest")


def _lots(product_ids: Iterable[str], seed: bytes) -> Iterable[bytes]:
    """Return the uniform key of each product, by its id only; the smallest keys are drawn."""
    keyed = partial(hashlib.blake2b, key=seed, digest_size=16)
    return map(_digest, map(keyed, map(_encoded, product_ids)))
