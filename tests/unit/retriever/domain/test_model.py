"""The retriever's errors as they cross the wire."""

from __future__ import annotations

import inspect
import re

import pytest

from retriever.domain import model
from retriever.domain.model import Product, ProductContent
from servicekit.errors import FieldViolation, ServiceError
from servicekit.status import from_status, to_status
from sightline_rules.filters import Money, Time

MADE: list[ServiceError] = [
    model.IndexTokenInvalid(),
    model.FilterInvalid("filter", "is bad"),
    model.KeywordsInvalid("is empty"),
    model.VectorInvalid("vector", "is bad"),
    model.ProductInvalid(FieldViolation("a", "b")),
    model.FieldMaskInvalid(FieldViolation("a", "b")),
    model.OfferInvalid(FieldViolation("a", "b")),
    model.ImportNotFound(),
    model.ImportClosed(),
    model.ImportModeMismatch(model.ImportMode.FULL),
    model.ImportDeletesTooMuch(3, 4, 0.2),
    model.ImageRejected("IMAGE_UNDECODABLE", "is text", "images[0]"),
    model.ProductNotFound(),
    model.ImageNotFound("image_id"),
    model.GenerationNotFound(),
    model.IndexParametersInvalid(FieldViolation("metric", "is unknown")),
    model.GenerationExists("g"),
    model.GenerationsFull(8),
    model.GenerationNotVerified("g", "it was not verified"),
    model.GenerationActive("g"),
    model.RollbackUnavailable("visual"),
    model.SpaceUnavailable("text"),
    model.VersionMismatch("v1", "v2"),
    model.EtagMismatch(),
    model.IndexUnavailable(),
    model.EmbedderUnavailable(),
    model.PhotosUnavailable(),
    model.PhotosFull(),
    model.StageDeadline(),
    model.ImageDamaged(),
    model.IndexRefused(),
]


def test_every_error_of_the_model_is_tried_here() -> None:
    classes = {
        member
        for _, member in inspect.getmembers(model, inspect.isclass)
        if issubclass(member, ServiceError) and member.__module__ == model.__name__
    }
    assert {type(error) for error in MADE} == classes


@pytest.mark.parametrize("error", MADE, ids=lambda error: type(error).__name__)
def test_an_error_keeps_reason_and_fields_on_the_wire(error: ServiceError) -> None:
    told = from_status(to_status(error))
    assert (told.code, told.reason) == (error.code, error.reason)
    assert told.violations == error.violations
    assert told.retry_after == error.retry_after


@pytest.mark.parametrize("error", MADE, ids=lambda error: type(error).__name__)
def test_the_drawn_tree_names_every_error_with_its_reason(error: ServiceError) -> None:
    drawn = model.__doc__ or ""
    assert re.search(rf"{type(error).__name__}\s+.*{error.reason}", drawn)


def test_what_can_be_tried_again_says_when() -> None:
    for error in MADE:
        if error.code == "UNAVAILABLE":
            assert error.retry_after, error.reason


def test_filters_see_what_the_product_says() -> None:
    content = ProductContent(
        "a", "A", category_path=("Wine", "Red"), brand="b", price=Money("EUR", 1), tags=("x",)
    )
    facts = Product(content, (), 1, 2, "", 1).facts
    assert (facts.category, facts.brand, facts.tags) == ("Wine > Red", "b", frozenset({"x"}))
    assert (facts.create_time, facts.update_time) == (Time(1), Time(2))
