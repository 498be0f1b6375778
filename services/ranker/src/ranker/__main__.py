"""`python -m ranker`: wires the ranker's server and runs it."""

import asyncio
import sys

from threadpoolctl import threadpool_limits

from ranker import pseudonyms
from ranker.model import DAY_MICROS, KeyUnusable
from ranker.models.artifact import ModelStore
from ranker.models.live import LiveModels
from ranker.pseudonyms import Pseudonyms
from ranker.record import keys
from ranker.record.activity import ActivityRecord
from ranker.record.aliases import ShopperRecord
from ranker.record.answers import AnswerLog
from ranker.record.attributes import AttributeRecord
from ranker.record.evaluations import EvaluationRecord
from ranker.record.events import EventRecord
from ranker.record.exports import ExportRecord
from ranker.record.models import ModelRegistry
from ranker.record.online import OnlineRecord
from ranker.record.purges import PurgeRecord
from ranker.record.queued import AnswerQueue
from ranker.record.tables import CHECKPOINT_PAGES, JOBS, MIGRATIONS
from ranker.servicer.answers import AnswerServicer
from ranker.servicer.events import EventServicer
from ranker.servicer.jobs import OWNER
from ranker.servicer.models import ModelServicer
from ranker.servicer.profiles import ProfileServicer
from ranker.servicer.ranking import RankingServicer
from ranker.settings import RankerSettings
from servicekit import config, telemetry
from servicekit.job_service import JobServicer
from servicekit.jobs import Jobs, now_micros
from servicekit.server import Binding, run, serve
from servicekit.sql import Database

CLOSE_SECONDS = 5.0
"""How long a server that stops goes on storing answers."""


async def open_key(database: Database, settings: RankerSettings) -> Pseudonyms:
    """The key that the store is bound to; KeyUnusable. A store that was written with some key
    never gets a new one by itself."""
    create = settings.create_key and not await keys.has_key(database)
    found = pseudonyms.load(settings.key_file, create=create)
    await keys.check(database, found)
    return found


def bindings(
    settings: RankerSettings,
    database: Database,
    key: Pseudonyms,
    live: LiveModels,
    store: ModelStore,
    *,
    answers: AnswerQueue | None = None,
) -> list[Binding]:
    """All services of the ranker; `answers` is for whoever closes it."""
    answers = answers or AnswerQueue(AnswerLog(database), now_micros)
    catalogs, events, jobs = (
        settings.catalogs,
        EventRecord(database, settings.signals),
        Jobs(database, JOBS),
    )
    registry = ModelRegistry(database)
    keep = int(settings.answer_days * DAY_MICROS)
    return [
        Binding.of(
            RankingServicer(
                catalogs,
                key,
                events,
                live,
                settings.nominate_in_memory_items,
                signals=settings.signals,
                answers=answers,
                keep_micros=keep,
            )
        ),
        Binding.of(
            EventServicer(
                catalogs,
                key,
                events,
                now=now_micros,
                shoppers=ShopperRecord(database),
                purges=PurgeRecord(database, settings.signals),
                jobs=jobs,
                exports=ExportRecord(database),
                impression_share=settings.impression_share,
            )
        ),
        Binding.of(AnswerServicer(catalogs, key, answers, now_micros, keep)),
        Binding.of(
            ModelServicer(
                catalogs,
                jobs=jobs,
                registry=registry,
                evaluations=EvaluationRecord(database),
                load=store.read,
                online=OnlineRecord(database),
                activity=ActivityRecord(database),
                refresh=live.refresh,
                now=now_micros,
            )
        ),
        Binding.of(
            ProfileServicer(
                catalogs,
                key,
                events,
                live,
                attributes=AttributeRecord(database),
                signals=settings.signals,
                now=now_micros,
            )
        ),
        Binding.of(JobServicer(OWNER, catalogs, jobs)),
    ]


def calculate_alone() -> None:
    """Have NumPy's products done by the thread that asks for them.

    A request's are small: 500 candidates take 2 µs by one thread. Shared among threads they wait
    for the last one to be given a core, which on a busy machine took 2 ms (measured 2026-11).
    """
    threadpool_limits(limits=1, user_api="blas")


async def main() -> None:
    """Open the record and the key, load what is promoted, and serve."""
    settings = config.load(RankerSettings)
    telemetry.configure_logging("ranker", settings.log_level)
    calculate_alone()
    database = Database(
        settings.database_url, migrations=MIGRATIONS, checkpoint_pages=CHECKPOINT_PAGES
    )
    store = ModelStore(settings.model_store)
    live = LiveModels(
        settings.catalogs,
        ModelRegistry(database),
        store.read,
        settings.nominate_in_memory_items,
    )
    try:
        await asyncio.to_thread(database.migrate)
        key = await open_key(database, settings)
        await live.start()
        answers = AnswerQueue(AnswerLog(database), now_micros)
        offered = bindings(settings, database, key, live, store, answers=answers)
        await serve(
            offered, settings, service="ranker", on_stop=lambda: answers.close(CLOSE_SECONDS)
        )
    except KeyUnusable as error:
        sys.exit(f"the ranker does not start: {error}")
    finally:
        await live.stop()
        database.close()


if __name__ == "__main__":
    run(main())
