"""The recipe of trainings: a TOML file, validated as a whole."""

import ast
import inspect
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, cast, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler, create_model
from pydantic_core import CoreSchema, core_schema

from ranker.domain.recipe import KEYS, RANGES, Recipe
from ranker.domain.signals import Signals


class TrainingKeys(BaseModel):
    """Keys of a recipe's file beside those of the recipe."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    search_trials: int = Field(default=0, ge=0, le=10_000)
    """Number of recipes tried on a validation split before a model is trained. 0 disables the
    search."""

    search_seconds: float = Field(default=3600.0, gt=0, le=7 * 86400)
    """Seconds after which no further recipe is tried."""

    ablation: bool = True
    """If true, a training measures what each part adds and turns off parts that add nothing. It
    needs up to five more fits."""


def _described(kind: type) -> Mapping[str, str]:
    """Return the docstrings of a class's fields."""
    (found,) = ast.parse(inspect.getsource(kind)).body
    return {
        one.target.id: inspect.cleandoc(text.value.value)
        for one, text in pairwise(cast(ast.ClassDef, found).body)
        if isinstance(one, ast.AnnAssign) and isinstance(one.target, ast.Name)
        if isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant)
        if isinstance(text.value.value, str)
    }


def _keys() -> Mapping[str, Any]:
    """Return type and field of each key of the recipe, as for create_model."""
    hints, described, default = get_type_hints(Recipe), _described(Recipe), Recipe()
    found = {}
    for name in KEYS:
        limits: Mapping[str, Any] = {}
        if name in RANGES:
            limits = {"ge": RANGES[name].least, "le": RANGES[name].most}
        given = Field(default=getattr(default, name), description=described[name], **limits)
        found[name] = (hints[name], given)
    return found


RECIPE_KEYS: type[TrainingKeys] = create_model("RecipeKeys", __base__=TrainingKeys, **_keys())
"""All keys of a recipe's file, with their descriptions."""


@dataclass(frozen=True, slots=True)
class RecipeFile:
    """Recipe of trainings, unless TrainModel overrides it."""

    keys: TrainingKeys = field(default_factory=RECIPE_KEYS)

    def recipe(self, signals: Signals) -> Recipe:
        """Return the recipe; `signals` holds the weights of events."""
        return Recipe(**{name: getattr(self.keys, name) for name in KEYS}, signals=signals)

    @classmethod
    def __get_pydantic_core_schema__(cls, _: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        keys = handler.generate_schema(RECIPE_KEYS)
        written = core_schema.plain_serializer_function_ser_schema(
            lambda file: file.keys.model_dump()
        )
        return core_schema.no_info_after_validator_function(cls, keys, serialization=written)


def read_recipe(given: Any) -> Any:
    """Return the content of the TOML file that `given` names, {} for "".

    Raises ValueError if it is unreadable.
    """
    if not given:
        return {}
    try:
        return tomllib.loads(Path(given).read_text("utf-8"))
    except OSError as error:
        raise ValueError(f"can't be read: {error.strerror}") from None
    except (UnicodeError, tomllib.TOMLDecodeError) as error:
        raise ValueError(f"is not TOML: {error}") from None
