from servicekit.sql.database import run_migrations
from tests.fakes.kit_store import METADATA

run_migrations(METADATA)
