"""The record in SQL: products, photos, vectors, index generations, and changes not yet indexed.

Each acknowledged write is one transaction. It takes the next number of its catalog's commit
sequence; the number's row is locked until the commit, so numbers become visible in order, also on
PostgreSQL. Times are microseconds since 1970 (UTC).

A write leaves an outbox entry. Every generation applies the entries in order and remembers the last
one (`applied_seq`); an entry that every live generation holds is deleted. A photo, or a product
whose text, lacks a vector of a live generation's version has a row in `pending`, with the number of
its write (`write_seq`): a generation holds a write in full once it has applied all entries up to
that number and embedded all of these photos and products.
"""

from retriever.record.store import Record
from retriever.record.tables import metadata

__all__ = ["Record", "metadata"]
