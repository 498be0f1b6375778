"""`python -m ranker.migrate`: creates and upgrades the record's tables.

For a job that runs before servers and workers with RANKER_MIGRATIONS=wait.
"""

from sqlalchemy import MetaData

from ranker.record.tables import METADATA, MIGRATION_LOCK, MIGRATIONS
from ranker.settings import RecordSettings
from servicekit.sql.database import Database
from servicekit.sql.migrations import main
from servicekit.startup import checked


def opened() -> tuple[Database, MetaData]:
    """Open the record's store as it is."""
    settings = checked(RecordSettings)
    url = settings.database_url.get_secret_value()
    return Database(url, migrations=MIGRATIONS, migration_lock=MIGRATION_LOCK), METADATA


if __name__ == "__main__":
    main("ranker.migrate", opened)
