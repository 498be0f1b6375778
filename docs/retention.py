"""Generates docs/operate/retention.md from the registries of tables."""

from __future__ import annotations

from ranker.domain import retention as of_ranker
from retriever.domain import retention as of_retriever
from servicekit.sql.retention import Term
from vision.domain import retention as of_vision

HEAD = """\
# What is kept, and until when

Every table of the records, and what ends its rows. A table without an entry fails a test, and so
does one whose rows stay after all that they belong to was deleted. With a deleted catalog all rows
but those of the audit log go after its [term](catalogs.md). What is personal is in
[Personal data](../privacy.md). The workers delete in small transactions, once an hour."""

WORDS = {
    Term.GOES: "goes",
    Term.BOUNDED: "bounded",
    Term.STAYS: "stays",
}


def page() -> str:
    """Return the page."""
    parts = [HEAD]
    services = {"Retriever": of_retriever, "Ranker": of_ranker, "Vision": of_vision}
    for name, tables in ((name, of.TABLES) for name, of in services.items()):
        rows = [f"| `{table}` | {WORDS[term]} | {text} |" for table, (term, text) in tables.items()]
        parts.append(
            "\n".join([f"## {name}", "", "| table | rows | until |", "|---|---|---|", *rows])
        )
    return "\n\n".join(parts)
