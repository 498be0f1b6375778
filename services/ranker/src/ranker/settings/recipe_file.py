"""The recipe of trainings: a TOML file, validated as a whole."""

import tomllib
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from ranker.domain.recipe import RANGES, ItemItem, Loss, Recipe
from ranker.domain.signals import Signals

DEFAULT = Recipe()


def _ranged(name: str, default: float) -> Any:
    """Return a field for a number of the recipe within the bounds of domain/recipe.py."""
    least, most = RANGES[name]
    return Field(default=default, ge=least, le=most)


class RecipeFile(BaseModel):
    """Recipe of trainings, unless TrainModel overrides it."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    attribute_keys: tuple[str, ...] = DEFAULT.attribute_keys
    """Keys of the text attributes that become features of a product."""

    title_words: bool = DEFAULT.title_words
    """If true, words of titles become features of a product: up to 4,000 words that 2 products to
    2% of the products have. They help products that no shopper likes yet, and may harm others
    slightly."""

    loss: Loss = DEFAULT.loss
    """Loss function of LightFM: warp (best for the first places of a list), bpr, or logistic, which
    also learns from hides and low ratings."""

    dimension: int = _ranged("dimension", DEFAULT.dimension)
    """Length of the vectors. 30 is best on MovieLens-100k; longer ones help from millions of
    events."""

    epochs: int = _ranged("epochs", DEFAULT.epochs)
    """Passes over all interests."""

    max_sampled: int = _ranged("max_sampled", DEFAULT.max_sampled)
    """Maximum number of products that WARP samples to find a wrongly ranked one."""

    learning_rate: float = _ranged("learning_rate", DEFAULT.learning_rate)
    """Learning rate of Adagrad."""

    item_alpha: float = _ranged("item_alpha", DEFAULT.item_alpha)
    """L2 penalty on features of products."""

    user_alpha: float = _ranged("user_alpha", DEFAULT.user_alpha)
    """L2 penalty on features of shoppers."""

    threads: int = _ranged("threads", DEFAULT.threads)
    """Threads of LightFM. With 1 the same data give the same model bit for bit; more are faster,
    but give another model each time."""

    user_ids: bool = DEFAULT.user_ids
    """If true, each shopper has an individual feature in addition to those of given attributes."""

    style_dimension: int = _ranged("style_dimension", DEFAULT.style_dimension)
    """Length of the visual style, learned from the products' photos. 0 disables it."""

    style_scale: float = _ranged("style_scale", DEFAULT.style_scale)
    """Factor on what photos predict for products without likes. 1: as learned. 0: off."""

    shared_scale: float = _ranged("shared_scale", DEFAULT.shared_scale)
    """Scale of features that products share, such as a brand, relative to 1 for the id."""

    item_item: ItemItem = DEFAULT.item_item
    """Item-to-item model: transition, ease, cosine, knn or off."""

    transition_penalty: float = _ranged("transition_penalty", DEFAULT.transition_penalty)
    """The transitions' λ."""

    ease_penalty: float = _ranged("ease_penalty", DEFAULT.ease_penalty)
    """EASE's λ."""

    neighbours: int = _ranged("neighbours", DEFAULT.neighbours)
    """Maximum number of related products stored for each product."""

    together_support: int = _ranged("together_support", DEFAULT.together_support)
    """Minimum number of baskets that two products must share to count as bought together."""

    search_trials: int = Field(default=0, ge=0, le=10_000)
    """Number of recipes tried on a validation split before a model is trained. 0 disables the
    search."""

    search_seconds: float = Field(default=3600.0, gt=0, le=7 * 86400)
    """Seconds after which no further recipe is tried."""

    ablation: bool = True
    """If true, a training measures what each part adds and turns off parts that add nothing. It
    needs up to five more fits."""

    def recipe(self, signals: Signals) -> Recipe:
        """Return the recipe; `signals` holds the weights of events."""
        names = (*RANGES, "loss", "title_words", "user_ids", "item_item", "attribute_keys")
        return Recipe(**{name: getattr(self, name) for name in names}, signals=signals)


def read_recipe(given: Any) -> Any:
    """Return the content of the TOML file that `given` names, {} for "".

    Raises ValueError if it is unreadable.
    """
    if isinstance(given, RecipeFile):
        return given
    if not given:
        return {}
    try:
        return tomllib.loads(Path(given).read_text("utf-8"))
    except OSError as error:
        raise ValueError(f"can't be read: {error.strerror}") from None
    except (UnicodeError, tomllib.TOMLDecodeError) as error:
        raise ValueError(f"is not TOML: {error}") from None
