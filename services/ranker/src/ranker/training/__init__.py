"""How a model comes about, apart from serving: the extra `train` is needed here alone.

``fit`` turns what happened into a model and is a pure function of what it is given; ``job`` brings
the data, searches, measures and keeps the result.
"""

from ranker.training.fitting import Fitted, fit, fitted
from ranker.training.subject import Given

__all__ = ["Fitted", "Given", "fit", "fitted"]
