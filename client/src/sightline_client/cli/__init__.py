"""The ``sightline`` command line."""

import gc

# The collector skips imported objects: scanning them took 1/6 of a command's CPU time (2026-11).
_collects = gc.isenabled()
gc.disable()

from sightline_client.cli.app import app  # noqa: E402

gc.freeze()
if _collects:
    gc.enable()

__all__ = ["app"]
