"""Models and promotions in SQL: one row says which model serves, so a promotion is atomic."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from ranker.model import Metric, ModelNotFound, ModelRecord
from ranker.record.tables import MODELS, PROMOTIONS
from servicekit.sql import Database


class ModelRegistry:
    """Models of all catalogs."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def add(self, model: ModelRecord) -> None:
        """Keep a model. Trained again from the same data, it is the same model: its files, and so
        its manifest's hash, were written anew, and the time of the training is the newest."""
        row = asdict(model) | {"metrics": json.dumps([asdict(one) for one in model.metrics])}
        row = {name: row[name] for name in MODELS.c.keys() if name != "promoted_micros"}  # noqa: SIM118

        def write(connection: Connection) -> None:
            t = MODELS.c
            same = (t.catalog_id == model.catalog_id, t.version == model.version)
            if not connection.execute(sa.update(MODELS).where(*same).values(row)).rowcount:
                connection.execute(sa.insert(MODELS).values(row))

        await self._db.write(write)

    async def get(self, catalog_id: str, version: str) -> ModelRecord:
        """The model; ModelNotFound."""
        statement = _SELECT.where(MODELS.c.catalog_id == catalog_id, MODELS.c.version == version)
        row = await self._db.read(lambda connection: connection.execute(statement).first())
        if row is None:
            raise ModelNotFound
        return _record(row)

    async def list(
        self, catalog_id: str, *, limit: int, before: tuple[int, str] | None
    ) -> tuple[ModelRecord, ...]:
        """Models, newest first; older than (trained, version) `before` when given."""
        t = MODELS.c
        statement = (
            _SELECT.where(t.catalog_id == catalog_id)
            .order_by(t.trained_micros.desc(), t.version.desc())
            .limit(limit)
        )
        if before is not None:
            statement = statement.where(sa.tuple_(t.trained_micros, t.version) < before)
        rows = await self._db.read(lambda connection: connection.execute(statement).all())
        return tuple(_record(row) for row in rows)

    async def promote(self, catalog_id: str, version: str, now_micros: int) -> None:
        """Make it the serving one; ModelNotFound."""

        def write(connection: Connection) -> None:
            same = (MODELS.c.catalog_id == catalog_id, MODELS.c.version == version)
            stamped = sa.update(MODELS).where(*same).values(promoted_micros=now_micros)
            if not connection.execute(stamped).rowcount:
                raise ModelNotFound
            moved = (
                sa.update(PROMOTIONS)
                .where(PROMOTIONS.c.catalog_id == catalog_id)
                .values(version=version)
            )
            if not connection.execute(moved).rowcount:
                connection.execute(
                    sa.insert(PROMOTIONS).values(catalog_id=catalog_id, version=version)
                )

        await self._db.write(write)

    async def promoted(self, catalogs: Sequence[str]) -> Mapping[str, ModelRecord]:
        """The promoted model of each catalog that has one."""
        statement = _SELECT.where(PROMOTIONS.c.version.is_not(None)).where(
            MODELS.c.catalog_id.in_(catalogs)
        )
        rows = await self._db.read(lambda connection: connection.execute(statement).all())
        return {row.catalog_id: _record(row) for row in rows}


_SELECT = sa.select(MODELS, PROMOTIONS.c.version.label("serving_version")).outerjoin(
    PROMOTIONS,
    (PROMOTIONS.c.catalog_id == MODELS.c.catalog_id) & (PROMOTIONS.c.version == MODELS.c.version),
)


def _record(row: sa.Row[Any]) -> ModelRecord:
    values = {name: getattr(row, name) for name in MODELS.c.keys()}  # noqa: SIM118
    values["metrics"] = tuple(Metric(**one) for one in json.loads(row.metrics))
    return ModelRecord(**values, serving=row.serving_version is not None)
