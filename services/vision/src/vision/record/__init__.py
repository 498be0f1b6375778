"""The record in SQL: watches, what they know, alerts, webhooks and deliveries.

Each acknowledged write is one transaction. It takes the next number of its catalog's commit
sequence, which is the number of its alerts. Rows are stored under the key of their catalog
(domain/catalog_keys.py); calls name its id. Times are microseconds since 1970 (UTC).
"""

from vision.record.store import Record
from vision.record.tables import metadata

__all__ = ["Record", "metadata"]
