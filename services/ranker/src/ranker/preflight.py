"""`python -m ranker.preflight`: checks database and buckets before the first start."""

import asyncio
import sys

from ranker.settings import WorkerSettings
from servicekit import config, preflight


async def main() -> int:
    """Check all stores that the settings name. Return the exit status."""
    settings = config.load(WorkerSettings)
    stores = [settings.model_store, settings.export_store, settings.backups]
    return await preflight.run(
        [
            preflight.unsafe(settings),
            preflight.database(settings.database_url.get_secret_value()),
            *map(preflight.bucket, filter(None, stores)),
        ]
    )


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
