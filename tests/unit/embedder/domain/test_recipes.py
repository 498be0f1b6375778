"""Preprocessing: steps by name, and their description."""

import importlib.util

import pytest

from embedder.domain.recipes import (
    PhotoRecipe,
    PreprocessStep,
    StepsInvalidError,
    parse_steps,
    words,
)

SIDE = 224


def test_a_list_of_steps_is_read_in_its_order() -> None:
    assert parse_steps("") == ()
    assert parse_steps("crop=pad;contrast=clahe;white_balance=grey_world") == (
        PreprocessStep.CROP_PAD,
        PreprocessStep.CONTRAST_CLAHE,
        PreprocessStep.WHITE_BALANCE_GREY_WORLD,
    )


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("denoise=magic", "no step 'denoise=magic'"),
        ("crop=subject", "no step 'crop=subject'"),
        ("denoise", "no step 'denoise'"),
        ("DENOISE=MEDIAN", "no step"),
        (" denoise=median", "no step"),
        ("denoise=median;", "no step ''"),
        (";", "no step ''"),
        ("denoise=median,contrast=clahe", "no step"),
        ("denoise=median;denoise=bilateral", "two steps of the kind denoise"),
        ("denoise=median;denoise=median", "two steps of the kind denoise"),
        ("contrast=clahe;crop=pad", "a crop must come before"),
    ],
)
def test_a_list_that_is_not_exact_is_refused(text: str, why: str) -> None:
    with pytest.raises(StepsInvalidError, match=why):
        parse_steps(text)


def test_a_step_whose_library_is_absent_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    for step in ("contrast=clahe", "denoise=median"):
        with pytest.raises(StepsInvalidError, match=r"install sightline-embedder\[opencv\]"):
            parse_steps(step)
    assert parse_steps("white_balance=grey_world")


def test_every_step_changes_the_version_of_a_space_and_none_leaves_it_as_it_was() -> None:
    plain = PhotoRecipe(SIDE, 0.875, "n")
    with_each = [PhotoRecipe(SIDE, 0.875, "n", (step,)) for step in PreprocessStep]
    turned = [
        PhotoRecipe(SIDE, 0.875, "n", order)
        for order in (
            (PreprocessStep.CONTRAST_CLAHE, PreprocessStep.DENOISE_MEDIAN),
            (PreprocessStep.DENOISE_MEDIAN, PreprocessStep.CONTRAST_CLAHE),
        )
    ]
    found = [words(recipe) for recipe in (plain, *with_each, *turned)]
    assert len(set(found)) == len(found)
    assert found[0].endswith("antialiased bicubic to 224x224; n")


@pytest.mark.parametrize(
    "other",
    [PhotoRecipe(225, 0.875, "n"), PhotoRecipe(224, 0.9, "n"), PhotoRecipe(224, 0.875, "m")],
)
def test_the_words_differ_when_anything_that_is_done_differs(other: PhotoRecipe) -> None:
    assert words(PhotoRecipe(224, 0.875, "n")) != words(other)
