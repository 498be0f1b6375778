"""Duration of trainings: compared with LightFM alone, and for growing numbers of products and
people.

The first part measures our fit in alternation with LightFM's own `fit` on the same matrices, with
the same epochs and the same model bit for bit. The second part trains on generated shops of growing
size, each in a process of its own, and reports each step's time and the peak of memory.
"""

import multiprocessing
import resource
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from statistics import median
from typing import TypeAlias

import numpy as np

from bench.harness.model import BenchResult, BenchTable, Goal, Interval
from bench.harness.statistics import median_ratio
from ranker.adapters.lightfm import LearnedFactors, learn
from ranker.domain.events import EventType
from ranker.domain.features import Money, Product
from ranker.domain.log import TYPES, UNKNOWN, EventColumns
from ranker.domain.recipe import ItemItem, Recipe
from ranker.learning.training.fitting import assembled
from ranker.learning.training.training_data import Given, TrainingMatrices, training_matrices

MOST_RATIO = 1.15
RECIPE = Recipe(epochs=5, item_item=ItemItem.OFF)
PRODUCTS, SHOPPERS, EVENTS = 2_000, 1_000, 100_000
ROUNDS = 9
SIZES, FULL_SIZES = (1_000, 10_000, 100_000), (1_000, 10_000, 100_000, 1_000_000)
EVENTS_A_SHOPPER = 10
SEED = 20261120

Say: TypeAlias = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class TrainingSize:
    """Time and memory of a training of one size."""

    products: int
    shoppers: int
    events: int
    read_seconds: float
    """Seconds from events and products to matrices."""
    epoch_seconds: float
    """Seconds of one epoch of LightFM."""
    rest_seconds: float
    """Seconds from matrices to a model: vectors, transitions, popularity, scales."""
    peak_mib: float
    """Peak memory of the whole process."""


def run(say: Say) -> BenchResult:
    """Measure up to 100,000 products and people."""
    return _measure(say, SIZES)


def full(say: Say) -> BenchResult:
    """Measure up to a million products and people."""
    return _measure(say, FULL_SIZES)


def _measure(say: Say, sizes: Sequence[int]) -> BenchResult:
    say(f"trainings on {EVENTS:,} events, in alternation with LightFM alone")
    ours, bare = _by_turns()
    ratio = median_ratio(ours, bare)
    grown = []
    for size in sizes:
        say(f"a training of {size:,} products and people")
        grown.append(_apart(size))
    return BenchResult(
        tables=(_ratio_table(ours, bare, ratio), _growth_table(grown)),
        figures={
            "settings": {"seed": SEED, "rounds": ROUNDS, "epochs": RECIPE.epochs},
            "ours_seconds": ours,
            "lightfm_seconds": bare,
            "ratio": asdict(ratio),
            "growth": [asdict(one) for one in grown],
        },
        goals=(Goal("training beside LightFM alone", MOST_RATIO, "×", ratio),),
    )


def _by_turns() -> tuple[list[float], list[float]]:
    """Return the seconds of each: ours with progress after each epoch, LightFM in one `fit`."""
    given = shop(PRODUCTS, SHOPPERS, EVENTS)
    subject = training_matrices(given, RECIPE)
    ours: list[float] = []
    bare: list[float] = []
    for number in range(ROUNDS + 1):
        for seconds, work in ((ours, _ours), (bare, _bare))[:: 1 if number % 2 else -1]:
            began = time.perf_counter()
            work(subject)
            if number:  # the first round warms up
                seconds.append(time.perf_counter() - began)
    return ours, bare


def _ours(subject: TrainingMatrices) -> LearnedFactors:
    done: list[int] = []
    return learn(
        subject.liked,
        subject.items.matrix[subject.warm],
        subject.shoppers.matrix,
        RECIPE,
        epochs=RECIPE.epochs,
        progress=done.append,
    )


def _bare(subject: TrainingMatrices) -> object:
    import scipy.sparse as sp
    from lightfm import LightFM

    liked = subject.liked
    shape = (len(subject.actors), len(subject.warm))
    places = (liked.shopper, liked.item)
    model = LightFM(
        no_components=RECIPE.dimension,
        loss=RECIPE.loss.value,
        max_sampled=RECIPE.max_sampled,
        learning_rate=RECIPE.learning_rate,
        random_state=RECIPE.seed,
    )
    return model.fit(
        sp.coo_matrix((liked.sign, places), shape),
        user_features=subject.shoppers.matrix,
        item_features=subject.items.matrix[subject.warm],
        sample_weight=sp.coo_matrix((liked.weight, places), shape),
        epochs=RECIPE.epochs,
    )


def shop(products: int, shoppers: int, events: int) -> Given:
    """Make a shop in which few products are bought often and people mostly buy from their own
    kinds.
    """
    draw = np.random.default_rng(SEED + products)
    ids = tuple(f"p{n:07}" for n in range(products))
    categories = draw.integers(0, 200, products)
    brands = draw.zipf(1.5, products) % 2_000
    prices = draw.lognormal(3, 1, products)
    tags = draw.integers(0, 500, (products, 2))
    made = [
        Product(
            item,
            f"C{categories[n] % 20} > C{categories[n]}",
            f"brand {brands[n]}",
            Money(int(prices[n] * 1e6), "EUR"),
            tuple(f"tag {tag}" for tag in sorted({*tags[n].tolist()})),
        )
        for n, item in enumerate(ids)
    ]
    actor = np.sort(draw.integers(0, shoppers, events))
    popular = (draw.random(events) ** 3 * products).astype(np.int64)
    own = (actor * 7_919 + draw.integers(0, max(products // 50, 1), events)) % products
    item = np.where(draw.random(events) < 0.6, own, popular)
    time_micros = np.sort(draw.integers(0, 90 * 86_400_000_000, events)) + 1_790_000_000_000_000
    order = draw.permutation(events)
    log = EventColumns(
        actors=tuple(f"a{n:07}" for n in range(shoppers)),
        items=ids,
        actor=actor[order],
        item=item[order],
        type=np.full(events, TYPES.index(EventType.PURCHASE)),
        value=np.full(events, np.nan),
        quantity=np.ones(events, np.int64),
        time=time_micros,
        session=np.full(events, UNKNOWN),
        order=np.full(events, UNKNOWN),
    )
    return Given(log, made)


def _apart(size: int) -> TrainingSize:
    """Train in a process of its own, so that its peak of memory is measured alone."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_train, (size,))


def _train(size: int) -> TrainingSize:
    given = shop(size, size, EVENTS_A_SHOPPER * size)
    recipe = replace(RECIPE, epochs=1, item_item=ItemItem.KNN)  # as for large catalogs
    marks = [time.perf_counter()]
    subject = training_matrices(given, recipe)
    marks.append(time.perf_counter())
    learned = learn(
        subject.liked,
        subject.items.matrix[subject.warm],
        subject.shoppers.matrix,
        recipe,
        epochs=1,
        progress=lambda _: None,
    )
    marks.append(time.perf_counter())
    assembled(subject, learned)
    marks.append(time.perf_counter())
    read, epoch, rest = np.diff(marks).tolist()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return TrainingSize(size, size, len(given.log), read, epoch, rest, peak)


def _ratio_table(ours: Sequence[float], bare: Sequence[float], ratio: Interval) -> BenchTable:
    return BenchTable(
        title="A training beside LightFM alone",
        headers=("products", "people", "events", "epochs", "ours s", "LightFM s", "ratio"),
        rows=(
            (
                f"{PRODUCTS:,}",
                f"{SHOPPERS:,}",
                f"{EVENTS:,}",
                str(RECIPE.epochs),
                f"{median(ours):.2f}",
                f"{median(bare):.2f}",
                f"{ratio.value:.3f} ({ratio.low:.3f}-{ratio.high:.3f})",
            ),
        ),
        caption=(
            f"Medians of {ROUNDS} alternating rounds, one thread, WARP; 95% interval. Ours reports"
            " progress after each epoch; both learn the same parameters."
        ),
        section=None,
    )


def _growth_table(sizes: Sequence[TrainingSize]) -> BenchTable:
    return BenchTable(
        title="How trainings grow",
        headers=("products = people", "events", "read s", "an epoch s", "rest s", "peak MiB"),
        rows=tuple(
            (
                f"{one.products:,}",
                f"{one.events:,}",
                f"{one.read_seconds:.2f}",
                f"{one.epoch_seconds:.2f}",
                f"{one.rest_seconds:.2f}",
                f"{one.peak_mib:,.0f}",
            )
            for one in sizes
        ),
        caption="One training each, of one epoch; the peak is that of the process, shop included.",
        section=None,
    )
