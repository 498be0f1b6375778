"""Wire the embedder and serve it: ``python -m embedder``."""

import asyncio

from embedder.servicer.lent import lent_by
from embedder.settings import EmbedderSettings
from embedder.wiring import (
    bind,
    certificates_of,
    check_engine,
    control_key,
    decoders,
    fetcher,
    inference_engine,
    known_catalogs,
    model_folders,
    space_keys,
)
from servicekit import startup
from servicekit.rpc import server
from servicekit.rpc.peers import PeerCredentials

SERVICE = "embedder"


async def main(settings: EmbedderSettings) -> None:
    """Serve until stopped. While Triton is unreachable, or a model not loaded, each item fails with
    EMBEDDER_UNAVAILABLE."""
    decoding, fetch = decoders(settings), fetcher(settings)
    await decoding.start()
    async with (
        inference_engine(settings) as engine,
        known_catalogs(settings, engine) as catalogs,
    ):
        await check_engine(settings, engine)
        offered, recovery, sources = bind(settings, engine, decoding, fetch, catalogs)
        watching = asyncio.create_task(recovery.run())
        peers = PeerCredentials.of(settings)
        await server.serve(
            *(offered, settings),
            service=SERVICE,
            peers=peers,
            catalogs=catalogs,
            lent=lent_by(offered),
        )
        watching.cancel()
        await sources.close()
    await fetch.close()
    decoding.close()


CHECKS = (PeerCredentials.of, certificates_of, control_key, model_folders, space_keys)
"""Readers of the files that settings name, called at the start."""

if __name__ == "__main__":
    chosen = startup.load(EmbedderSettings, *CHECKS)
    startup.observe(SERVICE, chosen, chosen.log_level)
    server.run(main(chosen))
