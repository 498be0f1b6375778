"""The registry of what the record keeps, and until when."""

from collections.abc import Mapping
from typing import Final

from servicekit.sql.retention import Term

GOES, BOUNDED, _ = Term

TABLES: Final[Mapping[str, tuple[Term, str]]] = {
    "watches": (BOUNDED, "until deleted; at most 100"),
    "watch_states": (GOES, "with the watch"),
    "watch_alerts": (GOES, "VISION_ALERT_DAYS"),
    "watch_photos": (GOES, "the days that the watch sets; two hours more"),
    "webhooks": (BOUNDED, "until deleted; at most 20"),
    "webhook_lanes": (GOES, "with the webhook or the watch"),
    "webhook_dead_letters": (GOES, "with the webhook; at most 10,000"),
    "reference_photos": (
        GOES,
        "with the fit; a day after the last photo of the draft; files: once a day old",
    ),
    "reference_versions": (
        BOUNDED,
        "until deleted; at most 3 of each of 100 references; files: once a day old",
    ),
    "audit_outbox": (GOES, "once the audit log has the alert"),
    "jobs": (GOES, "VISION_JOB_DAYS after the job has ended"),
    "sequences": (BOUNDED, "one row a catalog"),
    "moved_catalogs": (BOUNDED, "one row a catalog"),
    "moved_references": (BOUNDED, "one row a catalog"),
    "leases": (BOUNDED, "one row a kind of work"),
}
"""By table, what happens to its rows. With a removed catalog all go."""
