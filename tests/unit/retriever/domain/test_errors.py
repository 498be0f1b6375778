"""The retriever's errors as they cross the wire."""

from __future__ import annotations

import inspect
import re

import pytest

from retriever.domain import errors
from retriever.domain.errors import (
    BackupQuota,
    CatalogAliasesFull,
    CatalogDeclared,
    CatalogExists,
    CatalogHasAlias,
    CatalogIsAlias,
    CatalogNotEmpty,
    CatalogRemoving,
    CatalogsFull,
    ColumnsUnavailable,
    DistinctPairsFull,
    EmbedderUnavailable,
    EtagMismatch,
    FacetInvalid,
    FieldMaskInvalid,
    FilterInvalid,
    FitMoved,
    GenerationActive,
    GenerationExists,
    GenerationNotFound,
    GenerationNotVerified,
    GenerationsFull,
    ImageDamaged,
    ImageNotFound,
    ImageRejected,
    ImageTakenDown,
    ImportClosed,
    ImportDeletesTooMuch,
    ImportModeMismatch,
    ImportNotFound,
    IndexParametersInvalid,
    IndexRefused,
    IndexTokenInvalid,
    IndexUnavailable,
    KeywordsInvalid,
    MarketNotFound,
    OfferInvalid,
    PhotosFull,
    PhotosUnavailable,
    ProductInvalid,
    ProductNotFound,
    RollbackUnavailable,
    SceneDocumentNotFound,
    SceneDocumentsFull,
    ScenesFromFiles,
    SpaceUnavailable,
    StageDeadline,
    SynonymsInvalid,
    VectorInvalid,
    VersionMismatch,
)
from retriever.domain.imports import ImportMode
from retriever.domain.product import Product, ProductContent
from servicekit.errors import FieldViolation, ServiceError
from servicekit.status import from_status, to_status
from sightline_rules.filters import Money, Time

MADE: list[ServiceError] = [
    IndexTokenInvalid(),
    FilterInvalid.at("filter", "is bad"),
    KeywordsInvalid.at("text", "is empty"),
    SynonymsInvalid.at("text", "is empty"),
    VectorInvalid.at("vector", "is bad"),
    ProductInvalid.at("a", "b"),
    FieldMaskInvalid(FieldViolation("a", "b")),
    OfferInvalid(FieldViolation("a", "b")),
    ImportNotFound(),
    ImportClosed(),
    ImportModeMismatch(ImportMode.FULL),
    ImportDeletesTooMuch(3, 4, 0.2),
    ImageRejected("IMAGE_UNDECODABLE", "is text", "images[0]"),
    ProductNotFound(),
    ImageNotFound("image_id"),
    GenerationNotFound(),
    IndexParametersInvalid.at("metric", "is unknown"),
    GenerationExists(metadata={"name": "g"}),
    GenerationsFull(8),
    SceneDocumentNotFound(),
    SceneDocumentsFull(200),
    DistinctPairsFull(10_000),
    ScenesFromFiles(),
    GenerationNotVerified("g", "it was not verified"),
    GenerationActive(metadata={"name": "g"}),
    RollbackUnavailable(metadata={"space": "visual"}),
    SpaceUnavailable("text"),
    VersionMismatch("v1", "v2"),
    EtagMismatch(),
    IndexUnavailable(),
    ColumnsUnavailable(),
    FitMoved(),
    MarketNotFound(),
    FacetInvalid.at("facets[0].field", "can't be counted"),
    EmbedderUnavailable(),
    PhotosUnavailable(),
    PhotosFull(),
    StageDeadline(),
    ImageDamaged(),
    IndexRefused(),
    CatalogNotEmpty(),
    CatalogExists(),
    CatalogDeclared(),
    CatalogRemoving(),
    CatalogIsAlias(),
    CatalogHasAlias("shop"),
    CatalogAliasesFull(200),
    CatalogsFull(8),
    BackupQuota(3, 5_000_000),
    ImageTakenDown("images[0]"),
]


def test_every_error_of_the_model_is_tried_here() -> None:
    classes = {
        member
        for _, member in inspect.getmembers(errors, inspect.isclass)
        if issubclass(member, ServiceError) and member.__module__ == errors.__name__
    }
    assert {type(error) for error in MADE} == classes


@pytest.mark.parametrize("error", MADE, ids=lambda error: type(error).__name__)
def test_an_error_keeps_reason_and_fields_on_the_wire(error: ServiceError) -> None:
    reported = from_status(to_status(error))
    assert (reported.code, reported.reason) == (error.code, error.reason)
    assert reported.violations == error.violations
    assert reported.retry_after == error.retry_after


@pytest.mark.parametrize("error", MADE, ids=lambda error: type(error).__name__)
def test_the_drawn_tree_names_every_error_with_its_reason(error: ServiceError) -> None:
    drawn = errors.__doc__ or ""
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
