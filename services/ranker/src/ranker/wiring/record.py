"""The record of a process, with its encryption."""

from ranker.events import encryption
from ranker.record.data_keys import DataKeyRecord
from ranker.record.encrypted_columns import OPTION, Sealer
from ranker.record.tables import CHECKPOINT_PAGES, MIGRATION_LOCK, MIGRATIONS
from ranker.settings.shared import StoreSettings
from servicekit.clock import now_micros
from servicekit.sql.database import Database


def sealer_of(settings: StoreSettings) -> Sealer | None:
    """Return the sealer of the settings; None without encryption. Raise Unreadable."""
    wrapper = settings.wrapper()
    return Sealer(wrapper) if wrapper is not None else None


def open_record(settings: StoreSettings, sealer: Sealer | None, *, threads: int = 4) -> Database:
    """Open the record; nothing is read yet."""
    return Database(
        settings.database_url.get_secret_value(),
        migrations=MIGRATIONS,
        migration_lock=MIGRATION_LOCK,
        threads=threads,
        checkpoint_pages=CHECKPOINT_PAGES,
        options={OPTION: sealer},
    )


async def prepare_keys(database: Database, sealer: Sealer | None) -> None:
    """Create the first data key if there is encryption. Raise KeyUnusable."""
    await encryption.prepare(DataKeyRecord(database), sealer, now_micros())
