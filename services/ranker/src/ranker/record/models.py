"""Models, their promotions and their newest evaluations in SQL.

One row names the serving model, so a promotion is atomic. A log beside it holds all promotions. A
rollback marks the newest active promotion as rolled back, so that the model before it serves again;
the next rollback goes back one further. Rows of the log are never deleted.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from ranker.domain.errors import EvaluationMissing, ModelNotFound, PromotionConflict
from ranker.domain.model import INPUTS, ModelMetric, ModelRecord, ModelVerdict
from ranker.domain.report import POPULARITY, ProvenMargin, Report
from ranker.record.rows import TableRecord, upsert
from ranker.record.tables import ANSWERS, EVALUATIONS, MODELS, PROMOTION_LOG, PROMOTIONS
from servicekit.sql.locks import lock
from servicekit.tasks.supervision import confined

HOUR_MICROS = 3_600 * 1_000_000
MODEL_ROWS = "rows of models"
"""Name for servicekit.tasks.supervision."""


class ModelRegistry(TableRecord):
    async def add(self, model: ModelRecord) -> None:
        """Store a model. If it exists (trained again from the same data), update the hash of its
        manifest and the time of its training, because its files were written again."""
        row = asdict(model) | {
            "metrics": json.dumps([asdict(one) for one in model.metrics]),
            "training": json.dumps(model.training),
        }
        row = {column.name: row[column.name] for column in MODELS.c}
        del row["promoted_micros"], row["forced"]

        def write(connection: Connection) -> None:
            _lock(connection, model.catalog_id)
            upsert(connection, MODELS, [row])

        await self._db.write(write)

    async def rewritten(self, model: ModelRecord, manifest_sha256: str) -> bool:
        """Record that the model's files were written again, without some shoppers, and return
        whether they were those of this record."""
        t, training = MODELS.c, {key: one for key, one in model.training.items() if key != INPUTS}
        same = sa.update(MODELS).where(*_named(model.catalog_id, model.version))
        changed = same.where(t.manifest_sha256 == model.manifest_sha256).values(
            manifest_sha256=manifest_sha256, training=json.dumps(training)
        )

        def write(connection: Connection) -> bool:
            _lock(connection, model.catalog_id)
            return bool(connection.execute(changed).rowcount)

        return await self._db.write(write)

    async def confirm(self, catalog_id: str, version: str, read_micros: int) -> None:
        """Record that the events read at this time, microseconds since 1970 (UTC), are those that
        the model learned from."""
        same = _named(catalog_id, version)

        def write(connection: Connection) -> None:
            _lock(connection, catalog_id)
            found = connection.execute(sa.select(MODELS.c.training).where(*same)).scalar_one()
            training = json.dumps(json.loads(found) | {"read_micros": read_micros})
            connection.execute(sa.update(MODELS).where(*same).values(training=training))

        await self._db.write(write)

    async def with_files(self, catalog_id: str) -> tuple[ModelRecord, ...]:
        """Return all models whose files exist, newest first."""
        t = MODELS.c
        statement = _SELECT.where(t.catalog_id == catalog_id, t.pruned_micros.is_(None))
        ordered = statement.order_by(t.trained_micros.desc(), t.version.desc())
        rows = await self._db.read(lambda connection: connection.execute(ordered).all())
        return tuple(_record(row._mapping) for row in rows)

    async def get(self, catalog_id: str, version: str) -> ModelRecord:
        """Return the model; ModelNotFound."""
        statement = _SELECT.where(*_named(catalog_id, version))
        row = await self._db.read(lambda connection: connection.execute(statement).first())
        if row is None:
            raise ModelNotFound
        return _record(row._mapping)

    async def list(
        self, catalog_id: str, *, limit: int, before: tuple[int, str] | None
    ) -> tuple[ModelRecord, ...]:
        """Return models, newest first, older than (trained, version) `before` if given. One that
        can't be read is told, and has neither figures nor an evaluation."""
        t = MODELS.c
        statement = (
            _SELECT.where(t.catalog_id == catalog_id)
            .order_by(t.trained_micros.desc(), t.version.desc())
            .limit(limit)
        )
        if before is not None:
            statement = statement.where(sa.tuple_(t.trained_micros, t.version) < before)
        rows = await self._db.read(lambda connection: connection.execute(statement).all())
        return tuple(_listed(row) for row in rows)

    async def promote(
        self,
        catalog_id: str,
        version: str,
        now_micros: int,
        *,
        forced: bool = False,
        anew: bool = False,
        verdict: ModelVerdict | None = None,
        since: tuple[int, int] | None = None,
    ) -> None:
        """Make the model the serving one. Raise ModelNotFound, also if its files were deleted.
        `forced` and `verdict` are recorded in the log. `anew`: later models are not compared with
        models that were promoted before.

        `since`: what `changes` returned before the decision; None: whatever serves now. Raise
        PromotionConflict if a model was promoted or rolled back since.
        """

        def write(connection: Connection) -> None:
            _lock(connection, catalog_id)
            if since is not None and _changes(connection, catalog_id) != since:
                raise PromotionConflict
            _serve(connection, catalog_id, version, now_micros)
            promotions = _promotions(connection, catalog_id)
            if not promotions or promotions[0].version != version:
                row = {
                    "catalog_id": catalog_id,
                    "version": version,
                    "promoted_micros": now_micros,
                    "forced": forced,
                    "verdict": verdict or "",
                    "anew": anew,
                    **_shown(connection, catalog_id, version),
                }
                connection.execute(sa.insert(PROMOTION_LOG).values(row))
                same = sa.update(MODELS).where(*_named(catalog_id, version))
                connection.execute(same.values(forced=forced))

        await self._db.write(write)

    async def changes(self, catalog_id: str) -> tuple[int, int]:
        """Return the numbers of promotions and of rollbacks so far."""
        return await self._db.read(lambda connection: _changes(connection, catalog_id))

    async def proven(self, catalog_id: str) -> tuple[ProvenMargin, ...]:
        """Return what the models of the active promotions had shown, newest first, back to the one
        from which on models are compared anew."""
        promotions = await self._db.read(lambda c: _promotions(c, catalog_id, None))
        since = next((at for at, row in enumerate(promotions) if row.anew), len(promotions))
        return tuple(
            ProvenMargin(row.version, row.margin, row.held_out)
            for row in promotions[: since + 1]
            if row.margin is not None
        )

    async def before(self, catalog_id: str) -> tuple[ModelRecord, int]:
        """Return the model that served before, and the promotion that replaced it;
        ModelNotFound."""
        promotions = await self._db.read(lambda connection: _promotions(connection, catalog_id))
        if len(promotions) < 2:
            raise ModelNotFound("no model served before the current one")
        found = await self.get(catalog_id, promotions[1].version)
        if found.pruned_micros is not None:
            raise ModelNotFound("the previous model's files were pruned: promote another model")
        return found, promotions[0].sequence

    async def roll_back(self, catalog_id: str, promotion: int, now_micros: int) -> None:
        """Roll back this promotion, which `before` returned. Raise PromotionConflict if it is no
        longer the newest active one: of two concurrent rollbacks only one succeeds."""

        def write(connection: Connection) -> None:
            _lock(connection, catalog_id)
            promotions = _promotions(connection, catalog_id)
            if len(promotions) < 2 or promotions[0].sequence != promotion:
                raise PromotionConflict
            log = PROMOTION_LOG.c
            undo = sa.update(PROMOTION_LOG).values(undone_micros=now_micros)
            connection.execute(undo.where(log.sequence == promotion))
            _serve(connection, catalog_id, promotions[1].version, now_micros)

        await self._db.write(write)

    async def demote(self, catalog_id: str, now_micros: int) -> str:
        """Stop serving a model and return its version; ModelNotFound if none serves. All active
        promotions are rolled back, so that no later rollback reaches them."""

        def write(connection: Connection) -> str:
            _lock(connection, catalog_id)
            serving = PROMOTIONS.c.catalog_id == catalog_id
            version = connection.execute(sa.select(PROMOTIONS.c.version).where(serving)).scalar()
            if version is None:
                raise ModelNotFound("no model serves")
            connection.execute(sa.delete(PROMOTIONS).where(serving))
            log = PROMOTION_LOG.c
            undo = sa.update(PROMOTION_LOG).values(undone_micros=now_micros)
            connection.execute(
                undo.where(log.catalog_id == catalog_id, log.undone_micros.is_(None))
            )
            return str(version)

        return await self._db.write(write)

    async def promoted(self, catalogs: Sequence[str]) -> Mapping[str, ModelRecord | None]:
        """Return the promoted model of each catalog that has one; None: it can't be read, which is
        told."""
        found: dict[str, ModelRecord | None] = {}
        for row in await self._promoted(catalogs):
            found[row.catalog_id] = None
            with confined(MODEL_ROWS, catalog=row.catalog_id, model_version=row.version):
                found[row.catalog_id] = _record(row._mapping)
        return found

    async def manifests(self, models: Collection[tuple[str, str]]) -> Mapping[tuple[str, str], str]:
        """Return the SHA-256 of the manifests of these models, by catalog and version."""
        t = MODELS.c
        named = [sa.and_(t.catalog_id == one, t.version == version) for one, version in models]
        statement = sa.select(t.catalog_id, t.version, t.manifest_sha256).where(sa.or_(*named))
        rows = await self._db.read(lambda connection: connection.execute(statement).all())
        return {(row.catalog_id, row.version): row.manifest_sha256 for row in rows}

    async def serving(self, catalog_id: str) -> ModelRecord | None:
        """Return the promoted model; None if there is none."""
        rows = await self._promoted((catalog_id,))
        return _record(rows[0]._mapping) if rows else None

    async def _promoted(self, catalogs: Sequence[str]) -> Sequence[sa.Row[Any]]:
        statement = _SELECT.where(PROMOTIONS.c.version.is_not(None)).where(
            MODELS.c.catalog_id.in_(catalogs)
        )
        return await self._db.read(lambda connection: connection.execute(statement).all())

    async def former(self, catalog_id: str, version: str) -> ModelRecord | None:
        """Return the model that served before this one, also after a rollback; None if none did."""
        t = MODELS.c
        statement = (
            _SELECT.where(t.catalog_id == catalog_id, t.version != version)
            .where(t.promoted_micros.is_not(None))
            .order_by(t.promoted_micros.desc())
            .limit(1)
        )
        row = await self._db.read(lambda connection: connection.execute(statement).first())
        return None if row is None else _record(row._mapping)

    async def answering(self, catalog_id: str, since_micros: int) -> frozenset[str]:
        """Return the versions, promoted or pinned, that ranked answers since then."""
        t = ANSWERS.c
        served = (t.catalog_id == catalog_id, t.answer_micros >= since_micros)
        statement = sa.select(t.model_version).where(*served).distinct()
        found = await self._db.read(
            lambda connection: connection.execute(statement).scalars().all()
        )
        return frozenset(found)

    async def prune(
        self, catalog_id: str, keep: int, spared: Collection[str], now_micros: int
    ) -> tuple[str, ...]:
        """Mark the models whose files are to be deleted: all but the newest `keep`, those of the
        newest `keep` active promotions, and `spared`. Return all marked versions, including earlier
        ones, whose deletion may have been interrupted; a marked model is never served again. Models
        promoted within the last hour are not marked: a promotion may run concurrently, and only the
        row of the model itself is certain to be seen by both."""
        t = MODELS.c
        lately = now_micros - HOUR_MICROS

        def write(connection: Connection) -> tuple[str, ...]:
            _lock(connection, catalog_id)
            newest = (
                sa.select(t.version)
                .where(t.catalog_id == catalog_id, t.pruned_micros.is_(None))
                .order_by(t.trained_micros.desc(), t.version.desc())
                .limit(keep)
            )
            promotions = (row.version for row in _promotions(connection, catalog_id, keep))
            kept = {*connection.execute(newest).scalars(), *promotions, *spared}
            old = (
                t.catalog_id == catalog_id,
                t.pruned_micros.is_(None),
                t.promoted_micros.is_(None) | (t.promoted_micros < lately),
                t.version.not_in(kept),
            )
            connection.execute(sa.update(MODELS).where(*old).values(pruned_micros=now_micros))
            gone = sa.select(t.version).where(
                t.catalog_id == catalog_id, t.pruned_micros.is_not(None)
            )
            return tuple(connection.execute(gone.order_by(t.version)).scalars())

        return await self._db.write(write)

    async def retire(self, catalog_id: str, versions: Collection[str], now_micros: int) -> int:
        """Mark models of these versions, except the serving one, whose files the next `prune` is to
        delete. Return their number. Those promoted within the last hour stay, as in `prune`."""
        t, serving = MODELS.c, sa.select(PROMOTIONS.c.version)
        lately = now_micros - HOUR_MICROS
        old = (
            t.catalog_id == catalog_id,
            t.version.in_(versions),
            t.pruned_micros.is_(None),
            t.promoted_micros.is_(None) | (t.promoted_micros < lately),
            t.version.not_in(serving.where(PROMOTIONS.c.catalog_id == catalog_id)),
        )
        marked = sa.update(MODELS).where(*old).values(pruned_micros=now_micros)

        def write(connection: Connection) -> int:
            _lock(connection, catalog_id)
            return connection.execute(marked).rowcount

        return await self._db.write(write)

    async def keep_report(self, catalog_id: str, version: str, report: Report) -> None:
        """Store or replace the findings on a model of the registry."""
        row = {
            "catalog_id": catalog_id,
            "version": version,
            "verdict": report.verdict,
            "summary": report.summary,
            "production": report.production,
            "content": json.dumps(asdict(report)),
            "evaluated_micros": report.evaluated_micros,
        }
        await self._db.write(lambda connection: upsert(connection, EVALUATIONS, [row]))

    async def report(self, catalog_id: str, version: str) -> Mapping[str, Any]:
        """Return the findings on a model as the JSON of a Report; EvaluationMissing."""
        t = EVALUATIONS.c
        statement = sa.select(t.content).where(t.catalog_id == catalog_id, t.version == version)
        content = await self._db.read(lambda connection: connection.execute(statement).scalar())
        if content is None:
            raise EvaluationMissing
        found: Mapping[str, Any] = json.loads(content)
        return found


_SELECT = (
    sa.select(
        MODELS,
        PROMOTIONS.c.version.label("serving_version"),
        EVALUATIONS.c.verdict,
        EVALUATIONS.c.summary,
        EVALUATIONS.c.production,
    )
    .outerjoin(
        PROMOTIONS,
        (PROMOTIONS.c.catalog_id == MODELS.c.catalog_id)
        & (PROMOTIONS.c.version == MODELS.c.version),
    )
    .outerjoin(
        EVALUATIONS,
        (EVALUATIONS.c.catalog_id == MODELS.c.catalog_id)
        & (EVALUATIONS.c.version == MODELS.c.version),
    )
)


def _named(catalog_id: str, version: str) -> tuple[sa.ColumnElement[bool], ...]:
    return MODELS.c.catalog_id == catalog_id, MODELS.c.version == version


def _lock(connection: Connection, catalog_id: str) -> None:
    """Let one transaction at a time change which model of a catalog serves."""
    lock(connection, f"models of {catalog_id}")


def _changes(connection: Connection, catalog_id: str) -> tuple[int, int]:
    t = PROMOTION_LOG.c
    counts = sa.select(sa.func.count(), sa.func.count(t.undone_micros))
    promoted, undone = connection.execute(counts.where(t.catalog_id == catalog_id)).one()
    return promoted, undone


def _serve(connection: Connection, catalog_id: str, version: str, now_micros: int) -> None:
    """Make the model the serving one; ModelNotFound. One that serves keeps its time."""
    t, p = MODELS.c, PROMOTIONS.c
    there = sa.update(MODELS).where(*_named(catalog_id, version), t.pruned_micros.is_(None))
    serves = sa.exists().where(p.catalog_id == catalog_id, p.version == version)
    since = sa.case((serves, sa.func.coalesce(t.promoted_micros, now_micros)), else_=now_micros)
    if not connection.execute(there.values(promoted_micros=since)).rowcount:
        raise ModelNotFound
    upsert(connection, PROMOTIONS, [{"catalog_id": catalog_id, "version": version}])


def _shown(connection: Connection, catalog_id: str, version: str) -> Mapping[str, float]:
    """Return the columns of what the model's newest evaluation showed; empty without one."""
    t = EVALUATIONS.c
    statement = sa.select(t.content).where(t.catalog_id == catalog_id, t.version == version)
    content = connection.execute(statement).scalar()
    trials = json.loads(content)["trials"] if content else []
    return next(
        (
            {"margin": one["low"], "held_out": trial["share"]}
            for trial in trials[:1]
            for one in trial["comparisons"]
            if one["against"] == POPULARITY and one["decides"]
        ),
        {},
    )


def _promotions(
    connection: Connection, catalog_id: str, count: int | None = 2
) -> Sequence[sa.Row[Any]]:
    """Return the newest active promotions, the serving model's first. `count`: `None` for all."""
    t = PROMOTION_LOG.c
    statement: sa.Select[Any] = (
        sa.select(t.sequence, t.version, t.margin, t.held_out, t.anew)
        .where(t.catalog_id == catalog_id, t.undone_micros.is_(None))
        .order_by(t.sequence.desc())
        .limit(count)
    )
    return connection.execute(statement).all()


def _listed(row: sa.Row[Any]) -> ModelRecord:
    with confined(MODEL_ROWS, catalog=row.catalog_id, model_version=row.version):
        return _record(row._mapping)
    return _record({**row._mapping, "metrics": "[]", "training": "{}", "verdict": None})


def _record(row: Mapping[Any, Any]) -> ModelRecord:
    values = {name: row[name] for name in MODELS.c.keys()}  # noqa: SIM118
    values["metrics"] = tuple(ModelMetric(**one) for one in json.loads(row["metrics"]))
    values["training"] = json.loads(row["training"])
    return ModelRecord(
        **values,
        serving=row["serving_version"] is not None,
        verdict=ModelVerdict(row["verdict"]) if row["verdict"] else None,
        verdict_summary=row["summary"] or "",
        compared_with=row["production"] or "",
    )
