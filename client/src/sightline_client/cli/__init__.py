"""The ``sightline`` command line."""

import gc

# What is imported stays: to look through it took a sixth of a command's processor time (2026-11).
_collects = gc.isenabled()
gc.disable()

from sightline_client.cli.app import app  # noqa: E402

gc.freeze()
if _collects:
    gc.enable()

__all__ = ["app"]
