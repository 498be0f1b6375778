"""Start of the gateway: settings, wiring, serving."""

from gateway.settings import GatewaySettings
from gateway.state import experiments
from gateway.state.scenes import SceneFiles
from gateway.wiring import access_of, build, certificates_of, credentials_of, listeners
from servicekit import startup
from servicekit.keys.keyring import SigningKeys, signing_keys
from servicekit.rpc import server

SERVICE = "gateway"


async def main(settings: GatewaySettings) -> None:
    """Serve until asked to stop."""
    access, gateway = access_of(settings), build(settings, scenes_of(settings), keys_of(settings))
    await gateway.start()
    await server.serve(
        gateway.bindings,
        settings,
        service=SERVICE,
        listeners=listeners(settings, access),
        audit=gateway.audit,
        catalogs=gateway.catalogs,
        on_stop=lambda: gateway.close(settings.drain_seconds),
    )


def scenes_of(settings: GatewaySettings) -> SceneFiles:
    """Return the scenes of the built-in and the configured folder. Raises ScenesInvalid."""
    return SceneFiles(settings.scenes_folder, catalogs=settings.catalogs)


def experiments_of(settings: GatewaySettings) -> None:
    """Check the files of experiments. Raises ExperimentsInvalid."""
    if settings.experiments_folder is not None:
        experiments.read(settings.experiments_folder, scenes_of(settings))


def keys_of(settings: GatewaySettings) -> SigningKeys:
    """Return the keys that sign tokens. Raises Unreadable."""
    return signing_keys(settings.token_keys_file)


CHECKS = (scenes_of, experiments_of, keys_of, access_of, certificates_of, credentials_of)
"""Readers of the files that settings name, called at the start."""


def start() -> None:
    """Run the command `python -m gateway`."""
    settings = startup.load(GatewaySettings, *CHECKS)
    startup.observe(SERVICE, settings, settings.log_level)
    server.run(main(settings), settings)


if __name__ == "__main__":
    start()
