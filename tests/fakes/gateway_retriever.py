"""A retriever with the results that a test sets."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

from gateway.model.peers import IndexState
from gateway.model.query import AnswerScope
from servicekit.errors import (
    FailedPrecondition,
    FieldViolation,
    InvalidArgument,
    NotFound,
    ServiceError,
)
from sightline.common.v1 import vector_pb2
from sightline.common.v1.candidate_pb2 import CandidateColumns
from sightline.common.v1.facet_pb2 import Facet
from sightline.common.v1.product_pb2 import Product as ProductRow
from sightline.common.v1.product_pb2 import ProductImage
from sightline_core.columns import ProductColumns
from sightline_core.opaque_messages import FacetRequest, Vector
from sightline_core.search import (
    CatalogSuggestions,
    CheckedProducts,
    ListedProducts,
    ListingRequest,
    NearestProducts,
    ProductRows,
    Rejection,
    UsedSynonym,
    VectorBlend,
)
from sightline_core.versions import Freshness, SpaceVersion
from sightline_rules import categories
from tests.fakes.gateway_values import SPACE, columns


def content(near: Vector | str) -> bytes | str:
    if isinstance(near, str):
        return near
    return cast(vector_pb2.Vector, near).data


def spelt(blend: VectorBlend) -> str:
    """Return a blend as the key of its nearest products: "+1 photo -0.5 p1"."""
    said = ((weight, content(near)) for weight, near in blend.parts)
    return " ".join(
        f"{weight:+g} {near.decode() if isinstance(near, bytes) else near}" for weight, near in said
    )


@dataclass
class FakeRetriever:
    """Record of products, with the nearest products of each query."""

    record: list[str] = field(default_factory=lambda: [f"p{i}" for i in range(10)])
    """Products that exist and pass the filter, newest first."""
    nearest: dict[bytes | str, dict[str, float]] = field(default_factory=dict)
    """Similarities of products, by a vector's data or by product id."""
    fails: dict[str, ServiceError] = field(default_factory=dict)
    """Errors by method name."""
    broken: dict[bytes, ServiceError] = field(default_factory=dict)
    """Errors of searches, by a vector's data."""
    hang: set[str] = field(default_factory=set)
    cancelled: list[str] = field(default_factory=list)
    calls: list[tuple[str, object]] = field(default_factory=list)
    scopes: list[AnswerScope] = field(default_factory=list)
    active: list[SpaceVersion] = field(default_factory=lambda: [SPACE])
    """The generations that one search after the other finds active; the last one stays."""
    parents: dict[str, str] = field(default_factory=dict)
    hashes: dict[str, int] = field(default_factory=dict)
    collapsed: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Near-duplicates in searches, by the product into which they collapse."""
    far: dict[bytes | str, dict[str, float]] = field(default_factory=dict)
    """Similarities of products that only a search for them alone finds."""
    created: dict[str, int] = field(default_factory=dict)
    rejections: dict[str, Rejection] = field(default_factory=dict)
    """Why products do not pass the callers' filters."""
    sold_out: set[str] = field(default_factory=set)
    suggested: CatalogSuggestions = field(default_factory=CatalogSuggestions)
    label_words: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """By product, the words of a label that it has."""
    cancelling: set[str] = field(default_factory=set)
    """Blends whose parts cancel out, as `spelt`."""

    async def search(
        self,
        catalog_id: str,
        near: Vector | str | VectorBlend,
        scope: AnswerScope,
        *,
        top_k: int,
        exclude: Sequence[str],
        min_index_token: str,
    ) -> NearestProducts:
        key = spelt(near) if isinstance(near, VectorBlend) else content(near)
        active = self.active.pop(0) if len(self.active) > 1 else self.active[0]
        await self._called("search", key, scope)
        nears = [each for _, each in near.parts] if isinstance(near, VectorBlend) else [near]
        for each in nears:
            if isinstance(each, vector_pb2.Vector) and each.space_version != active.version:
                metadata = {"given": each.space_version, "held": active.version}
                raise FailedPrecondition(
                    "stale", reason="INDEX_VERSION_MISMATCH", metadata=metadata
                )
        missing = [
            place
            for place, each in enumerate(nears)
            if isinstance(each, str) and each not in self.nearest
        ]
        if missing:
            paths = [FieldViolation(f"blend.parts[{place}].product_id", "") for place in missing]
            blended = isinstance(near, VectorBlend)
            raise NotFound(
                "no such product", reason="PRODUCT_NOT_FOUND", violations=paths if blended else ()
            )
        if key in self.cancelling:
            cancelled = FieldViolation("blend", "cancels out")
            raise InvalidArgument("blend", reason="VECTOR_INVALID", violations=[cancelled])
        found = {
            item: score for item, score in self.nearest.get(key, {}).items() if item not in exclude
        }
        if scope.created_micros is not None:
            near_or_far = {**found, **self.far.get(key, {})}
            ids = [item for item in near_or_far if self.created.get(item) == scope.created_micros]
            found = {item: near_or_far[item] for item in ids}
        ids = list(found)[:top_k]
        return NearestProducts(
            columns=self._columns(ids),
            similarities=tuple(found[item] for item in ids),
            image_ids=tuple(f"image of {item}" for item in ids),
            space=active,
            freshness=Freshness(index_token="t1", index_time_micros=1),
            plan="flat",
            work=0.002,
            collapsed=[self.collapsed.get(item, ()) for item in ids],
            own=self._columns([each for each in nears if isinstance(each, str)])
            if any(isinstance(each, str) for each in nears)
            else None,
        )

    async def search_each(
        self, catalog_id: str, blends: Sequence[VectorBlend], scope: AnswerScope, **given: Any
    ) -> list[NearestProducts | ServiceError]:
        found = list[NearestProducts | ServiceError]()
        for blend in blends:
            try:
                found.append(await self.search(catalog_id, blend, scope, **given))
            except ServiceError as error:
                found.append(error)
        return found

    def _columns(self, ids: Sequence[str]) -> ProductColumns:
        made = columns(*ids)
        if self.paths:
            paths = [self.paths.get(item, "") for item in ids]
            source = CandidateColumns(product_ids=ids, category_paths=paths)
            made = replace(made, blocks=[(source, range(len(ids)))])
        return replace(
            made,
            parent_ids=[self.parents.get(item, "") for item in ids],
            image_hashes=[self.hashes.get(item, 0) for item in ids],
            create_time_micros=[self.created.get(item, place) for place, item in enumerate(ids)],
        )

    words_of: dict[str, dict[str, float]] = field(default_factory=dict)
    """Scores of matching products, by text."""
    corrections: dict[str, str] = field(default_factory=dict)
    """Corrected texts, by the text."""
    synonyms: dict[str, UsedSynonym] = field(default_factory=dict)
    """Synonyms by which products are found, by product."""

    guessed: list[bool] = field(default_factory=list)
    """Whether the language of each text was to be guessed."""

    async def keywords(
        self,
        catalog_id: str,
        text: str,
        scope: AnswerScope,
        *,
        top_k: int,
        exclude: Sequence[str],
        language_code: str = "",
        correct: bool = False,
        labelled: bool = False,
        guess_language: bool = False,
    ) -> NearestProducts:
        await self._called("label" if labelled else "words", text, scope)
        self.guessed.append(guess_language)
        corrected = self.corrections.get(text, "") if correct else ""
        text = corrected or text
        found = {
            item: match
            for item, match in self.words_of.get(text, {}).items()
            if item not in exclude
            and (scope.created_micros is None or self.created.get(item) == scope.created_micros)
        }
        ids = list(found)[:top_k]
        return NearestProducts(
            columns=self._columns(ids),
            similarities=tuple(found[item] for item in ids),
            image_ids=(),
            space=None,
            freshness=None,
            plan="words",
            work=0.001,
            corrected_text=corrected,
            synonyms={name: used for name, used in self.synonyms.items() if name in ids},
            label_words={name: held for name, held in self.label_words.items() if name in ids},
        )

    async def columns(
        self, catalog_id: str, ids: Sequence[str], scope: AnswerScope
    ) -> ProductColumns:
        await self._called("columns", tuple(ids), scope)
        passing = self.passing.get(scope.filter.content) if scope.filter else None
        left = [item for item in ids if item in self.record]
        return self._columns([item for item in left if passing is None or item in passing])

    passing: dict[bytes, set[str]] = field(default_factory=dict)
    """Matching products by the bytes of a filter; any other filter matches all."""

    async def checked(
        self, catalog_id: str, ids: Sequence[str], scope: AnswerScope
    ) -> CheckedProducts:
        await self._called("checked", tuple(ids), scope)
        why = {
            item: await self.rejection(catalog_id, item, AnswerScope()) for item in self.sold_out
        }
        found = {**self.rejections, **{item: each for item, each in why.items() if each}}
        missing = {item for item in ids if item not in self.record and item not in found}
        left = [item for item in ids if item not in missing and item not in found]
        return CheckedProducts(self._columns(left), frozenset(missing), found)

    paths: dict[str, str] = field(default_factory=dict)
    """Written category paths."""

    async def categories(self, catalog_id: str, ids: Sequence[str]) -> dict[str, str]:
        await self._called("categories", tuple(ids), AnswerScope())
        return {item: self.paths.get(item, "") for item in ids if item in self.record}

    async def newest(self, catalog_id: str, scope: AnswerScope, count: int) -> ProductColumns:
        await self._called("newest", count, scope)
        return self._columns(self.record[:count])

    rows: dict[str, ProductRow] = field(default_factory=dict)
    """Products of which more is known than the id."""
    titled: list[tuple[str, ...]] = field(default_factory=list)
    """Products of each read of titles."""

    async def products(
        self,
        catalog_id: str,
        ids: Sequence[str],
        scope: AnswerScope,
        titles: Sequence[str] = (),
        *,
        unshown: bool = False,
    ) -> ProductRows:
        self.titled.append(tuple(titles))
        await self._called("products", tuple(ids), scope)
        return ProductRows(
            tuple(self.rows.get(item) or self._row(item) for item in ids if item in self.record),
            {item: f"Title of {item}" for item in titles if item in self.record},
        )

    async def facets(
        self, catalog_id: str, asked: Sequence[FacetRequest], scope: AnswerScope
    ) -> tuple[Facet, ...]:
        await self._called("facets", [each.field for each in asked], scope)
        return tuple(Facet(field=each.field, missing_count=1) for each in asked)

    state: str = "7"
    """State of the catalog."""
    asked: list[ListingRequest] = field(default_factory=list)
    """Requests of listings."""

    async def browse(
        self, catalog_id: str, asked: ListingRequest, scope: AnswerScope
    ) -> ListedProducts:
        """List the record in its order, `ranked` first, without excluded products."""
        self.asked.append(asked)
        await self._called("browse", asked.order, scope)
        there = dict.fromkeys(
            [*(each for each in asked.ranked if each in self.record), *self.record]
        )
        families = {self.parents.get(each, each) for each in asked.exclude_families}
        ids = [
            each
            for each in there
            if each not in asked.exclude and self.parents.get(each, each) not in families
        ]
        start = int(asked.token or 0)
        shown = ids[start : start + asked.size]
        end = start + len(shown)
        return ListedProducts(
            rows=tuple(self.rows.get(each, ProductRow(product_id=each)) for each in shown),
            columns=replace(self._columns(shown), image_hashes=()),
            variants=(),
            total=len(ids),
            facets=[Facet(field=each.field) for each in asked.facets],
            next_token=str(end) if end < len(ids) else "",
            state=self.state,
            not_modified=asked.known_state == self.state,
        )

    counted: int = 1
    """Products that pass any filter."""

    async def product_count(self, catalog_id: str, scope: AnswerScope) -> int:
        await self._called("product_count", "", scope)
        return self.counted

    async def suggest(
        self, catalog_id: str, prefix: str, language_code: str, size: int
    ) -> CatalogSuggestions:
        await self._called("suggest", (prefix, language_code, size), AnswerScope())
        return self.suggested

    async def count(self, catalog_id: str, space: str) -> IndexState:
        await self._called("count", space, AnswerScope())
        return IndexState(space=self.active[0])

    photos: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Ids of products' photos."""

    def _row(self, item: str) -> ProductRow:
        images = [ProductImage(image_id=each) for each in self.photos.get(item, ())]
        path = categories.split(self.paths.get(item, ""))
        return ProductRow(product_id=item, images=images, category_path=path)

    async def photo(self, catalog_id: str, image_id: str) -> bytes:
        await self._called("photo", image_id, AnswerScope())
        return f"file of {image_id}".encode()

    async def rejection(
        self, catalog_id: str, product_id: str, scope: AnswerScope
    ) -> Rejection | None:
        await self._called("rejection", product_id, scope)
        if scope.filter is not None:
            return self.rejections.get(product_id)
        sold_out = Rejection(
            condition="availability != OUT_OF_STOCK", held=("availability: OUT_OF_STOCK",)
        )
        return sold_out if product_id in self.sold_out else None

    async def _called(self, name: str, what: object, scope: AnswerScope) -> None:
        self.calls.append((name, what))
        self.scopes.append(scope)
        if name in self.hang:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                self.cancelled.append(name)
                raise
        if name in self.fails:
            raise self.fails[name]
        if isinstance(what, bytes) and what in self.broken:
            raise self.broken[what]
