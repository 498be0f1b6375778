"""The admin service of a gateway with canned answers."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from google.rpc import code_pb2

from sightline.common.v1 import audit_service_pb2, catalog_list_service_pb2, job_pb2
from sightline.embedder.v1 import embedding_service_pb2, space_pb2
from sightline.gateway.v1 import admin_service_pb2, admin_service_pb2_grpc
from sightline.ranker.v1 import model_service_pb2, recipe_pb2
from sightline.ranker.v1 import privacy_service_pb2 as privacy_pb2
from sightline.ranker.v1 import profile_service_pb2 as profile_pb2
from sightline.retriever.v1 import (
    backup_service_pb2,
    catalog_registry_service_pb2,
    index_service_pb2,
    photo_service_pb2,
    synonym_service_pb2,
)
from tests.fakes.gateway_messages import FITTED, status

if TYPE_CHECKING:
    from tests.fakes.gateway import FakeGateway


def _trained(model: model_service_pb2.Model) -> None:
    """Add the training of the model, as a release with this field reports it."""
    model.recipe.loss = recipe_pb2.Recipe.LOSS_WARP
    model.recipe.dimension = 64
    model.recipe.style_dimension = 0
    model.recipe.attribute_keys.append("grape")
    model.recipe.item_item = 99  # of a newer release
    model.blend.add(part="session", weight=1.5)
    model.blend_learned_from = "validation"
    model.base_version = "m0"
    model.search_trial_count = 12
    model.additions.add(
        part="user_ids",
        metric="ndcg@10",
        with_it=0.25,
        without=0.26,
        addition=-0.01,
        low=-0.02,
        high=0.005,
        shopper_count=900,
        verdict=recipe_pb2.PartAddition.VERDICT_NOTHING,
    )


def _personal(store: str, **fields: str) -> privacy_pb2.PersonalRecord:
    return privacy_pb2.PersonalRecord(store=store, json=json.dumps(fields))


def _alias(alias_id: str, catalog_id: str) -> catalog_registry_service_pb2.CatalogAlias:
    made = catalog_registry_service_pb2.CatalogAlias(
        alias_id=alias_id, catalog_id=catalog_id, etag="e1"
    )
    made.update_time.FromSeconds(1_700_000_000)
    return made


class Admin(admin_service_pb2_grpc.AdminServiceServicer):
    def __init__(self, gateway: FakeGateway) -> None:
        self._gateway = gateway

    def GetStatus(self, request: Any, context: Any) -> Any:
        self._gateway.take("GetStatus", request, context)
        return self._gateway.status

    def TrainModel(self, request: Any, context: Any) -> Any:
        self._gateway.take("TrainModel", request, context)
        return self._gateway.job_states[0]

    def ListModels(self, request: Any, context: Any) -> Any:
        self._gateway.take("ListModels", request, context)
        page = int(request.page_token or 0)
        model = model_service_pb2.Model(
            model_version=f"m{page}",
            state=model_service_pb2.Model.STATE_PROMOTED
            if page == 0 and self._gateway.serves
            else model_service_pb2.Model.STATE_READY,
            metrics=[model_service_pb2.ModelMetric(name="ndcg@10", value=0.5, sample_count=7)],
        )
        if page == 1:
            _trained(model)
        return model_service_pb2.ListModelsResponse(
            models=[model],
            next_page_token="1" if page == 0 else "",
            next_training_time=self._gateway.next_training_time,
        )

    def ListScenes(self, request: Any, context: Any) -> Any:
        self._gateway.take("ListScenes", request, context)
        return admin_service_pb2.ListScenesResponse(
            scenes=[self._gateway.scene], steered_by=self._gateway.steered_by
        )

    def GetScene(self, request: Any, context: Any) -> Any:
        self._gateway.take("GetScene", request, context)
        return self._gateway.scene

    def CheckScene(self, request: Any, context: Any) -> Any:
        self._gateway.take("CheckScene", request, context)
        return self._gateway.checked_scene

    def DiffScene(self, request: Any, context: Any) -> Any:
        self._gateway.take("DiffScene", request, context)
        return self._gateway.scene_diff

    def ListSceneDocuments(self, request: Any, context: Any) -> Any:
        self._gateway.take("ListSceneDocuments", request, context)
        return admin_service_pb2.ListSceneDocumentsResponse(
            documents=[self._gateway.scene_document, {"scene": "new"}], steered_by=2
        )

    def GetSceneDocument(self, request: Any, context: Any) -> Any:
        self._gateway.take("GetSceneDocument", request, context)
        return self._gateway.scene_document

    def WriteSceneDraft(self, request: Any, context: Any) -> Any:
        self._gateway.take("WriteSceneDraft", request, context)
        return self._gateway.scene_document

    def PublishScene(self, request: Any, context: Any) -> Any:
        self._gateway.take("PublishScene", request, context)
        return self._gateway.scene_document

    def CancelPlannedScene(self, request: Any, context: Any) -> Any:
        self._gateway.take("CancelPlannedScene", request, context)
        return self._gateway.scene_document

    def DeleteSceneDocument(self, request: Any, context: Any) -> Any:
        self._gateway.take("DeleteSceneDocument", request, context)
        return admin_service_pb2.DeleteSceneDocumentResponse(deleted=not request.draft_only)

    def EvaluateModel(self, request: Any, context: Any) -> Any:
        self._gateway.take("EvaluateModel", request, context)
        return self._gateway.job_states[0]

    def GetEvaluation(self, request: Any, context: Any) -> Any:
        self._gateway.take("GetEvaluation", request, context)
        return self._gateway.evaluation

    def PromoteModel(self, request: Any, context: Any) -> Any:
        self._gateway.take("PromoteModel", request, context)
        return model_service_pb2.Model(
            model_version=request.model_version, state=model_service_pb2.Model.STATE_PROMOTED
        )

    def PublishModel(self, request: Any, context: Any) -> Any:
        self._gateway.take("PublishModel", request, context)
        return self._gateway.job_states[0]

    def ExportEvents(self, request: Any, context: Any) -> Any:
        self._gateway.take("ExportEvents", request, context)
        return self._gateway.job_states[0]

    def ListExperiments(self, request: Any, context: Any) -> Any:
        self._gateway.take("ListExperiments", request, context)
        return self._gateway.experiments

    def GetExperimentReport(self, request: Any, context: Any) -> Any:
        self._gateway.take("GetExperimentReport", request, context)
        return self._gateway.experiment_report

    def ListExperimentUnits(self, request: Any, context: Any) -> Any:
        self._gateway.take("ListExperimentUnits", request, context)
        return next(self._gateway.experiment_units)

    def ListTopSearches(self, request: Any, context: Any) -> Any:
        self._gateway.take("ListTopSearches", request, context)
        return admin_service_pb2.ListTopSearchesResponse(
            searches=[
                admin_service_pb2.TopSearch(text="merlot", shopper_count=1234, product_count=12),
                admin_service_pb2.TopSearch(text="sa\x1b[2Jke", shopper_count=20),
            ],
            least_shoppers=20,
        )

    def GetOnlineReport(self, request: Any, context: Any) -> Any:
        self._gateway.take("GetOnlineReport", request, context)
        return self._gateway.online_report

    def GetExposureReport(self, request: Any, context: Any) -> Any:
        self._gateway.take("GetExposureReport", request, context)
        return self._gateway.exposure_report

    def GetShopperProfile(self, request: Any, context: Any) -> Any:
        self._gateway.take("GetShopperProfile", request, context)
        return self._gateway.shopper_profile

    def GetProductProfile(self, request: Any, context: Any) -> Any:
        self._gateway.take("GetProductProfile", request, context)
        return self._gateway.product_profile

    def SetShopperAttributes(self, request: Any, context: Any) -> Any:
        self._gateway.take("SetShopperAttributes", request, context)
        kept = len(request.attributes)
        return profile_pb2.SetShopperAttributesResponse(kept_count=kept, former_count=1)

    def ListSegments(self, request: Any, context: Any) -> Any:
        self._gateway.take("ListSegments", request, context)
        return self._gateway.segments

    def ExportUser(self, request: Any, context: Any) -> Any:
        self._gateway.take("ExportUser", request, context)
        if request.page_token:
            return privacy_pb2.ExportUserResponse(records=[_personal("answers", answer_id="a1")])
        return privacy_pb2.ExportUserResponse(
            records=[_personal("events", event_id="e1"), _personal("events", event_id="e2")],
            next_page_token="2",
        )

    def EraseUser(self, request: Any, context: Any) -> Any:
        self._gateway.take("EraseUser", request, context)
        return self._gateway.job_states[0]

    def GetErasure(self, request: Any, context: Any) -> Any:
        self._gateway.take("GetErasure", request, context)
        return self._gateway.erasure

    def SetConsent(self, request: Any, context: Any) -> Any:
        self._gateway.take("SetConsent", request, context)
        return self._gateway.consents

    def ExportCounts(self, request: Any, context: Any) -> Any:
        self._gateway.take("ExportCounts", request, context)
        return self._gateway.job_states[0]

    def GetPrivacyBudget(self, request: Any, context: Any) -> Any:
        self._gateway.take("GetPrivacyBudget", request, context)
        return self._gateway.budget

    def GetConsent(self, request: Any, context: Any) -> Any:
        self._gateway.take("GetConsent", request, context)
        return self._gateway.consents

    def RollbackModel(self, request: Any, context: Any) -> Any:
        self._gateway.take("RollbackModel", request, context)
        return model_service_pb2.Model(
            model_version="m0", state=model_service_pb2.Model.STATE_PROMOTED
        )

    def DemoteModel(self, request: Any, context: Any) -> Any:
        self._gateway.take("DemoteModel", request, context)
        return model_service_pb2.Model(
            model_version="m7", state=model_service_pb2.Model.STATE_READY
        )

    def CreateGeneration(self, request: Any, context: Any) -> Any:
        self._gateway.take("CreateGeneration", request, context)
        made = index_service_pb2.Generation(
            name=request.name or f"visual-{request.space_version}-1",
            space=request.space or "visual",
            space_version=request.space_version,
            dimension=4,
            metric=request.metric,
            parameters=request.parameters,
            state=index_service_pb2.Generation.STATE_BUILDING,
        )
        if made.name in self._gateway.generations:
            exists = status(code_pb2.ALREADY_EXISTS, "is there", reason="GENERATION_EXISTS")
            self._gateway.abort(context, exists)
        self._gateway.generations[made.name] = made
        return made

    def BackfillGeneration(self, request: Any, context: Any) -> Any:
        self._gateway.take("BackfillGeneration", request, context)
        found = self._generation(request.name, context)
        if self._gateway.job_states[-1].state == job_pb2.Job.STATE_SUCCEEDED:
            found.state = index_service_pb2.Generation.STATE_READY
        return self._gateway.job_states[0]

    def VerifyGeneration(self, request: Any, context: Any) -> Any:
        self._gateway.take("VerifyGeneration", request, context)
        found = self._generation(request.name, context)
        found.verification.CopyFrom(self._gateway.verification)
        return self._gateway.job_states[0]

    def ActivateGeneration(self, request: Any, context: Any) -> Any:
        self._gateway.take("ActivateGeneration", request, context)
        found = self._generation(request.name, context)
        if not found.verification.passed and not request.force:
            why = status(code_pb2.FAILED_PRECONDITION, "no", reason="GENERATION_NOT_VERIFIED")
            self._gateway.abort(context, why)
        found.forced = not found.verification.passed
        return self._make_active(found)

    def RollbackGeneration(self, request: Any, context: Any) -> Any:
        self._gateway.take("RollbackGeneration", request, context)
        for each in self._gateway.generations.values():
            if each.previous:
                return self._make_active(each)
        why = status(code_pb2.FAILED_PRECONDITION, "none before", reason="ROLLBACK_UNAVAILABLE")
        return self._gateway.abort(context, why)

    def DropGeneration(self, request: Any, context: Any) -> Any:
        self._gateway.take("DropGeneration", request, context)
        found = self._generation(request.name, context)
        if found.active:
            active = status(code_pb2.FAILED_PRECONDITION, "in use", reason="GENERATION_ACTIVE")
            self._gateway.abort(context, active)
        found.state = index_service_pb2.Generation.STATE_DROPPED
        return found

    def ListGenerations(self, request: Any, context: Any) -> Any:
        self._gateway.take("ListGenerations", request, context)
        dropped = index_service_pb2.Generation.STATE_DROPPED
        return index_service_pb2.ListGenerationsResponse(
            generations=[
                each
                for each in self._gateway.generations.values()
                if request.space in ("", each.space)
                and (request.include_dropped or each.state != dropped)
            ]
        )

    def _generation(self, name: str, context: Any) -> index_service_pb2.Generation:
        if name not in self._gateway.generations:
            missing = status(code_pb2.NOT_FOUND, "no such one", reason="GENERATION_NOT_FOUND")
            self._gateway.abort(context, missing)
        return self._gateway.generations[name]

    def _make_active(self, found: index_service_pb2.Generation) -> index_service_pb2.Generation:
        for each in self._gateway.generations.values():
            each.previous, each.active = each.active and each is not found, each is found
        found.activate_time.FromSeconds(1_700_000_000)
        return found

    def CreateBackup(self, request: Any, context: Any) -> Any:
        self._gateway.take("CreateBackup", request, context)
        return self._gateway.job_states[0]

    def ListBackups(self, request: Any, context: Any) -> Any:
        self._gateway.take("ListBackups", request, context)
        page = int(request.page_token or 0)
        backup = backup_service_pb2.Backup(
            backup_id=f"b{page}", catalog_id="default", size=2_500_000, product_count=7
        )
        if page:
            backup = backup_service_pb2.Backup(
                backup_id="b1",
                status=status(code_pb2.DATA_LOSS, "cut off", reason="BACKUP_DAMAGED"),
            )
        return backup_service_pb2.ListBackupsResponse(
            backups=[backup], next_page_token="1" if page == 0 else ""
        )

    def DeleteBackup(self, request: Any, context: Any) -> Any:
        self._gateway.take("DeleteBackup", request, context)
        return backup_service_pb2.DeleteBackupResponse(size=2_500_000)

    def ListAuditEntries(self, request: Any, context: Any) -> Any:
        self._gateway.take("ListAuditEntries", request, context)
        page = int(request.page_token or 0)
        entry = audit_service_pb2.AuditEntry(
            entry_id=f"e{page}",
            caller="ops",
            method="sightline.gateway.v1.AdminService/DropGeneration",
            catalog_id="default",
            code="PERMISSION_DENIED" if page else "OK",
            reason="ROLE_MISSING" if page else "",
        )
        return audit_service_pb2.ListAuditEntriesResponse(
            entries=[entry], next_page_token="" if page else "1"
        )

    def RestoreBackup(self, request: Any, context: Any) -> Any:
        self._gateway.take("RestoreBackup", request, context)
        return self._gateway.job_states[0]

    def TakeDownPhoto(self, request: Any, context: Any) -> Any:
        self._gateway.take("TakeDownPhoto", request, context)
        taken = photo_service_pb2.Takedown(image_id=request.image_id, reason=request.reason)
        return photo_service_pb2.TakeDownPhotoResponse(takedown=taken, product_ids=["p1", "p2"])

    def CreateCatalog(self, request: Any, context: Any) -> Any:
        self._gateway.take("CreateCatalog", request, context)
        return _catalog(request.catalog_id, request.catalog)

    def GetCatalog(self, request: Any, context: Any) -> Any:
        self._gateway.take("GetCatalog", request, context)
        return _catalog(request.catalog_id, catalog_registry_service_pb2.Catalog())

    def ListCatalogs(self, request: Any, context: Any) -> Any:
        self._gateway.take("ListCatalogs", request, context)
        page = int(request.page_token or 0)
        found = _catalog(f"shop-{page}", catalog_registry_service_pb2.Catalog())
        return catalog_registry_service_pb2.ListCatalogsResponse(
            catalogs=[found], next_page_token="1" if page == 0 else ""
        )

    def UpdateCatalog(self, request: Any, context: Any) -> Any:
        self._gateway.take("UpdateCatalog", request, context)
        return _catalog(request.catalog_id, request.catalog)

    def DeleteCatalog(self, request: Any, context: Any) -> Any:
        self._gateway.take("DeleteCatalog", request, context)
        deleted = _catalog(request.catalog_id, catalog_registry_service_pb2.Catalog())
        deleted.state = catalog_list_service_pb2.CATALOG_STATE_DELETED
        deleted.purge_time.FromSeconds(1_700_000_000)
        return deleted

    def UndeleteCatalog(self, request: Any, context: Any) -> Any:
        self._gateway.take("UndeleteCatalog", request, context)
        return _catalog(request.catalog_id, catalog_registry_service_pb2.Catalog())

    def CopyCatalog(self, request: Any, context: Any) -> Any:
        self._gateway.take("CopyCatalog", request, context)
        return self._gateway.job_states[0]

    def SetCatalogAlias(self, request: Any, context: Any) -> Any:
        self._gateway.take("SetCatalogAlias", request, context)
        return _alias(request.alias_id, request.catalog_id)

    def ListCatalogAliases(self, request: Any, context: Any) -> Any:
        self._gateway.take("ListCatalogAliases", request, context)
        return catalog_registry_service_pb2.ListCatalogAliasesResponse(
            aliases=[_alias("shop", "staging")]
        )

    def DeleteCatalogAlias(self, request: Any, context: Any) -> Any:
        self._gateway.take("DeleteCatalogAlias", request, context)
        return catalog_registry_service_pb2.DeleteCatalogAliasResponse(
            deleted=request.alias_id == "shop"
        )

    def GetSynonyms(self, request: Any, context: Any) -> Any:
        self._gateway.take("GetSynonyms", request, context)
        rule = synonym_service_pb2.SynonymRule(terms=["vino", "vin"], replacements=["wine"])
        return synonym_service_pb2.Synonyms(rules=[rule], etag="e0")

    def SetSynonyms(self, request: Any, context: Any) -> Any:
        self._gateway.take("SetSynonyms", request, context)
        return synonym_service_pb2.Synonyms(rules=request.rules, etag="e1")

    def LiftTakedown(self, request: Any, context: Any) -> Any:
        self._gateway.take("LiftTakedown", request, context)
        return photo_service_pb2.LiftTakedownResponse(lifted=request.image_id != "0" * 64)

    def ListTakedowns(self, request: Any, context: Any) -> Any:
        self._gateway.take("ListTakedowns", request, context)
        page = int(request.page_token or 0)
        taken = photo_service_pb2.Takedown(image_id=f"{page}" * 64, reason="a face")
        taken.create_time.FromSeconds(1_700_000_000)
        return photo_service_pb2.ListTakedownsResponse(
            takedowns=[taken], next_page_token="1" if page == 0 else ""
        )

    def RebuildIndex(self, request: Any, context: Any) -> Any:
        self._gateway.take("RebuildIndex", request, context)
        return self._gateway.job_states[0]

    def FitSpace(self, request: Any, context: Any) -> Any:
        self._gateway.take("FitSpace", request, context)
        return self._gateway.job_states[0]

    def ListSpaces(self, request: Any, context: Any) -> Any:
        self._gateway.take("ListSpaces", request, context)
        shelf = embedding_service_pb2.Space(
            space="visual",
            version="v1",
            model="efficientnet_lite0",
            dimension=1280,
            ready=True,
            default_version=True,
            state=space_pb2.SPACE_STATE_SERVING,
        )
        fitted = [FITTED] if request.include_all else []
        return embedding_service_pb2.ListSpacesResponse(spaces=[shelf, *fitted])

    def PromoteSpace(self, request: Any, context: Any) -> Any:
        self._gateway.take("PromoteSpace", request, context)
        if not request.force:
            why = status(code_pb2.FAILED_PRECONDITION, "not proven", reason="PROMOTION_REFUSED")
            self._gateway.abort(context, why)
        promoted = embedding_service_pb2.Space(ready=True, forced=True)
        promoted.MergeFrom(FITTED)
        promoted.state = space_pb2.SPACE_STATE_SERVING
        return promoted

    def RetireSpace(self, request: Any, context: Any) -> Any:
        self._gateway.take("RetireSpace", request, context)
        retired = embedding_service_pb2.Space()
        retired.MergeFrom(FITTED)
        retired.state = space_pb2.SPACE_STATE_RETIRED
        return retired


def _catalog(
    catalog_id: str, values: catalog_registry_service_pb2.Catalog
) -> catalog_registry_service_pb2.Catalog:
    made = catalog_registry_service_pb2.Catalog(catalog_id=catalog_id)
    made.MergeFrom(values)
    made.state = catalog_list_service_pb2.CATALOG_STATE_ACTIVE
    made.create_time.FromSeconds(1_700_000_000)
    return made
