"""`python -m ranker.migrate`: creates and upgrades the record's tables.

For a job that runs before servers and workers with RANKER_MIGRATIONS=wait.
"""

from sqlalchemy import MetaData

from ranker.events.record.tables import METADATA, MIGRATIONS
from ranker.settings import RecordSettings
from servicekit.migrations import main
from servicekit.sql import Database
from servicekit.startup import checked


def opened() -> tuple[Database, MetaData]:
    """Open the record's store as it is."""
    settings = checked(RecordSettings)
    return Database(settings.database_url.get_secret_value(), migrations=MIGRATIONS), METADATA


if __name__ == "__main__":
    main("ranker.migrate", opened)
