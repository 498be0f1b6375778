"""What evaluations found, in SQL: the newest one of each model."""

import json

import sqlalchemy as sa

from ranker.domain.errors import EvaluationMissing
from ranker.domain.report import Report, report_of
from ranker.record.rows import upsert
from ranker.record.tables import EVALUATIONS
from servicekit.sql import Database


class EvaluationRecord:
    """Evaluations of all catalogs."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def put(self, catalog_id: str, version: str, report: Report) -> None:
        """Keep what was found of a model that the registry has, in the place of what was before."""
        row = {
            "catalog_id": catalog_id,
            "version": version,
            "verdict": report.verdict,
            "summary": report.summary,
            "production": report.production,
            "content": json.dumps(report.json()),
            "evaluated_micros": report.evaluated_micros,
        }
        await self._db.write(lambda connection: upsert(connection, EVALUATIONS, [row]))

    async def get(self, catalog_id: str, version: str) -> Report:
        """What was found of a model; EvaluationMissing."""
        t = EVALUATIONS.c
        statement = sa.select(t.content).where(t.catalog_id == catalog_id, t.version == version)
        content = await self._db.read(lambda connection: connection.execute(statement).scalar())
        if content is None:
            raise EvaluationMissing
        return report_of(json.loads(content))
