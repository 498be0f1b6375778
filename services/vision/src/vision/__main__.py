"""The server of vision: `python -m vision`. Its worker is `python -m vision.worker`."""

from servicekit.admission.access import PeerName
from servicekit.clock import now_micros
from servicekit.outbound.posting import Poster
from servicekit.rpc import owned
from servicekit.rpc.peers import PeerCredentials
from servicekit.rpc.server import Binding, run, serve
from servicekit.startup import load, observe
from vision.adapters.catalog_products import RetrieverCatalog
from vision.adapters.photo_objects import EmbedderPhotos
from vision.adapters.product_search import RetrieverSearch
from vision.delivery.webhooks import Webhooks
from vision.ports.detecting import DetectionPeers, SalesCounts
from vision.servicer.detection import DetectionServicer
from vision.servicer.watches import WatchServicer
from vision.servicer.webhooks import WebhookServicer
from vision.settings import VisionServerSettings, VisionSettings
from vision.watching.alerts import AlertFollower
from vision.watching.watches import Watches
from vision.wiring import (
    SERVER_CHECKS,
    Parts,
    database,
    sales_counts,
    snapshot_fetcher,
    webhook_keys,
)


def bindings(settings: VisionSettings, parts: Parts, sales: SalesCounts) -> list[Binding]:
    """Return the services of the server."""
    record, checks, catalogs = parts.record, parts.checks, parts.catalogs
    check, products = snapshot_fetcher(settings).check, RetrieverCatalog(parts.channel)
    watches = Watches(record, checks.photos, products, checks.private, now_micros, check)
    webhooks = Webhooks(record, webhook_keys(settings), Poster.of(settings))
    peers = DetectionPeers(EmbedderPhotos(parts.embedder), RetrieverSearch(parts.channel), sales)
    servicers = (
        DetectionServicer(catalogs, peers),
        WatchServicer(catalogs, watches, checks, AlertFollower(record), record),
        WebhookServicer(catalogs, webhooks),
    )
    return owned.bindings(PeerName.VISION, servicers)


async def main(settings: VisionServerSettings) -> None:
    """Serve until SIGTERM."""
    db = database(settings)
    parts, sales = Parts.of(settings, db), sales_counts(settings)

    async def close() -> None:
        await sales.close()
        await parts.close()
        db.close()

    await parts.photos.start()
    await parts.catalogs.start()
    await serve(
        *(bindings(settings, parts, sales), settings),
        service="vision",
        peers=PeerCredentials.of(settings),
        catalogs=parts.catalogs,
        on_stop=close,
    )


if __name__ == "__main__":
    configured = load(VisionServerSettings, *SERVER_CHECKS)
    observe("vision", configured, configured.log_level)
    run(main(configured))
