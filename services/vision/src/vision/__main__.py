"""The server of vision: `python -m vision`. Its worker is `python -m vision.worker`."""

from servicekit.admission.access import PeerName
from servicekit.clock import now_micros
from servicekit.outbound.posting import Poster
from servicekit.rpc import owned
from servicekit.rpc.job_service import JobServicer
from servicekit.rpc.peers import PeerCredentials
from servicekit.rpc.server import Binding, run, serve
from servicekit.sql.database import Database
from servicekit.startup import load, observe
from vision.adapters.catalog_products import RetrieverCatalog
from vision.adapters.photo_objects import EmbedderPhotos
from vision.adapters.product_search import RetrieverSearch
from vision.delivery.webhooks import Webhooks
from vision.inspection.inspect_piece import Inspector
from vision.ports.detecting import DetectionPeers, SalesCounts
from vision.servicer.detection import DetectionServicer
from vision.servicer.inspection import JOB_OWNER, InspectionServicer
from vision.servicer.watches import WatchServicer
from vision.servicer.webhooks import WebhookServicer
from vision.settings import VisionServerSettings, VisionSettings
from vision.watching.alerts import AlertFollower
from vision.watching.watches import Watches
from vision.wiring import (
    SERVER_CHECKS,
    Parts,
    database,
    job_queue,
    sales_counts,
    snapshot_fetcher,
    webhook_keys,
)


def bindings(
    settings: VisionSettings, db: Database, parts: Parts, sales: SalesCounts
) -> list[Binding]:
    """Return the services of the server."""
    record, checks, catalogs = parts.record, parts.checks, parts.catalogs
    check, products = snapshot_fetcher(settings).check, RetrieverCatalog(parts.channel)
    watches = Watches(record, checks.photos, products, checks.private, now_micros, check)
    webhooks = Webhooks(record, webhook_keys(settings), Poster.of(settings))
    peers = DetectionPeers(EmbedderPhotos(parts.embedder), RetrieverSearch(parts.channel), sales)
    jobs, inspector = job_queue(db), Inspector(parts.references, parts.patches)
    servicers = (
        DetectionServicer(catalogs, peers),
        WatchServicer(catalogs, watches, checks, AlertFollower(record), record),
        WebhookServicer(catalogs, webhooks),
        InspectionServicer(catalogs, parts.references, inspector, jobs, record.key_of),
        JobServicer(JOB_OWNER, catalogs, jobs, record.key_of),
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
        *(bindings(settings, db, parts, sales), settings),
        service="vision",
        peers=PeerCredentials.of(settings),
        catalogs=parts.catalogs,
        on_stop=close,
    )


if __name__ == "__main__":
    configured = load(VisionServerSettings, *SERVER_CHECKS)
    observe("vision", configured, configured.log_level)
    run(main(configured))
