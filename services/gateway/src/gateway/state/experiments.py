"""Experiments as files: one TOML file each, reloaded when one changes.

An invalid file is rejected alone: its former content, if any, stays in force, and the changes of
other files take effect. Of files that contradict each other none does, nor does any other change;
no gateway starts with such files. While the file of a registered experiment has never been read, as
after a restart with an invalid one, no change takes effect: what is registered continues.

Files take effect after the ranker, which reports on them, has registered them. It rejects a change
to a running experiment; then no changed file takes effect, and the previous experiments continue
(after a restart, those registered with the ranker). Until the ranker has been reached there are no
experiments.
"""

import asyncio
import contextvars
import time
import tomllib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence, Set
from itertools import combinations
from pathlib import Path
from types import MappingProxyType
from typing import TypeAlias, cast

from prometheus_client import Gauge
from pydantic import ValidationError

from gateway.model.errors import SceneNotFound
from gateway.model.experiment import ExperimentFile, RunningExperiment, conflict, running
from gateway.model.query import RequestQuery
from gateway.ports import ExperimentKeeper, SceneSource
from gateway.state.scenes import DEFAULT
from servicekit import deadlines
from servicekit.catalogs.known import CatalogChange
from servicekit.errors import ServiceError
from servicekit.tasks.expiring import ExpiringValues
from servicekit.telemetry import get_logger
from servicekit.watched_files import Reloaded, Unreadable, problems, read_each
from sightline_core.shoppers import Shopper

AGAIN_SECONDS = 5.0
"""Seconds until the ranker is called again."""
CALL_SECONDS = 5.0
CONSENT_SECONDS = 0.1
"""Maximum seconds of a request spent on asking for a shopper's consent."""
CONSENT_AGE_SECONDS = 10.0
"""Seconds for which a shopper's consent is cached: so long a withdrawal may take to apply."""
MOST_CONSENTS = 10_000
CHANGED = "EXPERIMENT_CHANGED"
STALE = Gauge(
    "sightline_gateway_experiments_stale",
    "1 while an experiment file is invalid, conflicts with another one or changes a running"
    " experiment: what was in force before stays in force.",
    multiprocess_mode="livemax",
)


class ExperimentsInvalid(Unreadable):
    """An invalid experiment file; the message names the file, the field and the error."""

    optional = True


Files: TypeAlias = Mapping[Path, ExperimentFile]


def read(folder: Path, scenes: SceneSource, former: Files = MappingProxyType({})) -> Files:
    """Return the experiments of the files. Their catalogs may be created later.

    Raises ExperimentsInvalid if one is invalid, with the others and its content of `former` as what
    is usable; and if two contradict each other.
    """
    if not folder.is_dir():
        raise ExperimentsInvalid(f"{folder} is not a folder")
    paths = sorted(folder.glob("*.toml"))
    found, wrong = read_each(paths, lambda path: _checked(path, scenes), former)
    for (path, one), (_, other) in combinations(found.items(), 2):
        if problem := conflict(one, other):
            raise ExperimentsInvalid("; ".join([*wrong.values(), f"{path}: {problem}"]))
    if wrong:
        raise ExperimentsInvalid("; ".join(wrong.values()), found)
    return found


def _checked(path: Path, scenes: SceneSource) -> ExperimentFile:
    one = _file(path)
    for problem in _unknown(one, scenes):
        raise ExperimentsInvalid(f"{path}: {problem}")
    return one


def _file(path: Path) -> ExperimentFile:
    try:
        return ExperimentFile(path.stem, **tomllib.loads(path.read_text("utf-8")))
    except (OSError, UnicodeError, tomllib.TOMLDecodeError, TypeError) as error:
        raise ExperimentsInvalid(f"{path}: {error}") from error
    except ValidationError as error:
        raise ExperimentsInvalid(f"{path}: {problems(error)}") from error


def _unknown(one: ExperimentFile, scenes: SceneSource) -> Iterator[str]:
    named = [(f"arms.{arm.name}.scene", arm.scene) for arm in one.arms]
    for field, name in (*(("scenes", name) for name in one.scenes), *named):
        try:
            scenes.get(name, one.catalog)
        except SceneNotFound:
            yield f"{field}: there is no scene {name!r}"


class RunningExperiments:
    """The experiments in force."""

    def __init__(
        self,
        folder: Path,
        catalogs: Collection[str],
        scenes: SceneSource,
        keeper: ExperimentKeeper,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Read all files. Raises ExperimentsInvalid if two contradict each other."""
        self._catalogs, self._scenes, self._keeper, self._clock = catalogs, scenes, keeper, clock
        self._former: Files = {}
        self._invalid = self._rejected = ""
        """Problems of files, and those that the ranker found."""
        self._unread: Set[str] = frozenset()
        """Names of files without content that can be used."""
        self._files = Reloaded(
            lambda: folder.glob("*.toml"),
            lambda: self._read(folder),
            stale=lambda _: STALE.set(bool(self.problem)),
            clock=clock,
        )
        self._in_force: dict[str, Sequence[RunningExperiment]] = {}
        self._taken: Files | None = None
        """The files that the ranker has accepted or rejected."""
        self._next_try = clock()
        self._consents = ExpiringValues[tuple[str, Shopper], bool](
            CONSENT_AGE_SECONDS, MOST_CONSENTS, clock
        )
        self._lock = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None

    def _read(self, folder: Path) -> Files:
        self._invalid = ""
        try:
            self._former = read(folder, self._scenes, self._former)
        except ExperimentsInvalid as error:
            self._invalid = str(error)
            self._former = cast(Files, error.usable) or self._former
            raise
        finally:
            there = {path.stem for path in folder.glob("*.toml")}
            self._unread = there - {path.stem for path in self._former}
        return self._former

    @property
    def problem(self) -> str:
        """Return why the current files are not in force; empty if they are."""
        return "; ".join(filter(None, (self._invalid, self._rejected)))

    def answering(self, query: RequestQuery, time_micros: int) -> tuple[str, tuple[str, ...]]:
        """Return the scene of an answer, and the arms that chose it; no arms without a shopper."""
        if self._files.get() is not self._taken and self._clock() >= self._next_try:
            self._next_try = self._clock() + AGAIN_SECONDS
            # In a separate context: it belongs to no request and has no deadline.
            self._task = asyncio.create_task(self.refresh(), context=contextvars.Context())
        if query.shopper is None:
            return query.scene, ()
        for one in self._in_force.get(query.catalog_id, ()):
            if not one.start_micros <= time_micros < one.end_micros:
                continue
            if (query.scene or DEFAULT) in one.scenes and (arm := one.arm_of(query.shopper)):
                scene, names = arm
                there = self._there(scene, query.catalog_id)
                return (scene or query.scene, names) if there else (query.scene, ())
        return query.scene, ()

    async def permitted(self, query: RequestQuery, time_micros: int) -> bool:
        """Return whether the arms of `answering` may be used. Without an answer from the ranker the
        shopper is in no experiment."""
        if query.shopper is None or not self.answering(query, time_micros)[1]:
            return True
        key = (query.catalog_id, query.shopper)
        if (known := self._consents.get(key)) is not None:
            return known
        try:
            with deadlines.within(CONSENT_SECONDS):
                granted = await self._keeper.in_experiments(*key)
        except ServiceError:
            return False
        self._consents.put(key, granted)
        return granted

    def forget(self, catalog_id: str, shopper: Shopper) -> None:
        """Drop what is kept of a shopper, who is being erased."""
        self._consents.pop((catalog_id, shopper))

    def follow(self, change: CatalogChange) -> None:
        """End the experiments of removed catalogs, and register those of added ones."""
        self._consents.drop(lambda key: key[0] in change.removed)
        for catalog_id in change.removed:
            self._in_force.pop(catalog_id, None)
        self._taken = None

    def _there(self, scene: str, catalog_id: str) -> bool:
        """Return whether an arm's scene exists; otherwise the arm is ignored."""
        try:
            return not scene or self._scenes.get(scene, catalog_id) is not None
        except SceneNotFound:
            return False

    async def refresh(self) -> None:
        """Register new experiments of the files with the ranker. Raises nothing."""
        async with self._lock:
            wanted = self._files.get()
            if wanted is self._taken:
                return
            self._rejected, known = "", list(self._catalogs)
            try:
                for catalog_id in known:
                    with deadlines.within(CALL_SECONDS):
                        await self._take(
                            catalog_id,
                            [one for one in wanted.values() if one.catalog == catalog_id],
                        )
            except ServiceError as error:
                self._rejected = error.message
                get_logger().warning("experiments not loaded", problem=error.message)
            else:
                self._taken = wanted
                missing = sorted(
                    {one.catalog for one in wanted.values() if one.catalog not in known}
                )
                if missing:
                    self._rejected = f"catalog: there is no {', '.join(missing)}"
            STALE.set(bool(self.problem))

    async def _take(self, catalog_id: str, experiments: Sequence[ExperimentFile]) -> None:
        if kept := await self._unmentioned(catalog_id):
            self._in_force[catalog_id] = kept
            return
        try:
            await self._keeper.register(catalog_id, experiments)
        except ServiceError as error:
            if error.reason != CHANGED:
                raise
            self._rejected = error.message
            get_logger().error(
                "experiments rejected; the previous ones stay in force", problem=error.message
            )
            if catalog_id not in self._in_force:  # after a restart
                self._in_force[catalog_id] = await self._keeper.experiments(catalog_id)
        else:
            self._in_force[catalog_id] = [running(one) for one in experiments]

    async def _unmentioned(self, catalog_id: str) -> Sequence[RunningExperiment]:
        """Return what is registered, if the file of one that has not ended was never read: the
        ranker ends those that a registration does not mention."""
        if not self._unread:
            return ()
        kept, now = await self._keeper.experiments(catalog_id), time.time() * 1e6
        names = {one.name for one in kept if one.end_micros > now}
        return () if names.isdisjoint(self._unread) else kept
