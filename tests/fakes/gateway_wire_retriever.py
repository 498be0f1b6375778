"""A scripted retriever on the wire."""

from google.rpc import status_pb2

from servicekit.errors import Aborted, FieldViolation, InvalidArgument, NotFound, ServiceError
from servicekit.status import to_status
from sightline.common.v1 import (
    answer_pb2,
    catalog_list_service_pb2,
    catalog_list_service_pb2_grpc,
    import_pb2,
    job_pb2,
    product_pb2,
)
from sightline.gateway.v1 import catalog_service_pb2 as gateway_pb
from sightline.retriever.v1 import (
    backup_service_pb2,
    index_service_pb2,
    keyword_service_pb2,
    keyword_service_pb2_grpc,
    photo_service_pb2,
    product_service_pb2,
    product_service_pb2_grpc,
    synonym_service_pb2,
    vector_service_pb2,
    vector_service_pb2_grpc,
)
from tests.fakes.gateway_script import NEAREST, PRODUCTS, SPACE, Script, columns, stage_timing

RECALL = answer_pb2.RecallEstimate(
    plan="graph",
    filter_class="narrow",
    k=100,
    recall=0.875,
    lower=0.75,
    upper=0.9375,
    search_count=40,
    row_count=300,
    below_floor=True,
    ef_factor=2.0,
)


class Fits:
    """Every job is new."""

    def __init__(self, script: Script) -> None:
        self.script = script

    async def FitSpace(self, request, context):
        await self.script.take("FitSpace", request, context)
        return job_pb2.Job(job_id="retriever/4", kind="fit")


class Vectors(vector_service_pb2_grpc.VectorServiceServicer):
    """Fake vector search that finds NEAREST for every existing query."""

    def __init__(self, script: Script, products: list[str]) -> None:
        self.script = script
        self.products = products

    async def Search(self, request, context):
        await self.script.take("Search", request, context)
        if request.product_id and request.product_id not in PRODUCTS:
            raise NotFound("no such product", reason="PRODUCT_NOT_FOUND")
        asked = [part.product_id for part in request.blend.parts]
        if gone := [place for place, item in enumerate(asked) if item and item not in PRODUCTS]:
            raise NotFound(
                "no such product",
                reason="PRODUCT_NOT_FOUND",
                violations=[
                    FieldViolation(f"blend.parts[{place}].product_id", "is not in the catalog")
                    for place in gone
                ],
            )
        if request.filter.comparison.field == "colour" or any(
            item.comparison.field == "colour" for item in request.filter.all.filters
        ):
            path = "filter.all.filters[0].comparison.field"
            raise InvalidArgument(
                f"{path}: unknown field",
                reason="FILTER_INVALID",
                violations=[FieldViolation(path, "unknown field")],
            )
        out = {request.product_id, *asked, *request.exclude_product_ids}
        ids = [item for item in NEAREST if item not in out and item in self.products]
        return vector_service_pb2.SearchResponse(
            candidates=columns(ids, self.script.parents),
            collapsed=[
                vector_service_pb2.ProductIds(product_ids=self.script.collapsed.get(item, []))
                for item in ids
            ],
            query_product=(
                columns([request.product_id], self.script.parents) if request.product_id else None
            ),
            similarities=[NEAREST[item] for item in ids],
            image_ids=[f"image-{item}" for item in ids],
            space=SPACE,
            freshness=answer_pb2.IndexFreshness(index_token="t1", index_time_micros=5),
            plan="flat",
            stage_timings=[stage_timing("index", 0, 10_000)],
            degradations=self.script.degradations,
        )

    async def BatchGetVectors(self, request, context):
        await self.script.take("BatchGetVectors", request, context)
        return vector_service_pb2.BatchGetVectorsResponse(space=SPACE, dimension=1)

    async def Count(self, request, context):
        await self.script.take("Count", request, context)
        return vector_service_pb2.CountResponse(
            products=5, images=5, indexed=5, space=SPACE, recall=[RECALL]
        )


class Keywords(keyword_service_pb2_grpc.KeywordServiceServicer):
    """Fake keyword search that finds p2 for every text."""

    def __init__(self, script: Script) -> None:
        self.script = script

    async def SearchKeywords(self, request, context):
        await self.script.take("SearchKeywords", request, context)
        ids = [item for item in ("p2",) if item not in request.exclude_product_ids]
        return vector_service_pb2.SearchResponse(
            candidates=columns(ids, self.script.parents),
            similarities=[0.5 for _ in ids],
            image_ids=["" for _ in ids],
            plan="words",
            stage_timings=[stage_timing("words", 0, 1_000)],
        )

    async def SuggestTexts(self, request, context):
        await self.script.take("SuggestTexts", request, context)
        value = keyword_service_pb2.SuggestedText(text="Red", starts=[0], ends=[2], field="brand")
        return keyword_service_pb2.SuggestTextsResponse(facet_values=[value])

    async def CountKeywords(self, request, context):
        await self.script.take("CountKeywords", request, context)
        return keyword_service_pb2.CountKeywordsResponse(
            product_counts=[len(text) % 2 for text in request.texts]
        )


class Products(product_service_pb2_grpc.ProductServiceServicer):
    """A record of PRODUCTS, all of which pass every filter."""

    def __init__(self, script: Script, products: list[str]) -> None:
        self.script = script
        self.products = products

    async def BatchGetProducts(self, request, context):
        await self.script.take("BatchGetProducts", request, context)
        if not request.product_ids:
            raise InvalidArgument("product_ids: has 0 entries", reason="REQUEST_INVALID")
        ids = [item for item in request.product_ids if item in self.products]
        kind = product_service_pb2.BatchGetProductsResponse
        if request.explain_filter and (
            why := self.script.rejected.get(request.filter.WhichOneof("expression"))
        ):
            return kind(
                filtered_product_ids=ids,
                rejections=[
                    product_service_pb2.Rejection(product_id=i, path=why, condition="c", held=["h"])
                    for i in ids
                ],
            )
        answer = self._answer(kind, ids, request.view)
        held = self.products
        answer.titles.extend(f"Title {i}" if i in held else "" for i in request.title_product_ids)
        answer.missing_product_ids.extend(i for i in request.product_ids if i not in held)
        return answer

    async def ListProducts(self, request, context):
        await self.script.take("ListProducts", request, context)
        begin = int(request.page_token or 0)
        end = begin + (self.script.scans or len(self.products))
        kind, ids = product_service_pb2.ListProductsResponse, self.products[begin:end]
        answer = self._answer(kind, ids, request.view)
        answer.next_page_token = str(end) if end < len(self.products) else ""
        return answer

    async def BrowseProducts(self, request, context):
        await self.script.take("BrowseProducts", request, context)
        begin, size = int(request.page_token or 0), request.page_size
        listed = [item for item in self.products if item not in request.exclude_product_ids]
        kind = product_service_pb2.BrowseProductsResponse
        answer = self._answer(kind, listed[begin : begin + size])
        answer.product_count, answer.state = len(listed), "s1"
        answer.next_page_token = str(begin + size) if begin + size < len(listed) else ""
        return answer

    def _answer(self, kind, ids, view=product_service_pb2.PRODUCT_VIEW_UNSPECIFIED):
        if view == product_service_pb2.PRODUCT_VIEW_COLUMNS:
            return kind(columns=columns(ids, self.script.parents))
        return kind(
            products=[
                product_pb2.Product(product_id=i, title=f"Title {i}", etag=f"etag-{i}") for i in ids
            ]
        )

    async def UpsertProducts(self, request, context):
        await self.script.take("UpsertProducts", request, context)
        results = [
            gateway_pb.UpsertResult(product_id=item.product_id, etag="e1", image_ids=["i1"])
            for item in request.products
        ]
        bad: ServiceError = InvalidArgument("no title", reason="PRODUCT_INVALID")
        if request.products[-1].etag not in ("", "e1"):
            bad = Aborted("the product has changed", reason="ETAG_MISMATCH")
        results[-1] = gateway_pb.UpsertResult(
            product_id=request.products[-1].product_id, status=to_status(bad)
        )
        return gateway_pb.UpsertProductsResponse(results=results, index_token="t2")

    async def DeleteProducts(self, request, context):
        await self.script.take("DeleteProducts", request, context)
        return gateway_pb.DeleteProductsResponse(deleted_count=1, index_token="t3")

    async def UpdateProducts(self, request, context):
        await self.script.take("UpdateProducts", request, context)
        gone = NotFound("no such product", reason="PRODUCT_NOT_FOUND")
        result = gateway_pb.UpsertResult(product_id="p9", status=to_status(gone))
        return gateway_pb.UpsertProductsResponse(results=[result], index_token="t4")

    async def UpdateOffers(self, request, context):
        await self.script.take("UpdateOffers", request, context)
        bad = InvalidArgument("negative", reason="OFFER_INVALID")
        fine = [status_pb2.Status() for _ in request.offers[:-1]]
        return gateway_pb.UpdateOffersResponse(statuses=[*fine, to_status(bad)], index_token="t5")

    async def PurgeProducts(self, request, context):
        await self.script.take("PurgeProducts", request, context)
        return gateway_pb.PurgeProductsResponse(
            product_count=2,
            sample_product_ids=["p1", "p2"],
            job=job_pb2.Job(job_id="retriever/9") if request.force else None,
        )

    async def OpenImport(self, request, context):
        await self.script.take("OpenImport", request, context)
        return import_pb2.ImportState(import_id=request.import_id, mode=request.mode, rows_done=7)

    async def ImportProducts(self, request, context):
        await self.script.take("ImportProducts", request, context)
        results = [
            gateway_pb.UpsertResult(
                product_id=row.product.product_id, etag=f"e{row.row_number}", image_ids=["i1"]
            )
            for row in request.rows
        ]
        state = import_pb2.ImportState(import_id=request.import_id, rows_done=8)
        return gateway_pb.ImportProductsResponse(results=results, state=state, index_token="t6")

    async def CloseImport(self, request, context):
        await self.script.take("CloseImport", request, context)
        return gateway_pb.CloseImportResponse(
            state=import_pb2.ImportState(import_id=request.import_id, closed=True),
            delete_count=3,
            sample_product_ids=["p3"],
            job=None if request.dry_run else job_pb2.Job(job_id="retriever/10"),
        )

    async def GetImage(self, request, context):
        await self.script.take("GetImage", request, context)
        image = product_pb2.ProductImage(image_id=request.image_id, content=b"bytes")
        return product_service_pb2.GetImageResponse(image=image)


class Index:
    """Fake index service with one generation, "g1", that accepts every call."""

    def __init__(self, script: Script) -> None:
        self.script = script

    async def CreateGeneration(self, request, context):
        await self.script.take("CreateGeneration", request, context)
        return index_service_pb2.Generation(name=request.name)

    async def BackfillGeneration(self, request, context):
        await self.script.take("BackfillGeneration", request, context)
        return job_pb2.Job(job_id="retriever/11", kind="backfill")

    async def VerifyGeneration(self, request, context):
        await self.script.take("VerifyGeneration", request, context)
        return job_pb2.Job(job_id="retriever/12", kind="verify")

    async def ActivateGeneration(self, request, context):
        await self.script.take("ActivateGeneration", request, context)
        return index_service_pb2.Generation(name=request.name, active=True)

    async def RollbackGeneration(self, request, context):
        await self.script.take("RollbackGeneration", request, context)
        return index_service_pb2.Generation(name="g1", active=True)

    async def DropGeneration(self, request, context):
        await self.script.take("DropGeneration", request, context)
        return index_service_pb2.Generation(
            name=request.name, state=index_service_pb2.Generation.STATE_DROPPED
        )

    async def ListGenerations(self, request, context):
        await self.script.take("ListGenerations", request, context)
        return index_service_pb2.ListGenerationsResponse(
            generations=[index_service_pb2.Generation(name="g1", space_version="v1", active=True)]
        )


class Backups:
    """Every job is new, and there is one backup."""

    def __init__(self, script: Script) -> None:
        self.script = script

    async def CreateBackup(self, request, context):
        await self.script.take("CreateBackup", request, context)
        return job_pb2.Job(job_id="retriever/1", kind="backup")

    async def ListBackups(self, request, context):
        await self.script.take("ListBackups", request, context)
        return backup_service_pb2.ListBackupsResponse(
            backups=[backup_service_pb2.Backup(backup_id="b1")]
        )

    async def DeleteBackup(self, request, context):
        await self.script.take("DeleteBackup", request, context)
        return backup_service_pb2.DeleteBackupResponse(size=7)

    async def RestoreBackup(self, request, context):
        await self.script.take("RestoreBackup", request, context)
        return job_pb2.Job(job_id="retriever/2", kind="restore")


class CatalogLists(catalog_list_service_pb2_grpc.CatalogListServiceServicer):
    """Fake registry, with aliases of declared catalogs alone."""

    def __init__(self, aliases: dict[str, str], registered: dict[str, int]) -> None:
        self.aliases = aliases
        self.registered = registered
        """The state of each catalog that no setting declares."""

    async def ReadCatalogList(self, request, context):
        revision = repr((self.aliases, self.registered))
        found = catalog_list_service_pb2.ReadCatalogListResponse(revision=revision)
        for name, state in self.registered.items():
            found.catalogs.add(catalog_id=name, uid=name, state=state)
        for name, catalog in self.aliases.items():
            found.aliases.add(alias_id=name, catalog_id=catalog)
        return found


class TakenDown:
    """Fake list of taken-down photos, with one entry."""

    def __init__(self, script: Script) -> None:
        self.script = script

    async def TakeDownPhoto(self, request, context):
        await self.script.take("TakeDownPhoto", request, context)
        taken = photo_service_pb2.Takedown(image_id=request.image_id, reason=request.reason)
        return photo_service_pb2.TakeDownPhotoResponse(takedown=taken, product_ids=["p1"])

    async def LiftTakedown(self, request, context):
        await self.script.take("LiftTakedown", request, context)
        return photo_service_pb2.LiftTakedownResponse(lifted=True)

    async def ListTakedowns(self, request, context):
        await self.script.take("ListTakedowns", request, context)
        return photo_service_pb2.ListTakedownsResponse(
            takedowns=[photo_service_pb2.Takedown(image_id="a" * 64)]
        )


class SetSynonyms:
    """Fake synonyms of a catalog: those of the last request."""

    def __init__(self, script: Script) -> None:
        self.script = script

    async def GetSynonyms(self, request, context):
        await self.script.take("GetSynonyms", request, context)
        return synonym_service_pb2.Synonyms(etag="e0")

    async def SetSynonyms(self, request, context):
        await self.script.take("SetSynonyms", request, context)
        return synonym_service_pb2.Synonyms(rules=request.rules, etag="e1")


class Rebuilds:
    """Every job is new."""

    def __init__(self, script: Script) -> None:
        self.script = script

    async def RebuildIndex(self, request, context):
        await self.script.take("RebuildIndex", request, context)
        return job_pb2.Job(job_id="retriever/3", kind="rebuild_index")
