"""The registry of what the record keeps, and until when."""

from collections.abc import Mapping
from typing import Final

from servicekit.sql.retention import Term

GOES, BOUNDED, STAYS = Term

TABLES: Final[Mapping[str, tuple[Term, str]]] = {
    "events": (GOES, "RANKER_EVENT_DAYS, RANKER_IMPRESSION_DAYS; 0: until erased or purged"),
    "popularity": (GOES, "with the events that it sums"),
    "count_units": (GOES, "with the events that are counted"),
    "count_pairs": (GOES, "with the events that are counted"),
    "count_days": (GOES, "with the events that are counted"),
    "count_rates": (GOES, "with the events that are counted"),
    "count_gaps": (GOES, "with the events that are counted"),
    "count_products": (GOES, "with the events that are counted"),
    "product_firsts": (BOUNDED, "one row a product"),
    "count_queue": (GOES, "until the days are counted: seconds"),
    "answers": (GOES, "RANKER_ANSWER_DAYS"),
    "control_exposures": (GOES, "7 days"),
    "night_jobs": (BOUNDED, "two rows a catalog"),
    "jobs": (GOES, "RANKER_JOB_DAYS after the job has ended"),
    "attributes": (GOES, "until the shopper withdraws the consent or is erased"),
    "privacy_budget": (STAYS, "one row an export of counts; it counts for RANKER_PRIVACY_DAYS"),
    "health": (BOUNDED, "one row a catalog"),
    "promotions": (BOUNDED, "one row a catalog"),
    "keys": (BOUNDED, "one row a key of pseudonyms"),
    "data_keys": (BOUNDED, "the keys of the current wrapping key"),
    "leases": (BOUNDED, "one row a kind of work"),
    "aliases": (STAYS, "until the user is erased: one row a visitor who logged in"),
    "consents": (STAYS, "until the shopper is erased, as the proof of the decision"),
    "erasures": (STAYS, "so that a restored backup erases again"),
    "models": (STAYS, "one row a training; its files go by RANKER_KEEP_MODELS"),
    "evaluations": (STAYS, "one report a model"),
    "promotion_log": (STAYS, "one row a promotion"),
    "experiments": (STAYS, "one row an experiment"),
    "audit_entries": (STAYS, "until archived and dropped, RANKER_AUDIT_DAYS at least"),
    "audit_seals": (STAYS, "one row for each archive of the audit log"),
}
"""By table, what happens to its rows. With a deleted catalog all but the audit log go after its
term."""
