"""The catalog service of a gateway with canned answers."""

from __future__ import annotations

from collections.abc import Collection
from itertools import combinations
from typing import TYPE_CHECKING, Any

from google.protobuf import timestamp_pb2
from google.rpc import code_pb2, status_pb2

from sightline.common.v1 import filter_pb2, import_pb2, product_pb2
from sightline.gateway.v1 import catalog_service_pb2, catalog_service_pb2_grpc
from tests.fakes.gateway_messages import status

if TYPE_CHECKING:
    from tests.fakes.gateway import FakeGateway


def passes(condition: filter_pb2.Filter, product: product_pb2.Product) -> bool:
    """Return whether a product matches a filter; only equal brands, joined, are implemented."""
    if condition.HasField("comparison"):
        return product.brand == condition.comparison.value.text
    return all(passes(part, product) for part in condition.all.filters)


def decided(pairs: Collection[tuple[str, str]]) -> list[catalog_service_pb2.DistinctPair]:
    """Return pairs as they are answered, the first one decided first."""
    return [
        catalog_service_pb2.DistinctPair(
            product_id=one,
            other_product_id=other,
            author="ann",
            create_time=timestamp_pb2.Timestamp(seconds=1_700_000_000 + place),
        )
        for place, (one, other) in enumerate(sorted(pairs))
    ]


class FakeImport:
    """Import as the suite stores it, with the decision on each row."""

    def __init__(self, import_id: str, mode: int) -> None:
        self.import_id = import_id
        self.mode = mode
        self.decided: dict[int, catalog_service_pb2.UpsertResult] = {}
        self.held: set[str] = set()
        self.closed = False

    def state(self) -> import_pb2.ImportState:
        """Return the state: rows 1 to ``rows_done`` are decided, later ones may be."""
        done = 0
        while done + 1 in self.decided:
            done += 1
        refused = sum(result.status.code != 0 for result in self.decided.values())
        return import_pb2.ImportState(
            import_id=self.import_id,
            mode=self.mode,  # type: ignore[arg-type]
            rows_done=done,
            stored_count=len(self.decided) - refused,
            refused_count=refused,
            closed=self.closed,
        )


class Catalog(catalog_service_pb2_grpc.CatalogServiceServicer):
    def __init__(self, gateway: FakeGateway) -> None:
        self._gateway = gateway

    def ListRejectedRows(self, request: Any, context: Any) -> Any:
        self._gateway.take("ListRejectedRows", request, context)
        return self._gateway.rejected_rows

    def MarkDistinctProducts(self, request: Any, context: Any) -> Any:
        self._gateway.take("MarkDistinctProducts", request, context)
        named = {*combinations(sorted(request.product_ids), 2)}
        self._gateway.distinct |= named
        return catalog_service_pb2.MarkDistinctProductsResponse(pairs=decided(named))

    def UnmarkDistinctProducts(self, request: Any, context: Any) -> Any:
        self._gateway.take("UnmarkDistinctProducts", request, context)
        named = {*combinations(sorted(request.product_ids), 2)} & self._gateway.distinct
        self._gateway.distinct -= named
        return catalog_service_pb2.UnmarkDistinctProductsResponse(deleted_count=len(named))

    def ListDistinctProducts(self, request: Any, context: Any) -> Any:
        self._gateway.take("ListDistinctProducts", request, context)
        pairs = decided(self._gateway.distinct)
        return catalog_service_pb2.ListDistinctProductsResponse(pairs=pairs)

    def UpsertProducts(self, request: Any, context: Any) -> Any:
        self._gateway.take("UpsertProducts", request, context)
        products = self._gateway.products

        def store(place: int) -> None:
            products[request.products[place].product_id] = request.products[place]

        ids = [product.product_id for product in request.products]
        results = [
            catalog_service_pb2.UpsertResult(status=status, product_id=product_id, etag="e2")
            for product_id, status in zip(ids, self._gateway.each(ids, store), strict=True)
        ]
        del results[len(results) - self._gateway.unanswered :]
        calls = len(self._gateway.requests["UpsertProducts"])
        return catalog_service_pb2.UpsertProductsResponse(results=results, index_token=f"i{calls}")

    def GetProduct(self, request: Any, context: Any) -> Any:
        self._gateway.take("GetProduct", request, context)
        if request.product_id not in self._gateway.products:
            missing = status(code_pb2.NOT_FOUND, "no such product", reason="PRODUCT_NOT_FOUND")
            self._gateway.abort(context, missing)
        return self._gateway.products[request.product_id]

    def UpdateProducts(self, request: Any, context: Any) -> Any:
        self._gateway.take("UpdateProducts", request, context)
        ids = [update.product.product_id for update in request.updates]

        def store(place: int) -> None:
            update = request.updates[place]
            if (held := self._gateway.products.get(update.product.product_id)) is not None:
                mask = update.update_mask
                mask.MergeMessage(update.product, held, True, True)
                if "category_path" in mask.paths:
                    held.ClearField("category_doubt")

        results = [
            catalog_service_pb2.UpsertResult(status=status, product_id=product_id, etag="e3")
            for product_id, status in zip(ids, self._gateway.each(ids, store), strict=True)
        ]
        del results[len(results) - self._gateway.unanswered :]
        return catalog_service_pb2.UpsertProductsResponse(results=results, index_token="i1")

    def UpdateOffers(self, request: Any, context: Any) -> Any:
        self._gateway.take("UpdateOffers", request, context)
        statuses = []
        for offer in request.offers:
            product = self._gateway.products.get(offer.product_id)
            if product is None:
                missing = status(code_pb2.NOT_FOUND, "no such product", reason="PRODUCT_NOT_FOUND")
                statuses.append(missing)
                continue
            if offer.HasField("price"):
                product.price.CopyFrom(offer.price)
            product.availability = offer.availability or product.availability
            statuses.append(status_pb2.Status())
        del statuses[len(statuses) - self._gateway.unanswered :]
        return catalog_service_pb2.UpdateOffersResponse(statuses=statuses, index_token="i5")

    def PurgeProducts(self, request: Any, context: Any) -> Any:
        self._gateway.take("PurgeProducts", request, context)
        products = self._gateway.products
        ids = sorted(key for key, value in products.items() if passes(request.filter, value))
        job = self._gateway.job_states[0] if request.force else None
        for product_id in ids if request.force else ():
            del products[product_id]
        return catalog_service_pb2.PurgeProductsResponse(
            product_count=len(ids), sample_product_ids=ids[:20], job=job
        )

    def OpenImport(self, request: Any, context: Any) -> Any:
        self._gateway.take("OpenImport", request, context)
        with self._gateway.lock:
            known = self._gateway.imports.setdefault(
                request.import_id, FakeImport(request.import_id, request.mode)
            )
        return known.state()

    def ImportProducts(self, request: Any, context: Any) -> Any:
        self._gateway.take("ImportProducts", request, context)
        known = self._gateway.imports[request.import_id]
        if known.closed:
            self._gateway.abort(
                context, status(code_pb2.FAILED_PRECONDITION, "closed", reason="IMPORT_CLOSED")
            )
        with self._gateway.lock:
            results = [self._decide(known, row) for row in request.rows]
            del results[len(results) - self._gateway.unanswered :]
            return catalog_service_pb2.ImportProductsResponse(
                results=results, state=known.state(), index_token="i7"
            )

    def _decide(self, known: FakeImport, row: Any) -> catalog_service_pb2.UpsertResult:
        if row.row_number in known.decided:
            return known.decided[row.row_number]
        product = row.product
        known.held.add(product.product_id)
        result = catalog_service_pb2.UpsertResult(product_id=product.product_id)
        if product.product_id in self._gateway.passing:
            result.status.CopyFrom(self._gateway.passing.pop(product.product_id))
            return result
        if product.product_id in self._gateway.refused:
            result.status.CopyFrom(self._gateway.refused[product.product_id])
        elif not product.title:
            result.status.CopyFrom(
                status(code_pb2.INVALID_ARGUMENT, "no title", reason="PRODUCT_INVALID")
            )
        else:
            self._gateway.products[product.product_id] = product
            self._gateway.stored.append(product.product_id)
        known.decided[row.row_number] = result
        return result

    def CloseImport(self, request: Any, context: Any) -> Any:
        self._gateway.take("CloseImport", request, context)
        known = self._gateway.imports[request.import_id]
        products = self._gateway.products
        gone = (
            sorted(set(products) - known.held) if known.mode == import_pb2.IMPORT_MODE_FULL else []
        )
        if not request.dry_run:
            if len(gone) > self._gateway.share * len(products) and not request.force:
                why = status(
                    code_pb2.FAILED_PRECONDITION, "too much", reason="IMPORT_DELETES_TOO_MUCH"
                )
                self._gateway.abort(context, why)
            known.closed = True
            for product_id in gone:
                del products[product_id]
        deletes = gone and not request.dry_run
        return catalog_service_pb2.CloseImportResponse(
            state=known.state(),
            delete_count=len(gone),
            sample_product_ids=gone[:20],
            job=self._gateway.job_states[0] if deletes else None,
        )

    def ListProducts(self, request: Any, context: Any) -> Any:
        self._gateway.take("ListProducts", request, context)
        ids = sorted(
            product_id
            for product_id, product in self._gateway.products.items()
            if not (request.without_photo_only and product.images)
            and not (request.doubted_only and not product.HasField("category_doubt"))
        )
        place = int(request.page_token or 0)
        if not ids:
            return catalog_service_pb2.ListProductsResponse()
        return catalog_service_pb2.ListProductsResponse(
            products=[self._gateway.products[ids[place]]],
            next_page_token=str(place + 1) if place + 1 < len(ids) else "",
        )

    def DeleteProducts(self, request: Any, context: Any) -> Any:
        self._gateway.take("DeleteProducts", request, context)
        found = [self._gateway.products.pop(key, None) for key in request.product_ids]
        count = sum(product is not None for product in found)
        return catalog_service_pb2.DeleteProductsResponse(deleted_count=count, index_token="i9")

    def GetImage(self, request: Any, context: Any) -> Any:
        self._gateway.take("GetImage", request, context)
        return product_pb2.ProductImage(image_id=request.image_id, content=self._gateway.photo)
