"""What the process that fits does with its order: evaluate by cross-validation, then fit on all."""

from embedder.fitting.evaluate import evaluate
from embedder.fitting.fit import Options, fit
from embedder.fitting.measuring import Views
from embedder.fitting.model import Evaluation, Fitted, Floats, Labelled
from embedder.fitting.process import Order, Tell


def learn(data: Labelled, baseline: Floats, order: Order, tell: Tell) -> tuple[Fitted, Evaluation]:
    """Return the space and what it is worth beside the one in use. Raises FitInvalid."""
    options = Options(max_dimension=order.max_dimension)
    tell("evaluate", 0)
    found = evaluate(
        data,
        options,
        baseline,
        order.baseline_model,
        seed=order.seed,
        views=Views(order.shopper_views, order.catalogue_views),
        tell=lambda done, _: tell("evaluate", done),
    )
    tell("fit", 0)
    return fit(data, options, order.seed), found
