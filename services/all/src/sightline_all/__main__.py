"""Run several services in one process: `python -m sightline_all`."""

import gc
import sys

# The collector skips imported objects: scanning them took two fifths of the start (2026-11).
gc.disable()

from sightline_all.services import main  # noqa: E402

gc.freeze()
gc.enable()

if __name__ == "__main__":
    main(sys.argv[1:])
