"""`python -m vision.migrate`: creates and upgrades the record's tables. For a job that runs before
servers and workers with VISION_MIGRATIONS=wait.
"""

from sqlalchemy import MetaData

from servicekit.sql.database import Database
from servicekit.sql.migrations import main
from servicekit.startup import checked
from vision.record import metadata
from vision.settings import RecordSettings

MIGRATIONS = "vision.record.migrations"


def opened() -> tuple[Database, MetaData]:
    """Return the record's store, not migrated."""
    settings = checked(RecordSettings)
    return Database(settings.database_url.get_secret_value(), migrations=MIGRATIONS), metadata


if __name__ == "__main__":
    main("vision.migrate", opened)
