"""SASRec (Kang, McAuley 2018, arXiv 1808.09781) with sampled softmax, in NumPy with explicit
gradients.

One block of one head: products and learned positions, causal attention, a feed-forward layer, both
with layer normalization before and a residual connection; the scores are the products' own vectors
times the output at the newest product. Every position of a training window predicts the next
product. The softmax is over the right product and `negatives` products per batch, drawn by
popularity with replacement, whose scores are corrected by the logarithm of their probability.
Adam. Equal seeds give equal models on one machine.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from ranker.domain.arrays import Doubles, Flags, Ints
from ranker.learning.evaluation.histories import Histories

Array: TypeAlias = npt.NDArray[np.floating[Any]]
Parameters: TypeAlias = dict[str, Array]
Back: TypeAlias = Callable[[Array], Array]
"""Takes the gradient of a step's output and returns that of its input."""

BETAS, EPSILON = (0.9, 0.98), 1e-8
"""Decays and stabilizer of Adam, as in the paper's code."""
NORM_EPSILON = 1e-6
INITIAL_SCALE = 0.02
"""Standard deviation of initial vectors of products and positions."""
SHOPPERS = 64
"""Shoppers scored at once."""
MASKED = -1e9


@dataclass(frozen=True, slots=True)
class SasRecOptions:
    """Size and training of a model."""

    length: int = 50
    """Newest products of a shopper that the model sees."""
    dropout: float = 0.2
    width: int = 64
    negatives: int | None = 256
    """Products drawn per batch; None: all products, without sampling."""
    rate: float = 3e-3
    """Step size of Adam."""
    batch: int = 2048
    """Maximum number of positions in a batch."""
    most_epochs: int = 80
    every: int = 4
    """Epochs between two measurements of early stopping."""
    patience: int = 3
    """Measurements without a better one after which training ends."""
    seed: int = 0


@dataclass(frozen=True, slots=True)
class SasRec:
    """A model that scores products by a shopper's newest products, in their order."""

    options: SasRecOptions
    parameters: Parameters
    name: str = "SASRec"

    def scores(self, shoppers: Histories) -> Doubles:
        """Return the logits, (shoppers, items)."""
        made = np.empty((len(shoppers), len(self.parameters["items"])))
        by_length = np.argsort(shoppers.lengths, kind="stable")  # similar lengths need less padding
        for start in range(0, len(shoppers), SHOPPERS):
            rows = by_length[start : start + SHOPPERS]
            newest = [shoppers.of(row)[-self.options.length :] for row in rows.tolist()]
            outputs, _ = forward(self.parameters, aligned(newest), {}, 0.0, None)
            made[rows] = outputs[:, -1] @ self.parameters["items"].T
        return made


@dataclass(slots=True)
class TrainingCourse:
    """A training's outcome."""

    model: SasRec
    """The model at its best epoch; after the last one where nothing was measured."""
    epochs: int
    """Epochs of that model."""
    measured: list[tuple[int, float]] = field(default_factory=list)
    """Epochs and figures."""


def fit(
    training: Histories,
    item_count: int,
    options: SasRecOptions,
    measure: Callable[[SasRec], float] | None = None,
) -> TrainingCourse:
    """Train a model. `measure` returns a figure by which training stops early, higher is better;
    None: all of `most_epochs` are trained."""
    draw = np.random.default_rng(options.seed)
    counts = np.bincount(training.items, minlength=item_count) + 1.0
    chances = counts / counts.sum()
    model = SasRec(options, initial(item_count, options, draw))
    adam, found, best = Adam(options.rate), TrainingCourse(model, options.most_epochs), -np.inf
    for epoch in range(1, options.most_epochs + 1):
        for batch in _batches(list(windows(training, options.length)), options.batch, draw):
            negatives = _negatives(chances, options.negatives, draw)
            _, gradients = loss(model.parameters, batch, negatives, options.dropout, draw)
            adam.step(model.parameters, gradients)
        if measure is None or epoch % options.every:
            continue
        found.measured.append((epoch, measure(model)))
        if found.measured[-1][1] > best:
            best, found.epochs = found.measured[-1][1], epoch
            kept = {name: each.copy() for name, each in model.parameters.items()}
            found.model = SasRec(options, kept)
        elif epoch - found.epochs >= options.patience * options.every:
            break
    return found


def initial(item_count: int, options: SasRecOptions, draw: np.random.Generator) -> Parameters:
    """Draw the initial parameters."""
    width = options.width

    def drawn(scale: float, *shape: int) -> Array:
        return draw.normal(0.0, scale, shape).astype(np.float32)

    square = {
        name: drawn(width**-0.5, width, width)
        for name in ("query", "key", "value", "expand", "contract")
    }
    ones = {f"{name}_scale": np.ones(width, np.float32) for name in ("first", "second", "last")}
    zeros = {
        name: np.zeros(width, np.float32)
        for name in ("first_shift", "second_shift", "last_shift", "expand_bias", "contract_bias")
    }
    return {
        "items": drawn(INITIAL_SCALE, item_count, width),
        "positions": drawn(INITIAL_SCALE, options.length, width),
        **square,
        **ones,
        **zeros,
    }


# Data


def windows(training: Histories, length: int) -> Iterator[Ints]:
    """Yield windows of at most `length` + 1 products, from each shopper's newest back. Neighbours
    share a product, so that each product after a shopper's first is predicted once."""
    for row in range(len(training)):
        items = training.of(row)
        for end in range(len(items), 1, -length):
            yield items[max(0, end - length - 1) : end]


def aligned(parts: Sequence[Ints]) -> Ints:
    """Return the products as rows that end together, (parts, longest); −1 before the first."""
    longest = max(map(len, parts))
    made = np.full((len(parts), longest), -1)
    for row, part in enumerate(parts):
        made[row, longest - len(part) :] = part
    return made


def _batches(parts: Sequence[Ints], positions: int, draw: np.random.Generator) -> Iterator[Ints]:
    """Yield batches of windows of similar lengths, in random order."""
    order = draw.permutation(len(parts))
    order = order[np.argsort([len(parts[one]) for one in order], kind="stable")]
    batches: list[list[Ints]] = [[]]
    for one in order.tolist():
        if batches[-1] and (len(batches[-1]) + 1) * (len(parts[one]) - 1) > positions:
            batches.append([])
        batches[-1].append(parts[one])
    for place in draw.permutation(len(batches)).tolist():
        yield aligned(batches[place])


@dataclass(frozen=True, slots=True)
class Negatives:
    """Products against which a batch's right ones are compared."""

    items: Ints
    """(negatives,)"""
    offsets: Doubles | None
    """(items,) log probability of being drawn, subtracted from scores; None: `items` are all."""


def _negatives(chances: Doubles, count: int | None, draw: np.random.Generator) -> Negatives:
    if count is None:
        return Negatives(np.arange(len(chances)), None)
    return Negatives(draw.choice(len(chances), count, p=chances), np.log(chances))


# Loss and gradients


def loss(
    parameters: Mapping[str, Array],
    batch: Ints,
    negatives: Negatives,
    dropout: float,
    draw: np.random.Generator | None,
) -> tuple[float, Parameters]:
    """Return the mean cross-entropy of the next products and its gradients. `batch`: aligned
    windows, (windows, length + 1); `draw`: of dropout, None: no dropout."""
    gradients: Parameters = {}
    outputs, back = forward(parameters, batch[:, :-1], gradients, dropout, draw)
    there = batch[:, :-1] >= 0
    found, taken, of_items = sampled_softmax(
        outputs[there], parameters["items"], batch[:, 1:][there], negatives
    )
    whole = np.zeros_like(outputs)
    whole[there] = taken
    back(whole)
    gradients["items"] = gradients["items"] + of_items
    return found, gradients


def sampled_softmax(
    outputs: Array, items: Array, wanted: Ints, negatives: Negatives
) -> tuple[float, Array, Array]:
    """Return the mean cross-entropy of the `wanted` products among the negatives, and its gradients
    to the outputs, (positions, width), and the products' vectors. A right product that was drawn
    stays among the negatives: without it, frequent products would get too high scores."""
    right: Array = (outputs * items[wanted]).sum(axis=1)
    others: Array = outputs @ items[negatives.items].T
    if negatives.offsets is None:
        others[wanted[:, None] == negatives.items] = MASKED
    else:
        offsets = negatives.offsets.astype(items.dtype)
        right, others = right - offsets[wanted], others - offsets[negatives.items]
    highest = np.maximum(right, others.max(axis=1))
    right, others = np.exp(right - highest), np.exp(others - highest[:, None])
    total = right + others.sum(axis=1)
    value = float(-np.log(right / total).mean())
    right = (right / total - 1) / len(wanted)
    others /= (total * len(wanted))[:, None]
    back = right[:, None] * items[wanted] + others @ items[negatives.items]
    of_items = _summed(wanted, right[:, None] * outputs, len(items))
    return value, back, of_items + _summed(negatives.items, others.T @ outputs, len(items))


def forward(
    parameters: Mapping[str, Array],
    products: Ints,
    gradients: Parameters,
    dropout: float,
    draw: np.random.Generator | None,
) -> tuple[Array, Callable[[Array], None]]:
    """Return the outputs at each position, (windows, length, width), and a function that takes
    their gradient and fills `gradients`. `products`: rows of products, aligned at the end."""
    there = products >= 0
    length, (count, width) = products.shape[1], parameters["items"].shape
    scale = parameters["items"].dtype.type(width**0.5)
    given: Array = parameters["items"][products] * scale + parameters["positions"][-length:]
    given *= there[:, :, None]
    given, back_given = _dropped(given, dropout, draw)
    normed, back_first = _normed(given, "first", parameters, gradients)
    attended, back_attention = _attention(normed, there, parameters, gradients, (dropout, draw))
    attended, back_attended = _dropped(attended, dropout, draw)
    middle = given + attended
    normed, back_second = _normed(middle, "second", parameters, gradients)
    fed, back_feed = _feed_forward(normed, parameters, gradients, (dropout, draw))
    fed, back_fed = _dropped(fed, dropout, draw)
    output, back_last = _normed(middle + fed, "last", parameters, gradients)

    def back(slope: Array) -> None:
        slope = back_last(slope)
        slope = slope + back_second(back_feed(back_fed(slope)))
        slope = slope + back_first(back_attention(back_attended(slope)))
        slope = back_given(slope) * there[:, :, None]
        gradients["positions"] = np.zeros_like(parameters["positions"])
        gradients["positions"][-length:] = slope.sum(axis=0)
        gradients["items"] = _summed(products[there], slope[there] * scale, count)

    return output, back


def _attention(
    given: Array,
    there: Flags,
    parameters: Mapping[str, Array],
    gradients: Parameters,
    dropping: tuple[float, np.random.Generator | None],
) -> tuple[Array, Back]:
    """Attend to earlier positions and the own one. Positions without a product get no attention
    but their own."""
    queries, back_queries = _linear(given, "query", parameters, gradients)
    keys, back_keys = _linear(given, "key", parameters, gradients)
    values, back_values = _linear(given, "value", parameters, gradients)
    length, width = given.shape[1:]
    scale = given.dtype.type(width**-0.5)
    earlier = np.tri(length, dtype=bool)
    allowed = earlier & there[:, None, :] | np.eye(length, dtype=bool)
    logits = np.where(allowed, queries @ keys.swapaxes(1, 2) * scale, given.dtype.type(MASKED))
    shares = np.exp(logits - logits.max(axis=2, keepdims=True))
    shares /= shares.sum(axis=2, keepdims=True)
    used, back_used = _dropped(shares, *dropping)

    def back(slope: Array) -> Array:
        of_shares = back_used(slope @ values.swapaxes(1, 2))
        inner = (of_shares * shares).sum(axis=2, keepdims=True)
        of_logits = shares * (of_shares - inner) * scale
        return (
            back_queries(of_logits @ keys)
            + back_keys(of_logits.swapaxes(1, 2) @ queries)
            + back_values(used.swapaxes(1, 2) @ slope)
        )

    return used @ values, back


def _feed_forward(
    given: Array,
    parameters: Mapping[str, Array],
    gradients: Parameters,
    dropping: tuple[float, np.random.Generator | None],
) -> tuple[Array, Back]:
    """Apply a layer with ReLU, and one without."""
    wide, back_wide = _linear(given, "expand", parameters, gradients)
    positive = wide > 0
    hidden, back_hidden = _dropped(wide * positive, *dropping)
    narrow, back_narrow = _linear(hidden, "contract", parameters, gradients)
    return narrow, lambda slope: back_wide(back_hidden(back_narrow(slope)) * positive)


def _linear(
    given: Array, name: str, parameters: Mapping[str, Array], gradients: Parameters
) -> tuple[Array, Back]:
    """Multiply by a matrix, and add a bias if there is one."""
    weights, bias = parameters[name], parameters.get(f"{name}_bias")

    def back(slope: Array) -> Array:
        flat = slope.reshape(-1, slope.shape[-1])
        gradients[name] = given.reshape(-1, given.shape[-1]).T @ flat
        if bias is not None:
            gradients[f"{name}_bias"] = flat.sum(axis=0)
        return slope @ weights.T

    made = given @ weights
    return (made if bias is None else made + bias), back


def _normed(
    given: Array, name: str, parameters: Mapping[str, Array], gradients: Parameters
) -> tuple[Array, Back]:
    """Normalize each position (layer normalization), then scale and shift."""
    factors = parameters[f"{name}_scale"]
    centred = given - given.mean(axis=-1, keepdims=True)
    spread = np.sqrt((centred**2).mean(axis=-1, keepdims=True) + NORM_EPSILON)
    unit = centred / spread

    def back(slope: Array) -> Array:
        gradients[f"{name}_scale"] = (slope * unit).sum(axis=(0, 1))
        gradients[f"{name}_shift"] = slope.sum(axis=(0, 1))
        inner = slope * factors
        along = (inner * unit).mean(axis=-1, keepdims=True)
        made: Array = (inner - inner.mean(axis=-1, keepdims=True) - unit * along) / spread
        return made

    return unit * factors + parameters[f"{name}_shift"], back


def _dropped(given: Array, share: float, draw: np.random.Generator | None) -> tuple[Array, Back]:
    """Set a random share to 0 and scale up the rest; nothing without `draw`."""
    if draw is None or share == 0:
        return given, lambda slope: slope
    factors = (draw.random(given.shape, np.float32) >= share).astype(given.dtype)
    factors /= given.dtype.type(1 - share)
    return given * factors, lambda slope: slope * factors


def _summed(rows: Ints, values: Array, count: int) -> Array:
    """Sum the values by row, (count, width)."""
    shape = (count, len(rows))
    ones = np.ones(len(rows), values.dtype)
    made: Array = sp.csr_matrix((ones, (rows, np.arange(len(rows)))), shape) @ values
    return made


class Adam:
    """Adam (Kingma, Ba 2015), in place."""

    def __init__(self, rate: float) -> None:
        self._rate, self._steps = rate, 0
        self._moments: dict[str, tuple[Array, Array]] = {}

    def step(self, parameters: Parameters, gradients: Mapping[str, Array]) -> None:
        """Change the parameters against their gradients."""
        self._steps += 1
        corrections = [1 - beta**self._steps for beta in BETAS]
        for name, slope in gradients.items():
            first, second = self._moments.get(name, (np.zeros_like(slope), np.zeros_like(slope)))
            first = BETAS[0] * first + (1 - BETAS[0]) * slope
            second = BETAS[1] * second + (1 - BETAS[1]) * slope**2
            self._moments[name] = first, second
            size = np.sqrt(second / corrections[1]) + EPSILON
            parameters[name] -= self._rate / corrections[0] * first / size
