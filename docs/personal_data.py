"""Generates docs/privacy.md from the registry of personal data."""

from __future__ import annotations

from collections.abc import Iterable

from ranker.domain import personal_data
from servicekit.personal_data import PersonalStore

STORES = (*personal_data.TABLES.values(), *personal_data.OTHERS)

HEAD = """\
# Personal data

This page lists every place where Sightline stores data on persons, and shows how to give a
shopper a copy of theirs and how to erase it. It is generated from the registry in
`services/ranker/src/ranker/domain/personal_data.py`; a test fails for a column of the record that
is missing there. The lawful reasons are a proposal: your data-protection officer decides.

Ids of shoppers and visits are stored as keyed pseudonyms only ([keys](operate/keys.md)). Names,
addresses and photos of shoppers are never stored: the photo of a request is decoded in memory and
dropped with the answer. Logs, metrics and traces hold no id, no query and no pseudonym. The
retriever and the embedder store products; of persons, they store the names of calling keys in the
audit log.

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
- **Exports**: rows are removed from files in the export store. Copies that were taken elsewhere
  are yours to erase, and so is what other readers of a Kafka topic stored.

## Processing record

Article 30 of the GDPR asks for a record of processing. This is its part for Sightline."""

RISKS = (
    (
        "a stolen database shows who likes what",
        "ids are HMAC-SHA256 pseudonyms under a key outside the database; attributes need consent",
        "search texts and order ids are stored as they were sent, unless `RANKER_STORED_QUERIES` "
        "and `RANKER_STORED_ORDER_IDS` say `hashed` or `dropped`",
    ),
    (
        "a caller reads other shoppers' histories",
        "roles, keys bound to one shopper or none, audited reads, an alert on sweeps "
        "([access](operate/access.md))",
        "a key with `shoppers = any` reads all of its catalog",
    ),
    (
        "a profile surprises or offends its shopper",
        "profiles show their evidence; `not_personal` requests read none; hidden products "
        "stay hidden",
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
    parts = [HEAD, stores, "## Stored fields", fields, "## Impact assessment, in draft", risks]
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
