"""Starts the gateway: reads the settings, connects the parts, serves."""

import sys

from gateway.settings import GatewaySettings
from gateway.state.scenes import SceneFiles, ScenesInvalid
from gateway.wiring import access_of, build
from servicekit import config, server, telemetry
from servicekit.access import Access
from servicekit.keyring import SigningKeys, signing_keys
from servicekit.reloaded import Unreadable

SERVICE = "gateway"


async def main(
    settings: GatewaySettings, scenes: SceneFiles, access: Access, keys: SigningKeys
) -> None:
    """Serve until asked to stop."""
    gateway = build(settings, scenes, keys)
    await server.serve(
        gateway.bindings,
        settings,
        service=SERVICE,
        access=access,
        audit=gateway.audit,
        on_stop=lambda: gateway.close(settings.drain_seconds),
    )


def start() -> None:
    """The `python -m gateway` command."""
    settings = config.load(GatewaySettings)
    telemetry.configure_logging(SERVICE, settings.log_level)
    try:
        scenes = SceneFiles(settings.scenes_folder)
        access = access_of(settings)
        keys = signing_keys(settings.token_keys_file)
    except ScenesInvalid as error:
        sys.exit(f"bad scenes: {error}")
    except Unreadable as error:
        sys.exit(f"bad keys: {error}")
    server.run(main(settings, scenes, access, keys), settings)


if __name__ == "__main__":
    start()
