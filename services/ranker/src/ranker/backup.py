"""The former name of `python -m ranker.backups`."""

import sys

if __name__ == "__main__":
    sys.exit("`python -m ranker.backup` is now `python -m ranker.backups`, with the same options")
