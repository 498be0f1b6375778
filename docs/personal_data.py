"""Generates docs/privacy.md from the registry of personal data."""

from __future__ import annotations

from collections.abc import Iterable

from ranker.domain import personal_data
from servicekit.personal_data import PersonalStore

STORES = (*personal_data.TABLES.values(), *personal_data.OTHERS)

HEAD = """\
# Personal data

This page lists every place where Sightline stores data on persons, and shows how to store what a
shopper consents to, give them a copy of their data, and erase it. It is generated from the registry
in `services/ranker/src/ranker/domain/personal_data.py`; a test fails for a column of the record
that is missing there. The lawful reasons are a proposal: your data-protection officer decides.

Ids of shoppers and visits are stored as keyed pseudonyms only ([keys](operate/keys.md)). Names,
addresses and photos of shoppers are never stored: the photo of a request is in memory alone, and
dropped [within an hour](merchandise/changing-a-scene.md#what-it-compares). Logs, metrics and
traces hold no id, no query and no pseudonym. The retriever and the embedder store products; of
persons, they store the names of calling keys in the
audit log, people in photos of products unless their faces are
[blurred or refused](operate/photos.md#faces), and people in photos of cameras that a rule or an
alert of a [watch](integrate/watch.md#not-for-people) keeps, whose faces are blurred. Photos of good
pieces for [inspections](integrate/inspect.md) are kept as they are until a day after they were
fitted, or two days after the last of them was added. Metadata of photos is not stored.

## Consent

```sh
sightline privacy consent 1209683
sightline privacy consent 1209683 --withdraw TRAIN --withdraw EXPERIMENT --source "account page"
sightline privacy consent --default --withdraw EXPERIMENT --source "policy of 2026-12"
```"""

PURPOSES = (
    (
        "PERSONALISE",
        "answers are those for an unknown shopper: no event, attribute, vector or hidden product "
        "of theirs is read; answers are recorded without their pseudonym",
    ),
    (
        "TRAIN",
        "models, popularity, trends and counts are without their events; their vector is removed "
        "from kept models, and what these learned from everyone follows as after an erasure; their "
        "own *buy again* list is empty",
    ),
    ("EXPERIMENT", "no arm of an experiment answers them"),
    ("ATTRIBUTES", "no attributes are stored"),
    (
        "PHOTOS",
        "vectors of photos that they searched with, which releases before 0.40 stored, are deleted",
    ),
)
"""Purpose, and what happens without consent."""

RIGHTS = """\
The first three are granted unless the shopper withdraws them, ATTRIBUTES and PHOTOS only if the
shopper consents (`SetConsent`; for ATTRIBUTES also `consent` of `SetShopperAttributes`).
`--default` changes what applies in a catalog to shoppers who have not decided, for example to
require consent to trainings; ATTRIBUTES and PHOTOS always need the shopper's own. A changed default
for TRAIN starts a job that counts popularity again.

- **A decision applies from the next call on**, in every process; to experiments within ten
  seconds. Without PERSONALISE and TRAIN no event of the shopper is stored: such events are counted
  as `withheld_count`, not as errors. Within `RANKER_SWEEP_SECONDS` the worker deletes what no
  consent covers any more: events without both, records of answers without PERSONALISE, vectors
  without TRAIN, vectors of photos without all three of PHOTOS, TRAIN and PERSONALISE. A training
  that is under way leaves the shopper out. Consent that is given again brings back what was not
  deleted.
- **History**: each decision is kept with its time and `source`, such as the version of a cookie
  banner. The source must not identify the shopper.
- **A visitor's decisions** become the user's by a merge; of two decisions on a purpose the later
  one applies.
- **Erasure** deletes the decisions but for withdrawals that apply. These stay under a hash, as
  proof, and apply again if the shopper returns.
- **Restore**: with `RANKER_BACKUPS` decisions are noted beside the backups, and apply after a
  restore of an older one.
- **Spaces that learned from clicks** on searches by photo keep sums over 100 clicks or more, of
  whose weight no shopper has more than a tenth: no vector and no pseudonym. The retriever's job
  that fitted one holds the same sums for `RETRIEVER_JOB_DAYS`.
- A request can say that it is [not personal](integrate/profiles.md#not-personal), for one answer
  without a stored decision.

Programs call `set_consent` and `get_consent` of the client, or `SetConsent` and `GetConsent` of
`sightline.gateway.v1.AdminService`, with the role `privacy`. With Kafka, events of shoppers who
withdrew are neither written to the topic nor taken from it.

## Give a copy, erase

```sh
sightline privacy export 1209683 --out 1209683.json
sightline privacy erase 1209683
sightline privacy receipt 1209683
```

Programs call `export_user`, `erase_user` and `get_erasure` of the client, or `ExportUser`,
`EraseUser` and `GetErasure` of `sightline.gateway.v1.AdminService`, with the role `privacy`.
`--visitor` names a visitor in place of a customer.

- **A copy** is JSON: all records of the stores below, and the [profile](integrate/profiles.md)
  that is inferred from them.
- **An erasure** is a job, and can be neither canceled nor undone. It covers what was received
  before it was requested, of the customer and of all visitors merged into them; what they do
  later is new data. A job that is interrupted continues.
- **The receipt** lists each store with the number of erased records, and until when a trace is
  left. It is stored under a hash of the pseudonym, which leads to nobody without the shopper's id
  and the key.
- Erasing again returns the earlier job, unless the shopper has new data. Nothing stored:
  SHOPPER_NOT_FOUND.
- **Models**: the shopper's vector is removed from all kept models at once, and the serving one is
  loaded again. In the next night a job, `unlearn`, computes popularity, trends, products bought
  together and item-to-item weights of all kept models again from the events that are left: they
  are then those of a training without the shopper. What LightFM learned from everyone stays until
  a later full training replaces the model, at the latest `RANKER_UNLEARN_DAYS` after the erasure,
  as the receipt says. In the last three nights the worker trains one, and promotes it if its
  evaluation passes; at the end it does so unless the evaluation failed, and deletes the other
  models that learned from the shopper. `sightline_unlearn_due_timestamp_seconds` is the time by
  which a serving model has to be replaced, and `SightlineUnlearningLate` fires when it is over.
- **Backups** are not changed. With `RANKER_BACKUPS` the erasure is noted beside them, and a
  restore erases again; without it, erase again after a restore ([backups](operate/backups.md)).
  Other notes there lose the shopper, but for withdrawals under a hash.
- **Exports**: rows are removed from files in the export store. A damaged file, which nobody can
  read, is deleted, and the worker's log names it. Copies that were taken elsewhere are yours to
  erase, and so is what other readers of a Kafka topic stored.
- **Memory**: ids, histories and consents leave it within ten seconds, vectors of models within a
  minute. Which histories a caller read is remembered for an hour, under hashes that lead to nobody.
  A gateway keeps the last requests to each scene for an hour, whatever the shopper consents to. All
  that name a shopper leave every gateway within ten seconds after any erasure in their catalog, and
  while the ranker can't say whether there was one.

## Processing record

Article 30 of the GDPR asks for a record of processing. This is its part for Sightline."""

RISKS = (
    (
        "a stolen database shows who likes what",
        "ids are HMAC-SHA256 pseudonyms under a key outside the database, which can be renewed; "
        "attributes, search texts and vectors of photos are [encrypted](operate/encryption.md) if "
        "there is a key",
        "order ids are stored as they were sent, unless `RANKER_STORED_ORDER_IDS` says `hashed` or "
        "`dropped`",
    ),
    (
        "a caller reads other shoppers' histories",
        "roles, keys bound to one shopper or none, audited reads, an alert on sweeps "
        "([access](operate/access.md))",
        "a key with `shoppers = any` reads all of its catalog",
    ),
    (
        "a profile surprises or offends its shopper",
        "profiles show their evidence; `not_personal` requests and shoppers without consent to "
        "PERSONALISE read none; hidden products stay hidden",
        "inferences are probabilities, and may be wrong",
    ),
    (
        "data outlives its purpose",
        "terms in the table above; erasure in all stores with a receipt",
        "events have no term by default: set `RANKER_EVENT_DAYS`",
    ),
    (
        "a restore brings erased shoppers back",
        "erasures are noted beside backups, and repeated",
        "backups made by other tools: run `python -m ranker.backups purges`",
    ),
    (
        "photos of products show people",
        "[faces](operate/photos.md#faces) are blurred or refused before a photo is stored, if a "
        "catalog's setting says so",
        "faces that are missed; photos stored before: take them down",
    ),
    (
        "cameras show people",
        "frames are not stored; faces are blurred in what a "
        "[watch](integrate/watch.md#not-for-people) keeps of them",
        "faces that are missed; point cameras at shelves",
    ),
    (
        "exported counts tell what one person did",
        "noise and a budget ([counts](operate/private-counts.md))",
        "up to the epsilon that is spent",
    ),
    (
        "a model tells what one person did",
        "vectors are erased at once, models are retrained within a term",
        "until then the weights of products hold a small part of it",
    ),
)
"""Risk, measure, and what is left."""


def page() -> str:
    """Return the page."""
    fields = "\n\n".join(_fields(store) for store in STORES)
    risks = _table(("risk", "measure", "what is left"), RISKS)
    stores = _table(
        ("store", "where", "purpose", "lawful reason", "term", "who reads it", "erasure"),
        map(_row, STORES),
    )
    purposes = _table(("purpose", "without consent"), PURPOSES)
    parts = [
        HEAD,
        purposes,
        RIGHTS,
        stores,
        "## Stored fields",
        fields,
        "## Impact assessment, in draft",
        risks,
    ]
    return "\n\n".join(parts)


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(row)} |" for row in lines)


def _row(store: PersonalStore) -> tuple[str, ...]:
    return (
        *(f"`{store.name}`", store.place, store.purpose, store.basis.value),
        *(store.term, store.readers, store.erasure),
    )


def _fields(store: PersonalStore) -> str:
    rows = ((f"`{name}`", meaning) for name, meaning in store.fields.items())
    return f"### {store.name}\n\n{_table(('field', 'meaning'), rows)}"
