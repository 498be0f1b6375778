"""What a training is asked for, and what is told of one, on the wire."""

from collections.abc import Mapping
from typing import Any

from google.protobuf.message import Message

from ranker.domain.model import ModelRecord
from ranker.domain.recipe import RANGES, ItemItem, Loss, recipe_of
from ranker.servicer.messages import message_of
from servicekit.errors import FieldViolation
from servicekit.requests import RequestInvalid
from sightline.ranker.v1 import model_service_pb2 as pb
from sightline.ranker.v1 import recipe_pb2

MOST_TRIALS = 10_000
MOST_SECONDS = 7 * 86_400
MOST_KEYS, MOST_KEY_LENGTH = 100, 128

_LOSSES = {one: recipe_pb2.Recipe.Loss.Value(f"LOSS_{one.name}") for one in Loss}
_ITEM_ITEMS = {one: recipe_pb2.Recipe.ItemItem.Value(f"ITEM_ITEM_{one.name}") for one in ItemItem}
_PLAIN = (*RANGES, "user_ids")
"""Fields that are the same on the wire and in a recipe."""


def params_of(request: pb.TrainModelRequest) -> dict[str, Any]:
    """The job's parameters: what the request says, and nothing of what it leaves open.
    RequestInvalid."""
    violations = [*_violations(request)]
    if violations:
        raise RequestInvalid(*violations)
    params: dict[str, Any] = {"seed": request.seed}
    if recipe := _given(request.recipe):
        params["recipe"] = recipe
    for name in ("search_trials", "search_seconds", "ablation"):
        if _has(request, name):
            params[name] = getattr(request, name)
    if request.incremental:
        params["incremental"] = True
    return params


def _given(message: recipe_pb2.Recipe) -> dict[str, Any]:
    """What the message says of a recipe; JSON."""
    given = {name: getattr(message, name) for name in _PLAIN if _has(message, name)}
    for loss, number in _LOSSES.items():
        if message.loss == number:
            given["loss"] = loss.value
    for item_item, code in _ITEM_ITEMS.items():
        if message.item_item == code:
            given["item_item"] = item_item.value
    if message.attribute_keys:
        given["attribute_keys"] = list(message.attribute_keys)
    return given


def _violations(request: pb.TrainModelRequest) -> list[FieldViolation]:
    message, found = request.recipe, []
    for name, (least, most) in RANGES.items():
        value = getattr(message, name)
        if _has(message, name) and not least <= value <= most:
            found.append(FieldViolation(f"recipe.{name}", f"must be {least:g} to {most:,.15g}"))
    for name, known in (("loss", _LOSSES), ("item_item", _ITEM_ITEMS)):
        if getattr(message, name) not in (0, *known.values()):
            found.append(FieldViolation(f"recipe.{name}", "is none of those that are known"))
    keys = message.attribute_keys
    if len(keys) > MOST_KEYS or not all(0 < len(key) <= MOST_KEY_LENGTH for key in keys):
        problem = f"must be at most {MOST_KEYS} keys of 1 to {MOST_KEY_LENGTH} characters"
        found.append(FieldViolation("recipe.attribute_keys", problem))
    if not 0 <= request.search_trials <= MOST_TRIALS:
        found.append(FieldViolation("search_trials", f"must be 0 to {MOST_TRIALS:,}"))
    seconds = request.search_seconds
    if _has(request, "search_seconds") and not 0 < seconds <= MOST_SECONDS:
        found.append(FieldViolation("search_seconds", f"must be above 0, up to {MOST_SECONDS:,}"))
    if request.incremental and (_given(message) or request.search_trials):
        problem = "goes by the recipe of the model that serves: leave out recipe and search_trials"
        found.append(FieldViolation("incremental", problem))
    return found


def _has(message: Message, name: str) -> bool:
    return message.HasField(name)


def tell(message: pb.Model, model: ModelRecord) -> None:
    """Put into the message what is known of the model's training."""
    told: Mapping[str, Any] = model.training
    if not told:
        return
    recipe = recipe_of(told["recipe"])
    message.recipe.CopyFrom(message_of(recipe_pb2.Recipe, recipe))
    message.seed = recipe.seed
    message.blend.extend(
        recipe_pb2.BlendWeight(part=part, weight=weight)
        for part, weight in sorted(recipe.blend.weights.items())
    )
    message.blend_learned_from = recipe.blend.learned_from
    message.additions.extend(
        message_of(recipe_pb2.PartAddition, one) for one in told.get("ablation", ())
    )
    message.base_version = told.get("base", "")
    message.search_trial_count = told.get("trials", 0)
