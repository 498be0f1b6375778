"""Scenes in the record, and synonyms as one of them: drafts that are written, published or planned,
published again and deleted."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass

from retriever.domain import scenes
from retriever.domain.registry import SteeredBy
from retriever.domain.scenes import (
    MOST_AHEAD_MICROS,
    SceneDocument,
    ScenePublication,
    SceneText,
)
from retriever.domain.synonyms import check_text
from retriever.record import Record
from servicekit.clock import Clock, now_micros
from servicekit.errors import FieldViolation
from servicekit.rpc.requests import RequestInvalid
from sightline_rules.ids import SYNONYMS_DOCUMENT


@dataclass(frozen=True, slots=True)
class SceneDocuments:
    """Use cases of scenes in the record."""

    record: Record
    keep: int
    """Versions of a scene that are kept."""
    clock: Clock = now_micros

    async def listed(
        self, catalog_id: str, *, texts: bool
    ) -> tuple[list[SceneDocument], SteeredBy]:
        """Return the scenes of a catalog, with the newest versions alone, and what steers it.
        `texts`: whether these versions have theirs."""
        entry = await self.record.catalog_entry(catalog_id)
        found = await self.record.scenes(catalog_id, texts=texts)
        return found, SteeredBy.FILES if entry is None else entry.values.steered_by

    async def get(self, catalog_id: str, scene: str) -> SceneDocument:
        """Return a scene with all texts. Raises RequestInvalid, SceneDocumentNotFound."""
        _check(scenes.problems(scene))
        return await self.record.scene(catalog_id, scene)

    async def write(self, catalog_id: str, draft: SceneText, etag: str) -> SceneDocument:
        """Store a draft. Raises RequestInvalid, SynonymsInvalid, EtagMismatch,
        SceneDocumentsFull."""
        _check(scenes.problems(draft.scene, draft.comment, draft.toml))
        if draft.is_synonyms:
            await asyncio.to_thread(check_text, draft.toml)
        return await self.record.write_draft(catalog_id, draft, etag)

    async def publish(self, catalog_id: str, wanted: ScenePublication) -> SceneDocument:
        """Publish a draft or a version, whose text the caller has checked. Raises RequestInvalid,
        ScenesFromFiles, SceneDocumentNotFound, EtagMismatch."""
        _check(scenes.problems(wanted.scene, wanted.comment))
        ahead = 0 if wanted.scene == SYNONYMS_DOCUMENT else MOST_AHEAD_MICROS
        if not 0 <= wanted.publish_micros <= self.clock() + ahead:
            said = "must be within 366 days from now; synonyms are published at once"
            raise RequestInvalid.at("publish_time", said)
        return await self.record.publish_scene(catalog_id, wanted, self.keep)

    async def cancel(self, catalog_id: str, scene: str, etag: str) -> SceneDocument:
        """Cancel what is planned of a scene, if anything is. Raises RequestInvalid,
        EtagMismatch."""
        _check(scenes.problems(scene))
        return await self.record.cancel_planned(catalog_id, scene, etag)

    async def delete(self, catalog_id: str, scene: str, *, draft_only: bool, etag: str) -> bool:
        """Delete a scene, or its draft alone. Return whether it existed. Raises RequestInvalid,
        EtagMismatch."""
        _check(scenes.problems(scene))
        return await self.record.delete_scene(catalog_id, scene, draft_only=draft_only, etag=etag)


def _check(wrong: Iterable[FieldViolation]) -> None:
    if found := list(wrong):
        raise RequestInvalid(*found)
