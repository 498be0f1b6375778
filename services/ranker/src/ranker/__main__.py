"""`python -m ranker`: serves the ranker's calls."""

from ranker.settings import RankerSettings
from ranker.settings.shared import StoreSettings
from ranker.wiring.backend import log_access
from ranker.wiring.server import calculate_alone, check_file, serve_until_stopped
from servicekit import startup
from servicekit.rpc.peers import PeerCredentials
from servicekit.rpc.server import run

CHECKS = (PeerCredentials.of, check_file, log_access, StoreSettings.wrapper)
"""Readers of the files that settings name, called at the start."""


async def main(settings: RankerSettings) -> None:
    """Serve until SIGTERM or SIGINT."""
    calculate_alone()
    await serve_until_stopped(settings)


if __name__ == "__main__":
    chosen = startup.load(RankerSettings, *CHECKS)
    startup.observe("ranker", chosen, chosen.log_level)
    run(main(chosen))
