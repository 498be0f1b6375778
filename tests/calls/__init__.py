"""Counts of calls and bytecodes of an answer, which unlike times are the same on every machine.

The four services run in one process as with `TARGET=all`, on SQLite and without engines: a small
catalog with generated vectors, which are compared in memory, and a model that LightFM trains on
generated events. `python -m tests.calls` prints a table, with `--top` also the functions that are
called most, or with `--bytecodes` those that execute most. With `--apart` each service has a
process of its own, as on several machines, and its calls are counted there.

What the event loop's thread does is counted, from just before a request until its record is
written: Python and C calls by cProfile, bytecodes by a trace. The caller has a thread of its own.
Counts of idle windows are subtracted. Threads that the services use, such as those of SQL, are not
counted.
"""
