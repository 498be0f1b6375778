"""The description in a model's configuration."""

from typing import Any

import pytest

from embedder.adapters.triton.client import TritonInference
from embedder.domain.errors import ModelNotReady
from embedder.domain.recipes import (
    PairRecipe,
    PhotoRecipe,
    PreprocessStep,
    Sentences,
    TextRecipe,
)
from tests.fakes.triton import FakeTriton


async def test_the_model_of_this_repository_is_understood(served: TritonInference) -> None:
    found = await served.describe()
    assert (found.model, found.space, found.dimension) == ("efficientnet_lite0", "visual", 1280)
    assert found.recipe == PhotoRecipe(224, 0.875, "(x-127)/128 in the graph")
    assert (found.precision, found.licence, found.max_batch) == ("fp32", "Apache-2.0", 4)
    assert [len(bytes.fromhex(value)) for value in found.hashes.values()] == [32]


@pytest.mark.parametrize(
    "parameter", ["space", "crop", "input_size", "normalisation", "precision", "version_1_sha256"]
)
async def test_a_model_that_does_not_describe_itself_is_refused(
    served: TritonInference, triton: FakeTriton, parameter: str
) -> None:
    if parameter == "input_size":
        triton.config.input[0].dims[1] = 225  # what is said beside the shape is for people
    else:
        del triton.config.parameters[parameter]
    with pytest.raises(ModelNotReady):
        await served.describe()


async def test_a_model_of_another_form_is_refused(
    served: TritonInference, triton: FakeTriton
) -> None:
    good = triton.config.SerializeToString()
    changes = [
        lambda c: c.input[0].dims.pop(),
        lambda c: c.input.add(name="second"),
        lambda c: c.input.add(name="kind", dims=[2]),
        lambda c: c.output.add(name="category", dims=[4, 2]),
        lambda c: c.output.add(name="features", dims=[4]),
        lambda c: c.output[0].dims.append(2),
        lambda c: setattr(c.input[0], "name", "pixels"),
        lambda c: setattr(c.output[0], "name", "logits"),
        lambda c: setattr(c, "max_batch_size", 0),
        lambda c: setattr(c.parameters["crop"], "string_value", "1.5"),
        lambda c: setattr(c.parameters["crop"], "string_value", "nan"),
        lambda c: setattr(c.parameters["crop"], "string_value", "all"),
    ]
    for change in changes:
        triton.config.ParseFromString(good)
        change(triton.config)
        with pytest.raises(ModelNotReady):
            await served.describe()
    triton.config.ParseFromString(good)
    await served.describe()


def fitted(config: Any) -> None:
    """Make of a model's configuration that of a fitted space."""
    config.input.add(name="kind", data_type="TYPE_FP32", dims=[1])
    config.output.add(name="category", data_type="TYPE_FP32", dims=[4])
    reported = {
        "catalog": "wine",
        "shopper_views": "2",
        "catalogue_views": "4",
        "create_time": "1.5",
    }
    for key, value in reported.items():
        config.parameters[key].string_value = value


async def test_a_fitted_model_describes_its_catalog_views_and_categories(
    served: TritonInference, triton: FakeTriton
) -> None:
    fitted(triton.config)
    found = await served.describe()
    assert (found.catalog, found.cameras, found.categories) == ("wine", True, 3)
    assert (found.shopper_views, found.catalog_views, found.create_time) == (2, 4, 1.5)


@pytest.mark.parametrize(
    "change",
    [
        {"shopper_views": "0"},
        {"catalogue_views": "5"},
        {"shopper_views": "many"},
        {"create_time": "yesterday"},
        {"preprocessing": "magic=on"},
    ],
)
async def test_a_fitted_model_that_describes_nonsense_is_refused(
    served: TritonInference, triton: FakeTriton, change: dict[str, str]
) -> None:
    fitted(triton.config)
    for key, value in change.items():
        triton.config.parameters[key].string_value = value
    with pytest.raises(ModelNotReady):
        await served.describe()


async def test_steps_that_a_model_names_are_part_of_its_recipe(
    served: TritonInference, triton: FakeTriton
) -> None:
    triton.config.parameters["preprocessing"].string_value = "white_balance=grey_world"
    recipe = (await served.describe()).recipe
    assert isinstance(recipe, PhotoRecipe)
    assert recipe.steps == (PreprocessStep.WHITE_BALANCE_GREY_WORLD,)


async def test_a_text_model_and_a_map_of_texts_are_understood(
    served: TritonInference, triton: FakeTriton
) -> None:
    config = triton.config
    del config.input[:]
    config.input.add(name="input_ids", data_type="TYPE_INT64", dims=[-1])
    config.input.add(name="attention_mask", data_type="TYPE_INT64", dims=[-1])
    config.parameters["tokens"].string_value = "256"
    config.parameters["tokenizer_sha256"].string_value = "f" * 64
    assert (await served.describe()).recipe == TextRecipe(256, "f" * 64)
    for name in ("second_input_ids", "second_attention_mask"):
        config.input.add(name=name, data_type="TYPE_INT64", dims=[-1])
    config.parameters["second_tokens"].string_value = "128"
    config.parameters["second_tokenizer_sha256"].string_value = "a" * 64
    for dimensions in ("", "384", "1 2", "0 1280", "384 896 1"):
        config.parameters["dimensions"].string_value = dimensions
        with pytest.raises(ModelNotReady):
            await served.describe()
    config.parameters["dimensions"].string_value = "384 896"
    assert (await served.describe()).recipe == PairRecipe(
        TextRecipe(256, "f" * 64), TextRecipe(128, "a" * 64), (384, 896)
    )
    del config.input[:]
    config.input.add(name="sentence", data_type="TYPE_FP32", dims=[384])
    assert (await served.describe()).recipe == Sentences(384)
    config.parameters["text_version"].string_value = "e" * 16
    assert (await served.describe()).recipe == Sentences(384, "e" * 16)


async def test_a_step_that_is_unknown_is_named_to_the_operator(
    served: TritonInference, triton: FakeTriton
) -> None:
    triton.config.parameters["preprocessing"].string_value = "denoise=magic"
    with pytest.raises(ModelNotReady, match=r"no step 'denoise=magic'; the steps are crop=pad"):
        await served.describe()
