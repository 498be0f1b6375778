"""`python -m ranker`: serves the ranker's calls."""

from ranker.settings import RankerSettings
from ranker.settings.shared import StoreSettings
from ranker.wiring.backend import log_access
from ranker.wiring.server import calculate_alone, check_file, serve_until_stopped
from servicekit import startup
from servicekit.peers import PeerCredentials
from servicekit.server import run


async def main() -> None:
    """Read the settings and serve until SIGTERM or SIGINT."""
    settings = startup.load(
        RankerSettings, PeerCredentials.of, check_file, log_access, StoreSettings.wrapper
    )
    startup.observe("ranker", settings, settings.log_level)
    calculate_alone()
    await serve_until_stopped(settings)


if __name__ == "__main__":
    run(main())
