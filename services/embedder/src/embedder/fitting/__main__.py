"""Learn a space: ``python -m embedder.fitting WORK``."""

import sys
from pathlib import Path

from embedder.fitting import learning, process

if __name__ == "__main__":
    process.main(Path(sys.argv[1]), learning.learn)
