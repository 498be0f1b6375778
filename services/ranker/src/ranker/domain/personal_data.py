"""The registry of personal data: every place where the ranker stores data on a person, and why.

docs/privacy.md is generated from it, ExportUser and EraseUser go through it, and a test fails for a
column of the record that is missing here.
"""

from collections.abc import Mapping

from servicekit.personal_data import STAFF, Basis, PersonalStore

_RECORD = "record (SQL)"
_SHOP = "backend of the shop, through the role `privacy`"

EVENTS = PersonalStore(
    "events",
    place=_RECORD,
    purpose="recommend products by what the shopper did; train models; measure answers; suggest"
    " searches of many shoppers",
    basis=Basis.INTEREST,
    term="RANKER_EVENT_DAYS, RANKER_IMPRESSION_DAYS",
    readers=f"ranker; {_SHOP}; answers of scenes that show a history",
    erasure="deleted; sums and counts are computed again without them",
    fields={
        "sequence": "order of receipt",
        "catalog_id": "catalog",
        "event_id": "id of the event by the shop",
        "digest": "keyed hash of the event as given, to recognise repetitions",
        "key_id": "key of the pseudonyms",
        "actor": "pseudonym of the shopper",
        "session": "pseudonym of the visit",
        "type": "what the shopper did",
        "kind": "group of the type",
        "product_id": "product",
        "time_micros": "time of the event",
        "received_micros": "time of receipt",
        "value": "stars or strength",
        "quantity": "units",
        "unit_price_micros": "price paid for a unit",
        "unit_price_currency": "its currency",
        "order_id": "order",
        "position": "position in the list",
        "scene": "scene of the answer",
        "attribution_token": "token of the answer",
        "query": "words of a search",
        "answer_id": "answer",
        "sample_share": "share of stored impressions",
        "arm": "arm of an experiment",
        "unproven": "whether the shopper was not proven",
        "new_visitor": "whether the shopper's proof was less than a day old",
    },
    owners=("actor",),
)
ANSWERS = PersonalStore(
    "answers",
    place=_RECORD,
    purpose="further pages, attribution of events, replay, measurement of models; fit spaces to"
    " clicks on searches by photo, with consent",
    basis=Basis.INTEREST,
    term="RANKER_ANSWER_DAYS",
    readers="ranker; operators, by replay",
    erasure="deleted",
    fields={
        "catalog_id": "catalog",
        "answer_id": "id",
        "actor": "pseudonym of the shopper",
        "key_id": "key of the pseudonyms",
        "content": "the ranked products, with the numbers of the shopper's events as inputs; a copy"
        " has no costs of products",
        "expires_micros": "end of its term",
        "answer_micros": "time",
        "model_version": "model",
        "scene": "scene",
        "arms": "arms of experiments",
        "photo": "vector of the photo of a search, stored by releases before 0.40",
        "photo_space": "version of its space",
        "product_count": "number of the ranked products",
        "degraded_by": "parts that the answer lacked",
    },
    owners=("actor",),
)
ATTRIBUTES = PersonalStore(
    "attributes",
    place=_RECORD,
    purpose="recommend to shoppers without events what similar shoppers choose",
    basis=Basis.CONSENT,
    term="until the consent is withdrawn",
    readers=f"ranker; {_SHOP}",
    erasure="deleted",
    fields={
        "catalog_id": "catalog",
        "actor": "pseudonym of the shopper",
        "key": "name, such as age_band",
        "value": "value",
        "key_id": "key of the pseudonyms",
        "consent_micros": "time of the consent",
    },
    owners=("actor",),
)
CONSENTS = PersonalStore(
    "consents",
    place=_RECORD,
    purpose="know, and prove, what a shopper consents to",
    basis=Basis.LEGAL,
    term="none",
    readers=f"ranker; {_SHOP}",
    erasure="deleted but for withdrawals, which stay under a hash and apply if the shopper returns",
    fields={
        "sequence": "order",
        "catalog_id": "catalog",
        "actor": "pseudonym of the shopper",
        "purpose": "purpose",
        "source": "where the decision was made",
        "key_id": "key of the pseudonyms",
        "decided_micros": "time of the decision",
        "granted": "given or withdrawn",
        "latest": "whether it applies",
    },
    owners=("actor",),
)
ALIASES = PersonalStore(
    "aliases",
    place=_RECORD,
    purpose="treat a visitor who logged in as the user",
    basis=Basis.INTEREST,
    term="none",
    readers="ranker",
    erasure="deleted",
    fields={
        "catalog_id": "catalog",
        "visitor": "pseudonym of the visitor",
        "actor": "pseudonym of the user",
        "key_id": "key of the pseudonyms",
        "merged_micros": "time of the merge",
    },
    owners=("visitor", "actor"),
)
COUNT_UNITS = PersonalStore(
    "count_units",
    place=_RECORD,
    purpose="subtract a day's contribution from counts when its events change",
    basis=Basis.INTEREST,
    term="as the events that are counted",
    readers="ranker",
    erasure="counted again without the events, and deleted",
    fields={
        "catalog_id": "catalog",
        "actor": "pseudonym of the shopper",
        "day": "day",
        "bought": "units bought by product",
        "content": "what the day added to counts",
    },
    owners=("actor",),
)
COUNT_QUEUE = PersonalStore(
    "count_queue",
    place=_RECORD,
    purpose="count changed days",
    basis=Basis.INTEREST,
    term="seconds",
    readers="ranker",
    erasure="gone when the days are counted",
    fields={
        "sequence": "order",
        "catalog_id": "catalog",
        "units": "pseudonyms of shoppers with days",
        "created_micros": "time",
    },
    inside="units",
)
JOBS = PersonalStore(
    "jobs",
    place=_RECORD,
    purpose="run long work: a purge or an erasure names its shopper",
    basis=Basis.LEGAL,
    term="RANKER_JOB_DAYS",
    readers=f"{_SHOP}; operators, without parameters",
    erasure="hashes take the place of the pseudonym in parameters",
    fields=dict.fromkeys(
        (
            *("id", "kind", "catalog_id", "request_id", "state", "done", "total", "error_reason"),
            *("error_message", "result", "cancel_requested", "owner", "attempts", "lease_until"),
            *("created_time", "started_time", "finished_time"),
        ),
        "the job",
    )
    | {"params": "parameters: may hold a pseudonym", "caller": "name of the key that asked for it"},
    inside="params",
)
ERASURES = PersonalStore(
    "erasures",
    place=_RECORD,
    purpose="prove an erasure; erase again what a restore or a log brings back",
    basis=Basis.LEGAL,
    term="none",
    readers=_SHOP,
    erasure="stays: a hash that leads to nobody without the shopper's id and the key",
    fields={
        "catalog_id": "catalog",
        "person": "hash of the pseudonym",
        "requested_micros": "time of the request",
        "completed_micros": "time of completion",
        "job_id": "the job",
        "receipt": "result by store",
    },
)
AUDIT = PersonalStore(
    "audit_entries",
    place=_RECORD,
    purpose="show who changed and read what",
    basis=Basis.LEGAL,
    term="until it is archived and dropped, at least RANKER_AUDIT_DAYS",
    readers="auditors",
    erasure="stays: it names callers; a shopper only by the `sub` of an own token (JWT) that made"
    " an audited call",
    fields=STAFF,
)
MODELS = PersonalStore(
    "models",
    place="model store (files)",
    purpose="recommend to shoppers with events",
    basis=Basis.INTEREST,
    term="RANKER_KEEP_MODELS trainings",
    readers="ranker",
    erasure="the vector is removed from the files at once, sums over all shoppers' events are"
    " computed again at night, and a training replaces the rest within RANKER_UNLEARN_DAYS",
    fields={"actors": "pseudonyms", "actor_vectors": "learned taste"},
)
EXPORTS = PersonalStore(
    "exports",
    place="export store (Parquet)",
    purpose="analysis by the shop",
    basis=Basis.INTEREST,
    term="RANKER_EXPORT_DAYS",
    readers=_SHOP,
    erasure="rows are removed from the files; copies outside the export store are the shop's",
    fields={"actor": "pseudonym of the shopper", "session": "pseudonym of the visit"},
)
BACKUPS = PersonalStore(
    "backups",
    place="backup store (files)",
    purpose="bring the record back after a loss",
    basis=Basis.INTEREST,
    term="the number of backups that are kept",
    readers="operators",
    erasure="noted beside the backups: a restore erases again; other notes keep withdrawals alone,"
    " under a hash; the files end with their term",
    fields={
        "tables": "all tables above",
        "models": "files of models",
        "purges": "notes of purges and decisions: pseudonyms",
    },
)
EVENT_LOG = PersonalStore(
    "event_log",
    place="Kafka topic, if one is used",
    purpose="take events before they are stored",
    basis=Basis.INTEREST,
    term="retention of the topic",
    readers="ranker; other readers of the topic",
    erasure="events that were received before are not stored; the topic's own retention ends them",
    fields={"message": "an event with pseudonyms"},
)

TABLES: Mapping[str, PersonalStore] = {
    one.name: one
    for one in (
        *(EVENTS, ANSWERS, ATTRIBUTES, CONSENTS, ALIASES, COUNT_UNITS, COUNT_QUEUE, JOBS),
        *(ERASURES, AUDIT),
    )
}
"""Tables with personal data, by name."""
OTHERS = (MODELS, EXPORTS, BACKUPS, EVENT_LOG)
"""Places outside the record."""

IMPERSONAL: Mapping[str, str] = {
    "popularity": "sums over all shoppers",
    "control_exposures": "numbers of answers by day",
    "models": "figures of models",
    "evaluations": "figures over all shoppers",
    "promotions": "versions of models",
    "promotion_log": "versions of models",
    "health": "figures over all answers",
    "count_pairs": "sums over all shoppers",
    "count_days": "sums over all shoppers",
    "count_rates": "sums over all shoppers",
    "count_gaps": "sums over all shoppers",
    "count_products": "facts about products",
    "product_firsts": "facts about products",
    "experiments": "definitions of experiments",
    "keys": "a fingerprint of the key",
    "data_keys": "encrypted keys",
    "privacy_budget": "expenses for counts over all shoppers",
    "night_jobs": "ids of jobs",
    "leases": "names of processes",
    "audit_seals": "hashes of the audit log",
}
"""Tables without personal data, each with the reason."""
